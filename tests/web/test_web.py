"""The web page, built and visited in a real Chromium, against Python's answers."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.benchmarks import browser
from facemask.datasets.sample import draw_scene
from facemask.images.boxes import overlaps
from facemask.images.crops import resize as resize_in_python
from facemask.images.reading import read_image
from facemask.io.files import RELEASE, ROOT, read_json, write_json
from facemask.models import classifier
from facemask.photos.finder import find_faces
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


def rgb(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


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
        "large": {"do": "file", "path": paths["large"]},
        "profile": {"do": "file", "path": paths["profile"]},
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


def test_a_large_photo_is_looked_at_twice_as_in_python(visit, pictures, model):
    large = rgb(pictures["large"])
    once = find_faces(large, again=False)
    assert len(judge(large, model[0])["faces"]) > len(once)
    agrees(visit["large"]["faces"], large, model[0])


def test_colours_are_those_that_a_profile_says(visit, pictures, model):
    agrees(visit["profile"]["faces"], read_image(pictures["profile"]), model[0])


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


def test_weights_in_several_files_become_one(tmp_path, monkeypatch):
    """The converter writes a file for every 4 MB, in whose midst a weight may lie."""
    monkeypatch.syspath_prepend(WEB)
    from build import halve

    values = np.linspace(-1, 1, 3000).astype("<f4")
    content = values.tobytes() + np.float32(7).tobytes()
    (tmp_path / "group1-shard1of2.bin").write_bytes(content[:5001])
    (tmp_path / "group1-shard2of2.bin").write_bytes(content[5001:])
    weights = [{"name": "kernel", "shape": [60, 50], "dtype": "float32"},
               {"name": "scale", "shape": [], "dtype": "float32"}]  # fmt: skip
    paths = ["group1-shard1of2.bin", "group1-shard2of2.bin"]
    write_json(tmp_path / "model.json", {"weightsManifest": [{"paths": paths, "weights": weights}]})
    halve(tmp_path)
    (group,) = read_json(tmp_path / "model.json")["weightsManifest"]
    assert [path.name for path in tmp_path.glob("*.bin")] == group["paths"] == paths[:1]
    halved = (tmp_path / paths[0]).read_bytes()
    assert halved == values.astype("<f2").tobytes() + np.float32(7).tobytes()


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    done = subprocess.run([sys.executable, WEB / "build.py", RELEASE, tmp_path],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 2 and "holds no page but something else" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]
