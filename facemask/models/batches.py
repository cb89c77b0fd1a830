"""Many pictures in blocks, and what a classifier of pictures takes and gives."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from facemask.io.files import FacemaskError

Predict = Callable[[np.ndarray], np.ndarray]


def in_batches(predict: Predict) -> Predict:
    """Run at most 256 pictures at once, so that memory stays flat."""

    def predict_all(images: np.ndarray) -> np.ndarray:
        blocks = [images[i : i + 256] for i in range(0, max(len(images), 1), 256)]
        return np.concatenate([np.asarray(predict(block)) for block in blocks])

    return predict_all


def check_shapes(path: Path, takes: Sequence[Sequence], gives: Sequence[Sequence]) -> None:
    """Raise FacemaskError unless a model goes from one square RGB picture to class numbers.

    Args:
        path: of the model, for the message.
        takes: the shapes of its inputs, the batch first.
        gives: the shapes of its outputs.
    """
    takes, gives = [list(shape) for shape in takes], [list(shape) for shape in gives]
    picture, classes = takes[0] if takes else [], gives[0] if gives else []
    square = len(picture) == 4 and picture[3] == 3 and picture[1] == picture[2]
    if len(takes) != 1 or len(gives) != 1 or not square or len(classes) != 2:
        raise FacemaskError(
            f"{path} takes {takes} and gives {gives}; a classifier of faces takes square RGB "
            "pictures [N, S, S, 3] and gives [N, classes], so name another model"
        )
