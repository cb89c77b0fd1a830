"""The figures of a model with all its answers open, on answers whose worth is known."""

import numpy as np
import pytest

from facemask import CLASSES
from facemask.models.classifier import Classifier
from facemask.release import measure


def _model(answers):
    """A classifier that gives these classes, whatever it is shown; the second best is masked."""
    rows = np.full((len(answers), 3), 0.1)
    rows[:, 0] = 0.2
    rows[np.arange(len(answers)), [CLASSES.index(a) for a in answers]] = 0.7
    return Classifier(list(CLASSES), 8, lambda images: rows)


def test_a_false_alarm_shows_with_all_answers_open_and_not_without():
    pictures = {f"{k}.png": "with_mask" if k < 4 else "without_mask" for k in range(6)}
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
    given = measure.open_figures(truth, np.array(["with_mask", "with_mask"]))
    assert given["incorrect_precision"] is None and given["macro_recall"] == 0.5
    given = measure.open_figures(truth, truth)
    assert given["incorrect_precision"] == given["accuracy"] == 1
