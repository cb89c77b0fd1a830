"""Killed anywhere: every stage is killed at random moments and started again, over and over.

`python -m facemask.torture --only kills` takes the stages of `STAGES` one after the other; see
`killing` for what is done to them. Each stands here with what it reads, how it is called and what
has to come of it.
"""

import contextlib
import json
import re
import runpy
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

# All that the commands import: a process that is forked from one that has it starts at once.
import facemask.evaluation.cross_dataset
import facemask.evaluation.evaluate
import facemask.exports.export
import facemask.photos.batch  # noqa: F401
from facemask import CLASSES
from facemask.datasets.prepare import prepare
from facemask.datasets.sample import draw_picture, draw_scene
from facemask.io.files import IN_CLONE, ROOT, FacemaskError, read_json
from facemask.models import checkpoint
from facemask.models.train import train
from facemask.torture.faults.killing import Stage, Torture
from facemask.torture.same import leaves

SIZE = ["--image-size", "32"]  # small, so that most of a stage is not arithmetic
EPOCHS = 5


def command(arguments: list[str]) -> int:
    """`python -m facemask`, as in a terminal; by its name, as no room may import the commands."""
    sys.argv = ["facemask", *arguments]
    runpy.run_module("facemask", run_name="__main__")
    return 0


def facts(path: Path) -> object:
    """A file's content, less the times and the random names that some formats hold."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as opened:
            # The numbers of shared objects are places in memory.
            config = re.sub(rb'"shared_object_id": \d+', b"", opened.read("config.json"))
            return config, opened.read("model.weights.h5")
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays if name != "stamp"}
    if path.suffix == ".json":
        return dict(leaves("", read_json(path)))
    return path.read_bytes()


# What the stages read


def faces(folder: Path, each: int) -> Path:
    """Drawn faces, a folder per class."""
    for number, label in enumerate(CLASSES):
        (folder / label).mkdir(parents=True)
        for k in range(each):
            picture = draw_picture(label, np.random.default_rng([number, k]), 48)
            Image.fromarray(picture).save(folder / label / f"{k:03d}.png")
    return folder


def photos(folder: Path, count: int) -> Path:
    """Many small photos, no two alike, from a few drawn scenes, and one that cannot be read."""
    scenes = [draw_scene(np.random.default_rng(k), 1 + k, 320, 240)[0] for k in range(3)]
    (folder / "more").mkdir(parents=True)
    for number in range(count):
        image = scenes[number % 3].astype(np.float32) * (0.6 + 0.4 * number / count)
        image = cv2.resize(image.astype(np.uint8), (200 + number, 180))
        Image.fromarray(image).save(folder / ("more" if number % 2 else "") / f"{number:03d}.jpg")
    (folder / "broken.jpg").write_text("no picture")
    return folder


def _trained(work: Path, *models: str) -> None:
    split = prepare(faces(work / "faces", 30), "faces", work / "data", image_size=32)
    for name in models:
        train(split, work / "models" / "faces", name, 2, 16)


# The stages


def download(work: Path) -> Stage:
    """A zip of 3,000 files is unpacked."""
    folder = faces(work / "faces", 10)
    with zipfile.ZipFile(work / "faces.zip", "w") as opened:
        for path in sorted(folder.rglob("*.png")):
            for copy in range(100):
                opened.write(path, f"{path.parent.name}/{copy}-{path.name}")
    return Stage(command, ["download", "--dataset", "faces.zip"], ("data/raw/faces",),
                 at_once=True)  # fmt: skip


def prepare_stage(work: Path) -> Stage:
    """Split and resized, also where a folder with another split stands."""
    faces(work / "faces", 60)
    arguments = ["prepare", "--dataset", "faces", *SIZE]
    return Stage(command, arguments, ("data/split/faces",), at_once=True,
                 earlier=[*arguments, "--seed", "7"])  # fmt: skip


def train_stage(work: Path) -> Stage:
    """Both networks, also where trainings with other settings stand."""
    prepare(faces(work / "faces", 30), "faces", work / "data", image_size=32)
    arguments = ["train", "--dataset", "faces", *SIZE, "--batch-size", "16", "--epochs"]

    def done(work: Path) -> int:
        epochs: dict[str, int] = {}
        for folder in work.glob("models/faces/[a-z]*"):
            settings, count = folder / "settings.json", 0
            if not settings.is_file() or read_json(settings)["epochs"] != EPOCHS:
                continue
            if (folder / "model.keras").is_file():
                count = EPOCHS + 1
            elif (folder / checkpoint.NAME).is_file():
                count = checkpoint.read_arrays(folder / checkpoint.NAME)[1]
            name = folder.name.removesuffix(".unfinished")
            epochs[name] = max(epochs.get(name, 0), count)
        return sum(epochs.values())

    return Stage(
        command, [*arguments, str(EPOCHS)], ("models/faces",), facts,
        grows=("history.csv", checkpoint.NAME, "best.npz"), done=done, earlier=[*arguments, "2"],
    )  # fmt: skip


def evaluate(work: Path) -> Stage:
    """A report on one network, with its short trainings."""
    _trained(work, "compact")
    run = "models/faces"

    def done(work: Path) -> int:
        path = work / run / "compact/short_trainings.json"
        return len(read_json(path)["trainings"]) if path.is_file() else 0

    products = [f"{run}/{name}.json" for name in ("report", "copies", "shortcuts")]
    products += [f"{run}/compact/{name}" for name in ("short_trainings.json", "predictions-*.npz")]
    return Stage(command, ["evaluate", "--dataset", "faces"], tuple(products), facts, done=done,
                 grows=("short_trainings.json",))  # fmt: skip


def export(work: Path) -> Stage:
    """All forms of one network."""
    _trained(work, "compact")
    return Stage(command, ["export", "--dataset", "faces"], ("models/faces/compact/exports",),
                 export_facts, at_once=True)  # fmt: skip


def export_facts(path: Path) -> object:
    """As `facts`; a SavedModel, whose nodes are named anew each time, is there, of any size."""
    found = facts(path)
    if path.name == "exports.json":
        found.pop(": saved_model: bytes")  # type: ignore[attr-defined]
    return None if "saved_model" in path.parts else found


def predict_folder(work: Path) -> Stage:
    """Photos with faces drawn into them, JSON and CSV."""
    photos(work / "photos", 60)

    def done(work: Path) -> int | None:
        path = work / "out/answers.json.unfinished"
        if not path.is_file() and (work / "out/answers.csv").is_file():
            return None  # it was at its end, and the next run begins anew
        return path.read_bytes().count(b"\n") if path.is_file() else 0

    return Stage(command, ["predict", "photos", "--output", "out", "--csv", "out/answers.csv"],
                 ("out",), grows=("answers.json.unfinished",), done=done)  # fmt: skip


def predict_video(work: Path) -> Stage:
    """A video with the faces followed in it, and JSON."""
    scene, _ = draw_scene(np.random.default_rng(0), 2, 400, 300)
    writer = cv2.VideoWriter(
        str(work / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (320, 240)
    )
    for k in range(100):
        part = scene[k // 2 : k // 2 + 240, k // 2 : k // 2 + 320]
        writer.write(cv2.cvtColor(part, cv2.COLOR_RGB2BGR))
    writer.release()
    return Stage(command, ["predict", "clip.mp4", "--output", "out/clip.mp4", "--json",
                           "out/clip.json"], ("out",))  # fmt: skip


def notebooks(work: Path) -> Stage:
    """`make run`: notebooks 01 to 06 on the drawn sample, in a copy of the project."""
    if not IN_CLONE:
        raise FacemaskError("the notebooks are not here; run it in the project's folder, a clone")
    for name in ("facemask", "notebooks", "reports", "models/release", "models/finder"):
        shutil.copytree(ROOT / name, work / name)
    shutil.copy(ROOT / "pyproject.toml", work)
    faces(work / "data" / "raw" / "sample", 40)  # it is not drawn where it stands

    arguments = ["run", "--dataset", "sample", *SIZE, "--epochs", "3"]
    products = ["data/split", "models/sample/report.json", "models/sample/copies.json",
                *(f"models/sample/*/{name}" for name in
                  ("history.csv", "model.keras", "labels.txt", "short_trainings.json")),
                *(f"models/sample/*/exports/{name}" for name in ("exports.json", "*.tflite")),
                "models/sample/notebooks/*.ipynb"]  # fmt: skip
    return Stage(command, arguments, tuple(products), notebook_facts, forked=False,
                 grows=("history.csv", "short_trainings.json"))  # fmt: skip


def notebook_facts(path: Path) -> object:
    """Of a notebook that was run only that each of its cells was, and none failed."""
    if path.suffix != ".ipynb":
        return export_facts(path)
    cells = json.loads(path.read_text("utf-8"))["cells"]
    codes = [cell for cell in cells if cell["cell_type"] == "code"]
    errors = [o for cell in codes for o in cell["outputs"] if o["output_type"] == "error"]
    return all(cell["execution_count"] for cell in codes), len(codes), len(errors)


STAGES: dict[str, tuple[Callable[[Path], Stage], int]] = {
    "download": (download, 50),
    "prepare": (prepare_stage, 50),
    "train": (train_stage, 50),
    "evaluate": (evaluate, 50),
    "export": (export, 50),
    "predict, folder": (predict_folder, 50),
    "predict, video": (predict_video, 50),
    "run, notebooks 01 to 06": (notebooks, 10),
}


def rows(stack: contextlib.ExitStack) -> dict[str, Callable[[], dict]]:
    """Every stage, killed as often as `STAGES` says.

    Raises:
        FacemaskError: this is not Linux; and when called, a stage fails undisturbed.
    """
    if sys.platform != "linux":
        raise FacemaskError("processes are looked for in /proc; run it on Linux")
    return {name: partial(kill, name) for name in STAGES}


def kill(name: str) -> dict[str, int]:
    """The counts of one of `STAGES`."""
    make, kills = STAGES[name]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        work.mkdir()
        return Torture(name, make(work), work).run(kills)
