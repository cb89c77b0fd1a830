"""The web page, built and visited in a real Chromium, against Python's answers."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from facemask import CLASSES
from facemask.benchmarks import browser
from facemask.datasets.sample import draw_scene
from facemask.exports import export
from facemask.images.boxes import overlaps
from facemask.images.crops import crop_faces
from facemask.images.crops import resize as resize_in_python
from facemask.io.files import RELEASE, ROOT
from facemask.io.install import ToolMissing
from facemask.models import classifier, networks
from facemask.models.tfjs import node_available
from facemask.photos.predict import judge

WEB = ROOT / "web"
FEWEST_FACES = 3  # of four drawn ones, for the comparison to say something
FILM_FACES = 2
SAME_PLACE = 0.9  # intersection over union
# Largest difference in a probability where both judge the very same pixels: the page's weights are
# rounded to 16 bits.
SAME_PIXELS = 2e-3
# Where a face is cut and resized: a level of 255 may be rounded differently, and a cut whose edge
# falls halfway between two pixels may go one further.
SAME_FACE = 0.1
GRAPHICS = 0.02  # the networks on a graphics card's own arithmetic, or here a software one
SURE = classifier.read_sure(RELEASE)
FIRST_LOAD = 1_500_000  # bytes over the wire


def missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing, so the web page is not tested")


@pytest.fixture(scope="module")
def node() -> str:
    if not node_available():
        missing("Node.js 18 or later, with npm,")
    return shutil.which("node")


@pytest.fixture(scope="module")
def chromium() -> str:
    try:
        return browser.find()
    except ToolMissing:
        missing("Chromium")


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def site(model, node, tmp_path_factory) -> Path:
    """The built page."""
    out = tmp_path_factory.mktemp("site") / "dist"
    build = [sys.executable, WEB / "build.py", model[1], out]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def rgb(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def save(path: Path, image: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture(scope="module")
def pictures(model, tmp_path_factory) -> dict[str, Path]:
    """A photo with several faces, one just as the classifier takes it, and a video of faces."""
    folder = tmp_path_factory.mktemp("pictures")
    scene, _ = draw_scene(np.random.default_rng(0), faces=4)
    size = model[0].image_size
    wide, (person,) = draw_scene(np.random.default_rng(3), faces=1, width=4 * size, height=4 * size)
    face = crop_faces(wide, np.array([person["box"]]), size, 0.1)[0]
    video = folder / "video.mjpeg"  # a row of JPEG files, which Chromium can play as a webcam
    film, _ = draw_scene(np.random.default_rng(5), faces=FILM_FACES)
    _, jpeg = cv2.imencode(".jpg", film[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    video.write_bytes(jpeg.tobytes() * 30)
    (folder / "film.jpg").write_bytes(jpeg.tobytes())
    (folder / "text.png").write_text("not a picture")
    return {
        "scene": save(folder / "scene.png", scene),
        "face": save(folder / "face.png", face),
        "film": folder / "film.jpg",
        "video": video,
        "text": folder / "text.png",
    }


@pytest.fixture(scope="module")
def visit(site, pictures, chromium, node) -> dict:
    """What the page showed in one visit: the answers of web/drive.mjs, by names given here."""
    paths = {name: str(path) for name, path in pictures.items()}
    steps = {
        "opened": {"do": "open"},
        "tabbed": {"do": "press", "keys": ["Tab"] * 4},
        "dropped": {"do": "drop", "path": paths["scene"]},
        "tree": {"do": "tree"},
        "phone": {"do": "look", "width": 360, "height": 640},
        "desk": {"do": "look"},
        "pasted": {"do": "paste", "path": paths["face"]},
        "unreadable": {"do": "file", "path": paths["text"]},
        "chosen": {"do": "file", "path": paths["scene"]},
        "live": {"do": "webcam", "seconds": 2},
        "stopped": {"do": "stop"},
        "webgl": {"do": "backend", "name": "webgl"},
        "offline": {"do": "offline"},
        "dropped offline": {"do": "drop", "path": paths["scene"]},
        "example offline": {"do": "example"},
    }
    fake = [
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={paths['video']}",
    ]
    answer = browser.drive(site, list(steps.values()), browser.SOFTWARE_GRAPHICS + fake)
    return answer | dict(zip(steps, answer["results"]))


def agrees(shown: list[dict], image: np.ndarray, model) -> None:
    """The page shows the faces that `judge` finds, with the same labels and probabilities."""
    expected = judge(image, model)["faces"]
    assert len(shown) == len(expected)
    for face in expected:
        boxes = np.array([other["box"] for other in shown])
        union, _ = overlaps(np.array(face["box"]), boxes)
        assert union.max() > SAME_PLACE
        same = shown[int(union.argmax())]
        probabilities = list(face["probabilities"].values())
        np.testing.assert_allclose(same["probabilities"], probabilities, atol=SAME_FACE)
        assert same["label"] == face["label"]


def test_several_faces_as_in_python(visit, pictures, model):
    scene = rgb(pictures["scene"])
    assert len(judge(scene, model[0])["faces"]) >= FEWEST_FACES
    agrees(visit["dropped"]["faces"], scene, model[0])


def test_probabilities_are_those_of_keras(visit, pictures, model):
    (face,) = visit["pasted"]["faces"]
    expected = model[0].predict(rgb(pictures["face"])[None])[0]
    np.testing.assert_allclose(face["probabilities"], expected, atol=SAME_PIXELS)
    assert face["label"] == model[0].labels[int(expected.argmax())]
    assert "judged whole" in visit["pasted"]["status"]


def test_every_way_of_giving_a_photo_gives_one_answer(visit):
    assert visit["chosen"]["faces"] == visit["dropped"]["faces"]


def test_label_and_probability_are_written_on_each_face(visit):
    words = {"with_mask": "with mask", "without_mask": "without mask",
             "incorrect_mask": "mask worn wrong"}  # fmt: skip
    for face in visit["dropped"]["faces"]:
        best = max(face["probabilities"])
        assert f"{words[face['label']]}, {100 * best:.1f}%" in face["text"]
        assert face["sure"] == (best >= SURE)
        if face["sure"]:
            assert f"{words[face['label']]} {100 * best:.0f}%" in face["tag"]
        else:
            assert "unsure" in face["tag"] and "unsure" in face["text"]


def test_a_file_that_is_no_picture(visit):
    said = "text.png cannot be judged: it is not a picture"
    assert visit["unreadable"]["status"].startswith(said)


def test_webcam(visit, pictures, model):
    assert re.match(r"\d+\.\d frames a second", visit["live"]["speed"])
    expected = judge(rgb(pictures["film"]), model[0])["faces"]
    shown = visit["live"]["faces"]
    assert FILM_FACES <= len(shown) == len(expected)
    for face in shown:  # a browser decodes JPEG a little differently
        union, _ = overlaps(np.array(face["box"]), np.array([other["box"] for other in expected]))
        assert union.max() > 0.8
    assert visit["stopped"]["status"] == "The webcam is off."


def test_graphics_backend(visit, pictures, model):
    assert visit["opened"]["backends"][:2] == ["wasm", "webgl"]
    # The photo is judged again when the backend changes.
    agrees(visit["webgl"]["faces"], rgb(pictures["scene"]), model[0])


def test_works_without_a_network(visit):
    assert visit["dropped offline"]["faces"] == visit["dropped"]["faces"]
    assert len(visit["example offline"]["faces"]) >= FEWEST_FACES


def test_no_error_and_no_other_host(visit):
    assert visit["errors"] == []
    assert visit["elsewhere"] == []
    assert visit["missing"] == []


def test_first_load_is_small(visit):
    assert 0 < visit["opened"]["sent"] < FIRST_LOAD


def test_keyboard_and_screen_reader(visit):
    assert visit["tabbed"]["focus"] == "backend", "after the three buttons"
    count = len(visit["dropped"]["faces"])
    tree = visit["tree"]["value"]
    assert f'img "Your picture. {count} faces: ' in tree
    assert len(re.findall(r'listitem:? "?Face \d', tree)) == count
    assert visit["dropped"]["status"].startswith(f"{count} faces: ")


def test_fits_on_a_phone(visit):
    assert not visit["phone"]["wide"]


def test_every_export_can_be_downloaded(site):
    links = re.findall(r'href="(exports/[^"]+)"', (site / "index.html").read_text())
    assert {"exports/model.tflite", "exports/tfjs.zip", "exports/saved_model.zip",
            "exports/labels.txt"} <= set(links)  # fmt: skip
    assert all((site / link).is_file() for link in links)


@pytest.mark.parametrize(
    "old, new",
    [((64, 48), (19, 14)), ((64, 48), (32, 24)), ((64, 48), (83, 62)), ((120, 80), (83, 55)),
     ((50, 45), (48, 48)), ((100, 45), (48, 48)), ((5, 3), (48, 29)),
     ((50, 20), (40, 30))],
)  # fmt: skip
def test_the_page_resizes_like_opencv(node, tmp_path, old, new):
    image = np.random.default_rng(0).integers(0, 256, (old[1], old[0], 3), dtype=np.uint8)
    opaque = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    (tmp_path / "in").write_bytes(opaque.tobytes())
    script = f"""
        import fs from "node:fs";
        import {{ resize }} from {json.dumps((WEB / "src" / "pixels.js").as_uri())};
        const data = new Uint8ClampedArray(fs.readFileSync("in"));
        const image = {{ data, width: {old[0]}, height: {old[1]} }};
        fs.writeFileSync("out", resize(image, {new[0]}, {new[1]}).data);"""
    subprocess.run([node, "--input-type=module", "-e", script], cwd=tmp_path, check=True)
    result = np.fromfile(tmp_path / "out", np.uint8).reshape(new[1], new[0], 4)[..., :3]
    difference = result.astype(int) - resize_in_python(image, *new)
    assert np.abs(difference).max() <= 1


def test_backends_give_keras_probabilities(model, chromium):
    """The export itself, in the browser: WebGPU, too, where there is one."""
    size = model[0].image_size
    scene, _ = draw_scene(np.random.default_rng(2), faces=4, width=4 * size, height=4 * size)
    tiles = scene.reshape(4, size, 4, size, 3).swapaxes(1, 2).reshape(16, size, size, 3)
    images = np.concatenate([tiles, tiles[:, ::-1], 255 - tiles])  # more than a batch
    expected = model[0].predict(images)
    measured = browser.measure(model[1] / "tfjs", images, ["wasm", "webgl", "webgpu"], seconds=0)
    assert not {"wasm", "webgl"} & {name for name, row in measured.items() if "not_run" in row}
    for name, row in measured.items():
        if "not_run" not in row:
            bound = SAME_PIXELS if name == "wasm" else GRAPHICS
            np.testing.assert_allclose(row["probabilities"], expected, atol=bound)


def test_without_a_model(tmp_path):
    done = subprocess.run([sys.executable, WEB / "build.py", tmp_path, tmp_path / "dist"],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 2
    assert "labels.json is missing" in done.stderr
    assert not (tmp_path / "dist").exists()
