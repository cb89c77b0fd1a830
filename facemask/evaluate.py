"""Measure a model on train, validation and test, and say whether it overfits."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from facemask import classifier
from facemask.files import FacemaskError, read_json, write_json, write_whole
from facemask.prepare import SPLITS, load_split, read_sources
from facemask.train import read_history

BINS = 10  # of the calibration curve


def accuracy_with_interval(correct: np.ndarray) -> dict[str, float | list[float]]:
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


def predict_split(
    model: str | Path, split_folder: str | Path, split: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Probabilities (N, C), true class numbers (N,) and files of one split, in file order.

    Written to <model>/predictions-<split>.npz and read back while model and data are the same.
    """
    model, split_folder = Path(model), Path(split_folder)
    data = load_split(split_folder, split)
    files = [str(Path(p).relative_to(split_folder)) for p in data.file_paths]
    cache = model / f"predictions-{split}.npz"
    stamp = f"{(model / 'model.keras').stat().st_mtime_ns} " + str(
        read_json(split_folder / "prepare.json")["settings"]
    )
    if cache.is_file():
        saved = np.load(cache)
        if str(saved["stamp"]) == stamp:
            return saved["probabilities"], saved["classes"], files
    predict = classifier.load(model).predict
    probabilities, classes = zip(*((predict(x.numpy()), y.numpy()) for x, y in data))
    probabilities, classes = np.concatenate(probabilities), np.concatenate(classes)
    with write_whole(cache) as partial:
        np.savez(partial, probabilities=probabilities, classes=classes, stamp=stamp)
    return probabilities, classes, files


def first_verdict(splits: dict[str, dict]) -> str:
    """A first answer on overfitting, from the gap between train and test accuracy."""
    train, test = splits["train"], splits["test"]
    gap = train["accuracy"] - test["accuracy"]
    if train["interval"][0] > test["interval"][1] and gap > 0.02:
        return f"overfits: train accuracy is {gap:.1%} above test, more than chance explains"
    return f"no sign of overfitting: train accuracy is {gap:+.1%} against test, within chance or 2%"


def evaluate(split_folder: str | Path, run: str | Path) -> dict:
    """Score every trained model of a run on every split and write <run>/report.json.

    Args:
        split_folder: a folder written by `prepare`.
        run: the run's folder, such as models/sample.

    Returns:
        The report: `dataset`, and per model `parameters`, `epochs`, `splits`, `verdict` and
        `mistakes` (the worst first, with the pictures' original names).

    Raises:
        FacemaskError: the run has no trained model, or one is incomplete.
    """
    split_folder, run = Path(split_folder), Path(run)
    facts = read_json(split_folder / "prepare.json")
    sources = read_sources(split_folder)
    models = sorted(path.parent for path in run.glob("*/model.keras"))
    if not models:
        raise FacemaskError(f"{run} holds no trained model; run the train step first")
    report = {"run": run.name, "dataset": facts, "models": {}}
    for model in models:
        splits, mistakes = {}, []
        for split in SPLITS:
            probabilities, classes, files = predict_split(model, split_folder, split)
            splits[split] = score(probabilities, classes, facts["labels"])
            if split == "test":
                answers = probabilities.argmax(axis=1)
                for i in np.flatnonzero(answers != classes):
                    mistakes.append(
                        {
                            "file": files[i],
                            "source": sources[files[i]],
                            "label": facts["labels"][classes[i]],
                            "answer": facts["labels"][answers[i]],
                            "probability": float(probabilities[i].max()),
                        }
                    )
        report["models"][model.name] = {
            "parameters": keras.models.load_model(model / "model.keras").count_params(),
            "epochs": len(read_history(model)),
            "splits": splits,
            "verdict": first_verdict(splits),
            "mistakes": sorted(mistakes, key=lambda m: -m["probability"]),
        }
    write_json(run / "report.json", report)
    return report
