"""TF.js: the real converter and the real Node.js, from a network to its probabilities."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from facemask.exports import tfjs
from facemask.io.files import FacemaskError
from facemask.io.install import ToolMissing, install_once
from facemask.models import networks
from facemask.models import tfjs as runner

SIZE = 48
LABELS = ["with_mask", "without_mask", "incorrect_mask"]


@pytest.fixture
def node() -> None:
    """Skip where there is no Node.js, but in CI fail."""
    if not runner.node_available():
        if os.environ.get("CI") == "true":
            pytest.fail("Node.js 18 or later, with npm, is missing")
        pytest.skip("Node.js 18 or later, with npm, is missing")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Soft coloured blotches, 100 of them: not a multiple of the batch size."""
    coarse = np.random.default_rng(5).uniform(0, 255, (100, 4, 4, 3)).astype(np.float32)
    return keras.ops.convert_to_numpy(
        keras.ops.image.resize(coarse, (SIZE, SIZE), interpolation="bicubic")
    ).clip(0, 255).astype(np.uint8)  # fmt: skip


def mixed(image_size: int, classes: int) -> keras.Model:
    """The layers of the baseline, and some that `compact` may come to use."""
    inputs = keras.Input((image_size, image_size, 3), name="image")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(filters=16, kernel_size=3, activation="relu")(x)
    x = keras.layers.MaxPooling2D(pool_size=4)(x)
    x = keras.layers.SeparableConv2D(filters=16, kernel_size=3, use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(units=32, activation="relu")(x)
    x = keras.layers.Dropout(rate=0.5)(x)
    return keras.Model(inputs, keras.layers.Dense(units=classes, activation="softmax")(x))


def untrained(build, images: np.ndarray) -> keras.Model:
    """A network whose batch norms do something and whose answers vary with the picture."""
    keras.utils.set_random_seed(4)
    model = build(SIZE, len(LABELS))
    rng = np.random.default_rng(4)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (w.shape for w in layer.get_weights())
            layer.set_weights([
                rng.uniform(0.7, 1.5, gamma), rng.normal(0, 0.3, beta),
                rng.normal(0, 0.1, mean), rng.uniform(0.05, 0.3, variance),
            ])  # fmt: skip
    # Centre and stretch the last layer's inputs to the softmax over these very pictures.
    dense = model.layers[-1]
    features = keras.Model(model.input, dense.input).predict(images.astype("float32"), verbose=0)
    kernel, _ = dense.get_weights()
    logits = features @ kernel
    dense.set_weights([kernel * (2 / logits.std(0)), -logits.mean(0) * 2 / logits.std(0)])
    return model


def convert(build, images: np.ndarray, folder: Path) -> tuple[Path, np.ndarray]:
    model = untrained(build, images)
    model.export(folder / "saved_model", verbose=False)
    out = tfjs.convert(folder / "saved_model", folder / "tfjs")
    tfjs.write_description(out, LABELS, SIZE)
    return out, model.predict(images.astype("float32"), verbose=0)


@pytest.fixture(scope="module")
def compact(images, tmp_path_factory) -> tuple[Path, np.ndarray]:
    """A TF.js model and Keras' own probabilities for `images`. Read only."""
    return convert(networks.compact, images, tmp_path_factory.mktemp("compact"))


def agrees(converted: tuple[Path, np.ndarray], images: np.ndarray) -> None:
    folder, reference = converted
    assert reference.std(axis=0).min() > 0.1, "the comparison needs answers that vary"
    probabilities = runner.predict(folder, images)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, reference, atol=1e-5, rtol=0)


def test_node_gives_keras_probabilities(compact, images, node):
    agrees(compact, images)


def test_node_gives_keras_probabilities_for_other_layers(tmp_path, images, node):
    agrees(convert(mixed, images, tmp_path), images)


def test_what_stands_in_the_folder(compact):
    folder, _ = compact
    names = {path.name for path in folder.iterdir()}
    assert {"model.json", "labels.txt", "labels.json"} < names
    assert any(name.startswith("group1-shard1of") for name in names)
    assert runner.read_signature(folder) == ("image", SIZE, 3)
    assert (folder / "labels.txt").read_text().split() == LABELS
    description = tfjs.read_description(folder)
    assert description["labels"] == LABELS
    assert description["input"]["name"] == "image"
    assert description["input"]["shape"] == [None, SIZE, SIZE, 3]
    assert description["input"]["range"] == [0, 255]


def test_batch_norms_are_folded(compact):
    nodes = json.loads((compact[0] / "model.json").read_text())["modelTopology"]["node"]
    operations = {node["op"] for node in nodes}
    assert "_FusedConv2D" in operations
    assert not operations & {"FusedBatchNormV3", "Sub", "Rsqrt", "BiasAdd"}


def test_no_pictures(compact, node):
    nothing = runner.predict(compact[0], np.zeros((0, SIZE, SIZE, 3), np.uint8))
    assert nothing.shape == (0, 3)


@pytest.mark.parametrize("bad", [np.zeros((1, 32, 32, 3), np.uint8),
                                 np.zeros((1, SIZE, SIZE, 3), np.float32)])  # fmt: skip
def test_pictures_that_do_not_fit(compact, bad):
    with pytest.raises(FacemaskError, match="takes uint8 pictures"):
        runner.predict(compact[0], bad)


def test_labels_that_do_not_fit(compact):
    with pytest.raises(FacemaskError, match="2 labels"):
        tfjs.write_description(compact[0], LABELS[:2], SIZE)
    assert tfjs.read_description(compact[0])["labels"] == LABELS


def test_missing_weights(compact, images, tmp_path, node):
    broken = shutil.copytree(compact[0], tmp_path / "broken")
    next(broken.glob("*.bin")).unlink()
    with pytest.raises(FacemaskError, match="group1-shard1of1.bin"):
        runner.predict(broken, images[:1])


def test_model_that_is_no_classifier(tmp_path):
    (tmp_path / "model.json").write_text('{"format": "layers-model"}')
    with pytest.raises(FacemaskError, match="does not describe a picture classifier"):
        runner.read_signature(tmp_path)


def test_damaged_saved_model_leaves_nothing(tmp_path):
    (tmp_path / "saved_model").mkdir()
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(b"not a model")
    with pytest.raises(FacemaskError, match="cannot be converted to TF.js"):
        tfjs.convert(tmp_path / "saved_model", tmp_path / "tfjs")
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]


def test_node_missing_or_too_old(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not runner.node_available()
    with pytest.raises(ToolMissing, match=r"Node\.js with npm is missing"):
        runner.install_node_packages()
    for name, version in (("node", "v16.20.1"), ("npm", "8.0.0")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {version}\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(ToolMissing, match=r"v16\.20\.1 is too old"):
        runner.install_node_packages()


def without_network(monkeypatch, cache: Path) -> None:
    """Send all requests to a port where nothing listens, and bring an empty cache."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(cache / "uv"))
    monkeypatch.setenv("npm_config_cache", str(cache / "npm"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def test_no_network_for_the_converter(monkeypatch, tmp_path, capfd):
    without_network(monkeypatch, tmp_path)
    with pytest.raises(ToolMissing, match="Check the network"):
        tfjs.convert(tmp_path / "saved_model", tmp_path / "tfjs")
    assert "870 MB to download" in capfd.readouterr().err
    assert not (tmp_path / "tfjs").exists()
    assert not [path for path in (tmp_path / "facemask").iterdir() if path.is_dir()]


def test_no_network_for_npm(monkeypatch, tmp_path, node):
    without_network(monkeypatch, tmp_path)
    with pytest.raises(ToolMissing, match="Check the network"):
        runner.install_node_packages()
    assert not [path for path in (tmp_path / "facemask").iterdir() if path.is_dir()]


SLOW_INSTALL = """
import time
from facemask.io.install import install_once

def install(folder):
    folder.mkdir()  # fails where two run at once
    time.sleep(1)
    (folder / "product").write_text("whole")

folder = install_once("thing", b"1", install, "a thing")
assert (folder / "product").read_text() == "whole"
"""


def test_two_processes_install_once(tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SLOW_INSTALL],
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)}, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = "".join(process.communicate(timeout=60)[1] for process in processes)
    assert [process.returncode for process in processes] == [0, 0], said
    assert said.count("First use: installing a thing") == 1


def test_interrupted_install_is_not_taken_as_complete(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def killed(folder: Path) -> None:
        folder.mkdir()
        (folder / "half").touch()
        raise KeyboardInterrupt

    def whole(folder: Path) -> None:
        folder.mkdir()
        (folder / "product").touch()

    with pytest.raises(KeyboardInterrupt):
        install_once("thing", b"1", killed, "a thing")
    # What a process that was killed outright leaves behind, since it could not clear up.
    folder = install_once("thing", b"1", whole, "a thing")
    (folder / "complete").unlink()
    (folder / "half").touch()
    again = install_once("thing", b"1", whole, "a thing")
    assert again == folder
    assert sorted(path.name for path in folder.iterdir()) == ["complete", "product"]


def test_lock_files_name_no_host():
    for path in (tfjs.LOCK, runner.NODE_FILES / "package-lock.json"):
        assert "://" not in path.read_text()
