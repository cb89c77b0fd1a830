"""Figures of answers: accuracy with its interval, recall per class, calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_fscore_support,
    recall_score,
    roc_auc_score,
)

from facemask import CLASSES

BINS = 10  # of the calibration curve


def accuracy_with_interval(correct: np.ndarray) -> dict[str, Any]:
    """Accuracy and its 95% Wilson interval (Wilson 1927, by scipy's `binomtest`).

    Args:
        correct: bool (N,).
    """
    hits, total = int(np.sum(correct)), len(correct)
    interval = binomtest(hits, total).proportion_ci(method="wilson")
    return {"accuracy": hits / total, "interval": [interval.low, interval.high]}


def calibration_error(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015): mean |confidence - accuracy| over ten bins.

    Args:
        probabilities: (N, C). classes: int (N,), the true ones.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == classes
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(np.sum(correct[bins == b]) - np.sum(confidence[bins == b])) for b in range(BINS)]
    return float(np.sum(gaps) / len(classes))


def score(probabilities: np.ndarray, classes: np.ndarray, labels: Sequence[str]) -> dict:
    """All figures for one set of pictures.

    Args:
        probabilities: float (N, C), rows sum to 1.
        classes: int (N,), the true class of each row; at least two classes occur.
        labels: the C class names.

    Returns:
        images, accuracy, interval, per_class, confusion (rows: true), auc, calibration_error.
    """
    numbers = range(len(labels))
    answers = probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        classes, answers, labels=list(numbers), zero_division=0
    )
    return {
        "images": len(classes),
        **accuracy_with_interval(answers == classes),
        "per_class": {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "images": int(support[i]),
            }
            for i, label in enumerate(labels)
        },
        "confusion": confusion_matrix(classes, answers, labels=list(numbers)).tolist(),
        "auc": {
            label: float(roc_auc_score(classes == i, probabilities[:, i]))
            for i, label in enumerate(labels)
            if 0 < support[i] < len(classes)
        },
        "calibration_error": calibration_error(probabilities, classes),
    }


def answer_figures(answers: np.ndarray, classes: np.ndarray, labels: Sequence[str]) -> dict:
    """What can be said of answers alone, be there pictures of every class or not.

    Args:
        answers: int (N,), class numbers. classes: int (N,), the true ones. labels: C names.

    Returns:
        images; accuracy and its interval; balanced_accuracy: the mean recall; per_class: images
        and recall; confusion: rows true, columns answers. None for what there are no pictures for.
    """
    confusion = confusion_matrix(classes, answers, labels=list(range(len(labels)))) if len(
        classes) else np.zeros((len(labels), len(labels)), int)
    counts = confusion.sum(axis=1)
    recall = [confusion[i, i] / n if n else None for i, n in enumerate(counts)]
    known = [r for r in recall if r is not None]
    none = {"accuracy": None, "interval": None}
    return {
        "images": len(classes),
        **(accuracy_with_interval(answers == classes) if len(classes) else none),
        "balanced_accuracy": float(np.mean(known)) if known else None,
        "per_class": {
            label: {"images": int(n), "recall": None if r is None else float(r)}
            for label, n, r in zip(labels, counts, recall, strict=True)
        },
        "confusion": confusion.tolist(),
    }


def open_figures(truth: np.ndarray, answers: np.ndarray) -> dict:
    """What a user gets, who is given the likeliest of all answers.

    Args:
        truth, answers: names of classes, (N,).

    Returns:
        Accuracy and macro recall over the true classes, with 95% intervals; `confusion`, from true
        class to answer to number; `called_incorrect`, from each other class to the share of it;
        precision of incorrect_mask, None if it is never answered.
    """
    classes = [label for label in CLASSES if label in truth]
    said = answers == "incorrect_mask"
    return {
        **macro_figures(truth, answers),
        "confusion": {t: {a: int(np.sum((truth == t) & (answers == a))) for a in CLASSES}
                      for t in classes},
        "called_incorrect": {t: float(np.mean(said[truth == t])) for t in classes
                             if t != "incorrect_mask"},
        "incorrect_precision": float(np.mean(truth[said] == "incorrect_mask"))
        if said.any() else None,
    }


def macro_figures(truth: np.ndarray, answers: np.ndarray) -> dict:
    """Accuracy and macro recall, each with its 95% interval (Wilson's, and by bootstrap)."""
    known = np.unique(truth)

    def macro(t: np.ndarray, a: np.ndarray) -> float:
        return recall_score(t, a, labels=known, average="macro", zero_division=0)

    spread = bootstrap((truth, answers), macro, paired=True, vectorized=False, n_resamples=500,
                       method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return {
        **accuracy_with_interval(answers == truth),
        "macro_recall": float(macro(truth, answers)),
        "macro_interval": [float(spread.low), float(spread.high)],
    }
