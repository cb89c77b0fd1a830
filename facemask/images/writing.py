"""Writing pictures to the last byte.

OpenCV and Pillow, given a file's name, do not notice when a full disk takes only part of what they
write last. Here they encode in memory, and Python writes.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image


def write_image(path: str | Path, image: np.ndarray, options: Sequence[int] = ()) -> None:
    """Write a picture in the format that the name ends in, as OpenCV's `imwrite` does.

    Args:
        image: uint8 RGB (H, W, 3).
        options: OpenCV's `IMWRITE_` flags with their values.

    Raises:
        OSError: it cannot be written.
    """
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    good, content = cv2.imencode(Path(path).suffix, bgr, options)
    if not good:
        raise OSError(f"a picture of {image.shape} cannot be encoded")
    Path(path).write_bytes(content)


def write_by_pillow(path: str | Path, image: np.ndarray, **options: Any) -> None:
    """Write uint8 RGB (H, W, 3) in the format that the name ends in, as Pillow's `save` does.

    Raises:
        OSError: it cannot be written.
        ValueError: the format cannot hold it.
    """
    form = Image.registered_extensions()[Path(path).suffix.lower()]
    content = io.BytesIO()
    Image.fromarray(image).save(content, form, **options)
    # Not its buffer: CPython 3.12 crashes at the end if a traceback still holds that.
    Path(path).write_bytes(content.getvalue())
