"""The verdict's rules on numbers whose answer is known."""

import numpy as np
import pytest

from facemask.evaluation.verdict import bootstrap_gap, measure, verdict
from facemask.io.files import FacemaskError


def predictions(accuracy: float, count: int, confidence: float | None = None):
    """Two classes, half each; the share `accuracy` of the answers is right."""
    classes = np.arange(count) % 2
    wrong = np.arange(count) >= round(accuracy * count)
    sure = accuracy if confidence is None else confidence
    probabilities = np.full((count, 2), 1 - sure)
    probabilities[np.arange(count), classes ^ wrong] = sure
    return probabilities, classes


def judge(train: float, test: float, count: int = 1000, copied: int | None = 0, **more) -> dict:
    marks = None if copied is None else np.arange(count) < copied
    sets = {"train": predictions(train, 5000), "test": predictions(test, count)}
    return verdict(measure(sets, marks, **more))


def test_bootstrap_of_a_gap_equals_the_normal_interval():
    first, second = np.arange(4000) < 3800, np.arange(1000) < 900
    found = bootstrap_gap(first, second)
    reach = 1.96 * np.sqrt(0.95 * 0.05 / 4000 + 0.9 * 0.1 / 1000)
    assert found["value"] == pytest.approx(0.05)
    assert found["interval"] == pytest.approx([0.05 - reach, 0.05 + reach], abs=0.002)
    assert found == bootstrap_gap(first, second)


def test_bootstrap_equals_drawing_with_replacement():
    right = np.arange(50) < 40
    drawn = np.random.default_rng(1).choice(right, (20_000, 50)).mean(axis=1)
    low, high = bootstrap_gap(right, np.ones(9, bool))["interval"]
    assert [low, high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]) - 1, abs=0.021)


@pytest.mark.parametrize(
    ("train", "test", "count", "says"),
    [
        (1.0, 0.9, 1000, "overfits"),
        (1.0, 0.6, 30, "overfits"),  # few pictures are enough for a gap as wide as that
        (0.99, 0.985, 1000, "does not overfit"),
        (1.0, 0.975, 1000, "does not overfit"),  # a gap, surely below 5 points
        (1.0, 1.0, 100, "does not overfit"),
        (1.0, 1.0, 30, "cannot tell"),  # none of 30 wrong: up to one in nine may be
        (0.95, 0.93, 100, "cannot tell"),
        (0.9, 0.97, 1000, "cannot tell"),  # the test pictures are easier
        (0.5, 0.5, 5000, "cannot tell"),  # has learned nothing
    ],
)
def test_rules(train, test, count, says):
    found = judge(train, test, count)
    assert found["says"] == says
    headline = {"overfits": "The model overfits.", "does not overfit": "The model does not overfit",
                "cannot tell": "The test set cannot tell"}[says]
    assert found["text"].startswith(headline)
    assert f"{test:.1%} of the {count} clean test pictures" in found["text"]
    assert all(len(reason) > 10 for reason in found["reasons"])


def test_copies_in_the_test_set():
    """Copies are answered as training pictures are: with them the gap is hidden."""
    assert judge(1.0, 0.985)["says"] == "does not overfit"
    sets = {"train": predictions(1.0, 5000), "test": predictions(0.975, 1000)}
    published = verdict(measure(sets, np.zeros(1000, bool)))
    assert published["says"] == "does not overfit"
    clean = verdict(measure(sets, np.arange(1000) < 700))  # wrong are the last 25 of 1000
    assert clean["says"] == "overfits"
    assert "700 of 1000 test pictures are copies" in clean["text"]
    assert "91.7% of the 300 clean" in clean["text"] and "accuracy reads 97.5%" in clean["text"]


def test_unless_copies_were_looked_for_nothing_clears_the_model():
    assert judge(0.99, 0.99, copied=None)["says"] == "cannot tell"
    assert "Nobody looked for copies" in judge(0.99, 0.99, copied=None)["text"]
    assert judge(1.0, 0.9, copied=None)["says"] == "overfits"


def test_validation_above_test_is_a_doubt():
    sets = {"train": predictions(0.98, 5000), "validation": predictions(0.99, 1000),
            "test": predictions(0.955, 3000)}
    found = verdict(measure(sets, np.zeros(3000, bool)))
    assert found["says"] == "cannot tell" and "validation" in found["reasons"][1]


def _folds(train: list[float], held_out: list[float]) -> dict:
    gaps = np.subtract(train, held_out)
    return {
        "folds": [{}] * len(train),
        "held_out": {"mean": np.mean(held_out), "sd": np.std(held_out, ddof=1)},
        "gap": {"value": gaps.mean(), "interval": [gaps.min(), gaps.max()]},
    }


def test_folds_convict_but_do_not_clear():
    bad, good = _folds([1, 1, 1], [0.9, 0.92, 0.88]), _folds([0.9] * 3, [0.89, 0.9, 0.9])
    assert judge(0.99, 0.985, kfold=bad)["says"] == "overfits"
    assert "3 folds that keep copies together" in judge(0.99, 0.985, kfold=bad)["text"]
    assert judge(0.99, 0.985, kfold=good)["says"] == "does not overfit"
    assert judge(0.95, 0.93, count=100, kfold=good)["says"] == "cannot tell"


def test_curve_and_calibration_are_told():
    curve = [{"images": n, "held_out": {"accuracy": a}} for n, a in ((500, 0.9), (1000, 0.95))]
    text = judge(0.99, 0.985, by_size=curve)["text"]
    assert "From 500 to 1000 training pictures" in text and "more pictures would still help" in text
    sets = {"train": predictions(0.99, 5000), "test": predictions(0.985, 1000, confidence=0.9)}
    figures = measure(sets, np.zeros(1000, bool))
    assert figures["clean"]["calibration_error"] == pytest.approx(0.085, abs=1e-6)
    assert "8.5% less sure than it is right" in verdict(figures)["text"]


def test_figures_that_cannot_be_judged():
    sets = {"train": predictions(1.0, 50), "test": predictions(1.0, 20)}
    with pytest.raises(FacemaskError, match="no predictions for the test split"):
        measure({"train": sets["train"]})
    with pytest.raises(FacemaskError, match="marked for 3 of 20"):
        measure(sets, np.zeros(3, bool))


def test_nothing_but_copies_cannot_tell():
    found = judge(1.0, 1.0, 1000, copied=1000)
    assert found["says"] == "cannot tell" and "Every test picture is a copy" in found["text"]


def test_one_scarce_class_cannot_tell():
    """Of 2000 right answers, 24 of one class: one in seven of that class may be wrong."""
    probabilities, classes = predictions(1.0, 2000, 0.99)
    sets = {"train": predictions(1.0, 5000), "test": (probabilities, classes)}
    first = np.flatnonzero(classes == 0)
    for kept, says in ((24, "cannot tell"), (60, "does not overfit")):
        copied = np.isin(np.arange(2000), first[kept:])
        found = verdict(measure(sets, copied, labels=["with_mask", "without_mask"]))
        assert found["says"] == says
        assert ("Only 24 clean test pictures are with_mask" in found["text"]) == (kept == 24)
