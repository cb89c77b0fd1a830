"""Videos and cameras: following faces, steady labels, files that can be played."""

import cv2
import numpy as np
import pytest
from light import light_model

from facemask.datasets.sample import draw_scene
from facemask.io.files import FacemaskError
from facemask.models.classifier import Classifier
from facemask.photos import finder, video

MODEL = Classifier(["with_mask", "without_mask"], 32, lambda crops: crops)


@pytest.fixture(scope="module")
def scene():
    image, _ = draw_scene(np.random.default_rng(0), 2, 480, 320)
    assert len(finder.find_faces(image)) == 2
    return image


@pytest.fixture(scope="module")
def clip(scene, tmp_path_factory):
    """Two people, the camera moving slowly past them."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (400, 300))
    for k in range(12):
        writer.write(np.ascontiguousarray(scene[k : k + 300, 2 * k : 2 * k + 400, ::-1]))
    writer.release()
    return path


def frames_of(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (got := capture.read())[0]:
        frames.append(got[1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


def test_video_in_annotated_video_out(clip, tmp_path):
    target = tmp_path / "out.mp4"
    answer = video.judge_video(clip, target, light_model(), progress=False)
    assert (answer["judged"], answer["width"], answer["height"]) == ("video", 400, 300)
    assert answer["frames"] == 12 and answer["frames_per_second"] == 10
    assert [face["track"] for face in answer["faces"]] == [1, 2]
    for face in answer["faces"]:
        assert face["first_frame"] == 0 and face["last_frame"] == 11 and face["frames"] >= 10
        assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    drawn, rate = frames_of(target)
    assert len(drawn) == 12 and rate == 10
    original, _ = frames_of(clip)
    changed = np.abs(drawn[5].astype(int) - cv2.resize(original[5], drawn[5].shape[1::-1])) > 60
    assert changed.any(axis=2).mean() > 0.005  # boxes and labels


def test_label_does_not_flicker():
    """A model that errs in every fourth frame changes what is shown in none."""
    tracker = video.Tracker(MODEL, 25)
    shown = []
    for frame in range(40):
        sure = 0.3 if frame % 4 == 3 else 0.8
        box = np.array([[100 + 3 * frame, 50, 60, 60, 0.9]], np.float32)
        shown += tracker.update(frame, box, np.array([[sure, 1 - sure]]))
    assert len(shown) == 40 and {face["label"] for face in shown} == {"with_mask"}
    assert {face["track"] for face in shown} == {1}
    assert np.abs(np.diff([face["probability"] for face in shown[8:]])).max() < 0.09


def test_label_follows_a_mask_taken_off():
    tracker = video.Tracker(MODEL, 25)
    box = np.array([[10, 10, 60, 60, 0.9]])
    for frame in range(60):
        row = [0.95, 0.05] if frame < 30 else [0.05, 0.95]
        (face,) = tracker.update(frame, box, np.array([row]))
    assert face["label"] == "without_mask" and face["probability"] > 0.9


def test_faces_that_pass_keep_their_numbers_and_gone_ones_end():
    tracker = video.Tracker(MODEL, 10)
    row = np.array([[0.9, 0.1], [0.2, 0.8]])
    for frame in range(10):
        boxes = np.array([[10 + 2 * frame, 10, 50, 50, 0.9], [200 - 2 * frame, 10, 50, 50, 0.8]])
        order = [1, 0] if frame % 2 else [0, 1]  # the finder's order says nothing
        shown = tracker.update(frame, boxes[order], row[order])
    assert {f["track"]: f["label"] for f in shown} == {1: "with_mask", 2: "without_mask"}
    none = np.empty((0, 5)), np.empty((0, 2))
    assert len(tracker.update(10, *none)) == 2  # missed once: still shown
    for frame in range(11, 16):
        shown = tracker.update(frame, *none)
    assert shown == []
    tracker.update(16, boxes[:1], row[:1])
    people = tracker.people(17)
    assert [p["track"] for p in people] == [1, 2]  # the new one was seen but once
    assert people[0]["frames"] == 10 and people[0]["last_frame"] == 9


def test_a_camera_is_written_to_a_file(clip, tmp_path):
    """OpenCV opens a file as it opens a network camera's address."""
    target = tmp_path / "camera.mp4"
    answer = video.watch(str(clip), target, light_model())
    assert answer["frames"] == 12 and len(answer["faces"]) == 2
    assert len(frames_of(target)[0]) >= 12


@pytest.mark.skipif(video.can_show(), reason="a window can be opened here")
def test_no_window_is_said_clearly():
    with pytest.raises(FacemaskError, match="opencv-python-headless.*--output camera.mp4"):
        video.watch("0", None, light_model())


def test_refusals(clip, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    model = light_model()
    with pytest.raises(FacemaskError, match="cannot be read as a video"):
        video.judge_video(broken, None, model, progress=False)
    with pytest.raises(FacemaskError, match="does not exist"):
        video.judge_video(tmp_path / "none.mp4", None, model, progress=False)
    with pytest.raises(FacemaskError, match="does not end in .mp4"):
        video.judge_video(clip, tmp_path / "out.avi", model, progress=False)
    with pytest.raises(FacemaskError, match="gives no picture"):
        video.watch("99", tmp_path / "out.mp4", model)
    assert list(tmp_path.iterdir()) == [broken]


def test_a_cut_off_video_is_judged_as_far_as_it_goes(scene, tmp_path):
    path, cut = tmp_path / "whole.avi", tmp_path / "cut.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (480, 320))
    for _ in range(10):
        writer.write(scene)
    writer.release()
    data = path.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    answer = video.judge_video(cut, None, light_model(), progress=False)
    assert 2 <= answer["frames"] < 10
