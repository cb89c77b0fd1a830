"""Measure a run's models, published and clean of copies, and say whether they overfit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from facemask.datasets.prepare import SPLITS, files_of, load_split, read_sources
from facemask.evaluation.audit import levelled, shortcuts_of_run
from facemask.evaluation.folds import folds_and_curve, pool
from facemask.evaluation.leaks import copied, group_ids, split_copies
from facemask.evaluation.verdict import measure, verdict
from facemask.io.files import FacemaskError, read_json, sweep, write_json, write_whole
from facemask.metrics.classification import answer_figures, score
from facemask.models import classifier
from facemask.models.train import read_history

# What stands in report.json for test pictures: all, and less the copies of training pictures.
CLEAN = {"clean_same": "same", "clean_near": "near", "clean": "all"}


def predict_split(
    model: str | Path, split_folder: str | Path, split: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Probabilities (N, C), true class numbers (N,) and files of one split, in file order.

    Written to <model>/predictions-<split>.npz and read back while model and data are the same.
    """
    model, split_folder = Path(model), Path(split_folder)
    data = load_split(split_folder, split)
    files = files_of(data, split_folder)
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


def evaluate(
    split_folder: str | Path, run: str | Path, raw: str | Path | None = None, trainings: bool = True
) -> dict:
    """Score every trained model of a run and write <run>/report.json.

    The long parts are kept in files of their own as they are done, so an evaluation that was cut
    off goes on there: copies.json, shortcuts.json, and per model short_trainings.json.

    Args:
        split_folder: a folder written by `prepare`.
        run: the run's folder, such as models/sample.
        raw: the publisher's files that the split was made of, for the shortcuts; None: without.
        trainings: do the short trainings for the learning curve by size and the folds.

    Returns:
        The report: run; dataset (prepare.json); copies: what `split_copies` counted; shortcuts;
        and per model: parameters, epochs; splits: `score` of each split; of the test split
        `published`, all pictures, and less the copies of training pictures `clean_same` (the same
        picture), `clean_near` (changed by little) and `clean` (all), each as `answer_figures`;
        levelled: see `audit.levelled`; by_size and kfold: see `folds` (None if there are too few
        pictures); figures and verdict: see `verdict`; mistakes: test pictures, the worst first,
        with their original names.

    Raises:
        FacemaskError: the run has no trained model, or one is incomplete.
    """
    split_folder, run = Path(split_folder), Path(run)
    facts = read_json(split_folder / "prepare.json")
    labels = facts["labels"]
    models = sorted(path.parent for path in run.glob("*/model.keras"))
    if not models:
        raise FacemaskError(f"{run} holds no trained model; run the train step first")
    for folder in (run, *models):
        sweep(folder)
    found = split_copies(split_folder, run)
    report = {
        "run": run.name,
        "dataset": facts,
        "copies": {k: found[k] for k in ("images", "of_training", "shared", "group_sizes")},
        "shortcuts": None if raw is None else _or_none(shortcuts_of_run, raw, split_folder, run),
        "models": {},
    }
    for model in models:
        predicted = {split: predict_split(model, split_folder, split) for split in SPLITS}
        probabilities, classes, files = predicted["test"]
        answers = probabilities.argmax(axis=1)
        clean = {}
        for name, kind in CLEAN.items():
            kept = ~copied(found, files, kind)
            clean[name] = answer_figures(answers[kept], classes[kept], labels)
        kfold, by_size = _short(split_folder, run, model.name, found) if trainings else (None, None)
        figures = measure(
            {split: (p, c) for split, (p, c, _) in predicted.items()},
            copied(found, files), by_size, kfold, labels,
        )
        report["models"][model.name] = {
            "parameters": keras.models.load_model(model / "model.keras").count_params(),
            "epochs": len(read_history(model)),
            "splits": {split: score(p, c, labels) for split, (p, c, _) in predicted.items()},
            "published": answer_figures(answers, classes, labels),
            **clean,
            "levelled": levelled(model, split_folder),
            "by_size": by_size,
            "kfold": kfold,
            "figures": figures,
            "verdict": verdict(figures),
            "mistakes": _mistakes(probabilities, classes, files, labels, split_folder),
        }
    write_json(run / "report.json", report)  # once all models are in it
    return report


def _short(split_folder: Path, run: Path, model_name: str, found: dict) -> tuple:
    """Folds and learning curve by size; None each where there are too few pictures for them."""
    files, _ = pool(split_folder)
    short = _or_none(folds_and_curve, split_folder, run, model_name, group_ids(found, files))
    return short or (None, None)


def _or_none(make: Callable, *arguments: Any) -> Any:
    """What `make` gives; None if a class has fewer different pictures than it needs."""
    try:
        return make(*arguments)
    except FacemaskError as error:
        if isinstance(error.__cause__, OSError):  # a full disk
            raise
        return None


def _mistakes(
    probabilities: np.ndarray, classes: np.ndarray, files: list[str], labels: list[str],
    split_folder: Path,
) -> list[dict]:
    sources, answers = read_sources(split_folder), probabilities.argmax(axis=1)
    mistakes = [
        {
            "file": files[i],
            "source": sources[files[i]],
            "label": labels[classes[i]],
            "answer": labels[answers[i]],
            "probability": float(probabilities[i].max()),
        }
        for i in np.flatnonzero(answers != classes)
    ]
    return sorted(mistakes, key=lambda m: -m["probability"])
