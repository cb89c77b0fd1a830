"""Exports equal Keras, are written whole or not at all, and damaged ones are refused."""

import shutil

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from facemask.exports import export, tflite
from facemask.images.crops import resize
from facemask.io.files import ROOT, FacemaskError, read_json
from facemask.models import classifier
from facemask.models.tfjs import node_available

LABELS = ["with_mask", "without_mask", "incorrect_mask"]


@pytest.fixture(scope="module")
def exported(trained):
    """The report and the folder of one real export."""
    report = export.export(trained.split, trained.run / "compact")
    return report, trained.run / "compact/exports"


def test_every_form_is_there_and_equal(exported, trained):
    report, folder = exported
    assert report == read_json(folder / "exports.json")
    assert set(report) == {"keras", *export.BOUNDS}
    test = len(list((trained.split / "test").rglob("*.png")))
    for form, row in report.items():
        if form == "tfjs" and not node_available():
            continue
        assert row["images"] >= max(test, 150) and 0 < row["accuracy"] <= 1
        if export.BOUNDS.get(form, export.EXACT) == export.EXACT:
            assert row["largest_difference"] < 1e-5 and row["changed_answers"] == 0
    sizes = [report[form]["bytes"] for form in tflite.FORMS]
    assert sizes[0] > 1.8 * sizes[1] > 2.5 * sizes[2], "smaller from float32 to 8 bits"
    assert report["model-int8.tflite"]["bytes"] <= 150_000
    assert report["tfjs"].get("bytes", 0) < 500_000
    assert (folder / "labels.txt").read_text().split() == LABELS


@pytest.mark.parametrize("form", ["model.keras", "saved_model", "model.tflite"])
def test_forms_answer_alike_through_the_loader(exported, trained, form):
    images, _ = export.pictures_to_compare(trained.split)
    reference = classifier.load(trained.run / "compact")
    loaded = classifier.load(exported[1] / form)
    assert loaded.labels == reference.labels and loaded.image_size == reference.image_size
    assert np.abs(loaded.predict(images) - reference.predict(images)).max() < 1e-4
    # one picture, many pictures and a batch larger than a block all work
    assert loaded.predict(images[:1]).shape == (1, 3)
    many = np.concatenate([images, images])[:300]
    assert loaded.predict(many).shape == (len(many), 3)


@pytest.mark.parametrize("form", tflite.FORMS)
def test_tflite_describes_itself(exported, form):
    """What Android's and MediaPipe's classifiers read from the file."""
    description = tflite.read_description(exported[1] / form)
    assert description == tflite.Description((48, 48), 0.0, 1.0, LABELS)


def test_int8_takes_and_gives_what_people_have(exported, trained):
    images, _ = export.pictures_to_compare(trained.split)
    interpreter = Interpreter(model_path=str(exported[1] / "model-int8.tflite"))
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (taken["name"], taken["dtype"], tuple(taken["shape"])) == (
        "image", np.uint8, (1, 48, 48, 3),
    )  # fmt: skip
    assert (given["name"], given["dtype"]) == ("probabilities", np.float32)
    interpreter.set_tensor(taken["index"], images[:1])
    interpreter.invoke()
    probabilities = interpreter.get_tensor(given["index"])[0]
    assert probabilities.sum() == pytest.approx(1, abs=0.01)
    expected = classifier.load(trained.run / "compact").predict(images[:1])[0]
    np.testing.assert_allclose(probabilities, expected, atol=export.BOUNDS["model-int8.tflite"][0])
    floats = [t["name"] for t in interpreter.get_tensor_details() if t["dtype"] == np.float32]
    assert floats == ["probabilities"], "all else is integers"


def test_weights_lie_where_the_format_asks(exported):
    """At multiples of 16, which processors other than x86 insist on."""
    content = (exported[1] / "model.tflite").read_bytes()
    weights = np.frombuffer(content, np.uint8)
    model = tflite.schema.Model.GetRootAs(content)
    for k in range(model.BuffersLength()):
        if model.Buffers(k).DataLength():
            data = model.Buffers(k).DataAsNumpy()
            place = data.__array_interface__["data"][0] - weights.__array_interface__["data"][0]
            assert place % 16 == 0


def test_a_file_without_description(exported, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"not a model")
    with pytest.raises(FacemaskError, match="does not describe itself"):
        tflite.read_description(path)
    with pytest.raises(FacemaskError, match="does not describe itself"):
        tflite.read_description(tmp_path / "none.tflite")


def test_half_of_the_calibration_is_augmented(trained):
    pictures = export.calibration_pictures(trained.split)
    assert pictures.shape[1:] == (48, 48, 3) and 100 < len(pictures) <= export.CALIBRATION
    mixed = export.half_augmented(pictures)
    np.testing.assert_array_equal(mixed[::2], pictures[::2])
    assert all((a != b).any() for a, b in zip(mixed[1::2], pictures[1::2]))
    np.testing.assert_array_equal(mixed, export.half_augmented(pictures))


def test_export_that_differs_is_not_published(exported, trained, tmp_path, monkeypatch):
    """An int8 form of a model that is sure of its answers, calibrated on black pictures only."""
    folder = tmp_path / "m"
    folder.mkdir()
    for name in ("model.keras", "labels.txt"):
        shutil.copy(ROOT / "models" / "release" / name, folder / name)
    monkeypatch.setattr(export.tfjs, "convert", lambda *_: None)  # has no part in this
    monkeypatch.setattr(export.tfjs, "write_description", lambda *_: None)
    monkeypatch.setattr(export, "half_augmented", lambda pictures: pictures * 0)
    images, answers = export.pictures_to_compare(trained.split)
    images = np.stack([resize(image, 96) for image in images])
    with pytest.raises(FacemaskError, match=r"model-int8\.tflite differs .* nothing was exported"):
        export.export_model(folder, images[:20], images, answers)
    assert not [p for p in folder.iterdir() if "export" in p.name]


def test_what_is_beyond_a_bound(exported, trained, monkeypatch):
    images, _ = export.pictures_to_compare(trained.split)
    reference = classifier.load(trained.run / "compact").predict(images)
    wrong = reference + np.float32(0.001)
    with pytest.raises(FacemaskError, match="saved_model differs from Keras by up to 0.001 in a p"):
        export.compare(exported[1], wrong, images)


def copy_export(exported, tmp_path):
    return shutil.copytree(exported[1], tmp_path / "exports")


def test_missing_model(tmp_path):
    with pytest.raises(FacemaskError, match="there is no model at"):
        classifier.load(tmp_path / "nothing.keras")
    with pytest.raises(FacemaskError, match="is not a model"):
        classifier.load(tmp_path)


def test_missing_labels(exported, tmp_path):
    folder = copy_export(exported, tmp_path)
    (folder / "labels.txt").unlink()
    with pytest.raises(FacemaskError, match="labels.txt is missing"):
        classifier.load(folder / "model.tflite")


@pytest.mark.parametrize("form", ["saved_model", "model.tflite"])
def test_labels_that_do_not_match(exported, tmp_path, form):
    folder = copy_export(exported, tmp_path)
    (folder / "labels.txt").write_text("with_mask\nwithout_mask\n")
    with pytest.raises(FacemaskError, match="3 outputs but its labels.txt names 2"):
        classifier.load(folder / form)


def test_truncated_tflite(exported, tmp_path):
    path = copy_export(exported, tmp_path) / "model.tflite"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FacemaskError, match="cannot be loaded"):
        classifier.load(path)


def test_saved_model_without_its_variables(exported, tmp_path):
    folder = copy_export(exported, tmp_path) / "saved_model"
    shutil.rmtree(folder / "variables")
    with pytest.raises(FacemaskError, match="cannot be loaded"):
        classifier.load(folder)


def test_damaged_keras_file(trained, tmp_path):
    (tmp_path / "model.keras").write_bytes(b"not a zip")
    shutil.copy(trained.run / "compact/labels.txt", tmp_path)
    with pytest.raises(FacemaskError, match="not a whole .keras file"):
        classifier.load(tmp_path)
