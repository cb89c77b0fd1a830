"""Shortcuts, levelled pictures, label errors and exclusion files."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.datasets.prepare import find_labelled, prepare, read_sources
from facemask.evaluation.audit import (
    FAMILIES,
    label_errors,
    label_errors_of_run,
    level,
    levelled,
    picture_features,
    sharpness,
    shortcuts,
)
from facemask.evaluation.evaluate import predict_split
from facemask.io.files import FacemaskError, read_json, write_json

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


def test_planted_label_errors_come_first(trained, tmp_path):
    """Reddish and bluish noise, with five red pictures filed among the blue ones."""
    for label, tint in (("with_mask", (60, 90, 255)), ("without_mask", (255, 90, 60))):
        (tmp_path / "in" / label).mkdir(parents=True)
        for number in range(60):
            wrong = label == "without_mask" and number < 5
            colour = (60, 90, 255) if wrong else tint
            image = (_noise(48, 48) * (np.array(colour) / 255)).astype(np.uint8)
            name = f"wrong-{number}.png" if wrong else f"{number}.png"
            cv2.imwrite(str(tmp_path / "in" / label / name), image)
    split = prepare(tmp_path / "in", "tinted", tmp_path, 48, grouped=False)
    planted = {s for f, s in read_sources(split).items()
               if "wrong" in s and not f.startswith("test/")}
    found = label_errors(trained.run / "compact", split, progress=False)
    assert len(planted) >= 3 and planted <= {e["source"] for e in found[: len(planted) + 1]}
    for error in found[: len(planted) - 1]:
        assert error["label"] == "without_mask" and error["suggested"] == "with_mask"
        assert error["probability"] < error["probability_suggested"]
    assert len(found) >= 24 and found[0]["called"] and not found[-1]["called"]
    assert found == label_errors(trained.run / "compact", split, progress=False)
    (tmp_path / "run").mkdir()
    shutil.copytree(trained.run / "compact", tmp_path / "run" / "compact")
    kept = label_errors_of_run(tmp_path / "run" / "compact", split, progress=False)
    assert kept == label_errors_of_run(tmp_path / "run" / "compact", split)
    assert {e["source"] for e in kept["suspects"]} >= planted


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
