"""The same answer: two runs of all notebooks from one seed, and TFLite with and without XNNPACK.

XNNPACK is the part of LiteRT that uses what the processor can; other processors, and LiteRT without
it, add in another order, or in other steps of 8 bits.
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from facemask.datasets.sample import draw_face, draw_scene
from facemask.io.files import FINDER, RELEASE, ROOT, FacemaskError, read_json
from facemask.photos.finder import canvas

FACES, SCENES = 200, 20
# Largest difference of a probability or a score: without, and with, numbers of 8 or 16 bits.
BOUNDS = {"model.tflite": 1e-5, "model-float16.tflite": 1e-5, "model-int8.tflite": 0.1}
Read = Callable[[list[np.ndarray]], np.ndarray]  # outputs to probabilities or scores
TIMES = {"seconds", "milliseconds", "date"}  # what may differ between two runs
# And so may these: the time at which the model was written, and what the names take that a
# SavedModel's nodes get anew each time.
NO_FIGURES = ("label_errors.json: made_from: model", "exports.json: saved_model: bytes")
LEFT_OUT = shutil.ignore_patterns(".*", "node_modules", "dist", "site", "sample", "__pycache__")


def rows(stack: contextlib.ExitStack) -> dict[str, Callable[[], dict]]:
    """Both."""
    return {"two runs": two_runs, **without_xnnpack()}


def two_runs() -> dict:
    """`run` in two copies of the project: equal figures, splits and files."""
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder) / name for name in ("one", "two")]
        for copy in copies:
            for name in ("facemask", "notebooks", "models", "reports", "pyproject.toml",
                         "README.md"):  # fmt: skip
                source = ROOT / name
                if source.is_dir():
                    shutil.copytree(source, copy / name, ignore=LEFT_OUT)
                else:
                    shutil.copy(source, copy / name)
            command = [sys.executable, "-m", "facemask", "run", "--dataset", "sample"]
            done = subprocess.run(command, cwd=copy, stdout=sys.stderr)
            if done.returncode:
                raise FacemaskError(f"`facemask run` ended with {done.returncode}; mend that first")
        return compare(*(copy / "models" / "sample" for copy in copies))


def compare(one: Path, two: Path) -> dict:
    """Every figure in the JSON files of two runs, and every other file that holds figures."""
    figures = [dict(_figures(run)) for run in (one, two)]
    names = figures[0].keys() | figures[1].keys()
    differ = sorted(n for n in names if figures[0].get(n) != figures[1].get(n))
    for name in differ:
        print(f"{name}: {figures[0].get(name)}, {figures[1].get(name)}", file=sys.stderr)
    return {"figures compared": len(names), "different": len(differ), "failures": len(differ)}


def _figures(run: Path) -> Iterator[tuple[str, object]]:
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.suffix == ".json" and "notebooks" not in path.parts:
            found = leaves(name, read_json(path))
            yield from ((n, value) for n, value in found if not n.endswith(NO_FIGURES))
        elif path.suffix in (".csv", ".tflite", ".txt") and "notebooks" not in path.parts:
            yield name, path.read_bytes()


def leaves(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Each number or text in a JSON value, with the way to it."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if key not in TIMES:
                yield from leaves(f"{name}: {key}", inner)
    else:
        yield name, value


def without_xnnpack() -> dict[str, Callable[[], dict]]:
    """The released model and finder, each TFLite form with XNNPACK and without."""
    forms: dict[str, Callable[[], dict]] = {}
    for title, folder, pictures, read in (
        ("classifier", RELEASE, _faces, lambda maps: maps[0]),
        ("finder", FINDER.parent, _scenes, _scores),
    ):
        for form, bound in BOUNDS.items():
            if (folder / form).is_file():
                forms[f"XNNPACK, {title} {form}"] = partial(
                    _within, folder / form, bound, pictures, read
                )
    return forms


def _faces() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    size = int(Interpreter(str(RELEASE / "model.tflite")).get_input_details()[0]["shape"][1])
    faces = [draw_face(rng, size)[0] for _ in range(FACES)]
    return faces + [rng.integers(0, 256, (size, size, 3), np.uint8) for _ in range(FACES // 10)]


def _scenes() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [canvas(draw_scene(rng, 3)[0])[0] for _ in range(SCENES)]


def _within(
    file: Path, bound: float, pictures: Callable[[], list[np.ndarray]], read: Read
) -> dict:
    shown = pictures()
    most = largest_difference(file, shown, read)
    return {"pictures": len(shown), "largest difference": most, "bound": bound,
            "failures": int(not most <= bound)}  # fmt: skip


def _scores(maps: list[np.ndarray]) -> np.ndarray:
    logits = np.concatenate([m.ravel() for m in maps if m.shape[-1] == 1])
    return 1 / (1 + np.exp(-logits))


def largest_difference(file: Path, pictures: list[np.ndarray], read: Read) -> float:
    """Of what `read` makes of the outputs, between LiteRT as it comes and without XNNPACK."""
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    kinds = [Interpreter(str(file)), Interpreter(str(file), experimental_op_resolver_type=plain)]
    most = 0.0
    for picture in pictures:
        answers = []
        for network in kinds:
            entry = network.get_input_details()[0]
            network.resize_tensor_input(entry["index"], (1, *picture.shape))
            network.allocate_tensors()
            network.set_tensor(entry["index"], picture[None].astype(entry["dtype"]))
            network.invoke()
            answers.append(read([_values(network, o) for o in network.get_output_details()]))
        most = max(most, float(np.abs(answers[0] - answers[1]).max()))
    return most


def _values(network: Interpreter, output: dict) -> np.ndarray:
    values = network.get_tensor(output["index"])
    scale, zero = output["quantization"]
    return (values.astype(np.float32) - zero) * scale if scale else values
