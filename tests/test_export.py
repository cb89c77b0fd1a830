"""Exports equal Keras, are written whole or not at all, and damaged ones are refused."""

import shutil

import numpy as np
import pytest

from facemask import classifier, export, tfjs
from facemask.files import FacemaskError, read_json


@pytest.fixture(scope="module")
def exported(trained):
    """The report and the folder of one real export."""
    report = export.export(trained.split, trained.run / "compact")
    return report, trained.run / "compact/exports"


def test_every_form_is_there_and_equal(exported, trained):
    report, folder = exported
    assert report == read_json(folder / "exports.json")
    assert set(report) == {"saved_model", "model.tflite", "tfjs"}
    for form, row in report.items():
        if form == "tfjs" and not tfjs.node_available():
            continue
        assert row["images"] >= 200 or row["images"] == len(list(trained.split.rglob("*.png")))
        assert row["largest_difference"] < 1e-4 and row["changed_answers"] == 0
    assert (folder / "labels.txt").read_text().split() == [
        "with_mask", "without_mask", "incorrect_mask",
    ]


@pytest.mark.parametrize("form", ["saved_model", "model.tflite"])
def test_forms_answer_alike_through_the_loader(exported, trained, form):
    images = export.pictures_to_compare(trained.split)
    reference = classifier.load(trained.run / "compact")
    loaded = classifier.load(exported[1] / form)
    assert loaded.labels == reference.labels and loaded.image_size == reference.image_size
    assert np.abs(loaded.predict(images) - reference.predict(images)).max() < 1e-4
    # one picture, many pictures and a batch larger than a block all work
    assert loaded.predict(images[:1]).shape == (1, 3)
    many = np.concatenate([images, images])[:300]
    assert loaded.predict(many).shape == (len(many), 3)


def test_export_that_differs_is_not_published(exported, trained, tmp_path, monkeypatch):
    without = shutil.ignore_patterns("exports")
    shutil.copytree(trained.run / "compact", tmp_path / "m", ignore=without)
    monkeypatch.setattr(export, "MOST_DIFFERENCE", -1.0)
    with pytest.raises(FacemaskError, match="saved_model differs from Keras by"):
        export.export(trained.split, tmp_path / "m")
    assert not [p for p in (tmp_path / "m").iterdir() if "export" in p.name]


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
    with pytest.raises(FacemaskError, match="cannot be loaded"):
        classifier.load(tmp_path)
