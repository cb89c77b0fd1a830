"""Drawn photos of every kind, in a folder."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask.datasets.sample import draw_picture, draw_scene


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight scenes, a tight face, nobody, two broken files and an odd name. Read only."""
    folder = tmp_path_factory.mktemp("many") / "photos"
    (folder / "2021-03-14" / "gate-2").mkdir(parents=True)
    for k in range(8):
        scene, _ = draw_scene(np.random.default_rng(k), 1 + k % 3, 240, 180)
        Image.fromarray(scene).save(folder / "2021-03-14" / "gate-2" / f"{k}.jpg")
    face = draw_picture("with_mask", np.random.default_rng(0))
    Image.fromarray(face).save(folder / "face.png")
    Image.fromarray(np.full((120, 480, 3), 90, np.uint8)).save(folder / "nobody.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "empty.jpg").write_bytes(b"")
    os.link(folder / "nobody.png", os.path.join(os.fsencode(folder), b"odd\xff.png"))
    return folder
