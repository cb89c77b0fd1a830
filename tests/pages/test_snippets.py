"""The README's snippets that can run here do, and answer as the project does."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask import CLASSES
from facemask.datasets.sample import make_sample
from facemask.io.files import ROOT
from facemask.models import classifier, tfjs

RELEASED = ROOT / "models" / "release"
TEXT = (ROOT / "README.md").read_text("utf-8")

# What a web page has and Node.js has not: `tf` with a loader from disk, and a picture.
PAGE = """\
import fs from "node:fs";
import "@tensorflow/tfjs-backend-wasm";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as core from "@tensorflow/tfjs-core";
const root = process.argv[2];
const fromDisk = (url) => ({ load: () => core.io.getModelArtifactsForJSON(
  JSON.parse(fs.readFileSync(`${root}/${url}`, "utf8")), async (manifest) => {
    const folder = `${root}/${url}`.replace(/[^/]*$/, "");
    const files = manifest.flatMap((group) => group.paths);
    const bytes = Buffer.concat(files.map((name) => fs.readFileSync(folder + name)));
    return [manifest.flatMap((group) => group.weights), new Uint8Array(bytes).buffer];
  }) });
const tf = { ...core, loadGraphModel: (url) => loadGraphModel(fromDisk(url)) };
await tf.setBackend("wasm");
const image = { data: new Uint8Array(fs.readFileSync(process.argv[3])), width: 96, height: 96 };
"""


def snippet(language: str, text: str = TEXT) -> str:
    """The one block of code in a language."""
    (code,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return code


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """A drawn face of the size that the model takes, uint8 RGB (96, 96, 3)."""
    folder = make_sample(tmp_path_factory.mktemp("drawn") / "faces", per_class=2, seed=5)
    picture = Image.open(sorted(folder.rglob("*.png"))[0]).convert("RGB")
    return np.asarray(picture.resize((96, 96)))


def test_python(face: np.ndarray, tmp_path: Path):
    shutil.copytree(RELEASED, tmp_path / "models" / "release")
    Image.fromarray(face).save(tmp_path / "face.png")
    code = snippet("python") + "import sys; print('tensorflow' in sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown, with_tensorflow = done.stdout.splitlines()[-2:]
    assert with_tensorflow == "False"
    model = classifier.load(RELEASED / "model-int8.tflite")
    found = {k: float(v) for k, v in re.findall(r"'(\w+)': (?:np\.float32\()?([\d.e-]+)", shown)}
    assert list(found) == model.labels
    np.testing.assert_allclose(list(found.values()), model.predict(face[None])[0], atol=1e-6)


def test_python_on_a_photo(face: np.ndarray, tmp_path: Path):
    Image.fromarray(face).save(tmp_path / "photo.jpg")
    code = snippet("python", (ROOT / "docs" / "photos.md").read_text("utf-8"))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = ast.literal_eval(done.stdout)
    assert answer["judged"] == "whole picture" and answer["whole"]["label"] in CLASSES


def test_browser(face: np.ndarray, tmp_path: Path):
    if not tfjs.node_available():
        if os.environ.get("CI") == "true":
            pytest.fail("Node.js 18 or later, with npm, is missing")
        pytest.skip("Node.js is missing, so the browser's snippet is not run")
    try:
        packages = tfjs.install_node_packages()
    except tfjs.ToolMissing as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    opaque = np.full((96, 96, 1), 255, np.uint8)
    (tmp_path / "image.bin").write_bytes(np.concatenate([face, opaque], axis=2).tobytes())
    script = tmp_path / "page.mjs"
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    script.write_text(PAGE + snippet("js") + "console.log(JSON.stringify([...probabilities]));\n")
    done = subprocess.run(
        [shutil.which("node"), script, ROOT, tmp_path / "image.bin"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    expected = classifier.load(RELEASED / "model.tflite").predict(face[None])[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("language", ["kotlin", "swift", "cpp"])
def test_others_name_files_of_the_release(language):
    named = re.findall(r"model[\w-]*", snippet(language))
    assert any((RELEASED / f"{name}.tflite").is_file() for name in named)
