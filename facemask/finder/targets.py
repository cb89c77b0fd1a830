"""What the network should answer for a training picture, and what a wrong answer costs.

Assignment: a face belongs to the levels that fit its size, which overlap, so that a face near a
border is learnt by both. There, the cells in the middle part of its box are its own; round them
is a ring that counts neither way. Of two faces a cell goes to the nearer.

Loss: quality focal loss (Li et al. 2020, arXiv 2006.04388) with the root of the present box's IoU
as the score to give, and GIoU (Rezatofighi et al. 2019, arXiv 1902.09630) for the boxes. Every face
weighs the root of the number of its cells.

A teacher's answers for every cell, landmarks among them, are learnt beside (knowledge distillation,
Hinton et al. 2015, arXiv 1503.02531), by heads of their own: a few hundred photos show few faces,
but a teacher has something to say about each cell of each picture.
"""

from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from facemask.photos.finder import STRIDES

# Sizes of faces, root of the area in pixels of the canvas, that each level learns.
RANGES = {8: (0, 56), 16: (36, 152), 32: (104, np.inf)}
MIDDLE, LEAST = 0.22, 0.6  # how far a face's cells reach: share of its side, and cells at least
RING = 1.7  # the ring's outer border, in units of that
FACE, NONE, EITHER = 1.0, 0.0, -1.0  # states of a cell
BOX_WEIGHT = 2.0
CLEAR = 0.3  # a teacher's score from which its box and landmarks are learnt
Tensor: TypeAlias = keras.KerasTensor


def targets(height: int, width: int, faces: np.ndarray, unsure: np.ndarray) -> np.ndarray:
    """The wanted answer of each cell.

    Args:
        height, width: of the picture in pixels, multiples of 32.
        faces: (N, 4): x, y, width, height in pixels.
        unsure: (M, 4): places whose cells count neither way.

    Returns:
        float32 (cells, 6), ordered as `network.flat` orders them: state (FACE, NONE or EITHER),
        box as the network gives it (0 unless FACE), and weight of the box.
    """
    levels = []
    for stride in STRIDES:
        rows, columns = height // stride, width // stride
        y, x = np.mgrid[:rows, :columns].reshape(2, -1)
        cells = np.stack([x, y], axis=1).astype(np.float32)
        levels.append(_level(cells, stride, faces / stride, unsure / stride))
    result = np.concatenate(levels)
    return result


def _level(cells: np.ndarray, stride: int, faces: np.ndarray, unsure: np.ndarray) -> np.ndarray:
    """`targets` of one level; boxes in cells."""
    result = np.zeros((len(cells), 6), np.float32)
    middle = cells + 0.5
    for x, y, w, h in unsure:
        inside = np.abs(middle - (x + w / 2, y + h / 2)) <= (w / 2, h / 2)
        result[inside.all(axis=1), 0] = EITHER
    low, high = (limit / stride for limit in RANGES[stride])
    size = np.sqrt(faces[:, 2] * faces[:, 3])
    faces = faces[(size >= low) & (size < high)]
    if not len(faces):
        return result
    centre, sides = faces[:, :2] + faces[:, 2:] / 2, faces[:, 2:]
    reach = np.maximum(MIDDLE * sides, LEAST)
    # (cells, faces): distance in units of the reach, by the larger coordinate
    far = (np.abs(middle[:, None] - centre) / reach).max(axis=2)
    nearest = far.argmin(axis=1)
    distance = far[np.arange(len(cells)), nearest]
    result[distance < RING, 0] = EITHER
    own = distance <= 1
    face = nearest[own]
    counts = np.bincount(face, minlength=len(faces))
    result[own, 0] = FACE
    result[own, 1:3] = centre[face] - cells[own]
    result[own, 3:5] = np.log(sides[face])
    result[own, 5] = 1 / np.sqrt(counts[face])
    return result


def loss(wanted: Tensor, given: Tensor) -> Tensor:
    """Loss of a batch; see the module's text.

    Args:
        wanted: (B, cells, 6 + 15) from `targets` and `teachers.yunet_maps`.
        given: (B, cells, 5 + 15) from `network.flat`.

    Returns:
        A scalar.
    """
    given = ops.cast(given, "float32")
    state, weight = wanted[..., 0], wanted[..., 5]
    is_face = ops.cast(state == FACE, "float32")
    counts = ops.cast(state != EITHER, "float32")
    iou, giou = overlap(wanted[..., 1:5], given[..., 1:5])
    faces = ops.maximum(ops.sum(weight), 1.0)
    goal = is_face * ops.sqrt(ops.stop_gradient(ops.clip(iou, 0.0, 1.0)))
    share = ops.where(is_face > 0, weight, counts)
    scores = ops.sum(_quality(goal, given[..., 0]) * share) / faces
    boxes = ops.sum((1 - giou) * weight) / faces
    return scores + BOX_WEIGHT * boxes + imitation(wanted[..., 6:], given[..., 5:])


def imitation(teacher: Tensor, given: Tensor) -> Tensor:
    """How far (B, cells, 15) answers are from a teacher's: score, box and landmarks."""
    score = teacher[..., 0]
    weight = score * ops.cast(score > CLEAR, "float32")
    faces = ops.maximum(ops.sum(weight), 1.0)
    scores = ops.sum(_quality(score, given[..., 0])) / faces
    boxes = ops.sum((1 - overlap(teacher[..., 1:5], given[..., 1:5])[1]) * weight) / faces
    side = ops.exp(ops.clip(ops.sum(teacher[..., 3:5], axis=-1) / 2, -2.0, 6.0))
    miss = ops.mean(ops.abs(teacher[..., 5:] - given[..., 5:]), axis=-1) / side
    return scores + boxes + BOX_WEIGHT * ops.sum(miss * weight) / faces


def _quality(goal: Tensor, logit: Tensor) -> Tensor:
    """Quality focal loss of each cell; `goal` 0..1."""
    entropy = ops.maximum(logit, 0.0) - logit * goal + ops.softplus(-ops.abs(logit))
    return entropy * ops.square(ops.abs(goal - ops.sigmoid(logit)))


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and GIoU of boxes as the network gives them, (..., 4), of the same cells."""
    size_a, size_b = ops.exp(a[..., 2:]), ops.exp(ops.clip(b[..., 2:], -4.0, 6.0))
    low_a, high_a = a[..., :2] - size_a / 2, a[..., :2] + size_a / 2
    low_b, high_b = b[..., :2] - size_b / 2, b[..., :2] + size_b / 2
    both = ops.prod(ops.maximum(ops.minimum(high_a, high_b) - ops.maximum(low_a, low_b), 0.0), -1)
    union = ops.prod(size_a, -1) + ops.prod(size_b, -1) - both
    hull = ops.prod(ops.maximum(high_a, high_b) - ops.minimum(low_a, low_b), -1)
    iou = both / union
    return iou, iou - (hull - union) / hull


class Loss(keras.losses.Loss):
    """`loss` for `compile`."""

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        return loss(y_true, y_pred)
