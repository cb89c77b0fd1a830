"""The figures about photos: counted right on answers whose worth is known."""

import copy
from pathlib import Path

import numpy as np
import pytest
from light import light_model
from PIL import Image

from facemask import CLASSES
from facemask.benchmarks import photos
from facemask.datasets.sample import draw_scene
from facemask.io.files import FINDER, RELEASE, ROOT, read_json
from facemask.photos import batch

NAMES = ["with_mask", "without_mask", "mask_weared_incorrect"]


@pytest.fixture
def scenes():
    """Two photos, in each a large, a middling and a small face, one of every class."""
    boxes = np.array([[10, 10, 100, 80], [200, 20, 40, 40], [300, 50, 20, 25]], float)
    return [(Path("a.jpg"), boxes, np.array(NAMES)), (Path("b.jpg"), boxes, np.array(NAMES[::-1]))]


@pytest.fixture
def answers(scenes):
    """All of them found and judged right."""
    said = []
    for path, boxes, names in scenes:
        labels = [name.replace("mask_weared_incorrect", "incorrect_mask") for name in names]
        faces = [{"box": box.tolist(), "label": label, "probability": 0.9, "score": 0.8,
                  "probabilities": {c: 0.9 if c == label else 0.05 for c in CLASSES}}
                 for box, label in zip(boxes, labels)]
        said.append({"file": str(path), "width": 400, "height": 300, "judged": "faces",
                     "faces": faces, "whole": None})
    return said


def test_all_found_and_right(scenes, answers):
    table = photos.end_to_end(scenes, answers, "incorrect_mask")
    large = table["64 px and more"]
    assert large["with_mask"]["found and judged right"]["faces"] == 1
    assert large["unseen"]["found"]["faces"] == 1  # the other one is the seen class
    assert large["incorrect_mask"]["found"]["share"] == 1
    assert table["48 px and more"]["unseen"] == large["unseen"]
    assert all(row["false faces a photo"] == 0 for row in table.values())


def test_missed_misjudged_and_false_faces_are_told_apart(scenes, answers):
    answers = copy.deepcopy(answers)
    answers[0]["faces"][1]["label"] = "incorrect_mask"  # 40 px, bare
    del answers[1]["faces"][1]  # 40 px, bare
    answers[1]["faces"].append({"box": [300, 200, 50, 50], "label": "with_mask",
                                "probability": 0.5, "score": 0.5})
    row = photos.end_to_end(scenes, answers, "incorrect_mask")["32 to 63 px"]
    bare = row["without_mask"]
    assert [bare[k]["right"] for k in ("found", "found and judged right")] == [1, 0]
    assert bare["judged right of those found"] == photos.share(np.array([False]))
    assert bare["either"] == photos.share(np.array([True]))  # rather bare than masked
    assert row["false faces a photo"] == 0.5


def test_a_photo_judged_whole_is_one_face():
    answer = {"width": 90, "height": 100, "judged": "whole picture", "faces": [],
              "whole": {"label": "with_mask", "probability": 0.7}}
    boxes, faces = photos.boxes_of(answer)
    np.testing.assert_array_equal(boxes, [[0, 0, 90, 100, 1]])
    assert faces[0]["label"] == "with_mask"
    nobody = {"width": 90, "height": 100, "judged": "no face", "faces": [], "whole": {}}
    assert photos.boxes_of(nobody)[0].shape == (0, 5)


def test_average_precision(scenes, answers):
    pytest.importorskip("pycocotools", reason="pip install -r requirements-bench.txt")
    perfect = photos.average_precision(scenes, answers)
    assert perfect["all sizes"] == {**dict.fromkeys(CLASSES, 1.0), "mean": 1.0}
    answers[0]["faces"][0]["label"] = "without_mask"  # the one large masked face
    worse = photos.average_precision(scenes, answers)
    assert worse["64 px and more"]["with_mask"] <= 0
    assert worse["all sizes"]["with_mask"] < 0.6


def test_stages_and_throughput(tmp_path):
    for number in range(3):
        image, _ = draw_scene(np.random.default_rng(number), 2, 320, 240)
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    scenes = [(path, np.empty((0, 4)), np.array([])) for path in sorted(tmp_path.glob("*.png"))]
    (tmp_path / "out").mkdir()
    row = photos.speed(scenes, light_model(), tmp_path / "out")
    each = row["CPU ms a photo, one stage after the other"]
    assert list(each) == ["decode", "find", "crop", "judge", "draw", "write"]
    assert all(ms > 0 for ms in each.values()) and each["find"] > each["crop"]
    assert row["photos a second"] > 0 and len(list((tmp_path / "out").glob("*.png"))) == 3


def test_portraits_are_judged_by_their_likeliest_face(monkeypatch):
    face = {"box": [0, 0, 9, 9], "score": 0.9, "label": "with_mask"}
    answers = [
        {"judged": "faces", "faces": [face, face | {"label": "without_mask"}], "whole": None},
        {"judged": "no face", "faces": [], "whole": {"label": "without_mask"}},
    ]
    monkeypatch.setattr(batch, "stream", lambda sources, model: iter(answers))
    pictures = {Path("a.jpg"): "with_mask", Path("b.jpg"): "with_mask"}
    row = photos.portraits(pictures, light_model())
    assert row["judged right"] == photos.share(np.array([True, False]))
    assert row["no face found"] == 0.5 and row["faces beyond the first, a picture"] == 0.5


def test_the_published_figures_are_of_the_released_models():
    report = read_json(ROOT / photos.REPORT)
    assert {part["sha256"] for part in report.values()} == {batch.digest(RELEASE)}
    assert {part["finder"] for part in report.values()} == {batch.digest(FINDER)}
    assert set(report) == set(photos.PARTS)
