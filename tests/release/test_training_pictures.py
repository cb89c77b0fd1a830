"""What the released model is trained on: shares, and faces cut out of photos."""

import cv2
import numpy as np
import pytest

from facemask import CLASSES
from facemask.io.files import read_json
from facemask.release import collect
from facemask.release.photos import SPLIT, faces_of

NOTE = """<annotation><object><name>with_mask</name><bndbox><xmin>{}</xmin><ymin>60</ymin>
<xmax>{}</xmax><ymax>100</ymax></bndbox></object></annotation>"""


def test_the_shares_make_a_whole_and_masks_put_on_are_right_as_often_as_wrong():
    shares = {kind: share for kind, (_, share) in collect.KINDS.items()}
    assert sum(shares.values()) == pytest.approx(1)
    put_on = {kind: share for kind, share in shares.items() if kind.startswith(("drawn", "moved"))}
    right = sum(share for kind, share in put_on.items() if kind.endswith("right"))
    assert right >= sum(put_on.values()) / 2


def test_faces_of_a_part_are_those_of_its_photos():
    split = read_json(SPLIT)
    (first, *_), (other, *_) = (
        [name.removeprefix("street/").removesuffix(".jpg") for name in split[part]
         if name.startswith("street/")] for part in ("train", "test"))  # fmt: skip
    faces = {collect.Path(f"x/with_mask/{name}-{k}-40.png"): CLASSES[0]
             for name in (first, other) for k in range(2)}
    assert {p.stem[:-5] for p in faces_of(faces, "street", "train")} == {first}
    assert {p.stem[:-5] for p in faces_of(faces, "street", "train", "test")} == {first, other}
    assert not faces_of(faces, "scenes", "train")


@pytest.fixture
def street(tmp_path):
    """Two photos with a face each, a grey square on black at another place."""
    for name in ("images", "annotations"):
        (tmp_path / name).mkdir()
    for number, left in enumerate((30, 150)):
        image = np.zeros((200, 300, 3), np.uint8)
        image[60:100, left : left + 40] = 200
        cv2.imwrite(str(tmp_path / "images" / f"street{number:04}.png"), image)
        (tmp_path / "annotations" / f"street{number:04}.xml").write_text(
            NOTE.format(left, left + 40))
    return tmp_path


def test_every_face_is_cut_several_times_and_each_time_otherwise(street):
    faces = [street / "faces" / "with_mask" / "street0001-0-40.png"]
    cuts = np.stack(list(collect.framings(street, faces)))
    assert cuts.shape == (collect.CUTS, 96, 96, 3) and cuts.dtype == np.uint8
    filled = (cuts > 100).mean(axis=(1, 2, 3))
    assert filled.min() > 0.15 and np.ptp(filled) > 0.05, "the face is in each, at another size"
    assert np.array_equal(cuts, np.stack(list(collect.framings(street, faces))))
