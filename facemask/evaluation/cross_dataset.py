"""Measure a model on a labelled folder from elsewhere: other cameras, other people."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facemask import CLASSES
from facemask.copies.duplicates import leave_out_copies
from facemask.datasets.prepare import find_labelled, read_images, read_sources, unlabelled
from facemask.io.files import FacemaskError, write_json
from facemask.metrics.classification import answer_figures, open_figures
from facemask.models import classifier

BLOCK = 256  # pictures held at once
MOST_NAMED = 10  # unreadable pictures in a summary; the report has them all


def evaluate_folder(
    model: str | Path,
    folder: str | Path,
    training: str | Path | None = None,
    json_path: str | Path | None = None,
    progress: bool = True,
    copied: set[Path] | None = None,
) -> dict:
    """Score a model on a folder of labelled pictures that it was not trained on.

    What a user gets is the likeliest of all the model's classes: those figures stand under `open`.
    In the others the answer is the likeliest of the classes that the folder has; what the model
    gives to another class does not count. Pictures of a class that the model does not know are
    left out. Memory does not grow with the pictures, but for 2 KB each when copies are looked for.

    Args:
        model: whatever `classifier.load` takes: a .keras or .tflite file, a SavedModel or TF.js
            folder, a model's folder.
        folder: a folder per class, named as `prepare` knows them; more folders may lie between.
        training: the split folder that the model was trained on, written by `prepare`. Pictures
            that are copies of its training pictures are left out. None leaves out nothing.
        json_path: file to write the report to.
        progress: show progress bars.
        copied: which pictures are copies of training pictures, if `training_copies` has been asked
            already, for a further model on the same folder.

    Returns:
        model, data, training: the names given (training may be None).
        labels: the classes compared, in canonical order. model_labels: all that the model knows.
        found, copies_left_out, unknown_class: numbers of pictures; found is all that a folder
            names the class of.
        unlabelled: numbers of the others, by folder, see `prepare.unlabelled`.
        unreadable: [file, reason] of each picture that cannot be read.
        images: how many were scored: found less all that was left out.
        open: with all of the model's answers open, see `open_figures`.
        accuracy, interval: and its 95% Wilson interval; balanced_accuracy: the mean recall.
        per_class: images and recall (None without images); confusion: rows true, columns answers.

    Raises:
        FacemaskError: the model or a folder cannot be used, or no picture is left to score.
    """
    folder = Path(folder)
    if training is not None:
        training_pictures(training)  # if these are missing, say so before the work
    run = classifier.load(model)
    classes = {path: label for path, (_, label) in find_labelled(folder).items()}
    labels = [c for c in CLASSES if c in run.labels and c in classes.values()]
    if len(labels) < 2:
        raise FacemaskError(
            f"{folder} holds only {len(labels)} of the model's classes ({', '.join(run.labels)}); "
            "an accuracy needs at least two"
        )
    paths = [path for path, label in classes.items() if label in labels]
    columns = [run.labels.index(label) for label in labels]

    read, unreadable, given, block = [], [], [], []
    images = read_images(paths, run.image_size, "Classifying" if progress else "")
    for path, image in zip(paths, images, strict=True):
        if isinstance(image, FacemaskError):
            unreadable.append([path.relative_to(folder).as_posix(), str(image.__cause__ or image)])
            continue
        read.append(path)
        block.append(image)
        if len(block) == BLOCK:
            given.append(run.predict(np.stack(block)))
            block.clear()
    if block:
        given.append(run.predict(np.stack(block)))
    if not read:
        raise FacemaskError(f"none of the {len(paths)} pictures in {folder} can be read")

    if copied is None:
        copied = training_copies(read, training, progress) if training else set()
    out = np.array([path in copied for path in read])
    if out.all():
        raise FacemaskError(
            f"all pictures in {folder} are copies of training pictures; give pictures that the "
            "model has not seen"
        )
    if (~out).sum() < 2:
        raise FacemaskError(f"only one picture in {folder} can be scored; give more")
    probabilities = np.concatenate(given)[~out]
    answer = probabilities[:, columns].argmax(axis=1)
    true = np.array([labels.index(classes[path]) for path in read])[~out]
    report = {
        "model": str(model),
        "data": str(folder),
        "training": None if training is None else str(training),
        "labels": labels,
        "model_labels": run.labels,
        "found": len(classes),
        "unknown_class": len(classes) - len(paths),
        "unlabelled": unlabelled(folder),
        "unreadable": unreadable,
        "copies_left_out": int(out.sum()),
        "open": open_figures(
            np.array(labels)[true], np.array(run.labels)[probabilities.argmax(axis=1)]
        ),
        **answer_figures(answer, true, labels),
    }
    if json_path is not None:
        write_json(json_path, report)
    return report


def training_copies(
    paths: Sequence[Path], training: str | Path, progress: bool = True
) -> set[Path]:
    """Those of some readable pictures that are copies of a split folder's training pictures."""
    copied = leave_out_copies(paths, training_pictures(training), progress=progress)
    return {path for path, is_copy in zip(paths, copied, strict=True) if is_copy}


def training_pictures(split_folder: str | Path) -> list[Path]:
    """The prepared training pictures that a split folder's files.csv names.

    Raises:
        FacemaskError: the folder was not written by `prepare`, or pictures are missing.
    """
    folder = Path(split_folder)
    paths = [folder / file for file in read_sources(folder) if file.startswith("train/")]
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        raise FacemaskError(
            f"{len(missing) or 'all'} training pictures of {folder} are missing; run prepare again"
        )
    return paths


def summary(report: dict) -> str:
    """The report of `evaluate_folder` in a few lines, for the terminal."""
    low, high = report["interval"]
    given = report["open"]
    lines = [
        f"{report['images']} of {report['found']} pictures scored; "
        f"{report['copies_left_out']} copies of training pictures, "
        f"{len(report['unreadable'])} unreadable and {report['unknown_class']} of classes that the "
        "model does not know left out",
        *(f"{count} of the pictures in {top} are of no known class and left out"
          for top, count in report["unlabelled"].items()),
        *(f"unreadable: {file}: {reason}" for file, reason in report["unreadable"][:MOST_NAMED]),
        f"all answers open: accuracy {given['accuracy']:.4f}, mean recall "
        f"{given['macro_recall']:.4f}",
    ]
    called = [f"{label} {share:.2%}" for label, share in given["called_incorrect"].items()]
    if "incorrect_mask" in report["model_labels"]:
        lines.append("  called incorrect_mask: " + ", ".join(called))
    lines.append(
        f"of the folder's classes: accuracy {report['accuracy']:.4f}  95% {low:.4f} to "
        f"{high:.4f}  mean recall {report['balanced_accuracy']:.4f}"
    )
    for label, figures in report["per_class"].items():
        recall = "-" if figures["recall"] is None else f"{figures['recall']:.4f}"
        lines.append(f"  {label:15} {figures['images']:6} pictures  recall {recall}")
    width = max(map(len, report["labels"]))
    lines.append("confusion (rows true, columns answered): " + ", ".join(report["labels"]))
    for label, row in zip(report["labels"], report["confusion"], strict=True):
        lines.append(f"  {label:{width}} " + " ".join(f"{n:6}" for n in row))
    return "\n".join(lines)
