"""Export a trained model as SavedModel, TFLite and TF.js, and prove each equal to Keras."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from facemask import classifier, tfjs
from facemask.files import FacemaskError, write_json, write_whole
from facemask.prepare import SPLITS, load_split

MOST_DIFFERENCE = 1e-3  # in any probability, for an export in floating point
FEWEST_IMAGES = 200  # to compare on; the test split, filled up from the others where it is smaller


def pictures_to_compare(split_folder: str | Path) -> np.ndarray:
    """The test split, and where it has fewer than 200 pictures some of the others.

    Returns:
        uint8 RGB (N, S, S, 3).
    """
    found: list[np.ndarray] = []
    for split in reversed(SPLITS):
        if len(found) < FEWEST_IMAGES:
            missing = None if split == "test" else FEWEST_IMAGES - len(found)
            data = load_split(split_folder, split, batch_size=None, shuffle=missing is not None)
            found += [x.numpy().astype(np.uint8) for x, _ in data.take(missing or -1)]
    return np.stack(found)


def convert(model: keras.Model, labels: list[str], folder: Path) -> None:
    """Write every form of a model into `folder`.

    Forms: saved_model/, model.tflite (float32), tfjs/ (graph model), labels.txt.
    """
    (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    model.export(folder / "saved_model", verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved_model"))
    (folder / "model.tflite").write_bytes(converter.convert())
    tfjs.convert(folder / "saved_model", folder / "tfjs")
    tfjs.write_description(folder / "tfjs", labels, model.input_shape[1])


def compare(exports: Path, reference: np.ndarray, images: np.ndarray) -> dict[str, dict]:
    """Load each export again and compare its probabilities with Keras'.

    Args:
        exports: folder written by `convert`.
        reference: Keras' probabilities (N, C).
        images: uint8 RGB (N, S, S, 3).

    Returns:
        Per form: images, largest and mean difference in probability, changed answers, bytes.

    Raises:
        FacemaskError: a form differs by more than MOST_DIFFERENCE.
    """
    report = {}
    for form in ("saved_model", "model.tflite", "tfjs"):
        path = exports / form
        if form == "tfjs" and not tfjs.node_available():
            report[form] = {"not_run": "Node.js is not installed, so TF.js was not compared"}
            continue
        probabilities = classifier.load(path).predict(images)
        difference = np.abs(probabilities - reference)
        changed = probabilities.argmax(axis=1) != reference.argmax(axis=1)
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        report[form] = {
            "images": len(images),
            "largest_difference": float(difference.max()),
            "mean_difference": float(difference.mean()),
            "changed_answers": int(np.sum(changed)),
            "bytes": sum(p.stat().st_size for p in files),
        }
        if report[form]["largest_difference"] > MOST_DIFFERENCE:
            raise FacemaskError(
                f"{form} differs from Keras by {difference.max():.2g} in a probability, more than "
                f"{MOST_DIFFERENCE:g}; nothing was exported"
            )
    return report


def export(split_folder: str | Path, model_folder: str | Path) -> dict:
    """Export one trained model; all of it, compared with Keras, or nothing.

    Args:
        split_folder: a folder written by `prepare`, whose pictures are compared on.
        model_folder: models/<run>/<model>, which holds model.keras and receives the exports.

    Returns:
        The comparison, also written to <model_folder>/exports/exports.json.

    Raises:
        FacemaskError: there is no model, an export fails, or it does not equal Keras.
    """
    model_folder = Path(model_folder)
    trained = classifier.load(model_folder)
    images = pictures_to_compare(split_folder)
    reference = trained.predict(images)
    model = keras.models.load_model(model_folder / "model.keras", compile=False)
    with write_whole(model_folder / "exports") as partial:
        partial.mkdir()
        convert(model, trained.labels, partial)
        report = compare(partial, reference, images)
        write_json(partial / "exports.json", report)
    return report
