"""Settling how readily a model says incorrect_mask."""

import cv2
import keras
import numpy as np
import pytest

from facemask import CLASSES
from facemask.datasets.sample import draw_picture
from facemask.io.files import ROOT
from facemask.release.settle import settle


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Twelve drawn faces, masked and bare: path to class."""
    folder, found = tmp_path_factory.mktemp("pictures"), {}
    for number in range(12):
        label = CLASSES[number % 2]
        path = folder / f"{number}.png"
        image = draw_picture(label, np.random.default_rng([9, number]), 160)
        cv2.imwrite(str(path), image[..., ::-1])
        found[path] = label
    return found


def test_a_model_that_says_it_too_readily_is_held_back(pictures):
    model = keras.models.load_model(ROOT / "models/release/model.keras", compile=False)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias + np.float32([0, 0, 3])])
    found = settle(model, pictures)
    assert found["shift"] < -0.5
    settled_kernel, settled = model.layers[-1].get_weights()
    np.testing.assert_allclose(settled - bias, [0, 0, 3 + found["shift"]], atol=1e-5)
    assert np.array_equal(kernel, settled_kernel)
    means = {float(shift): mean for shift, mean in found["mean_recall"].items()}
    assert means[found["shift"]] == max(means.values()) > means[0]
    # Said anew of the shifted model, the recalls are those that were promised.
    again = settle(model, pictures)
    assert again["mean_recall"]["+0.00"] == pytest.approx(means[found["shift"]])
