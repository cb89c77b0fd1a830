"""The commands that measure leaks and shortcuts, on the drawn sample."""

import shutil

import cv2
import numpy as np
import pytest

from facemask.benchmarks.findings import _large, leak, shortcut_tables
from facemask.datasets.prepare import prepare
from facemask.evaluation.evaluate import predict_split


def test_leak_sets_both_splits_side_by_side(trained, sample, tmp_path):
    for name in ("faces", "faces-simple"):
        shutil.copytree(trained.split, tmp_path / "split" / name)
        shutil.copytree(trained.run / "compact", tmp_path / "models" / name / "compact")
    found = leak(str(sample), tmp_path, tmp_path / "models")
    assert found["dataset"] == "faces" and set(found["splits"]) == {"simple", "grouped"}
    probabilities, classes, _ = predict_split(trained.run / "compact", trained.split, "test")
    right = np.mean(probabilities.argmax(axis=1) == classes)
    for split in found["splits"].values():
        figures = split["models"]["compact"]["test"]
        assert figures["accuracy"] == pytest.approx(right) and figures["images"] == len(classes)


def test_shortcut_tables_are_kept_by_data_set(sample, tmp_path):
    found = shortcut_tables([str(sample)], tmp_path, tmp_path / "models")
    assert found["faces"]["images"] == 180
    assert found["faces"]["chance"] == pytest.approx(1 / 3)
    again = shortcut_tables([str(sample)], tmp_path, tmp_path / "models")
    assert again == found and prepare(sample, "faces", tmp_path).is_dir()


def test_large_scene_faces_stand_apart(tmp_path):
    for side in (20, 47, 48, 120):
        path = tmp_path / "faces" / "with_mask" / f"scene12-0-{side}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((side, side, 3), np.uint8))
    kept = _large(tmp_path / "faces", tmp_path / "large")
    assert sorted(p.name for p in kept.rglob("*.png")) == ["scene12-0-120.png", "scene12-0-48.png"]
