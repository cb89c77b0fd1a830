"""Shortcuts, levelled pictures, label errors and exclusion files."""

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.audit import (
    FAMILIES,
    label_errors,
    level,
    levelled,
    picture_features,
    sharpness,
    shortcuts,
)
from facemask.evaluate import predict_split
from facemask.files import FacemaskError, read_json, write_json
from facemask.prepare import find_labelled

RNG = np.random.default_rng(5)


def _noise(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_features_of_a_picture_known_by_hand(tmp_path):
    image = np.full((32, 64, 3), 100, np.uint8)  # border: 2 rows and 4 columns on each side
    image[2:-2, 4:-4] = (200, 50, 0)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    features = picture_features(tmp_path / "a.png")
    assert list(features) == [name for family in FAMILIES.values() for name in family]
    assert (features["width"], features["height"]) == (64, 32)
    assert (features["png"], features["jpeg"]) == (1, 0)
    assert features["bytes"] == (tmp_path / "a.png").stat().st_size
    assert features["border r mean"] == 100 and features["border b spread"] == 0
    share = 28 * 56 / (32 * 64)
    assert features["r mean"] == pytest.approx(100 + 100 * share)


def _dataset(folder: Path, change) -> Path:
    """40 pictures of noise per class; `change` makes the second class differ in one way."""
    for label in ("mask", "no_mask"):
        (folder / label).mkdir(parents=True)
        for number in range(40):
            name, image = f"{number}.png", _noise(40, 40)
            if label == "no_mask":
                name, image = change(name, image)
            cv2.imwrite(str(folder / label / name), image)
    return folder


@pytest.mark.parametrize(
    ("family", "change"),
    [
        ("format", lambda name, image: (name.replace("png", "jpg"), image)),
        ("resolution", lambda name, image: (name, _noise(38, 42))),
        ("sharpness", lambda name, image: (name, cv2.GaussianBlur(image, (0, 0), 1))),
        ("colour", lambda name, image: (name, image // 2)),
        ("border", lambda name, image: (name, cv2.rectangle(image, (0, 0), (39, 39), 0, 3))),
    ],
)
def test_a_planted_shortcut_is_found(tmp_path, family, change):
    found = shortcuts(_dataset(tmp_path, change), progress=False)["cross_validated"]
    assert found[family]["accuracy"] > 0.95 and found["all"]["accuracy"] > 0.95
    if family != "format":  # a JPEG differs from a PNG in bytes alone
        assert found["format"]["accuracy"] < 0.7


def test_without_a_shortcut_the_class_is_a_guess(tmp_path):
    found = shortcuts(_dataset(tmp_path, lambda name, image: (name, image)), progress=False)
    assert found["chance"] == 0.5 and found["images"] == 80
    assert found["cross_validated"]["all"]["accuracy"] < 0.75


def test_copies_stay_in_one_fold(tmp_path):
    """Twelve pictures, thirty times each: classes that can be learned by heart, not told."""
    originals = [[_noise(40, 40) for _ in range(6)] for _ in range(2)]
    for label, images in zip(("mask", "no_mask"), originals, strict=True):
        (tmp_path / label).mkdir()
        for number, image in enumerate(images):
            for copy in range(30):
                cv2.imwrite(str(tmp_path / label / f"{number}-{copy}.png"), image)
    groups = [f"{p.parent.name}{p.name.split('-')[0]}" for p in find_labelled(tmp_path)]
    _, groups = np.unique(groups, return_inverse=True)
    leaky = shortcuts(tmp_path, progress=False)["cross_validated"]["all"]["accuracy"]
    honest = shortcuts(tmp_path, groups, progress=False)["cross_validated"]["all"]["accuracy"]
    assert leaky == 1 and honest < 0.85


def test_published_splits_and_broken_pictures(tmp_path):
    for split in ("Train", "Test"):
        _dataset(tmp_path / split, lambda name, image: (name, image // 2))
    (tmp_path / "Test" / "mask" / "0.png").write_bytes(b"")
    found = shortcuts(tmp_path, progress=False)
    assert found["unreadable"] == 1 and found["images"] == 159
    assert found["on_test"]["colour"]["accuracy"] == 1
    assert found["medians"]["with_mask"]["r mean"] == pytest.approx(127, abs=5)
    assert found["medians"]["without_mask"]["r mean"] == pytest.approx(63, abs=4)


def test_too_few_pictures_for_folds(tmp_path):
    _dataset(tmp_path, lambda name, image: (name, image))
    for path in sorted((tmp_path / "mask").iterdir())[3:]:
        path.unlink()
    with pytest.raises(FacemaskError, match="only 3 different"):
        shortcuts(tmp_path, progress=False)
    with pytest.raises(FacemaskError, match="2 group numbers"):
        shortcuts(tmp_path, [1, 2], progress=False)


def test_level_brings_sharp_pictures_to_the_target_and_leaves_soft_ones():
    sharp = cv2.GaussianBlur(_noise(96, 96), (0, 0), 1.5)
    small = cv2.resize(sharp, (48, 48), interpolation=cv2.INTER_AREA)
    target = sharpness(small) / 4
    even = level(sharp, 48, target)
    assert even.shape == sharp.shape
    again = cv2.resize(even, (48, 48), interpolation=cv2.INTER_AREA)
    assert sharpness(again) < 0.4 * sharpness(small)
    soft = cv2.GaussianBlur(sharp, (0, 0), 8)
    only_resized = cv2.resize(
        cv2.resize(soft, (48, 48), interpolation=cv2.INTER_AREA), (96, 96))
    assert np.array_equal(level(soft, 48, target), only_resized)


def test_levelled_accuracy_of_a_trained_model(trained):
    found = levelled(trained.run / "compact", trained.split, size=24, progress=False)
    probabilities, classes, _ = predict_split(trained.run / "compact", trained.split, "test")
    plain = np.mean(probabilities.argmax(axis=1) == classes)
    assert found["images"] == len(classes)
    assert found["before"]["accuracy"] == pytest.approx(plain)
    spread = {when: list(found[when]["sharpness"].values()) for when in ("before", "after")}
    assert max(spread["after"]) < min(spread["before"])
    assert np.ptp(spread["after"]) < np.ptp(spread["before"])


@pytest.fixture(scope="module")
def mislabelled(trained, tmp_path_factory) -> tuple[Path, set[str]]:
    """The drawn split with five masked training pictures filed as bare."""
    folder = tmp_path_factory.mktemp("mislabelled") / "split"
    shutil.copytree(trained.split, folder)
    moved = sorted((folder / "train" / "with_mask").iterdir())[:5]
    new = {path: folder / "train" / "without_mask" / path.name for path in moved}
    for path, target in new.items():
        path.rename(target)
    with open(folder / "files.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    names = {p.relative_to(folder).as_posix(): t.relative_to(folder).as_posix()
             for p, t in new.items()}
    with open(folder / "files.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names.get(row[0], row[0]), row[1]] for row in rows)
    return folder, set(names.values())


def test_planted_label_errors_come_first(trained, mislabelled):
    folder, planted = mislabelled
    found = label_errors(trained.run / "compact", folder, progress=False)
    pictures = sum(sum(read_json(folder / "prepare.json")["counts"][s].values())
                   for s in ("train", "validation"))
    assert len(found) < pictures / 2
    caught = [e for e in found[: len(found) // 2] if e["file"] in planted]
    assert len(caught) >= 3  # of 5, by a model that has been trained for three epochs
    for error in caught:
        assert error["label"] == "without_mask" and error["source"].startswith("with_mask/")
        assert error["probability"] < error["probability_suggested"]
    assert found == label_errors(trained.run / "compact", folder, progress=False)


def test_label_errors_need_a_keras_model(trained, tmp_path):
    with pytest.raises(FacemaskError, match="no .keras file"):
        label_errors(tmp_path, trained.split)
    with pytest.raises(FacemaskError, match="1 group numbers"):
        label_errors(trained.run / "compact", trained.split, groups=[1], progress=False)


def test_levelled_refuses_a_split_of_another_size(trained, tmp_path):
    facts = read_json(trained.split / "prepare.json")
    facts["settings"]["image_size"] = 64
    write_json(tmp_path / "prepare.json", facts)
    with pytest.raises(FacemaskError, match="prepare it again with the model's size"):
        levelled(trained.run / "compact", tmp_path, progress=False)
