"""TFLite models of every number format that a picture can be given in."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from facemask import CLASSES
from facemask.io.files import FacemaskError
from facemask.models import classifier

RNG = np.random.default_rng(0)
FACES = RNG.integers(0, 256, (40, 16, 16, 3)).astype(np.uint8) // 2 + np.linspace(
    0, 127, 40).astype(np.uint8)[:, None, None, None]  # from dark to bright


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Says which class from the mean brightness."""
    layers = keras.layers
    made = keras.Sequential([
        keras.Input((16, 16, 3)), layers.Rescaling(1 / 255), layers.GlobalAveragePooling2D(),
        layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    made.layers[-1].set_weights([np.array([[-4.0, 0, 4]] * 3), np.array([4.0, 0, -6])])
    return made


def write(model: keras.Model, folder, inputs: tf.DType) -> None:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([face[None].astype(np.float32)] for face in FACES)
    if inputs == tf.int16:
        mode = "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"
        converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, mode)]
    else:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = inputs
    (folder / "model.tflite").write_bytes(converter.convert())
    (folder / "labels.txt").write_text("\n".join(CLASSES))


@pytest.mark.parametrize("inputs", [tf.uint8, tf.int8], ids=str)
def test_bytes_mean_the_same_signed_or_not(model, tmp_path, inputs):
    write(model, tmp_path, inputs)
    given = classifier.load(tmp_path).predict(FACES)
    np.testing.assert_allclose(given, model.predict(FACES.astype(float), verbose=0), atol=0.05)


def test_other_numbers_are_refused(model, tmp_path):
    write(model, tmp_path, tf.int16)
    with pytest.raises(FacemaskError, match="takes numbers of type int16"):
        classifier.load(tmp_path)
