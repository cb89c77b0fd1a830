"""What rows depend on, to tell whether a folder of results was begun with the same."""

from pathlib import Path

from facemask.io.files import FINDER
from facemask.models.classifier import Classifier
from facemask.photos.batch import digest
from facemask.photos.predict import MARGIN


def settings_of(path: Path, model: Classifier) -> dict:
    """Digests of the classifier and the face finder, and how they are used; JSON can hold it.

    Args:
        path: of the model.
        model: as loaded from there.
    """
    return {
        "model": digest(path), "labels": model.labels, "sure": model.sure,
        "finder": digest(FINDER), "margin": MARGIN,
    }  # fmt: skip
