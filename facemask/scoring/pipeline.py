"""The stages for items, and the engine that runs them on this machine, in threads.

`fetch` reads a picture's file, `look_at` decodes it and finds its faces, `stages.judge` classifies
them. `cluster` runs the same three.
"""

import io
from collections.abc import Iterable, Iterator

from facemask.images.reading import read_image
from facemask.io.files import FacemaskError
from facemask.models.classifier import Classifier
from facemask.photos import stages
from facemask.scoring.items import Item, read_item


def fetch(item: Item) -> bytes | str:
    """An item's file, or why it cannot be read."""
    try:
        return read_item(item)
    except FacemaskError as error:
        return str(error)
    except MemoryError:
        return f"{item.name} is too large to open safely; make it smaller"


def look_at(name: str, file: bytes | str, size: int) -> stages.Looked:
    """Decode what `fetch` gave and find the faces.

    Args:
        name: of the item.
        size: side of the classifier's input in pixels.
    """
    if isinstance(file, str):
        return stages.Looked(name, file)
    return stages.look(name, lambda: read_image(io.BytesIO(file), name), size)


def answers(items: Iterable[Item], model: Classifier) -> Iterator[dict]:
    """Judge items on this machine.

    Args:
        items: taken as needed.
        model: from `classifier.load`.

    Yields:
        In order, what `stages.judge` says of each.
    """

    def look(item: Item) -> stages.Looked:
        return look_at(item.name, fetch(item), model.image_size)

    for answer, _ in stages.judged(items, look, model):
        yield answer
