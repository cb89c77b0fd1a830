"""Photos with annotated faces: a folder with `images/` and `annotations/` (Pascal VOC)."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from facemask.images.reading import find_images
from facemask.io.files import FacemaskError


def read_scenes(folder: Path) -> list[tuple[Path, np.ndarray, np.ndarray]]:
    """Photos with their annotated faces.

    Returns:
        for each photo, sorted by name: its path, boxes float64 (N, 4) x, y, width, height in
        pixels, and class names (N,).

    Raises:
        FacemaskError: there is no photo or a photo has no annotation.
    """
    scenes = []
    for path in find_images(folder / "images"):
        notes = folder / "annotations" / f"{path.stem}.xml"
        if not notes.exists():
            raise FacemaskError(f"{notes} is missing; unpack the archive again")
        objects = list(ElementTree.parse(notes).getroot().iter("object"))
        corners = np.array(
            [[float(o.findtext(f"bndbox/{k}", "")) for k in ("xmin", "ymin", "xmax", "ymax")]
             for o in objects]
        ).reshape(-1, 4)  # fmt: skip
        boxes = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
        scenes.append((path, boxes, np.array([o.findtext("name") for o in objects])))
    if not scenes:
        raise FacemaskError(f"no photos in {folder / 'images'}; give the folder that holds images/")
    return scenes
