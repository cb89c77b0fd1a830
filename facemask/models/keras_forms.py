"""The forms of a model that need TensorFlow: `.keras` files and SavedModel folders."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from facemask.io.files import FacemaskError
from facemask.models.batches import Predict, in_batches


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


def load_file(path: Path) -> tuple[int, int, Predict]:
    """Image size, number of classes and predictions of a `.keras` file."""
    model = keras.models.load_model(path, compile=False)
    call = tf.function(lambda x: model(x, training=False), reduce_retracing=True)
    predict = in_batches(lambda images: call(tf.cast(images, tf.float32)))
    return model.input_shape[1], model.output_shape[-1], predict


def load_saved_model(path: Path) -> tuple[int, int, Predict]:
    """Image size, number of classes and predictions of a SavedModel folder."""
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    size = signature.structured_input_signature[1][name].shape[1]
    (output,) = signature.structured_outputs

    # The signature alone does not keep the variables alive: `kept` does.
    def predict(images: np.ndarray, kept: Any = loaded) -> np.ndarray:
        return signature(**{name: tf.cast(images, tf.float32)})[output].numpy()

    return size, signature.structured_outputs[output].shape[-1], in_batches(predict)
