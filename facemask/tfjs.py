"""Convert a SavedModel to TF.js by the official converter, and run the result in Node.js.

The converter (PyPI `tensorflowjs`) cannot share an environment with a current TensorFlow, and
TF.js comes from npm; each is installed once, on first use, below the user's cache folder.
`python -m facemask.tfjs` installs both ahead of time.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import uv

from facemask.files import FacemaskError, read_json, write_json, write_whole

HERE = Path(__file__).parent
LOCK = HERE / "tfjs_requirements.txt"
NODE_FILES = HERE / "tfjs_node"
OLDEST_NODE = 18


class ToolMissing(FacemaskError):
    """A tool from outside the project is not there and could not be installed."""


class Signature(NamedTuple):
    """What a graph model takes and gives: name of the input, its side, number of outputs."""

    input: str
    size: int
    classes: int


def convert(saved_model: str | Path, out: str | Path) -> Path:
    """Convert a SavedModel to a TF.js graph model.

    The converter folds batch normalisation, ReLU and biases into the convolutions.

    Args:
        saved_model: folder that `model.export(folder)` wrote.
        out: folder to write: model.json and its weights, group1-shard1of1.bin. One that is there
            already is replaced.

    Returns:
        `out`.

    Raises:
        ToolMissing: the converter is not installed and cannot be.
        FacemaskError: the model cannot be converted, or does not take one picture batch and give
            one probability table.
    """
    python = install_converter()
    with write_whole(out) as partial:
        # GPUs are of no use here, and looking for one costs time and warnings.
        environment = _own_environment() | {"CUDA_VISIBLE_DEVICES": "-1"}
        done = subprocess.run(
            [python.with_name("tensorflowjs_converter"), "--input_format=tf_saved_model",
             "--output_format=tfjs_graph_model", saved_model, partial],
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode or not (partial / "model.json").is_file():
            raise FacemaskError(
                f"{saved_model} cannot be converted to TF.js: {_last_line(done.stderr)}; "
                "check that it is a whole SavedModel"
            )
        read_signature(partial)
    return Path(out)


def read_signature(folder: str | Path) -> Signature:
    """Input and output of a TF.js graph model, from its model.json.

    Raises:
        FacemaskError: model.json is missing, or the model is not a picture classifier.
    """
    path = Path(folder) / "model.json"
    try:
        signature = read_json(path)["signature"]
        [(name, image)] = signature["inputs"].items()
        [probabilities] = signature["outputs"].values()
        _, height, width, channels = _shape(image)
        _, classes = _shape(probabilities)
    except (KeyError, ValueError, TypeError) as error:
        raise FacemaskError(f"{path} does not describe a picture classifier ({error!r})") from error
    if height != width or channels != 3 or image["dtype"] != "DT_FLOAT":
        raise FacemaskError(f"{path} takes {_shape(image)}, not square float32 RGB pictures")
    return Signature(name, height, classes)


def _shape(tensor: dict) -> list[int]:
    return [int(dimension["size"]) for dimension in tensor["tensorShape"]["dim"]]


def write_description(folder: str | Path, labels: list[str], size: int) -> None:
    """Write labels.txt and labels.json beside a converted model, for whoever loads it.

    Args:
        folder: the folder with model.json.
        labels: class names in the order of the outputs.
        size: side of the square input in pixels.
    """
    folder = Path(folder)
    signature = read_signature(folder)
    if (signature.size, signature.classes) != (size, len(labels)):
        raise FacemaskError(
            f"{folder} takes {signature.size} px and has {signature.classes} outputs, which does "
            f"not fit {size} px and {len(labels)} labels; export it again"
        )
    with write_whole(folder / "labels.txt") as partial:
        partial.write_text("\n".join(labels) + "\n", encoding="utf-8")
    write_json(
        folder / "labels.json",
        {
            "labels": labels,
            "input": {
                "name": signature.input,
                "size": size,
                "shape": [None, size, size, 3],
                "dtype": "float32",
                "layout": "RGB",
                "range": [0, 255],
                "resize": "to size x size, aspect ratio not kept; no other preparation",
            },
            "output": "one probability per label, in their order; they sum to 1",
        },
    )


def read_description(folder: str | Path) -> dict[str, Any]:
    """What `write_description` wrote to labels.json."""
    return read_json(Path(folder) / "labels.json")


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
    script = install_node_packages() / "predict.mjs"
    with tempfile.TemporaryDirectory() as exchange:
        pixels, probabilities = Path(exchange, "images.bin"), Path(exchange, "probabilities.bin")
        np.ascontiguousarray(images).tofile(pixels)
        done = subprocess.run(
            [_find_node(), script, Path(folder).resolve(), pixels, str(signature.size),
             probabilities], capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            reason = [line for line in done.stderr.splitlines() if "Error" in line]
            raise FacemaskError(
                f"{folder} cannot be run in Node.js: {(reason or ['no reason given'])[0]}; it may "
                "be incomplete, so export it again"
            )
        return np.fromfile(probabilities, dtype="<f4").reshape(len(images), signature.classes)


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


def install_converter() -> Path:
    """Install the official converter into an environment of its own, unless that is done.

    Returns:
        The environment's Python.

    Raises:
        ToolMissing: it cannot be installed.
    """

    def install(folder: Path) -> None:
        tool = uv.find_uv_bin()
        _run_install([tool, "venv", "--quiet", "--python", sys.executable, folder], folder)
        # Sources are not built: that would run for an hour and ask for a compiler.
        _run_install(
            [tool, "pip", "install", "--python", folder / "bin" / "python",
             "--only-binary", ":all:", "--requirement", LOCK], folder,
        )  # fmt: skip

    python = f"{platform.machine()} {platform.python_implementation()} {sys.version_info[:2]}"
    folder = _install_once(
        "tfjs-converter", python.encode() + LOCK.read_bytes(), install,
        "the TF.js converter with its own TensorFlow (870 MB to download, 2.7 GB on disk)",
    )  # fmt: skip
    return folder / "bin" / "python"


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
        _run_install(["npm", "ci", *quiet, *patience], folder, folder)

    return _install_once(
        "tfjs-node", b"".join(source.read_bytes() for source in sources), install,
        "TF.js for Node.js (18 MB to download, 90 MB on disk)",
    )  # fmt: skip


def _install_once(name: str, version: bytes, install: Callable[[Path], None], what: str) -> Path:
    """Install something below the cache folder, whole or not at all, one process at a time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facemask"
    folder = cache / f"{name}-{hashlib.sha256(version).hexdigest()[:12]}"
    # Environments hold their own path, so one cannot be made elsewhere and moved into place:
    # this file, written last, tells a whole one from what an interruption left.
    complete = folder / "complete"
    if complete.exists():
        return folder
    try:
        import fcntl  # not there on Windows, and neither is the converter
    except ImportError:
        raise ToolMissing(f"{what} cannot be installed on Windows; use WSL or Colab") from None
    cache.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed by the system even if this process is killed
        if complete.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        print(f"First use: installing {what} in {folder}", file=sys.stderr, flush=True)
        try:
            install(folder)
            complete.touch()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        print(f"Installed in {folder}", file=sys.stderr, flush=True)
    return folder


def _run_install(command: list, folder: Path, cwd: Path | None = None) -> None:
    """Run an installer and pass its progress on; its last words explain a failure."""
    # On a terminal the installer draws its own progress bars; elsewhere it prints lines.
    live = sys.stderr.isatty()
    lines = []
    with subprocess.Popen(
        [str(part) for part in command], env=_own_environment(), cwd=cwd, text=True,
        stdout=subprocess.DEVNULL, stderr=None if live else subprocess.PIPE,
    ) as process:  # fmt: skip
        for line in process.stderr or ():
            lines.append(line)
            if line.strip().startswith(("Downloading", "Downloaded", "Installed")):
                print(" ", line.strip(), file=sys.stderr, flush=True)
    if process.returncode:
        errors = [line.strip() for line in lines if "error" in line.lower() or "cause" in line]
        reason = "see above" if live else "; ".join(errors[:4]) or "no reason given"
        raise ToolMissing(
            f"{folder.name} cannot be installed: {reason}. Check the network and the free space "
            "and run the same command again (a mirror is named by UV_DEFAULT_INDEX for Python and "
            "by npm's own settings for TF.js)"
        )


def _own_environment() -> dict[str, str]:
    """This process' environment less what would lead another Python to our packages."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MPLBACKEND"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


if __name__ == "__main__":
    try:
        install_converter()
        install_node_packages()
    except FacemaskError as error:
        sys.exit(f"facemask.tfjs: {error}")
