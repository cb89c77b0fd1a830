"""Export a trained model as SavedModel, TFLite and TF.js, and prove each equal to Keras."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from facemask.datasets.prepare import SPLITS, load_split, read_all
from facemask.exports import tfjs, tflite
from facemask.images.augment import augment
from facemask.io.files import (
    FacemaskError,
    cannot_write,
    read_json,
    sweep,
    write_json,
    write_whole,
)
from facemask.models import classifier, keras_file
from facemask.models.tfjs import node_available

FEWEST_IMAGES = 200  # to compare on; the test split, filled up from the others where it is smaller
CALIBRATION = 200  # training pictures that show the int8 form its ranges


class Bound(NamedTuple):
    """How far an export may be from Keras.

    Attributes:
        largest: difference in any probability.
        mean: difference over all probabilities.
        changed: share of pictures whose answer differs.
        sure: only answers that Keras gives with this lead over the next count for `changed`.
    """

    largest: float
    mean: float
    changed: float
    sure: float = 0.0


# Between probabilities more alike than this, as a model gives that is hardly trained, the rounding
# of the smaller number formats decides, and says nothing of the export.
SURE = 0.1
EXACT = Bound(largest=1e-4, mean=1e-5, changed=0.0)  # the same arithmetic in another order
BOUNDS = {
    "saved_model": EXACT,
    "model.tflite": EXACT,
    "model-float16.tflite": Bound(largest=0.02, mean=1e-3, changed=0.005, sure=SURE),
    "model-dynamic.tflite": Bound(largest=0.25, mean=0.01, changed=0.02, sure=SURE),
    "model-int8.tflite": Bound(largest=0.35, mean=0.02, changed=0.03, sure=SURE),
    "tfjs": EXACT,
}


def pictures_to_compare(split_folder: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """The whole test split, and where it has fewer than 200 pictures some of the others.

    Returns:
        uint8 RGB (N, S, S, 3) and the class numbers (N,).
    """
    found: list[tuple[np.ndarray, int]] = []
    for split in reversed(SPLITS):
        if len(found) < FEWEST_IMAGES:
            missing = None if split == "test" else FEWEST_IMAGES - len(found)
            data = load_split(split_folder, split, batch_size=None, shuffle=missing is not None)
            found += [(x.numpy().astype(np.uint8), int(y)) for x, y in data.take(missing or -1)]
    images, answers = zip(*found)
    return np.stack(images), np.array(answers)


def calibration_pictures(split_folder: str | Path, seed: int = 0) -> np.ndarray:
    """Some 200 pictures of the train split, as many of each class, uint8 RGB (N, S, S, 3)."""
    facts = read_json(Path(split_folder) / "prepare.json")
    rng = np.random.default_rng(seed)
    chosen: list[Path] = []
    for label in facts["labels"]:
        paths = sorted((Path(split_folder) / "train" / label).iterdir())
        count = min(len(paths), CALIBRATION // len(facts["labels"]))
        chosen += [paths[i] for i in sorted(rng.choice(len(paths), count, replace=False))]
    return read_all(chosen, facts["settings"]["image_size"])


def half_augmented(pictures: np.ndarray, seed: int = 0) -> np.ndarray:
    """Every second picture as training augments it, the others as they are.

    Chosen on 12k Validation, by the compact CNN: calibrated by 200 pictures like this, int8 differs
    from Keras by 0.0021 in the mean on plain and 0.0028 on augmented pictures and changes none of
    1,600 answers; by 200 plain or 200 augmented ones, by as much and 1.
    """
    mixed = pictures.copy()
    for i in range(1, len(mixed), 2):
        mixed[i] = augment(mixed[i], np.random.default_rng([seed, i]))
    return mixed


def convert(
    model: keras.Model, labels: list[str], calibration: np.ndarray, folder: Path
) -> None:
    """Write every form of a model into `folder`: the keys of BOUNDS, model.keras and labels.txt.

    Args:
        model: takes float32 RGB (N, S, S, 3), 0..255.
        calibration: uint8 RGB (N, S, S, 3), training pictures of every class.
    """
    calibration = half_augmented(calibration)
    (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    save(model, folder)
    with ThreadPoolExecutor(1) as beside:  # a process of its own, which takes longest
        converted = beside.submit(tfjs.convert, folder / "saved_model", folder / "tfjs")
        for form in tflite.FORMS:
            content = tflite.convert(folder / "saved_model", form, calibration, labels)
            (folder / form).write_bytes(content)
        converted.result()
    tfjs.write_description(folder / "tfjs", labels, model.input_shape[1])



def save(model: keras.Model, folder: Path) -> None:
    """Write model.keras and saved_model/, from which the other forms are made, into a folder.

    Raises:
        FacemaskError: the system refuses to write them.
    """
    keras_file.save(model, folder / "model.keras")
    try:
        model.export(folder / "saved_model", verbose=False)
    except tf.errors.OpError as error:  # as TensorFlow says what the system refuses
        reason = error.message.rpartition("; ")[2]
        raise cannot_write(folder / "saved_model", OSError(error.error_code, reason)) from error

def compare(
    exports: Path, reference: np.ndarray, images: np.ndarray, answers: np.ndarray | None = None
) -> dict[str, dict]:
    """Load each export again, run it in its own runtime and compare it with Keras.

    Args:
        exports: folder written by `convert`.
        reference: Keras' probabilities (N, C).
        images: uint8 RGB (N, S, S, 3).
        answers: the right class numbers (N,), for the accuracy.

    Returns:
        Per form, "keras" first: images, largest and mean difference in probability, changed
        answers, accuracy (where `answers` are given), bytes, and the bounds.

    Raises:
        FacemaskError: a form is beyond its bound, or does not carry the labels.
    """
    report = {"keras": _figures(reference, reference, answers, exports / "model.keras")}
    labels = classifier.read_labels(exports / "model.keras")
    for form, bound in BOUNDS.items():
        if form == "tfjs" and not node_available():
            report[form] = {"not_run": "Node.js is not installed, so TF.js was not compared"}
            continue
        if form in tflite.FORMS and tflite.read_description(exports / form).labels != labels:
            raise FacemaskError(f"{form} does not carry the labels; nothing was exported")
        probabilities = classifier.load(exports / form).predict(images)
        row = _figures(probabilities, reference, answers, exports / form)
        ranked = np.sort(reference, axis=1)
        sure = ranked[:, -1] - ranked[:, -2] >= bound.sure
        changed = np.mean(sure & (probabilities.argmax(axis=1) != reference.argmax(axis=1)))
        for what, value, most in (
            ("by up to {} in a probability", row["largest_difference"], bound.largest),
            ("by {} in the mean probability", row["mean_difference"], bound.mean),
            ("in {} of the answers", changed, bound.changed),
        ):
            if not value <= most:  # so that a NaN counts too
                raise FacemaskError(
                    f"{form} differs from Keras {what.format(f'{value:.2g}')}, and {most:g} is "
                    "the most that is published; nothing was exported"
                )
        report[form] = row | {"bound": bound._asdict()}
    return report


def differences(
    probabilities: np.ndarray, reference: np.ndarray, answers: np.ndarray | None = None
) -> dict:
    """How far probabilities (N, C) are from Keras'.

    Args:
        answers: the right class numbers (N,), for the accuracy.
    """
    difference = np.abs(probabilities - reference)
    chosen = probabilities.argmax(axis=1)
    return {
        "images": len(reference),
        "largest_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "changed_answers": int(np.sum(chosen != reference.argmax(axis=1))),
        **({} if answers is None else {"accuracy": float(np.mean(chosen == answers))}),
    }


def _figures(
    probabilities: np.ndarray, reference: np.ndarray, answers: np.ndarray | None, path: Path
) -> dict:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return {
        **differences(probabilities, reference, answers),
        "bytes": sum(p.stat().st_size for p in files),
    }


def export_model(
    model_folder: str | Path,
    calibration: np.ndarray,
    images: np.ndarray,
    answers: np.ndarray | None = None,
    out: str | Path | None = None,
) -> dict:
    """Export one trained model; all of its forms, each compared with Keras, or nothing.

    Args:
        model_folder: holds model.keras and labels.txt.
        calibration: uint8 RGB (N, S, S, 3), N some 200: training pictures, of every class alike,
            by which the int8 form chooses its ranges.
        images: uint8 RGB (N, S, S, 3) to compare on: test pictures, not used for anything else.
        answers: their class numbers (N,), in the order of labels.txt, for the accuracy.
        out: folder to write, <model_folder>/exports unless given; one that is there is replaced.

    Returns:
        The comparison, see `compare`, also written to exports.json in the folder.

    Raises:
        FacemaskError: there is no model, an export fails, or it does not equal Keras.
    """
    model_folder = Path(model_folder)
    sweep(model_folder)
    trained = classifier.load(model_folder / "model.keras")
    reference = trained.predict(images)
    model = keras.models.load_model(model_folder / "model.keras", compile=False)
    with write_whole(Path(out or model_folder / "exports")) as partial:
        partial.mkdir()
        convert(model, trained.labels, calibration, partial)
        report = compare(partial, reference, images, answers)
        write_json(partial / "exports.json", report)
    return report


def export(split_folder: str | Path, model_folder: str | Path) -> dict:
    """Export a run's model, compared with Keras over the whole test split; see `export_model`.

    Args:
        split_folder: a folder written by `prepare`; its train split calibrates the int8 form.
        model_folder: models/<run>/<model>, which holds model.keras and receives exports/.
    """
    images, answers = pictures_to_compare(split_folder)
    return export_model(model_folder, calibration_pictures(split_folder), images, answers)
