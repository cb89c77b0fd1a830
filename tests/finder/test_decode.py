"""The finder's rules: canvas, decoding, suppression, place in the photo."""

import numpy as np
import pytest

from facemask.finder import decode
from facemask.io.files import FacemaskError


@pytest.mark.parametrize(("height", "width"), [(480, 640), (1000, 333), (50, 70), (1, 3000)])
def test_canvas_has_sides_in_32_and_keeps_the_photo_left_top(height, width):
    image = np.full((height, width, 3), 7, np.uint8)
    shown, (x, y) = decode.canvas(image, side=640, enlarge=4)
    assert shown.shape[0] % 32 == shown.shape[1] % 32 == 0
    assert max(shown.shape) <= 640
    assert (shown == 7).all()  # filled by the border
    assert x == pytest.approx(min(640 / max(height, width), 4), rel=0.02)
    assert round(width * x) <= shown.shape[1] and round(height * y) <= shown.shape[0]


def test_a_photo_of_the_right_size_is_not_touched():
    image = np.random.default_rng(0).integers(0, 256, (320, 640, 3)).astype(np.uint8)
    shown, scales = decode.canvas(image)
    assert (shown == image).all() and scales == (1, 1)


def test_decode_places_a_box_of_each_level():
    maps = []
    for stride in (32, 8, 16):  # in any order
        score = np.full((1, 64 // stride, 96 // stride, 1), -5, np.float32)
        box = np.zeros((1, 64 // stride, 96 // stride, 4), np.float32)
        score[0, 1, 2 if stride < 32 else 1] = 3 - stride / 16
        box[0, 1, 2 if stride < 32 else 1] = [0.5, 0.25, np.log(2), np.log(3)]
        maps += [box, score]
    found = decode.decode(maps, 0.5)
    assert len(found) == 3
    for (x, y, w, h, score), stride in zip(found, (8, 16, 32)):
        column = 2 if stride < 32 else 1
        assert (w, h) == pytest.approx((2 * stride, 3 * stride))
        assert x + w / 2 == pytest.approx((column + 0.5) * stride)
        assert y + h / 2 == pytest.approx(1.25 * stride)
        assert score == pytest.approx(1 / (1 + np.exp(stride / 16 - 3)))
    assert len(decode.decode(maps, 0.8)) == 2


def test_suppress_keeps_the_best_of_those_that_overlap():
    boxes = np.array([[0, 0, 10, 10, 0.9], [1, 0, 10, 10, 0.8], [30, 0, 10, 10, 0.7],
                      [3, 3, 4, 4, 0.6]])  # the last lies in the first
    kept = decode.suppress(boxes, same=0.45, nested=0.8)
    assert kept[:, 4].tolist() == [0.9, 0.7]
    assert decode.suppress(boxes[:0]).shape == (0, 5)


def test_place_clips_to_the_photo_and_drops_what_lies_outside():
    boxes = np.array([[-10, 5, 40, 50, 0.9], [200, 0, 10, 10, 0.5]])
    placed = decode.place(boxes, (2, 2), (20, 100))
    assert placed.tolist() == [pytest.approx([0, 2.5, 15, 17.5, 0.9])]
    assert placed.dtype == np.float32


def test_a_wrong_picture_is_refused(tmp_path):
    file = tmp_path / "any.tflite"
    file.write_bytes(b"none")
    with pytest.raises(FacemaskError):
        decode.Finder(file)(np.zeros((4, 4), np.uint8))
