"""Whether a `.keras` file is nothing but Keras' own layers and numbers, so that it can do no harm.

Keras refuses code as well, but not in every version that fits the project, and not in words.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from facemask.io.files import FacemaskError

MODULES = re.compile(
    r"builtins|keras(\.(activations|constraints|dtype_policies|initializers|layers|losses|metrics"
    r"|models|ops|optimizers(\.schedules)?|quantizers|random|regularizers"
    r"|src\.models\.(functional|sequential)))?"
)
# Of Keras' own, what runs code that comes with the model, or reads files that it names.
REFUSED = {
    "Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer",
    "StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization",
}  # fmt: skip


def check_inert(path: Path) -> None:
    """Look into a `.keras` file without building anything.

    Raises:
        FacemaskError: it is damaged, or names anything but what MODULES and REFUSED leave.
    """
    damaged = f"{path} is not a whole .keras file; it may be cut short, so export or fetch it again"
    try:
        with zipfile.ZipFile(path) as opened:
            if {"config.json", "model.weights.h5"} - set(opened.namelist()):
                raise FacemaskError(damaged)
            config = json.loads(opened.read("config.json"))
        named = list(_named(config))
    except FacemaskError:
        raise
    except Exception as error:  # zipfile and json let many kinds through
        raise FacemaskError(f"{damaged} ({error})") from error
    for module, name, registered in named:
        if name in REFUSED or not MODULES.fullmatch(module) or ">" in registered:
            what = ".".join(filter(None, (module, registered or name)))
            raise FacemaskError(
                f"{path} is not loaded, as it holds {what}, by which a model can bring code or "
                "read files; give a model that is made of Keras' own layers, or its .tflite form"
            )


def _named(value: Any) -> Iterator[tuple[str, str, str]]:
    """Module, class and registered name of all that a model's config would have built."""
    if isinstance(value, dict):
        if "class_name" in value:
            module, registered = value.get("module"), value.get("registered_name")
            yield str(module or "keras"), str(value["class_name"]), str(registered or "")
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)
