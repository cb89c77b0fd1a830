"""Many pictures in blocks."""

from collections.abc import Callable

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]


def in_batches(predict: Predict) -> Predict:
    """Run at most 256 pictures at once, so that memory stays flat."""

    def predict_all(images: np.ndarray) -> np.ndarray:
        blocks = [images[i : i + 256] for i in range(0, max(len(images), 1), 256)]
        return np.concatenate([np.asarray(predict(block)) for block in blocks])

    return predict_all
