"""A model measured on folders that it was not trained on."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.datasets.prepare import find_labelled
from facemask.datasets.sample import draw_picture
from facemask.evaluation.cross_dataset import (
    evaluate_folder,
    read_sources,
    summary,
    training_pictures,
)
from facemask.images.crops import resize
from facemask.images.reading import find_images, read_image
from facemask.images.writing import write_image
from facemask.io.files import FacemaskError, read_json
from facemask.models import classifier

NAMES = {"with_mask": "Mask", "without_mask": "No Mask", "incorrect_mask": "incorrect-mask"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """New pictures: 7 of each class, one level down, of another size, one of them broken."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for label, name in NAMES.items():
        (folder / name / "camera 2").mkdir(parents=True)
        for number in range(7):
            image = draw_picture(label, np.random.default_rng([99, number, len(label)]), 70)
            cv2.imwrite(str(folder / name / "camera 2" / f"{number}.png"), image[..., ::-1])
    (folder / "Mask" / "broken.jpg").write_bytes(b"not a picture")
    return folder


def test_report_equals_figures_made_by_hand(trained, folder, tmp_path):
    report = evaluate_folder(trained.run / "compact", folder, trained.split, tmp_path / "r.json")
    assert report == read_json(tmp_path / "r.json")
    assert report["copies_left_out"] == 0 and report["unknown_class"] == 0
    assert [file for file, _ in report["unreadable"]] == ["Mask/broken.jpg"]
    assert report["found"] == 22 and report["images"] == 21

    model = classifier.load(trained.run / "compact")
    confusion = np.zeros((3, 3), int)
    for row, name in enumerate(NAMES.values()):
        for path in (folder / name / "camera 2").iterdir():
            image = resize(read_image(path), model.image_size)
            confusion[row, model.predict(image[None])[0].argmax()] += 1
    assert report["confusion"] == confusion.tolist()
    assert report["accuracy"] == pytest.approx(np.trace(confusion) / 21)
    assert report["balanced_accuracy"] == pytest.approx(np.trace(confusion) / 21)
    low, high = report["interval"]
    assert low < report["accuracy"] < high or report["accuracy"] in (0, 1)
    for row, label in enumerate(NAMES):
        figures = report["per_class"][label]
        assert figures == {"images": 7, "recall": pytest.approx(confusion[row, row] / 7)}
    assert "21 of 22 pictures scored" in summary(report)
    assert f"unreadable: {report['unreadable'][0][0]}: " in summary(report)


def test_argmax_is_over_the_classes_of_the_folder(trained, folder, tmp_path):
    for name in ("Mask", "incorrect-mask"):
        shutil.copytree(folder / name / "camera 2", tmp_path / "two" / name)
    report = evaluate_folder(trained.run / "compact", tmp_path / "two")
    assert report["labels"] == ["with_mask", "incorrect_mask"]
    assert np.sum(report["confusion"]) == report["images"] == 14  # nobody answers without_mask
    model = classifier.load(trained.run / "compact")
    probabilities = model.predict(
        np.stack([resize(read_image(p), model.image_size) for p in find_images(tmp_path / "two")])
    )
    wrong = (probabilities[:7, 0] < probabilities[:7, 2]).sum()  # find_images sorts Mask first
    wrong += (probabilities[7:, 2] < probabilities[7:, 0]).sum()
    assert report["accuracy"] == pytest.approx(1 - wrong / 14)
    # With all answers open, calling a face bare is an error too.
    truth = np.repeat([0, 2], 7)
    assert report["open"]["accuracy"] == pytest.approx(np.mean(probabilities.argmax(1) == truth))
    assert sum(report["open"]["confusion"]["with_mask"].values()) == 7
    assert "all answers open" in summary(report)


def test_copies_of_training_pictures_are_left_out(trained, sample, folder, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(folder, data)
    sources = read_sources(trained.split)
    copied = [source for file, source in sources.items() if file.startswith("train/")][::20]
    for number, source in enumerate(copied):
        image = cv2.flip(read_image(sample / source)[..., ::-1].copy(), 1)
        image = cv2.resize(image, (120, 120), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(data / NAMES[source.split("/")[0]] / f"copy{number}.jpg"), image)
    with_copies = evaluate_folder(trained.run / "compact", data)
    assert with_copies["images"] == 21 + len(copied) and with_copies["copies_left_out"] == 0
    without = evaluate_folder(trained.run / "compact", data, trained.split)
    assert without["copies_left_out"] == len(copied)
    clean = evaluate_folder(trained.run / "compact", folder, trained.split)
    assert without["confusion"] == clean["confusion"]


def test_validation_and_test_pictures_do_not_count_as_training_pictures(trained):
    names = {path.parent.parent.name for path in training_pictures(trained.split)}
    assert names == {"train"}


def test_every_form_of_the_model_gives_the_same_report(trained, folder, tmp_path):
    import keras
    import tensorflow as tf

    source = trained.run / "compact"
    model = keras.models.load_model(source / "model.keras")
    model.export(tmp_path / "saved", verbose=False)
    tflite = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved")).convert()
    (tmp_path / "model.tflite").write_bytes(tflite)
    shutil.copy(source / "labels.txt", tmp_path)
    forms = [source / "model.keras", tmp_path / "saved", tmp_path / "model.tflite"]
    reports = [evaluate_folder(form, folder, progress=False) for form in forms]
    assert reports[0]["confusion"] == reports[1]["confusion"] == reports[2]["confusion"]


def test_refused_with_a_reason(trained, sample, folder, tmp_path):
    model = trained.run / "compact"
    with pytest.raises(FacemaskError, match="not a folder"):
        evaluate_folder(model, tmp_path / "nowhere")
    shutil.copytree(folder / "Mask", tmp_path / "one" / "Mask")
    with pytest.raises(FacemaskError, match="at least two"):
        evaluate_folder(model, tmp_path / "one")
    with pytest.raises(FacemaskError, match="no readable files.csv"):
        evaluate_folder(model, folder, training=folder)
    for path in find_labelled(folder):
        target = tmp_path / "broken" / path.relative_to(folder).with_suffix(".jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"")
    with pytest.raises(FacemaskError, match="none of the .* can be read"):
        evaluate_folder(model, tmp_path / "broken")
    write_image(tmp_path / "broken" / "Mask" / "one.png", np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(FacemaskError, match="only one picture in .* can be scored"):
        evaluate_folder(model, tmp_path / "broken")
    only_copies = tmp_path / "train"
    shutil.copytree(trained.split / "train", only_copies)
    with pytest.raises(FacemaskError, match="are copies of training pictures"):
        evaluate_folder(model, only_copies, trained.split)
    assert not (tmp_path / "r.json").exists()


def test_classes_the_model_does_not_know_are_left_out_and_counted(trained, folder, tmp_path):
    import keras

    from facemask.models.networks import compact

    compact(32, 2).save(tmp_path / "model.keras")
    (tmp_path / "labels.txt").write_text("with_mask\nwithout_mask\n")
    keras.utils.clear_session()
    report = evaluate_folder(tmp_path / "model.keras", folder)
    assert report["labels"] == ["with_mask", "without_mask"] and report["images"] == 14
    assert report["unknown_class"] == 7
