"""Writing a `.keras` file so that older versions of Keras read it as well."""

import json
import zipfile
from pathlib import Path

import keras

from facemask.io.files import write_whole

# What newer versions write though it says nothing, and 3.12, the last for Python 3.10, refuses.
NEWER = {
    "input_axes": None, "output_axes": None,  # of initializers
    "renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99,  # of BatchNormalization
    "quantization_config": None,  # of layers with weights
}  # fmt: skip


def save(model: keras.Model, path: str | Path) -> None:
    """Write a model as a `.keras` file that Keras from 3.6 on reads.

    Raises:
        FacemaskError: it cannot be written.
    """
    path = Path(path)
    with write_whole(path) as partial:
        model.save(partial)
        make_older(partial)


def make_older(path: Path) -> None:
    """Leave NEWER out of a `.keras` file; the weights in it stay as they are."""
    with zipfile.ZipFile(path) as opened:
        entries = [(entry, opened.read(entry)) for entry in opened.infolist()]
    with zipfile.ZipFile(path, "w") as opened:
        for entry, content in entries:
            if entry.filename == "config.json":
                content = json.dumps(_without(json.loads(content))).encode()
            opened.writestr(entry, content)


def _without(value: object) -> object:
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if k not in NEWER or v != NEWER[k]}
        return {k: _without(v) for k, v in kept.items()}
    return [_without(v) for v in value] if isinstance(value, list) else value
