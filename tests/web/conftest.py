"""The built page, and pictures for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from PIL import Image
from profiles import red_is_blue

from facemask import CLASSES
from facemask.benchmarks import browser
from facemask.datasets.sample import draw_scene
from facemask.exports import export
from facemask.images.crops import crop_faces
from facemask.io.files import RELEASE, ROOT
from facemask.io.install import ToolMissing
from facemask.models import classifier, networks
from facemask.models.tfjs import node_available

WEB = ROOT / "web"


def missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing, so the web page is not tested")


@pytest.fixture(scope="session")
def node() -> str:
    if not node_available():
        missing("Node.js 18 or later, with npm,")
    return shutil.which("node")


@pytest.fixture(scope="session")
def chromium() -> str:
    try:
        return browser.find()
    except ToolMissing:
        missing("Chromium")


@pytest.fixture(scope="session")
def model(node, tmp_path_factory) -> tuple[classifier.Classifier, Path]:
    """The released classifier and the folder of its exports; else an untrained one."""
    folder = RELEASE
    if not (folder / "tfjs").is_dir():
        folder = tmp_path_factory.mktemp("model")
        faces = [draw_scene(np.random.default_rng(k), faces=1, width=64, height=64)[0]
                 for k in range(8)]
        export.convert(untrained(np.stack(faces)), list(CLASSES), np.stack(faces), folder)
    return classifier.load(folder / "model.keras"), folder


def untrained(faces: np.ndarray) -> keras.Model:
    """A compact CNN from a seed, its last layer set so that answers vary from face to face."""
    keras.utils.set_random_seed(0)
    network = networks.compact(faces.shape[1], len(CLASSES))
    last = network.layers[-1]
    features = keras.Model(network.input, last.input).predict(faces.astype("float32"), verbose=0)
    kernel, _ = last.get_weights()
    logits = features @ kernel
    last.set_weights([kernel / logits.std(0), -logits.mean(0) / logits.std(0)])
    return network


@pytest.fixture(scope="session")
def site(model, node, tmp_path_factory) -> Path:
    """The built page."""
    out = tmp_path_factory.mktemp("site") / "dist"
    build = [sys.executable, WEB / "build.py", model[1], out]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def save(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture(scope="session")
def pictures(model, tmp_path_factory) -> dict[str, Path]:
    """A photo with several faces, one just as the classifier takes it, and a video of faces."""
    folder = tmp_path_factory.mktemp("pictures")
    scene, _ = draw_scene(np.random.default_rng(0), faces=4)
    size = model[0].image_size
    wide, (person,) = draw_scene(np.random.default_rng(3), faces=1, width=4 * size, height=4 * size)
    face = crop_faces(wide, np.array([person["box"]]), size, 0.1)[0]
    video = folder / "video.mjpeg"  # a row of JPEG files, which Chromium can play as a webcam
    film, _ = draw_scene(np.random.default_rng(5), faces=2)
    _, jpeg = cv2.imencode(".jpg", film[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    video.write_bytes(jpeg.tobytes() * 30)
    (folder / "film.jpg").write_bytes(jpeg.tobytes())
    (folder / "text.png").write_text("not a picture")
    large = np.full((3000, 4500, 3), 170, np.uint8)
    large[700 : 700 + len(scene), 1200 : 1200 + scene.shape[1]] = scene
    # Red and blue change places in the file, and its profile says so.
    Image.fromarray(scene[..., ::-1]).save(folder / "profile.png", icc_profile=red_is_blue())
    return {
        "scene": save(folder / "scene.png", scene),
        "face": save(folder / "face.png", face),
        "film": folder / "film.jpg",
        "video": video,
        "text": folder / "text.png",
        "large": save(folder / "large.png", large),
        "profile": folder / "profile.png",
    }
