"""The figures of a model with all its answers open, on answers whose worth is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask import CLASSES
from facemask.metrics.classification import open_figures
from facemask.models.classifier import Classifier
from facemask.release import measure
from facemask.release.publish import draw_curve


def _model(answers):
    """A classifier that gives these classes, whatever it is shown; the second best is masked."""
    rows = np.full((len(answers), 3), 0.1)
    rows[:, 0] = 0.2
    rows[np.arange(len(answers)), [CLASSES.index(a) for a in answers]] = 0.7
    return Classifier(list(CLASSES), 8, lambda images: rows)


def test_a_false_alarm_shows_with_all_answers_open_and_not_without():
    pictures = {Path(f"{k}.png"): "with_mask" if k < 4 else "without_mask" for k in range(6)}
    answers = ["incorrect_mask", *["with_mask"] * 3, *["without_mask"] * 2]
    row = measure.score(_model(answers), pictures, np.zeros((6, 8, 8, 3), np.uint8))
    assert row["accuracy"] == row["macro_recall"] == 1
    given = row["open"]
    assert given["accuracy"] == pytest.approx(5 / 6)
    assert given["macro_recall"] == pytest.approx((3 / 4 + 1) / 2)
    assert given["called_incorrect"] == {"with_mask": 0.25, "without_mask": 0}
    assert given["confusion"]["with_mask"] == {
        "with_mask": 3, "without_mask": 0, "incorrect_mask": 1}
    assert given["incorrect_precision"] == 0


def test_precision_of_incorrect_is_none_if_it_is_never_said():
    truth = np.array(["with_mask", "incorrect_mask"])
    given = open_figures(truth, np.array(["with_mask", "with_mask"]))
    assert given["incorrect_precision"] is None and given["macro_recall"] == 0.5
    given = open_figures(truth, truth)
    assert given["incorrect_precision"] == given["accuracy"] == 1


def test_the_operating_point_leaves_the_doubtful_answers_out():
    right = np.array([True, True, False, True])
    found = measure.sure_figures(right, np.array([0.95, 0.8, 0.4, 0.5]), 0.6)
    assert found["unsure"] == 0.5 and found["right"] == 1
    assert measure.sure_figures(right, np.full(4, 0.5), 0.6)["right"] is None


def test_answers_that_stay_on_a_tight_crop_are_counted_by_class(tmp_path):
    """A model that asks how bright the rim is sees another answer where the rim is cut off."""
    grey = np.full((100, 100, 3), 60, np.uint8)
    rimmed = np.full((100, 100, 3), 255, np.uint8)
    rimmed[20:95, 10:90] = 60
    pictures = {}
    for name, image, label in (("a", grey, "with_mask"), ("b", rimmed, "without_mask")):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        pictures[tmp_path / f"{name}.png"] = label

    def predict(images):
        bright = images[:, 0, 0, 0] > 128
        return np.stack([1.0 - bright, bright, np.zeros(len(images))], axis=1)

    found = measure.tight(Classifier(list(CLASSES), 50, predict), pictures)
    assert found == {"all": 0.5, "with_mask": 1, "without_mask": 0}


def test_the_curve_of_incorrect_is_that_of_its_probability(tmp_path):
    """Three faces, the surest of them rightly called incorrect, the next one not."""
    pictures = {}
    for shade, label in ((200, "incorrect_mask"), (150, "with_mask"), (100, "incorrect_mask")):
        cv2.imwrite(str(tmp_path / f"{shade}.png"), np.full((20, 20, 3), shade, np.uint8))
        pictures[tmp_path / f"{shade}.png"] = label

    def predict(images):
        value = images[:, 0, 0, 0] / 255
        return np.stack([1 - value, np.zeros(len(images)), value], axis=1)

    curve = measure.incorrect_curve(Classifier(list(CLASSES), 20, predict), pictures)
    assert (curve["pictures"], curve["incorrect"]) == (3, 2)
    assert curve["precision"] == [0.6667, 0.5, 1] and curve["recall"] == [1, 0.5, 0.5]
    draw_curve(curve, tmp_path / "curve.png")
    assert cv2.imread(str(tmp_path / "curve.png")).shape == (400, 500, 3)
