"""How readily the released model says incorrect_mask, settled on 12k Validation.

Training pictures are changed so hard that many could be of a mask worn right or wrong; on faces as
they are, a model that has learnt to doubt finds masks worn wrong where there are none. One number,
added to the bias of incorrect_mask in the last layer, makes up for that.
"""

import keras
import numpy as np

from facemask import CLASSES
from facemask.images.reading import read_image
from facemask.release.measure import Labelled, drawings, stacked

SHIFTS = np.arange(-3, 1.01, 0.25)


def settle(model: keras.Model, pictures: Labelled, seed: int = 0) -> dict:
    """Shift the bias of incorrect_mask in place, to where the three class recalls' mean is highest.

    The recall of a class is the mean of its groups': the photographs themselves, and for every
    kind of mask or thing what `measure.drawings` draws of it on their bare faces.

    Args:
        model: from float32 RGB (N, S, S, 3), 0..255, to softmax (N, 3), its last layer Dense.
        pictures: photographs, with_mask and without_mask, that are neither trained nor tested on.

    Returns:
        shift; mean_recall: the three classes' mean at each shift (as text); recall: of each class
        at the chosen one.
    """
    groups: dict[str, list[np.ndarray]] = {label: [] for label in CLASSES}
    images = {path: read_image(path) for path in pictures}
    for label in CLASSES[:2]:
        groups[label].append(_logits(model, [images[p] for p, v in pictures.items() if v == label]))
    bare = [images[path] for path, label in pictures.items() if label == "without_mask"]
    for label, _, drawn in drawings(bare, seed):
        groups[label].append(_logits(model, drawn))

    def recalls(shift: float) -> dict[str, float]:
        more = np.array([0, 0, shift])
        return {label: float(np.mean([np.mean((found + more).argmax(axis=1) == number)
                                      for found in groups[label]]))
                for number, label in enumerate(CLASSES)}

    means = {shift: float(np.mean([*recalls(shift).values()])) for shift in SHIFTS.tolist()}
    best = max(means, key=lambda shift: means[shift])
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, bias + np.array([0, 0, best], np.float32)])
    return {"shift": best, "mean_recall": {f"{k:+.2f}": v for k, v in means.items()},
            "recall": recalls(best)}


def _logits(model: keras.Model, images: list[np.ndarray]) -> np.ndarray:
    """Logarithms of the probabilities, float (N, 3); what softmax takes but for a constant."""
    inputs = stacked(images, model.input_shape[1]).astype(np.float32)
    found = model.predict(inputs, batch_size=64, verbose=0)
    return np.log(np.maximum(found, 1e-9))
