"""Colours, and what a folder's pictures are named like."""

import io

import numpy as np
import pytest
from PIL import Image
from profiles import red_is_blue

from facemask.images.reading import find_images, read_image


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF"])
def test_a_profiles_colours_become_srgb(form, tmp_path):
    colours = np.zeros((64, 96, 3), np.uint8)
    colours[:, :48] = (200, 30, 60)
    colours[:, 48:] = (90, 120, 250)
    path = tmp_path / "picture"
    Image.fromarray(colours).save(path, form, icc_profile=red_is_blue(), quality=95)
    read = read_image(path).astype(int)
    plain = io.BytesIO()
    Image.fromarray(colours).save(plain, form, quality=95)
    assert np.abs(read[..., ::-1] - read_image(plain)).max() <= 3


@pytest.mark.parametrize("profile", [b"", b"no profile", bytes(200), red_is_blue()[:300]])
def test_a_broken_profile_changes_nothing(profile, tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "picture.png", icc_profile=profile)
    assert (read_image(tmp_path / "picture.png") == colours).all()


def test_a_grey_picture_with_a_profile(tmp_path):
    grey = np.arange(100, dtype=np.uint8).reshape(10, 10)
    Image.fromarray(grey).save(tmp_path / "picture.png", icc_profile=red_is_blue())
    assert (read_image(tmp_path / "picture.png") == grey[..., None]).all()


def test_a_folders_pictures_of_every_format_that_is_read(tmp_path):
    for name in ("a.AVIF", "b.jfif", "c.JPG", "d.heic", "e.txt", "f.mp4"):
        (tmp_path / name).touch()
    assert [path.name for path in find_images(tmp_path)] == ["a.AVIF", "b.jfif", "c.JPG", "d.heic"]
