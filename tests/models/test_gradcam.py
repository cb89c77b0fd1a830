"""Grad-CAM: the published sum, and heat where the answer is."""

import keras
import numpy as np
import pytest

from facemask import CLASSES
from facemask.datasets.sample import draw_face
from facemask.drawing.masks import draw_mask
from facemask.io.files import RELEASE, FacemaskError
from facemask.models.gradcam import heat
from facemask.models.keras_forms import load_keras


@pytest.fixture(scope="module")
def red_or_blue() -> keras.Model:
    """Answers 0 for red and 1 for blue: two maps, averaged, each the evidence for one class."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(filters=2, kernel_size=1, activation="relu")(inputs)
    x = keras.layers.AveragePooling2D(pool_size=4)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(units=2, activation="softmax")(x))
    kernel = np.array([[1, -1], [-1, -1], [-1, 1]], np.float32).reshape(1, 1, 3, 2) / 255
    model.set_weights([kernel, np.zeros(2), np.array([[3, -3], [-3, 3]]), np.zeros(2)])
    return model


@pytest.fixture
def picture() -> np.ndarray:
    """Grey, with red in the upper left and blue in the lower right."""
    image = np.full((32, 32, 3), 90, np.uint8)
    image[:8, :16] = 255, 0, 0
    image[24:, 24:] = 0, 0, 255
    return image[None]


def test_heat_lies_on_what_speaks_for_the_class(red_or_blue, picture):
    red, blue = (heat(red_or_blue, picture, np.array([k]))[0] for k in (0, 1))
    assert red.shape == (32, 32) and red.dtype == np.float32
    assert red.min() == 0 and red.max() == 1
    assert red[2:6, 2:14].min() > 0.9 and red[14:].max() == 0
    assert blue[27:, 27:].min() > 0.9 and blue[:20].max() == 0
    np.testing.assert_array_equal(heat(red_or_blue, picture)[0], red)  # there is more red


def test_is_the_sum_of_the_paper(red_or_blue, picture):
    """With a global mean before the last layer it is the maps, weighted by that layer's kernel."""
    maps = keras.Model(red_or_blue.input, red_or_blue.layers[-3].output)(picture).numpy()[0]
    expected = np.maximum(maps @ red_or_blue.layers[-1].kernel.numpy()[:, 0], 0)
    got = heat(red_or_blue, picture, np.array([0]))[0]
    centres = got[1::4, 1::4] / got.max()
    np.testing.assert_allclose(centres > 0.5, expected / expected.max() > 0.5)


def test_nothing_speaks_for_a_class_without_evidence(red_or_blue):
    assert heat(red_or_blue, np.zeros((1, 32, 32, 3), np.uint8)).max() == 0


def test_released_model_looks_at_the_mask():
    """On drawn faces it has never seen, the heat for with_mask lies on the mask."""
    model = load_keras(RELEASE)
    size, rng = model.input_shape[1], np.random.default_rng(0)
    inside, outside = [], []
    for _ in range(24):
        bare, shape = draw_face(rng, size)
        masked = draw_mask(bare, shape, "right", rng)
        mask = np.abs(masked.astype(int) - bare).sum(axis=2) > 30
        (warm,) = heat(model, masked[None], np.array([CLASSES.index("with_mask")]))
        inside.append(warm[mask].mean())
        outside.append(warm[~mask].mean())
    assert np.mean(inside) > 1.5 * np.mean(outside)


def test_needs_the_keras_form(tmp_path):
    with pytest.raises(FacemaskError, match="there is no Keras model"):
        load_keras(tmp_path)
