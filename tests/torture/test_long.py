"""Long runs in short, and that what would be wrong with one is seen."""

import sys

import pytest

from facemask.io.files import write_json
from facemask.torture import long

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures by /proc")


def test_folder_video_and_camera(tmp_path):
    folder = long.folder_run(tmp_path, 600)
    assert folder["failures"] == 0 and folder["broken"] == 6 and folder["MB later"] > 50
    video = long.video_run(tmp_path, 200)
    assert video["failures"] == 0 and video["frames"] == 200
    camera = long.camera_run(tmp_path, 1)
    assert camera["failures"] == 0 and camera["frames"] > 1


@pytest.mark.parametrize("counts, memory, faults", [
    ([0, 3, 10], [(0.0, 150), (0.1, 160), (1.0, 161)], 0),
    ([0, 3, 9], [(0.1, 150)], 1),  # ends before its end
    ([0, 5, 4, 10], [(0.1, 150)], 1),  # goes back
    ([0, 10], [(0.1, 150), (0.9, 150 + long.GROWTH + 1)], 1),
    ([], [(0.1, 150)], 1),  # shows nothing
    ([10], [(0.0, 150)], 1),  # is over before it was looked at
])  # fmt: skip
def test_growth_and_a_bar_that_lies_are_seen(counts, memory, faults):
    run = long.Watched(0, [], [(done, 10) for done in counts], memory, 1.0)
    assert len(long.wrong(run, 10)[0]) == faults


def test_lost_doubled_and_unnamed_photos_are_seen(tmp_path):
    out = tmp_path / "answers.json"

    def faults(answers, said):
        write_json(out, answers)
        run = long.Watched(1, said, [], [], 1.0)
        return len(long.wrong_answers(run, out, {"b.jpg"}, 2))

    good, bad = {"file": "a.jpg"}, {"file": "b.jpg", "error": "b.jpg is empty"}
    assert faults([good, bad], ["b.jpg is empty"]) == 0
    assert faults([good, bad], []) == 1
    assert faults([good, bad], ["b.jpg is empty", "b.jpg is empty"]) == 1
    assert faults([good, {"file": "b.jpg"}], ["b.jpg is empty"]) == 1
    assert faults([bad], ["b.jpg is empty"]) == 1
    assert faults([good, good, bad], ["b.jpg is empty"]) == 2
    assert long.wrong_answers(long.Watched(0, ["b.jpg"], [], [], 1.0), out, {"b.jpg"}, 3)
