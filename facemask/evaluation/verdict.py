"""Does the model overfit? A verdict in plain words, from numbers, by stated rules.

A gap is the accuracy on training pictures less that on pictures that were not trained on, with a
bootstrap 95% interval. The rules, in this order:

1. It overfits if a gap is surely above 2 points (`MARGIN`): the interval of the gap to the clean
   test set, or of the mean gap over the group-aware folds, lies above it. Folds can only convict:
   they are trained for less long than the model, and what a short training does not show a long
   one may.
2. The test set cannot tell if the test pictures were not searched for copies of training pictures,
   or all of them are copies; if the model has learned nothing (its training accuracy may be
   chance); if the test pictures are surely easier than the training pictures, or harder than those
   for validation, by more than 2 points; or if there are so few of them that a gap of 5 points
   (`TOLERATED`) cannot be ruled out, be it because one class has too few: of two classes, one may
   hide 10 points, of three, 15.
3. Otherwise it does not overfit: a gap of 5 points and more is ruled out.

Everything else that is measured (calibration, copies, learning curve) is told, and decides nothing.
"""

from collections.abc import Sequence

import numpy as np

from facemask.io.files import FacemaskError
from facemask.metrics.classification import accuracy_with_interval, calibration_error

MARGIN, TOLERATED = 0.02, 0.05
RESAMPLES = 10_000
Predictions = tuple[np.ndarray, np.ndarray]


def bootstrap_gap(first: np.ndarray, second: np.ndarray, seed: int = 0) -> dict:
    """Difference of two accuracies with its 95% bootstrap interval (percentiles; Efron 1979).

    Args:
        first: bool (N,), which answers were right. second: bool (M,), of other pictures.

    Returns:
        value and interval [low, high], as fractions.
    """
    rng = np.random.default_rng(seed)
    # N draws with replacement from N noughts and ones add up to a binomial number: no need to draw.
    a, b = (rng.binomial(len(x), np.mean(x), RESAMPLES) / len(x) for x in (first, second))
    interval = np.quantile(a - b, [0.025, 0.975]).tolist()
    return {"value": float(np.mean(first) - np.mean(second)), "interval": interval}


def measure(
    predictions: dict[str, Predictions],
    copied: np.ndarray | None = None,
    by_size: list[dict] | None = None,
    kfold: dict | None = None,
    labels: Sequence[str] | None = None,
    seed: int = 0,
) -> dict:
    """The figures that `verdict` judges, as a value that can be written as JSON.

    Args:
        predictions: for "train", "test" and, if there is one, "validation": probabilities
            float (N, C) and true class numbers int (N,), as `evaluate.predict_split` gives them.
        copied: bool (N,), which test pictures are copies of training pictures
            (`duplicates.leave_out_copies`); None if nobody looked.
        by_size: what `folds.learning_curve_by_size` returned.
        kfold: what `folds.group_kfold` returned.
        labels: names of the C classes.

    Returns:
        chance; train, validation, test (published) and clean: accuracy, interval, images,
        calibration_error, overconfidence (mean confidence less accuracy); gap (train less clean,
        or less test if nobody looked for copies); validation_gap (validation less the same);
        scarcest: the class of which the clean set says least, with its label, images, accuracy
        and interval (None without images); classes: C; copies; by_size; kfold.

    Raises:
        FacemaskError: the train or the test split is missing or empty.
    """
    for split in ("train", "test"):
        if split not in predictions or not len(predictions[split][1]):
            raise FacemaskError(f"there are no predictions for the {split} split; evaluate it too")
    sets = dict(predictions)
    if copied is not None:
        probabilities, classes = predictions["test"]
        if len(copied) != len(classes):
            raise FacemaskError(f"copies are marked for {len(copied)} of {len(classes)} pictures")
        if not np.all(copied):  # else there is nothing but the published figure, see `verdict`
            sets["clean"] = probabilities[~copied], classes[~copied]
    count = sets["train"][0].shape[1]
    right = {name: p.argmax(axis=1) == classes for name, (p, classes) in sets.items()}
    judged = right.get("clean", right["test"])
    figures = {
        "chance": float(np.bincount(sets["train"][1]).max() / len(sets["train"][1])),
        "copies": None if copied is None else int(np.sum(copied)),
        "gap": bootstrap_gap(right["train"], judged, seed),
        "by_size": by_size,
        "kfold": kfold,
        "classes": count,
        "scarcest": _scarcest(
            judged,
            sets.get("clean", sets["test"])[1],
            labels or [f"class {number}" for number in range(count)],
        ),
    }
    if "validation" in right:
        figures["validation_gap"] = bootstrap_gap(right["validation"], judged, seed)
    for name, (probabilities, classes) in sets.items():
        figures[name] = {
            "images": len(classes),
            **accuracy_with_interval(right[name]),
            "calibration_error": calibration_error(probabilities, classes),
            "overconfidence": float(probabilities.max(axis=1).mean() - right[name].mean()),
        }
    return figures


def _scarcest(right: np.ndarray, classes: np.ndarray, labels: Sequence[str]) -> dict:
    rows = []
    for number, label in enumerate(labels):
        ours = right[classes == number]
        figures = {"accuracy": None, "interval": None}
        figures = accuracy_with_interval(ours) if len(ours) else figures
        rows.append({"label": label, "images": len(ours), **figures})
    return max(rows, key=lambda row: np.inf if not row["images"] else _reach(row))


def _reach(figures: dict) -> float:
    """How far below its value an accuracy may lie."""
    return figures["accuracy"] - figures["interval"][0]


def verdict(figures: dict) -> dict:
    """Judge the figures of `measure` by the rules at the top of this module.

    Returns:
        says: "overfits", "does not overfit" or "cannot tell"; reasons: a sentence each, those that
        decided first; text: a paragraph.
    """
    train, test = figures["train"], figures.get("clean", figures["test"])
    name = "clean test pictures" if "clean" in figures else "test pictures"
    low, high = figures["gap"]["interval"]
    seen = (
        f"The model is right on {train['accuracy']:.1%} of the {train['images']} pictures it was "
        f"trained on and on {test['accuracy']:.1%} of the {test['images']} {name}: a gap of "
        f"{_points(figures['gap'])}."
    )
    folds = figures.get("kfold")
    against, doubts = [], []
    if low > MARGIN:
        against.append(f"The gap to the {name} is surely above {MARGIN:.0%}.")
    if folds and folds["gap"]["interval"][0] > MARGIN:
        against.append(
            f"Trained anew on {len(folds['folds'])} folds that keep copies together, it is better "
            f"on what it has seen by {_points(folds['gap'])}."
        )
    if figures["copies"] is None:
        doubts.append("Nobody looked for copies of training pictures among the test pictures.")
    if figures["copies"] == figures["test"]["images"]:
        doubts.append("Every test picture is a copy of a training picture; split anew.")
    if train["interval"][0] <= figures["chance"]:
        doubts.append(
            f"The model has learned little: always naming the commonest class is right on "
            f"{figures['chance']:.1%} of the training pictures."
        )
    if high < -MARGIN:
        doubts.append(
            "The test pictures are easier than the training pictures, and may hide a gap."
        )
    validation = figures.get("validation_gap")
    if validation and validation["interval"][0] > MARGIN:
        doubts.append(
            "The validation pictures, by which the best epoch was chosen, fare better than the "
            f"{name} by {_points(validation)}: the splits differ, or the choice fits validation."
        )
    scarcest, hidden = figures["scarcest"], TOLERATED * figures["classes"]
    if max(high, _reach(test)) >= TOLERATED:
        doubts.append(
            f"{test['images']} {name} are too few to rule out a gap of {TOLERATED:.0%}; "
            f"about {_needed(test['accuracy'])} would do if there is none."
        )
    elif not scarcest["images"] or _reach(scarcest) >= hidden:
        doubts.append(
            f"Only {scarcest['images']} {name} are {scarcest['label']}: too few to rule out a gap "
            f"of {hidden:.0%} in that class."
        )
    says = "overfits" if against else "cannot tell" if doubts else "does not overfit"
    headline = {
        "overfits": "The model overfits.",
        "does not overfit": "The model does not overfit by more than "
        f"{max(high, 0):.1%} on pictures like these.",
        "cannot tell": "The test set cannot tell whether the model overfits.",
    }[says]
    reasons = [*against, *doubts]
    told = _told(figures)
    if says == "does not overfit":
        told.append("That says nothing of other cameras and places: measure those apart.")
    return {
        "says": says,
        "reasons": [seen, *reasons, *told],
        "text": " ".join([headline, seen, *(against or doubts), *told]),
    }


def _points(gap: dict) -> str:
    low, high = (100 * x for x in gap["interval"])
    return f"{100 * gap['value']:.1f} points (95% interval {low:.1f} to {high:.1f})"


def _needed(accuracy: float) -> int:
    """Test pictures for which the interval reaches half of TOLERATED each way, rounded up."""
    share = min(max(accuracy, 0.5), 0.99)
    return int(np.ceil((1.96 / (TOLERATED / 2)) ** 2 * share * (1 - share) / 50) * 50)


def _told(figures: dict) -> list[str]:
    """What is worth telling beside the verdict."""
    told = []
    test = figures.get("clean", figures["test"])
    if figures["copies"]:
        told.append(
            f"{figures['copies']} of {figures['test']['images']} test pictures are copies of "
            f"training pictures; with them accuracy reads {figures['test']['accuracy']:.1%}."
        )
    elif figures["copies"] == 0:
        told.append("No test picture is a copy of a training picture.")
    sure = test["overconfidence"]
    told.append(
        f"The calibration error is {test['calibration_error']:.3f}; on average it is "
        + (f"{abs(sure):.1%} {'surer' if sure > 0 else 'less sure'} than it is right.")
    )
    curve = figures.get("by_size")
    if curve and len(curve) > 1:
        gain = curve[-1]["held_out"]["accuracy"] - curve[-2]["held_out"]["accuracy"]
        told.append(
            f"From {curve[-2]['images']} to {curve[-1]['images']} training pictures accuracy on "
            f"held-out ones changes by {100 * gain:+.1f} points"
            + ("; more pictures would still help." if gain > 0.01 else ".")
        )
    folds = figures.get("kfold")
    if folds:
        told.append(
            f"Over {len(folds['folds'])} group-aware folds accuracy is "
            f"{folds['held_out']['mean']:.1%} with a standard deviation of "
            f"{100 * folds['held_out']['sd']:.1f} points (short trainings at half the resolution)."
        )
    return told
