"""The stages that write, as `disks` runs them: what lies there before, the command, its products.

Each command runs in the folder `disk.work`, and everything in there is looked at.
"""

import fnmatch
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from facemask.datasets.sample import draw_scene, make_sample
from facemask.io.files import ROOT

FACEMASK = (sys.executable, "-m", "facemask")
# The sample with few faces, by the same function as the command's.
SAMPLE = """
import sys
from facemask.datasets.sample import make_sample
from facemask.io.files import FacemaskError
if __name__ == "__main__":
    try:
        make_sample("data/sample", per_class=6, size=64, seed=int(sys.argv[1]))
    except FacemaskError as error:
        sys.exit(f"sample: {error}")
"""
TRAINING = ("--image-size", "32", "--batch-size", "8", "--models", "compact")


class Stage(NamedTuple):
    """A stage that writes.

    Attributes:
        earlier: fills a folder with what an earlier run, on other pictures, has left there.
        command: run in that folder.
        amounts: how many amounts of free space are tried.
        gradual: patterns of products that are replaced, each whole, while the run goes on.
        alike: patterns of products that only have to be alike, see `content`.
        aside: patterns of what a run that was cut off may leave, to be gone on with.
        clock: whether the clock is set back. Not for notebooks: libfaketime, even where it leaves
            the clock alone, makes a Jupyter kernel wait for ever.
    """

    earlier: Callable[[Path], None]
    command: tuple[str, ...]
    amounts: int
    gradual: tuple[str, ...] = ()
    alike: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    clock: bool = True


def contents(folder: Path, alike: tuple[str, ...] = ()) -> dict[str, Any]:
    """What there is below a folder, hidden files too: path -> `content`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_dir():
            found[name] = content(path, matches(name, alike))
    return found


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def content(path: Path, only_form: bool) -> Any:
    """A file's hash; or of one that holds times or what threads add up, its form.

    That is of JSON the value without numbers, of a table its number of lines, of a notebook its
    code and which cells have errors, of a zip (.keras, .npz) the names in it.
    """
    if path.is_symlink():
        return str(path.readlink())
    raw = path.read_bytes()
    if not only_form:
        return hashlib.sha256(raw).hexdigest()
    if path.suffix == ".ipynb":
        cells = json.loads(raw)["cells"]
        return [("".join(cell["source"]), any(o["output_type"] == "error"
                                              for o in cell.get("outputs", ())))
                for cell in cells]  # fmt: skip
    if path.suffix == ".json":
        return _form(json.loads(raw))
    if path.suffix in (".keras", ".npz"):
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return sorted(archive.namelist())
    return len(raw.splitlines()) if path.suffix == ".csv" else "is there"


def _form(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _form(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_form(inner) for inner in value[:1]]
    return type(value).__name__ if isinstance(value, (int, float)) else "text"


# What there is to work on


def make_inputs(folder: Path) -> None:
    """Drawn faces in a folder and in two zips of one name, drawn photos, and a drawn video."""
    make_sample(folder / "faces", per_class=12, seed=1, size=64)
    for number, where in enumerate(("", "old")):
        (folder / where).mkdir(exist_ok=True)
        with zipfile.ZipFile(folder / where / "small.zip", "w") as archive:
            for path in sorted((folder / "faces").rglob("*.png"))[number:]:
                archive.write(path, path.relative_to(folder / "faces"))
    for where, seed in (("photos", 0), ("old-photos", 50)):
        (folder / where).mkdir()
        for number in range(6):
            image, _ = draw_scene(np.random.default_rng(seed + number), 2, 320, 240)
            Image.fromarray(image).save(folder / where / f"{number}.jpg")
        video = cv2.VideoWriter(
            str(folder / where / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (320, 240)
        )
        for number in range(12):
            video.write(np.roll(image, 3 * number, axis=1)[..., ::-1])
        video.release()


def _run(command: tuple[str, ...], folder: Path, at: Path = ROOT) -> None:
    """Have a command done by a run that nothing disturbs."""
    subprocess.run(command, cwd=folder, check=True, capture_output=True,
                   env=environment(at))  # fmt: skip


def environment(at: Path) -> dict[str, str]:
    """For a command that uses the package in `at`."""
    import os

    kept = {k: v for k, v in os.environ.items() if not k.startswith("TF_CPP")}
    return {**kept, "PYTHONPATH": str(at), "PYTHONDONTWRITEBYTECODE": "1"}


def _project(folder: Path) -> None:
    """The project's own files, with empty tables in the read-me."""
    for name in ("facemask", "docs", "reports", "notebooks", "models/release", "models/finder",
                 "web/src"):  # fmt: skip
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "CONTRIBUTING.md", "pyproject.toml", "web/build.py",
                 "web/package.json", "web/package-lock.json"):  # fmt: skip
        shutil.copy(ROOT / name, folder / name)
    text = (folder / "README.md").read_text("utf-8")
    text = re.sub(r"(<!-- begin .*? -->)\n.*?(<!-- end)", r"\1\n\2", text, flags=re.DOTALL)
    (folder / "README.md").write_text(text, "utf-8")


def stages(inputs: Path) -> dict[str, Stage]:
    """All of them, by name, for what `make_inputs` has made."""
    faces, photos, old = str(inputs / "faces"), inputs / "photos", inputs / "old-photos"
    places = ("--data-dir", "data", "--models-dir", "models")

    def of(*command: str) -> Callable[[Path], None]:
        return partial(_run, command)

    def train(epochs: int) -> tuple[str, ...]:
        return (*FACEMASK, "train", "--dataset", faces, *places, *TRAINING, "--epochs", str(epochs))

    def trained(folder: Path) -> None:
        _run(train(1), folder)

    evaluate = (*FACEMASK, "evaluate", "--dataset", faces, *places)
    export = (*FACEMASK, "export", "--dataset", faces, *places)
    model = "models/faces/compact"

    def evaluated(folder: Path) -> None:
        _run(train(1), folder)
        _run(evaluate, folder)
        _run(train(2), folder)

    def exported(folder: Path) -> None:
        _run(train(1), folder)
        _run(export, folder)
        shutil.move(folder / model / "exports", folder / "kept")
        _run(train(2), folder)
        shutil.move(folder / "kept", folder / model / "exports")

    def page(folder: Path) -> None:
        _project(folder)
        (folder / "web" / "node_modules").symlink_to(ROOT / "web" / "node_modules")
        (folder / "web" / "dist").mkdir()
        (folder / "web" / "dist" / "index.html").write_text("the page before")

    def predict(where: Path, *arguments: str) -> tuple[str, ...]:
        return (*FACEMASK, "predict", *(a.replace("PHOTOS", str(where)) for a in arguments))

    def form(amounts: int, *arguments: str, **more: Any) -> Stage:
        earlier = predict(old, *arguments)
        return Stage(of(*earlier), predict(photos, *arguments), amounts, **more)

    def prepare(size: int) -> tuple[str, ...]:
        return (*FACEMASK, "prepare", "--dataset", faces, *places, "--image-size", str(size))

    def download(where: str) -> tuple[str, ...]:
        zipped = str(inputs / where / "small.zip")
        return (*FACEMASK, "download", "--dataset", zipped, "--data-dir", "data")

    sample = (sys.executable, "-c", SAMPLE)
    forms = ("*.keras", "*.npz", "*report.json", "*short_trainings.json", "*exports.json",
             "*shortcuts.json", "*/saved_model/*", "*/tfjs/*", "*.tflite")  # fmt: skip
    found = {
        "download": Stage(of(*download("old")), download(""), 12),
        "sample": Stage(of(*sample, "1"), (*sample, "2"), 6),
        "prepare": Stage(of(*prepare(24)), prepare(32), 4),
        "train": Stage(trained, train(2), 4, alike=("*.keras",), aside=("*.unfinished/*",)),
        "evaluate": Stage(evaluated, evaluate, 3, alike=forms,
                          gradual=("models/faces/*.json", f"{model}/*.json", "*.npz"),
                          aside=("*short_trainings.json",)),
        "export": Stage(exported, export, 3, alike=forms),
        "predict, a picture": form(8, "PHOTOS/0.jpg", "--output", "one.jpg"),
        "predict, a grid": form(8, "PHOTOS/0.jpg", "PHOTOS/1.jpg", "--output", "grid.jpg"),
        "predict, a folder": form(8, "PHOTOS", "--output", "out", gradual=("out/*.jpg",),
                                  aside=("*.unfinished",)),
        "predict, JSON and CSV": form(8, "PHOTOS", "--json", "a.json", "--csv", "a.csv",
                                      gradual=("a.json",), aside=("*.unfinished",)),
        "predict, a video": form(8, "PHOTOS/clip.avi", "--output", "clip.mp4"),
        "pages": Stage(_project, (sys.executable, "-m", "facemask.pages.fill"), 8,
                       gradual=("*.md",)),
        "notebooks": Stage(
            _project, (*FACEMASK, "run", "--dataset", faces, "--image-size", "32", "--epochs", "1"),
            2, gradual=("models/faces/*", "data/*"),
            alike=(*forms, "*.ipynb", "*log.txt", "*label_errors.json"),
            aside=("*-failed.ipynb", "*log.txt", "*.unfinished/*", "*short_trainings.json"),
            clock=False,
        ),
    }  # fmt: skip
    if (ROOT / "web" / "node_modules" / ".installed").is_file():
        found["web page"] = Stage(
            page, (sys.executable, "web/build.py", "models/release", "web/dist"), 4
        )
    return found
