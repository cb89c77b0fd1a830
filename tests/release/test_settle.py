"""Settling how readily a model says incorrect_mask."""

import cv2
import keras
import numpy as np
import pytest

from facemask import CLASSES
from facemask.datasets.sample import draw_picture
from facemask.images.crops import resize
from facemask.io.files import RELEASE
from facemask.models import classifier
from facemask.release import settle as settling
from facemask.release.settle import FALSE, RIGHT, UNSURE, settle, sure_from


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Drawn faces, masked and bare, that the released model judges right: path to class."""
    folder, found = tmp_path_factory.mktemp("pictures"), {}
    model = classifier.load(RELEASE)
    for number in range(16):
        label = CLASSES[number % 2]
        image = draw_picture(label, np.random.default_rng([9, number]), 160)
        (given,) = model.predict(resize(image, model.image_size)[None])
        if model.labels[given.argmax()] == label:
            path = folder / f"{number}.png"
            cv2.imwrite(str(path), image[..., ::-1])
            found[path] = label
    assert len(found) >= 12 and set(found.values()) == set(CLASSES[:2])
    return found


def test_nothing_is_chosen_on_copies_of_what_is_trained_on(tmp_path, monkeypatch):
    """A training picture and its mirror image under validation, beside a picture of its own."""
    drawn = [draw_picture(CLASSES[0], np.random.default_rng([5, k]), 160) for k in range(2)]
    paths = [tmp_path / f"{name}.png" for name in ("trained", "copy", "own")]
    for path, image in zip(paths, (drawn[0], drawn[0][:, ::-1], drawn[1]), strict=True):
        cv2.imwrite(str(path), image[..., ::-1])
    trained, copy, own = paths
    monkeypatch.setattr(settling, "fetch", lambda *a: {})
    monkeypatch.setattr(settling, "training_paths", lambda *a: ({"12k masked": [trained]}, {}))
    monkeypatch.setattr(settling, "validation_pictures", lambda *a: dict.fromkeys([copy, own], 0))
    monkeypatch.setattr(settling, "photo_faces", lambda *a: {})
    (tmp_path / "release").mkdir()
    assert list(settling.validation_sets(tmp_path, tmp_path)["12k"]) == [own]


def test_a_model_that_says_it_too_readily_is_held_back(pictures):
    model = keras.models.load_model(RELEASE / "model.keras", compile=False)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias + np.float32([0, 0, 4])])
    sets = {"crops": pictures, "photos": pictures}
    found = settle(model, sets)
    assert found["shift"] < -0.5
    settled_kernel, settled = model.layers[-1].get_weights()
    by = found["temperature"]
    np.testing.assert_allclose(by * settled - bias, [0, 0, 4 + found["shift"]], atol=1e-4)
    np.testing.assert_allclose(by * settled_kernel, kernel, rtol=1e-5)
    called = {float(shift): share for shift, share in found["called_incorrect"].items()}
    assert called[found["shift"]] <= FALSE < called[found["shift"] + 0.25], "as ready as it may be"
    # Said anew of the shifted model, the recalls are those that were promised.
    again = settle(model, sets)
    assert again["mean_recall"]["+0.00"] == pytest.approx(
        found["mean_recall"][f"{found['shift']:+.2f}"])


def test_a_model_that_errs_loses_its_confidence(pictures):
    model = keras.models.load_model(RELEASE / "model.keras", compile=False)
    wrong = {p: CLASSES[1 - CLASSES.index(label)] for p, label in list(pictures.items())[:4]}
    sets = {"crops": pictures | wrong, "photos": pictures | wrong}
    first, second = (settle(model, sets)["temperature"] for _ in range(2))
    assert 1 <= second < first


def test_answers_are_sure_from_where_enough_of_them_are_right():
    probability = np.linspace(0.4, 0.995, 200)
    right = np.ones(200, bool)
    right[:12] = False  # up to 0.433
    found = sure_from(probability, right)
    sure = probability >= found["sure"]
    assert 0 < found["unsure"] == np.mean(~sure) <= UNSURE
    assert found["sure_right"] == right[sure].mean() >= RIGHT
    # As low as that allows.
    assert right[probability >= found["sure"] - 0.01].mean() < RIGHT


def test_no_more_than_a_few_answers_are_left_unsure():
    found = sure_from(np.linspace(0.4, 0.995, 200), np.arange(200) % 3 > 0)
    assert found["unsure"] <= UNSURE and found["sure_right"] < RIGHT
    assert sure_from(np.full(5, 0.9), np.ones(5, bool))["sure"] == 0
