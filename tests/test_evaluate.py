"""Figures against values known by hand, and a report made from a trained run."""

import numpy as np
import pytest

from facemask.evaluate import (
    accuracy_with_interval,
    calibration_error,
    evaluate,
    first_verdict,
    predict_split,
    score,
)
from facemask.files import FacemaskError, read_json


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


def test_first_verdict_tells_a_gap_from_chance():
    def part(accuracy, low, high):
        return {"accuracy": accuracy, "interval": [low, high]}

    assert first_verdict({"train": part(1, 0.99, 1), "test": part(0.8, 0.7, 0.9)}).startswith(
        "overfits: train accuracy is 20.0% above"
    )
    assert "no sign" in first_verdict({"train": part(1, 0.9, 1), "test": part(0.9, 0.8, 0.95)})


def test_report_of_a_run(trained):
    report = evaluate(trained.split, trained.run)
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
