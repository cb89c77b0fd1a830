"""The drawn sample: the same from the same seed, sound shapes, no shortcut to the class."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from facemask import CLASSES
from facemask.datasets.sample import draw_face, draw_picture, draw_scene, make_sample
from facemask.images.reading import read_image
from facemask.io.files import ROOT, FacemaskError


def test_same_seed_same_picture():
    def draw(seed):
        return [draw_picture(c, np.random.default_rng(seed), 64) for c in CLASSES]

    assert np.array_equal(draw(3), draw(3)) and not np.array_equal(draw(3), draw(4))


def test_face_and_its_shape():
    for seed in range(12):
        image, shape = draw_face(np.random.default_rng(seed), 128)
        assert image.shape == (128, 128, 3) and image.dtype == np.uint8
        assert shape.jaw.shape == (17, 2) and shape.eyes.shape == (2, 2)
        assert shape.eyes[0, 0] < shape.eyes[1, 0]
        assert shape.eyes[:, 1].mean() < shape.nose_tip[1] < shape.mouth[:, 1].mean()
        assert shape.mouth[:, 1].mean() < shape.jaw[8, 1] < 140
        assert shape.jaw[0, 0] < shape.nose_tip[0] < shape.jaw[16, 0]


def test_scene_places_everyone():
    image, people = draw_scene(np.random.default_rng(2), 5, 600, 300)
    assert image.shape == (300, 600, 3) and len(people) == 5
    for person in people:
        x, y, width, height = person["box"]
        assert person["label"] in CLASSES
        assert -5 <= x < x + width <= 605 and 0 <= y < y + height <= 300 and width > 20


def test_unknown_class():
    with pytest.raises(FacemaskError, match="unknown class 'masked'"):
        draw_picture("masked", np.random.default_rng(0))


def test_folder_is_whole_and_repeatable(tmp_path):
    for name in ("a", "b"):
        make_sample(tmp_path / name, per_class=3, seed=7, size=48)
    first, second = (sorted((tmp_path / n).rglob("*.png")) for n in "ab")
    assert len(first) == 9 and {p.parent.name for p in first} == set(CLASSES)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_nothing_is_left_when_it_cannot_be_written(tmp_path):
    code = f"""
import resource, signal
from facemask.io.files import FacemaskError
from facemask.datasets.sample import make_sample
if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # as on a full disk
    try:
        make_sample({str(tmp_path / "s")!r}, per_class=2)
    except FacemaskError as error:
        print(error)
"""
    (tmp_path / "full.py").write_text(code)
    done = subprocess.run([sys.executable, tmp_path / "full.py"], cwd=ROOT, capture_output=True,
                          text=True, env={"PYTHONPATH": str(ROOT), "PATH": ""})
    assert "cannot write" in done.stdout, done.stderr[-2000:]
    assert [p.name for p in tmp_path.iterdir()] == ["full.py"]


def test_no_shortcut_to_the_class(sample):
    """Colour, sharpness and size on disk must not give the class away; the picture must."""
    paths = sorted(sample.rglob("*.png"))
    classes = [CLASSES.index(p.parent.name) for p in paths]
    shortcuts, pixels = [], []
    for path in paths:
        image = read_image(path)
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        shortcuts.append([*image.mean((0, 1)), *image.std((0, 1)), path.stat().st_size,
                          cv2.Laplacian(grey, cv2.CV_64F).var()])
        pixels.append(cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA).ravel() / 255)

    def accuracy(features, strength):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))
        return cross_val_score(model, np.array(features), classes, cv=5).mean()

    assert accuracy(shortcuts, 1.0) < 0.55
    assert accuracy(pixels, 0.003) > accuracy(shortcuts, 1.0)
