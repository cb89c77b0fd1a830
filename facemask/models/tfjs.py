"""Run a TF.js graph model in Node.js, which is installed once from npm on first use."""

import contextlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facemask.io.files import FacemaskError
from facemask.io.install import ToolMissing, install_once, run_install

NODE_FILES = Path(__file__).parent / "tfjs_node"
OLDEST_NODE = 18


class Signature(NamedTuple):
    """What a graph model takes and gives: name of the input, its side, number of outputs."""

    input: str
    size: int
    classes: int


def read_signature(folder: str | Path) -> Signature:
    """Input and output of a TF.js graph model, from its model.json.

    Raises:
        FacemaskError: model.json is missing or damaged, or the model is not a picture classifier.
    """
    path = Path(folder) / "model.json"
    description = _read_description(path)
    try:
        signature = description["signature"]
        [(name, image)] = signature["inputs"].items()
        [probabilities] = signature["outputs"].values()
        _, height, width, channels = _shape(image)
        _, classes = _shape(probabilities)
        number_type = image["dtype"]
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _no_classifier(path, error) from error
    if height != width or channels != 3 or number_type != "DT_FLOAT":
        raise FacemaskError(
            f"{path} takes {_shape(image)}, not square float32 RGB pictures; name another model"
        )
    return Signature(name, height, classes)


def _read_description(path: Path) -> dict:
    """What model.json holds, once its weights are known to lie beside it."""
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FacemaskError(
            f"{path} is missing or damaged ({error}); export the model again"
        ) from error
    try:
        names = [name for group in description["weightsManifest"] for name in group["paths"]]
        outside = [name for name in names if set(name) & set("/\\:")]
    except (KeyError, TypeError) as error:
        raise _no_classifier(path, error) from error
    if outside:
        raise FacemaskError(
            f"{path} would have {outside[0]} read, which is not in its folder; get the model from "
            "a source you trust"
        )
    return description


def _no_classifier(path: Path, error: Exception) -> FacemaskError:
    return FacemaskError(
        f"{path} does not describe a picture classifier ({error!r}); export it again, or name "
        "another model"
    )


def _shape(tensor: dict) -> list[int]:
    return [int(dimension["size"]) for dimension in tensor["tensorShape"]["dim"]]


def predict(folder: str | Path, images: np.ndarray) -> np.ndarray:
    """Classify pictures by a TF.js graph model, in Node.js with the WASM backend.

    Args:
        folder: the folder with model.json and its weights.
        images: uint8 RGB (N, S, S, 3), S as the model takes it.

    Returns:
        float32 probabilities (N, classes).

    Raises:
        ToolMissing: there is no Node.js, or TF.js cannot be installed.
        FacemaskError: the pictures do not fit the model, or it cannot be loaded or run.
    """
    signature = read_signature(folder)
    expected = (len(images), signature.size, signature.size, 3)
    if images.shape != expected or images.dtype != np.uint8:
        raise FacemaskError(
            f"{folder} takes uint8 pictures {expected}, not {images.dtype} {images.shape}"
        )
    return run(folder, images)[0].reshape(len(images), signature.classes)


def run(folder: str | Path, images: np.ndarray) -> tuple[np.ndarray, list[list[int]]]:
    """What a TF.js graph model gives for pictures, in Node.js with the WASM backend.

    Args:
        folder: the folder with model.json and its weights.
        images: uint8 RGB (N, H, W, 3), sides as the model takes them.

    Returns:
        float32 (values,): all outputs of the first picture in one order, each flat, then those
        of the next; and the shapes of the outputs.

    Raises:
        ToolMissing: there is no Node.js, or TF.js cannot be installed.
        FacemaskError: the model cannot be loaded or run.
    """
    _read_description(Path(folder) / "model.json")  # refuse before anything is installed
    script = install_node_packages() / "predict.mjs"
    with tempfile.TemporaryDirectory() as exchange:
        pixels, values = Path(exchange, "images.bin"), Path(exchange, "values.bin")
        np.ascontiguousarray(images).tofile(pixels)
        done = subprocess.run(
            [_find_node(), script, Path(folder).resolve(), pixels, *map(str, images.shape[1:3]),
             values], capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            reason = [line for line in done.stderr.splitlines() if "Error" in line]
            raise FacemaskError(
                f"{folder} cannot be run in Node.js: {(reason or ['no reason given'])[0]}; it may "
                "be incomplete, so export it again"
            )
        return np.fromfile(values, dtype="<f4"), json.loads(done.stdout)


def node_available() -> bool:
    """Whether Node.js 18 or later and npm are installed."""
    with contextlib.suppress(ToolMissing):
        return bool(_find_node())
    return False


def _find_node() -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    version = None
    if node and npm:
        version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
        if int(version.strip().lstrip("v").partition(".")[0] or 0) >= OLDEST_NODE:
            return node
    found = f"Node.js {version.strip()} is too old" if version else "Node.js with npm is missing"
    raise ToolMissing(f"{found}; to run TF.js models install Node.js {OLDEST_NODE} or later")


def install_node_packages() -> Path:
    """Install TF.js for Node.js from npm, unless that is done.

    Returns:
        The folder with predict.mjs and node_modules.

    Raises:
        ToolMissing: there is no Node.js, or the packages cannot be installed.
    """
    _find_node()
    sources = sorted(path for path in NODE_FILES.iterdir() if path.is_file())

    def install(folder: Path) -> None:
        folder.mkdir()
        for source in sources:
            shutil.copy(source, folder)
        # Without a network npm would otherwise try for over a minute.
        patience = ["--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--logs-max=0"]
        run_install(["npm", "ci", *quiet, *patience], folder, folder)

    return install_once(
        "tfjs-node", b"".join(source.read_bytes() for source in sources), install,
        "TF.js for Node.js (18 MB to download, 90 MB on disk)",
    )  # fmt: skip
