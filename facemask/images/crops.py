"""Resizing, and cutting the squares that the classifier judges."""

import cv2
import numpy as np

from facemask.io.files import FacemaskError


def check_image(image: np.ndarray) -> None:
    """Raise FacemaskError unless `image` is uint8 RGB of shape (H, W, 3) with a pixel in it."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise FacemaskError(
            f"a picture must be uint8 RGB of shape (H, W, 3), not {image.dtype} {image.shape}; "
            "read it with facemask.images.reading.read_image"
        )


def resize(image: np.ndarray, width: int, height: int | None = None) -> np.ndarray:
    """Resize as all pictures are: area mean if a side shrinks, bilinear otherwise.

    Args:
        image: uint8, shape (H, W, 3).
        width: of the result, in pixels.
        height: None for a square.
    """
    height = height or width
    shrinks = width < image.shape[1] or height < image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=method)


def brow_to_chin(image: np.ndarray) -> np.ndarray:
    """Of a face cut with the usual margin, uint8 RGB (H, W, 3), what a tight crop shows of it."""
    height, width = image.shape[:2]
    return image[int(0.29 * height) : int(np.ceil(0.92 * height)),
                 int(0.14 * width) : int(np.ceil(0.86 * width))]


def fit(image: np.ndarray, side: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale == 1:
        return image
    return resize(image, *(max(1, int(np.floor(s * scale + 0.5))) for s in (width, height)))


def crop_box(box: np.ndarray, margin: float) -> tuple[int, int, int]:
    """The square round a face that the classifier is shown.

    Args:
        box: x, y, width, height in pixels (more values are ignored).
        margin: what is added on each side, as a fraction of the box's longer side.

    Returns:
        left, top and side in whole pixels; it may reach beyond the picture.
    """
    x, y, w, h = (float(v) for v in box[:4])
    side = max(1, int(np.floor(max(w, h) * (1 + 2 * margin) + 0.5)))
    left, top = np.floor(np.array([x + w / 2, y + h / 2]) - side / 2 + 0.5)
    return int(left), int(top), side


def crop_faces(image: np.ndarray, boxes: np.ndarray, size: int, margin: float) -> np.ndarray:
    """Cut a square round each face and bring it to the classifier's input size.

    Beyond the picture's edge its border pixels are repeated.

    Args:
        image: uint8 RGB, shape (H, W, 3).
        boxes: (N, 4 or more): x, y, width, height in pixels, as `find_faces` gives them.
        size: side of the result in pixels.
        margin: see `crop_box`.

    Returns:
        uint8 RGB array of shape (N, size, size, 3).
    """
    check_image(image)
    height, width = image.shape[:2]
    cut = np.empty((len(boxes), size, size, 3), dtype=np.uint8)
    for k, box in enumerate(boxes):
        left, top, side = crop_box(box, margin)
        rows = np.arange(top, top + side).clip(0, height - 1)
        columns = np.arange(left, left + side).clip(0, width - 1)
        cut[k] = resize(image[rows[:, None], columns], size, size)
    return cut
