"""A `.keras` file is one that older versions of Keras read, and holds the same model."""

import json
import zipfile

import keras
import numpy as np
import pytest

from facemask.io.files import ROOT
from facemask.models import keras_file
from facemask.models.networks import MODELS


def settings_in(path) -> set[str]:
    """Every name in a file's description of its model."""
    found: set[str] = set()

    def look(value: object) -> None:
        if isinstance(value, dict):
            found.update(value)
        for inner in value.values() if isinstance(value, dict) else value:
            if isinstance(inner, dict | list):
                look(inner)

    with zipfile.ZipFile(path) as opened:
        look(json.loads(opened.read("config.json")))
    return found


def test_a_model_comes_back_as_it_was_without_newer_settings(tmp_path):
    keras.utils.set_random_seed(0)
    model = MODELS["compact"](32, 2)
    keras_file.save(model, tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.float32)
    assert np.array_equal(model.predict(pictures, verbose=0), again.predict(pictures, verbose=0))
    assert not settings_in(tmp_path / "model.keras") & set(keras_file.NEWER)


def test_a_setting_that_says_something_stays(tmp_path):
    entry = keras.Input((4,))
    layer = keras.layers.BatchNormalization(momentum=0.5)
    keras.Model(entry, layer(entry)).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras", "a") as opened:
        config = json.loads(opened.read("config.json"))
        config["input_axes"] = [0]
        opened.writestr("config.json", json.dumps(config))
    keras_file.make_older(tmp_path / "model.keras")
    assert "input_axes" in settings_in(tmp_path / "model.keras")


@pytest.mark.parametrize("folder", ["release", "finder"])
def test_what_is_released_can_be_read_by_older_ones(folder):
    assert not settings_in(ROOT / "models" / folder / "model.keras") & set(keras_file.NEWER)
