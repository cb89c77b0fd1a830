"""One way to run a model in any of its forms: .keras, SavedModel, TFLite, TF.js.

TensorFlow, which takes seconds to import and need not be there, is imported for the first two only.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from facemask.io.files import FacemaskError, read_json
from facemask.models import tfjs
from facemask.models.batches import Predict, check_shapes, in_batches

OPERATING_POINT = "operating-point.json"


class Classifier(NamedTuple):
    """A model that is ready to run.

    Attributes:
        labels: class names in the order of the model's outputs.
        image_size: side of the square input in pixels.
        predict: from uint8 RGB (N, image_size, image_size, 3) to float32 probabilities
            (N, len(labels)), which sum to 1.
        sure: least probability of an answer that is sure; 0 if the model has no such point.
    """

    labels: list[str]
    image_size: int
    predict: Predict
    sure: float = 0.0


Loaded = tuple[int, int, Predict]  # image size, number of classes, and how to predict


def load(path: str | Path, threads: int = 2) -> Classifier:
    """Load a `.keras` or `.tflite` file, a SavedModel or TF.js folder, or a model's folder.

    `labels.txt` is looked for beside the model, and so is `operating-point.json`, which not every
    model has: {"sure": the least probability of an answer that is sure}. A model's folder stands
    for the `model.tflite` in it, which starts at once, or else for the `model.keras`.

    Nothing that came with a model runs while it is loaded. When it judges, a SavedModel's graph may
    read and write files: load only those you trust.

    Args:
        threads: that a `.tflite` model may use; the other forms choose for themselves.

    Raises:
        FacemaskError: a file is missing or damaged, the labels do not fit the model, it is no
            classifier of pictures, or a `.keras` file holds more than Keras' own layers.
    """
    path = model_file(path)
    loader: Callable[[Path], Loaded]
    if not path.exists():
        raise FacemaskError(f"there is no model at {path}; train one or check the name")
    if path.suffix == ".tflite":
        loader = partial(_tflite, threads=threads)
    elif path.suffix == ".keras" or (path / "saved_model.pb").is_file():
        loader = _with_tensorflow
    elif (path / "model.json").is_file():
        loader = _tfjs
    else:
        raise FacemaskError(
            f"{path} is not a model: it should be a .keras or .tflite file, or a folder with "
            "saved_model.pb or model.json"
        )
    labels, sure = read_labels(path), read_sure(path)
    try:
        size, classes, predict = loader(path)
    except FacemaskError:
        raise
    except Exception as error:  # each runtime raises its own kinds for a damaged file
        raise FacemaskError(
            f"{path} cannot be loaded ({error}); it may be incomplete, so export it again"
        ) from error
    if classes != len(labels):
        raise FacemaskError(
            f"{path} has {classes} outputs but its labels.txt names {len(labels)} classes "
            f"({', '.join(labels)}); put the labels.txt that belongs to the model beside it"
        )
    return Classifier(labels, size, predict, sure)


def model_file(path: str | Path) -> Path:
    """The file that `load` runs if `path` is a model's folder, else `path` itself."""
    for name in ("model.tflite", "model.keras"):
        if (Path(path) / name).is_file():
            return Path(path) / name
    return Path(path)


def read_labels(model: Path) -> list[str]:
    """The class names in the labels.txt inside or beside a model."""
    for folder in (model, model.parent):
        if (folder / "labels.txt").is_file():
            try:
                return (folder / "labels.txt").read_text(encoding="utf-8").split()
            except (OSError, UnicodeDecodeError) as error:
                raise FacemaskError(
                    f"{folder / 'labels.txt'} cannot be read ({error}); copy it from where the "
                    "model was exported"
                ) from error
    raise FacemaskError(
        f"labels.txt is missing beside {model}; copy it from where the model was exported"
    )


def read_sure(model: Path) -> float:
    """The least probability of a sure answer, by the operating-point.json inside or beside a model.

    Returns:
        0..1; 0 if there is no such file.
    """
    for path in (folder / OPERATING_POINT for folder in (model, model.parent)):
        if path.is_file():
            value = read_json(path)
            sure = value.get("sure") if isinstance(value, dict) else None
            if not isinstance(sure, (int, float)) or not 0 <= sure <= 1:
                raise FacemaskError(
                    f"{path} should say {{\"sure\": a number from 0 to 1}}; copy it from where the "
                    "model was exported, or delete it"
                )
            return float(sure)
    return 0.0


def _with_tensorflow(path: Path) -> Loaded:
    try:
        from facemask.models import keras_forms
    except ModuleNotFoundError as error:
        raise FacemaskError(
            f"{path} needs {error.name}; in the project's folder run `pip install '.[train]'`, or "
            "name the model's .tflite file"
        ) from error
    load_form = keras_forms.load_file if path.suffix == ".keras" else keras_forms.load_saved_model
    return load_form(path)


def _tflite(path: Path, threads: int) -> Loaded:
    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()  # what it lacks or has too much of is said now
    takes, gives = interpreter.get_input_details(), interpreter.get_output_details()
    check_shapes(path, [t["shape"].tolist() for t in takes], [g["shape"].tolist() for g in gives])
    model_input, model_output = takes[0], gives[0]
    index, dtype = model_input["index"], model_input["dtype"]
    if dtype not in (np.float32, np.uint8, np.int8):
        raise FacemaskError(
            f"{path} takes numbers of type {np.dtype(dtype)}; export it with an input of float32, "
            "uint8 or int8"
        )
    scale, zero = model_output["quantization"]

    def predict(images: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(index, images.shape)
        interpreter.allocate_tensors()
        shown = images.astype(dtype) if dtype != np.int8 else (images - 128.0).astype(np.int8)
        interpreter.set_tensor(index, shown)
        interpreter.invoke()
        result = interpreter.get_tensor(model_output["index"])
        return (result.astype(np.float32) - zero) * scale if scale else result

    return int(model_input["shape"][1]), int(model_output["shape"][-1]), in_batches(predict)


def _tfjs(path: Path) -> Loaded:
    _, size, classes = tfjs.read_signature(path)
    return size, classes, lambda images: tfjs.predict(path, images)
