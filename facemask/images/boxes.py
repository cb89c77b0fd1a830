"""Boxes round faces, as rows of x, y (left top corner), width, height in pixels."""

import numpy as np


def size(boxes: np.ndarray) -> np.ndarray:
    """The size by which faces are sorted into bands: the root of the box's area, in pixels."""
    return np.sqrt(boxes[:, 2] * boxes[:, 3])


def overlaps(box: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Overlap of one box with each of many: over their union, and over the smaller one."""
    size = np.minimum(box[:2] + box[2:4], boxes[:, :2] + boxes[:, 2:4])
    size = (size - np.maximum(box[:2], boxes[:, :2])).clip(0)
    both, one, many = size[:, 0] * size[:, 1], box[2] * box[3], boxes[:, 2] * boxes[:, 3]
    return both / (one + many - both), both / np.minimum(one, many)


def match(found: np.ndarray, truth: np.ndarray, threshold: float) -> np.ndarray:
    """Pair found boxes with annotated ones, the best overlap first, each used once.

    Returns:
        int array (len(truth),): index of the found box, or -1.
    """
    pairs = np.full(len(truth), -1)
    overlap = np.array([overlaps(box, found)[0] for box in truth]).reshape(
        len(truth), len(found)
    )
    while overlap.size and overlap.max() >= threshold:
        t, f = np.unravel_index(overlap.argmax(), overlap.shape)
        pairs[t] = f
        overlap[t], overlap[:, f] = -1, -1
    return pairs
