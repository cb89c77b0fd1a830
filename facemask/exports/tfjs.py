"""Convert a SavedModel to TF.js by the official converter.

The converter (PyPI `tensorflowjs`) cannot share an environment with a current TensorFlow: it is
installed once, on first use, below the user's cache folder. `python -m facemask.exports.tfjs`
installs it, and TF.js for Node.js, ahead of time.
"""

import json
import math
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uv

from facemask.io.files import FacemaskError, read_json, refusal, write_json, write_whole
from facemask.io.install import install_once, own_environment, run_install
from facemask.models.tfjs import install_node_packages, read_signature

LOCK = Path(__file__).with_name("tfjs_requirements.txt")


def convert(
    saved_model: str | Path,
    out: str | Path,
    check: Callable[[Path], object] = read_signature,
) -> Path:
    """Convert a SavedModel to a TF.js graph model.

    The converter folds batch normalisation, ReLU and biases into the convolutions.

    Args:
        saved_model: folder that `model.export(folder)` wrote.
        out: folder to write: model.json and its weights, group1-shard*.bin of 4 MB each. One that
            is there already is replaced.
        check: raises FacemaskError if the result is not what it should be; unless another is
            given, a picture classifier.

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
        environment = own_environment() | {"CUDA_VISIBLE_DEVICES": "-1"}
        done = subprocess.run(
            [python.with_name("tensorflowjs_converter"), "--input_format=tf_saved_model",
             "--output_format=tfjs_graph_model", saved_model, partial],
            env=environment, capture_output=True, text=True,
        )  # fmt: skip
        if error := refusal(done.stderr):
            raise error
        if done.returncode or not (partial / "model.json").is_file():
            raise FacemaskError(
                f"{saved_model} cannot be converted to TF.js: {_last_line(done.stderr)}; "
                "check that it is a whole SavedModel"
            )
        _flatten_biases(partial / "model.json")
        check(partial)
    return Path(out)


def _flatten_biases(file: Path) -> None:
    """Make every fused bias a vector: that of a single filter comes as (1, 1, 1, 1), a shape that
    TF.js refuses. Keras adds it by a sum of its own, see its `Conv2D.call`.
    """
    model = read_json(file)
    biases = {node["input"][2] for node in model["modelTopology"]["node"]
              if node["op"].startswith("_Fused") and len(node["input"]) > 2}
    for group in model["weightsManifest"]:
        for weight in group["weights"]:
            if weight["name"] in biases:
                weight["shape"] = [math.prod(weight["shape"])]
    with write_whole(file) as partial:
        partial.write_text(json.dumps(model), encoding="utf-8")


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


def install_converter() -> Path:
    """Install the official converter into an environment of its own, unless that is done.

    Returns:
        The environment's Python.

    Raises:
        ToolMissing: it cannot be installed.
    """

    def install(folder: Path) -> None:
        tool = uv.find_uv_bin()
        run_install([tool, "venv", "--quiet", "--python", sys.executable, folder], folder)
        # Sources are not built: that would run for an hour and ask for a compiler.
        run_install(
            [tool, "pip", "install", "--python", folder / "bin" / "python",
             "--only-binary", ":all:", "--requirement", LOCK], folder,
        )  # fmt: skip

    python = f"{platform.machine()} {platform.python_implementation()} {sys.version_info[:2]}"
    folder = install_once(
        "tfjs-converter", python.encode() + LOCK.read_bytes(), install,
        "the TF.js converter with its own TensorFlow (870 MB to download, 2.7 GB on disk)",
    )  # fmt: skip
    return folder / "bin" / "python"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


if __name__ == "__main__":
    try:
        install_converter()
        install_node_packages()
    except FacemaskError as error:
        sys.exit(f"facemask.exports.tfjs: {error}")
