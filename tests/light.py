"""A model that needs no file and no TensorFlow."""

import numpy as np

from facemask import CLASSES
from facemask.models.classifier import Classifier


def light_model() -> Classifier:
    """Judges by brightness alone: starts at once, and any process gives the same answer."""

    def predict(crops: np.ndarray) -> np.ndarray:
        value = crops.mean(axis=(1, 2, 3)) / 255
        return np.stack([value, (1 - value) * 0.7, (1 - value) * 0.3], axis=1).astype(np.float32)

    return Classifier(list(CLASSES), 32, predict)
