"""Figures against values known by hand, and a report made from a trained run."""

import shutil

import cv2
import numpy as np
import pytest
from trained import Trained

from facemask.evaluation import folds
from facemask.evaluation.evaluate import evaluate, predict_split
from facemask.evaluation.leaks import copied, split_copies
from facemask.io.files import FacemaskError, read_json
from facemask.metrics.classification import accuracy_with_interval, calibration_error, score


def test_wilson_interval():
    figures = accuracy_with_interval(np.array([True] * 8 + [False] * 2))
    assert figures["accuracy"] == 0.8
    # Wilson's formula by hand for 8 of 10 with z = 1.96
    assert figures["interval"] == pytest.approx([0.4902, 0.9433], abs=1e-4)


def test_calibration_error_by_hand():
    probabilities = np.array([[0.95, 0.05]] * 4 + [[0.35, 0.65]] * 4)
    classes = np.array([0, 0, 0, 1, 1, 1, 0, 0])
    assert calibration_error(probabilities, classes) == pytest.approx(
        0.5 * abs(0.75 - 0.95) + 0.5 * abs(0.5 - 0.65)
    )


def test_score_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    figures = score(probabilities, np.array([0, 0, 0, 1]), ["with_mask", "without_mask"])
    assert figures["accuracy"] == 0.75 and figures["confusion"] == [[2, 1], [0, 1]]
    assert figures["per_class"]["with_mask"]["recall"] == pytest.approx(2 / 3)
    assert figures["per_class"]["without_mask"]["precision"] == 0.5
    assert figures["auc"]["without_mask"] == pytest.approx(2 / 3)


@pytest.fixture(scope="module")
def leaky(trained, tmp_path_factory) -> Trained:
    """The drawn split with six training pictures copied into its masked test pictures."""
    folder = tmp_path_factory.mktemp("leaky")
    shutil.copytree(trained.split, folder / "split")
    shutil.copytree(trained.run / "compact", folder / "run" / "compact")
    train = sorted((folder / "split" / "train" / "with_mask").iterdir())
    test = sorted((folder / "split" / "test" / "with_mask").iterdir())
    for number, (theirs, ours) in enumerate(zip(train[:6], test, strict=False)):
        if number < 3:
            shutil.copy(theirs, ours)
        else:  # cut by 6% on each side and darkened
            image = cv2.resize(cv2.imread(str(theirs))[3:-3, 3:-3], (48, 48))
            cv2.imwrite(str(ours), image // 4 * 3)
    return Trained(folder / "split", folder / "run")


def test_report_gives_published_and_clean_figures(leaky, sample, monkeypatch):
    monkeypatch.setattr(folds, "LEAST_STEPS", 4)
    monkeypatch.setattr(folds, "MOST_STEPS", 4)
    report = evaluate(leaky.split, leaky.run, sample)
    model = report["models"]["compact"]
    images = model["published"]["images"]
    counts = report["copies"]["of_training"]["test"]["with_mask"]
    assert 3 <= counts["same"] < 6 <= counts["near"] <= counts["all"] < 9
    assert model["clean_same"]["images"] == images - counts["same"]
    assert model["clean"]["images"] <= images - counts["all"] <= model["clean_near"]["images"]
    probabilities, classes, files = predict_split(leaky.run / "compact", leaky.split, "test")
    found = split_copies(leaky.split, leaky.run)
    kept = ~copied(found, files)
    right = (probabilities.argmax(axis=1) == classes)[kept]
    assert model["clean"]["accuracy"] == pytest.approx(right.mean())
    assert model["figures"]["copies"] == np.sum(~kept)
    assert model["verdict"]["says"] in ("overfits", "cannot tell", "does not overfit")
    assert len(model["kfold"]["folds"]) == 3 and len(model["by_size"]) == 3
    assert report["shortcuts"]["on_test"]["all"]["accuracy"] > 0
    # A second evaluation reads what was kept, and a report is the same value.
    stamps = {p: p.stat().st_mtime_ns for p in leaky.run.rglob("*.json") if p.stem != "report"}
    assert evaluate(leaky.split, leaky.run, sample) == report
    assert stamps == {p: p.stat().st_mtime_ns for p in stamps}


def test_report_of_a_run(trained):
    report = evaluate(trained.split, trained.run, trainings=False)
    assert report == read_json(trained.run / "report.json")
    compact = report["models"]["compact"]
    assert compact["parameters"] < 150_000 and compact["epochs"] >= 1
    for split, counts in report["dataset"]["counts"].items():
        assert compact["splits"][split]["images"] == sum(counts.values())
    test = compact["splits"]["test"]
    wrong = round((1 - test["accuracy"]) * test["images"])
    assert len(compact["mistakes"]) == wrong
    probabilities, classes, files = predict_split(trained.run / "compact", trained.split, "test")
    labels = report["dataset"]["labels"]
    for path, number in zip(files, classes):
        assert path.split("/")[1] == labels[number]
    assert np.mean(probabilities.argmax(axis=1) == classes) == pytest.approx(test["accuracy"])


def test_run_without_models(trained, tmp_path):
    with pytest.raises(FacemaskError, match="holds no trained model"):
        evaluate(trained.split, tmp_path)
