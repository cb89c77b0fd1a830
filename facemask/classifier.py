"""One way to run a model in any of its forms: .keras, SavedModel, TFLite, TF.js."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from facemask import tfjs
from facemask.files import FacemaskError


class Classifier(NamedTuple):
    """A model that is ready to run.

    Attributes:
        labels: class names in the order of the model's outputs.
        image_size: side of the square input in pixels.
        predict: from uint8 RGB (N, image_size, image_size, 3) to float32 probabilities
            (N, len(labels)), which sum to 1.
    """

    labels: list[str]
    image_size: int
    predict: Callable[[np.ndarray], np.ndarray]


def load(path: str | Path) -> Classifier:
    """Load a `.keras` or `.tflite` file, a SavedModel or TF.js folder, or a model's folder.

    `labels.txt` is looked for beside the model. A model's folder (models/<run>/<model>) stands
    for the `.keras` file in it.

    Raises:
        FacemaskError: a file is missing or damaged, or the labels do not fit the model.
    """
    path = Path(path)
    if (path / "model.keras").is_file():
        path = path / "model.keras"
    if not path.exists():
        raise FacemaskError(f"there is no model at {path}; train one or check the name")
    if path.suffix == ".keras":
        loader = _keras
    elif path.suffix == ".tflite":
        loader = _tflite
    elif (path / "saved_model.pb").is_file():
        loader = _saved_model
    elif (path / "model.json").is_file():
        loader = _tfjs
    else:
        raise FacemaskError(
            f"{path} is not a model: it should be a .keras or .tflite file, or a folder with "
            "saved_model.pb or model.json"
        )
    labels = read_labels(path)
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
    return Classifier(labels, size, predict)


def load_keras(path: str | Path) -> keras.Model:
    """A model's Keras form, whose layers and gradients can be had.

    Args:
        path: a `.keras` file, or a model's folder with model.keras in it.

    Raises:
        FacemaskError: there is none.
    """
    path = Path(path)
    path = path / "model.keras" if path.is_dir() else path
    if path.suffix != ".keras" or not path.is_file():
        raise FacemaskError(
            f"there is no Keras model at {path}, no .keras file; train one or check the name"
        )
    return keras.models.load_model(path, compile=False)


def read_labels(model: Path) -> list[str]:
    """The class names in the labels.txt inside or beside a model."""
    for folder in (model, model.parent):
        if (folder / "labels.txt").is_file():
            return (folder / "labels.txt").read_text(encoding="utf-8").split()
    raise FacemaskError(
        f"labels.txt is missing beside {model}; copy it from where the model was exported"
    )


def _in_batches(predict: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Run at most 256 pictures at once, so that memory stays flat."""

    def predict_all(images: np.ndarray) -> np.ndarray:
        blocks = [images[i : i + 256] for i in range(0, max(len(images), 1), 256)]
        return np.concatenate([np.asarray(predict(block)) for block in blocks])

    return predict_all


def _keras(path: Path):
    model = keras.models.load_model(path, compile=False)
    call = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    predict = _in_batches(lambda images: call(tf.cast(images, tf.float32)))
    return model.input_shape[1], model.output_shape[-1], predict


def _saved_model(path: Path):
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    size = signature.structured_input_signature[1][name].shape[1]
    (output,) = signature.structured_outputs

    def predict(images: np.ndarray) -> np.ndarray:
        return signature(**{name: tf.cast(images, tf.float32)})[output].numpy()

    predict.keep = loaded  # the signature alone does not keep the variables alive
    return size, signature.structured_outputs[output].shape[-1], _in_batches(predict)


def _tflite(path: Path):
    interpreter = Interpreter(model_path=str(path), num_threads=2)
    (model_input,) = interpreter.get_input_details()
    (model_output,) = interpreter.get_output_details()
    index, dtype = model_input["index"], model_input["dtype"]
    scale, zero = model_output["quantization"]

    def predict(images: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(index, images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(index, images.astype(dtype))
        interpreter.invoke()
        result = interpreter.get_tensor(model_output["index"])
        return (result.astype(np.float32) - zero) * scale if scale else result

    return int(model_input["shape"][1]), int(model_output["shape"][-1]), _in_batches(predict)


def _tfjs(path: Path):
    _, size, classes = tfjs.read_signature(path)
    return size, classes, lambda images: tfjs.predict(path, images)
