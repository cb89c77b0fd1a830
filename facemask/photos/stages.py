"""The stages of judging one picture of many: read, find, judge; whatever runs them.

`batch` runs them in threads for the command `predict`, `scoring` in threads or on many machines for
the command `score`: one way to judge many photos.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from facemask.io.files import FacemaskError
from facemask.io.threads import ahead
from facemask.models.classifier import Classifier
from facemask.photos.predict import MARGIN, Cut, cut, describe

T = TypeVar("T")


class Looked(NamedTuple):
    """A picture after the first two stages.

    Attributes:
        name: in the answer.
        found: what the classifier is to be shown, or why the picture cannot be judged.
        image: uint8 RGB (H, W, 3), if it was to be kept.
    """

    name: str
    found: Cut | str
    image: np.ndarray | None = None


def look(
    name: str, read: Callable[[], np.ndarray], size: int, margin: float = MARGIN,
    keep: bool = False,
) -> Looked:  # fmt: skip
    """Read a picture and find its faces.

    Args:
        name: of the picture.
        read: gives it as uint8 RGB (H, W, 3), or raises FacemaskError.
        size: side of the classifier's input in pixels.
        margin: see `predict.cut`.
        keep: the picture, for whoever wants to draw on it.

    Returns:
        What was found. A picture that cannot be read raises nothing.
    """
    try:
        image = read()
        found = cut(image, size, margin)
    except FacemaskError as error:
        return Looked(name, str(error))
    except (MemoryError, cv2.error) as error:
        return Looked(name, f"{name} cannot be judged ({error}); leave it out")
    return Looked(name, found, image if keep else None)


def judge(looked: Looked, model: Classifier) -> dict:
    """The answer about a picture.

    Returns:
        `{"file": name, ...}` as `predict` describes, or `{"file": name, "error": text}`.
    """
    if isinstance(looked.found, str):
        return {"file": looked.name, "error": looked.found}
    probabilities = model.predict(looked.found.crops)
    return {"file": looked.name, **describe(looked.found, probabilities, model)}


def judged(
    items: Iterable[T], look_at: Callable[[T], Looked], model: Classifier
) -> Iterator[tuple[dict, np.ndarray | None]]:
    """All stages: `look_at` in threads, ahead of the model, which this thread runs.

    Args:
        items: taken as needed.
        look_at: what `look` gives for an item.
        model: from `classifier.load`.

    Yields:
        In order, each answer with its picture, if that was kept.
    """
    for looked in ahead(look_at, items):
        yield judge(looked, model), looked.image
