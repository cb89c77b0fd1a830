"""The forms of a model that need TensorFlow: `.keras` files and SavedModel folders."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from facemask.io.files import FacemaskError
from facemask.models.batches import Predict, check_shapes, in_batches
from facemask.models.inert import check_inert


def load_keras(path: str | Path) -> keras.Model:
    """A model's Keras form, whose layers and gradients can be had.

    Args:
        path: a `.keras` file, or a model's folder with model.keras in it.

    Raises:
        FacemaskError: there is none, it is damaged, or it holds more than Keras' own layers.
    """
    path = Path(path)
    path = path / "model.keras" if path.is_dir() else path
    if path.suffix != ".keras" or not path.is_file():
        raise FacemaskError(
            f"there is no Keras model at {path}, no .keras file; train one or check the name"
        )
    return _load(path)


def load_file(path: Path) -> tuple[int, int, Predict]:
    """Image size, number of classes and predictions of a `.keras` file."""
    model = _load(path)
    check_shapes(path, [i.shape for i in model.inputs], [o.shape for o in model.outputs])
    call = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    predict = in_batches(lambda images: call(tf.cast(images, tf.float32)))
    return model.input_shape[1], model.output_shape[-1], predict


def _load(path: Path) -> keras.Model:
    check_inert(path)
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for a damaged file
        reason = (str(error).strip().splitlines() or ["no reason given"])[-1][:200]
        raise FacemaskError(
            f"{path} cannot be loaded ({reason}); it may be damaged or made with another "
            "version of Keras, so export it again"
        ) from error


def load_saved_model(path: Path) -> tuple[int, int, Predict]:
    """Image size, number of classes and predictions of a SavedModel folder."""
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]
    takes, gives = signature.structured_input_signature[1], signature.structured_outputs
    check_shapes(path, [t.shape for t in takes.values()], [g.shape for g in gives.values()])
    (name,), (output,) = takes, gives
    size = takes[name].shape[1]

    # The signature alone does not keep the variables alive: `kept` does.
    def predict(images: np.ndarray, kept: Any = loaded) -> np.ndarray:
        return signature(**{name: tf.cast(images, tf.float32)})[output].numpy()

    return size, gives[output].shape[-1], in_batches(predict)
