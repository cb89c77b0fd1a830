"""Pictures that are damaged or made to harm: read as uint8 RGB or refused, and nothing else."""

import io
import sys

import numpy as np
import pytest
from hostile import CASES, SHORT, holds
from hypothesis import given
from PIL import Image, ImageOps

from facemask.images import bombs
from facemask.images.reading import read_image
from facemask.io.files import FacemaskError
from facemask.torture import corpus, files

pytestmark = pytest.mark.filterwarnings("ignore")  # what Pillow says of what it passes over


@given(CASES)
@SHORT
def test_spoilt_pictures(case):
    holds("images", case)


@pytest.mark.skipif(sys.platform != "linux", reason="measures by /proc")
@pytest.mark.parametrize("name", [
    "header of 60,000 x 60,000", "header of 1 x 2,147,483,647", "GIF of a million frames",
    "text that unpacks to 20 GB", "large GIF",
])  # fmt: skip
def test_bombs_take_neither_time_nor_memory(name, tmp_path):
    with files.Worker("images", tmp_path) as worker:
        outcome = worker.check(corpus.bombs()[name]())
    assert outcome.kind != "failed", outcome


def refused(content: bytes, match: str) -> None:
    with pytest.raises(FacemaskError, match=match):
        read_image(io.BytesIO(content))


def test_no_more_pixels_than_fit_into_a_gigabyte():
    side = int(bombs.MOST_PIXELS**0.5) + 1
    refused(corpus.png(side, side), "too large to open safely")
    file = io.BytesIO()
    side = int(bombs.FEWER_PIXELS["WEBP"] ** 0.5) + 1
    Image.new("L", (side, side)).save(file, "WEBP", quality=1, method=0)
    refused(file.getvalue(), "too large to open safely")


def test_jpeg_that_goes_over_its_pixels_again_and_again():
    """500 scans of 10,000 x 10,000 pixels, 660 kB, took half a minute."""
    refused(corpus.many_scans(2000, 600), "too large to open safely")
    assert read_image(io.BytesIO(corpus.many_scans(200, 20))).shape == (200, 200, 3)


def test_what_phones_append_to_a_jpeg_is_not_taken_for_scans(monkeypatch):
    monkeypatch.setattr(bombs, "MOST_PASSES", 20 * 200 * 200)
    good = corpus.many_scans(200, 1)
    video = b"\xff\xda" * 1000
    assert read_image(io.BytesIO(good + video)).shape == (200, 200, 3)
    comment = b"\xff\xfe" + (2002).to_bytes(2, "big") + video
    assert read_image(io.BytesIO(good[:2] + comment + good[2:])).shape == (200, 200, 3)
    refused(corpus.many_scans(200, 30), "too large to open safely")


def test_tiff_whose_tile_is_larger_than_the_picture():
    """One of 25,600 x 25,600 in a picture of 100 x 100, 2 MB, took 2 GB."""
    refused(corpus.large_tile(100, 4112), "too large to open safely")
    assert read_image(io.BytesIO(corpus.large_tile(100, 128))).shape == (100, 100, 3)


def test_no_format_that_starts_a_program():
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    assert Image.open(io.BytesIO(postscript)).format == "EPS"
    refused(postscript, "cannot be read as a picture")


def test_what_is_wrong_in_exif_does_not_lose_the_picture():
    """A damaged value elsewhere in EXIF, which Pillow wanted to write again, was an error."""
    exif = Image.Exif()
    exif[0x0112] = 6
    content = exif.tobytes().replace(b"\x12\x01\x03", b"\x12\x01\x0b")  # a float now
    for damaged in (content, content[:15], b"Exif\0\0II*\0\xff\xff\xff\xff"):
        file = io.BytesIO()
        Image.new("RGB", (9, 5)).save(file, "JPEG", exif=damaged)
        assert read_image(file).shape in ((5, 9, 3), (9, 5, 3))


@pytest.mark.parametrize("orientation", range(10))
def test_every_way_to_hold_a_camera(orientation):
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG", exif=exif)
    with Image.open(file) as image:
        np.testing.assert_array_equal(read_image(file), np.asarray(ImageOps.exif_transpose(image)))


def test_float_grey_with_values_that_are_no_numbers():
    values = np.array([[0, 100], [200, 255]], np.float32)
    values[0, 0] = np.nan
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF")
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(read_image(file)[..., 0], [[0, 100], [200, 255]])


def test_large_pictures_are_converted_strip_by_strip_without_a_seam(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (50, 30, 4), dtype=np.uint8)
    for mode in ("RGB", "RGBA", "P", "CMYK", "I;16", "1"):
        image = Image.fromarray(noise).convert("L" if mode == "I;16" else mode)
        if mode == "I;16":
            image = Image.fromarray(noise[..., 0].astype(np.uint16) * 250)
        file = io.BytesIO()
        image.save(file, "TIFF")
        whole = read_image(file)
        with monkeypatch.context() as patch:
            patch.setattr("facemask.images.reading.STRIP", 7 * 30)
            np.testing.assert_array_equal(read_image(file), whole)
