"""Finding faces and cutting the squares to judge."""

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from facemask.datasets.sample import draw_scene
from facemask.datasets.scenes import read_scenes
from facemask.finder.measure import on_photos
from facemask.images.boxes import match
from facemask.images.crops import crop_box, crop_faces, resize
from facemask.images.reading import read_image
from facemask.io.files import FacemaskError, read_json
from facemask.metrics.detection import BANDS
from facemask.photos import finder
from facemask.release.photos import SPLIT


@pytest.fixture(scope="module")
def scenes(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> list:
    """Annotated photos that the finder was not trained on, as `scenes.read_scenes` gives them."""
    folder = tmp_path_factory.mktemp("scenes")
    with zipfile.ZipFile(archives / "face-mask-scenes.zip") as archive:
        unseen = [n for n in read_json(SPLIT)["test"] if n.startswith("scenes/")]
        stems = {Path(n).stem for n in unseen[::2]}
        wanted = [n for n in archive.namelist() if Path(n).stem in stems]
        archive.extractall(folder, wanted)
    (images,) = folder.rglob("images")
    return read_scenes(images.parent)


def test_finds_the_faces_of_annotated_photos(scenes: list) -> None:
    photos = [("scenes", read_image(path), boxes) for path, boxes, _ in scenes]
    unseen = [[np.zeros((0, 5))] * 2] * len(photos)  # so every box beyond the annotated is false
    table = on_photos(finder.find_faces, photos, unseen)["scenes"]
    assert table["64 px and more"]["recall"] >= 0.92
    assert table["32 to 63 px"]["recall"] >= 0.85
    assert sum(table[band]["false a photo"] for band in BANDS) < 0.75


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
    found = finder.find_faces(image, 0.1)
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


def test_photos_of_many_shapes_by_turns_are_answered_as_alone() -> None:
    image, _ = draw_scene(np.random.default_rng(1), faces=4)
    images = [image[: 480 - 32 * (k % 6), : 640 - 64 * (k // 6)] for k in range(24)] * 2
    images[5] = np.tile(image, (4, 4, 1))  # looked at twice
    alone = [finder.Finder(finder.FINDER)(each) for each in images]
    network = finder.Finder(finder.FINDER)
    for shown in (map(network, images), ThreadPoolExecutor(3).map(network, images)):
        for found, wanted in zip(shown, alone, strict=True):
            np.testing.assert_array_equal(found, wanted)
    shapes = [network.get_input_details()[0]["shape"] for network in network._idle]
    assert 5 < len(shapes) < 24 and sum(h * w for _, h, w, _ in shapes) <= finder.KEPT


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


def test_a_missing_finder_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(finder, "FINDER", tmp_path / "none.tflite")
    with pytest.raises(FacemaskError, match="is missing"):
        finder.released.__wrapped__()


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


def test_tells_a_face_crop_from_a_photo(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert not finder.is_face_crop(blank(120, 100), none)
    monkeypatch.setattr(finder, "find_faces", lambda image, threshold: face)  # faintly
    assert finder.is_face_crop(blank(120, 100), none)
    assert not finder.is_face_crop(blank(1200, 1000), none)
    assert not finder.is_face_crop(blank(60, 200), none)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (1000, 333), (50, 70), (1, 3000)])
def test_canvas_has_sides_in_32_and_keeps_the_photo_left_top(height, width):
    image = np.full((height, width, 3), 7, np.uint8)
    shown, (x, y) = finder.canvas(image)
    assert shown.shape[0] % 32 == shown.shape[1] % 32 == 0
    assert max(shown.shape) <= 640
    assert (shown == 7).all()  # filled by the border
    assert x == pytest.approx(min(640 / max(height, width), 4), rel=0.02)
    assert round(width * x) <= shown.shape[1] and round(height * y) <= shown.shape[0]


def test_a_photo_of_the_right_size_is_not_touched():
    image = np.random.default_rng(0).integers(0, 256, (320, 640, 3)).astype(np.uint8)
    shown, scales = finder.canvas(image)
    assert (shown == image).all() and scales == (1, 1)


def test_decode_places_a_box_of_each_level():
    maps = []
    for stride in (32, 8, 16):  # in any order
        score = np.full((1, 64 // stride, 96 // stride, 1), -5, np.float32)
        box = np.zeros((1, 64 // stride, 96 // stride, 4), np.float32)
        score[0, 1, 2 if stride < 32 else 1] = 3 - stride / 16
        box[0, 1, 2 if stride < 32 else 1] = [0.5, 0.25, np.log(2), np.log(3)]
        maps += [box, score]
    found = finder.decode(maps, 0.5)
    assert len(found) == 3
    for (x, y, w, h, score), stride in zip(found, (8, 16, 32)):
        column = 2 if stride < 32 else 1
        assert (w, h) == pytest.approx((2 * stride, 3 * stride))
        assert x + w / 2 == pytest.approx((column + 0.5) * stride)
        assert y + h / 2 == pytest.approx(1.25 * stride)
        assert score == pytest.approx(1 / (1 + np.exp(stride / 16 - 3)))
    assert len(finder.decode(maps, 0.74)) == 2
    assert len(finder.decode(maps, 0.75)) == 1  # the small box needs more


def test_a_small_box_needs_a_higher_score():
    score = np.full((1, 4, 4, 1), -9, np.float32)
    box = np.zeros((1, 4, 4, 4), np.float32)
    score[0, 0, :2, 0] = np.log(0.5 / 0.5)  # twice a score of 0.5
    box[0, 0, 0, 2:] = np.log((finder.SMALL - 1) / 8)
    box[0, 0, 1, 2:] = np.log((finder.SMALL + 1) / 8)
    (kept,) = finder.decode([score, box], 0.5 - finder.SMALL_EXTRA / 2)
    assert kept[2] == pytest.approx(finder.SMALL + 1)
    assert len(finder.decode([score, box], 0.49 - finder.SMALL_EXTRA)) == 2


def test_suppress_keeps_the_best_of_those_that_overlap():
    boxes = np.array([[0, 0, 10, 10, 0.9], [1, 0, 10, 10, 0.8], [30, 0, 10, 10, 0.7],
                      [3, 3, 4, 4, 0.6]])  # the last lies in the first
    kept = finder.suppress(boxes, same=0.45, nested=0.8)
    assert kept[:, 4].tolist() == [0.9, 0.7]
    assert finder.suppress(boxes[:0]).shape == (0, 5)


def test_a_large_photo_is_looked_at_twice() -> None:
    image, drawn = draw_scene(np.random.default_rng(2), faces=4, width=900, height=600)
    large = np.full((2600, 3600, 3), 200, np.uint8)
    large[1000:1600, 2000:2900] = image
    truth = np.array([person["box"] for person in drawn]) + (2000, 1000, 0, 0)
    once, twice = (finder.find_faces(large, again=again) for again in (False, True))
    hits = [(match(found, truth, 0.3) >= 0).sum() for found in (once, twice)]
    assert hits[0] < hits[1] and hits[1] >= 3
    assert all((twice == box).all(axis=1).any() for box in once), "the first look's are kept"
    assert (np.diff(twice[:, 4]) <= 0).all()
    small = image[:, :640]
    np.testing.assert_array_equal(finder.find_faces(small), finder.find_faces(small, again=False))


def test_a_second_look_adds_small_sure_boxes_that_nothing_overlaps():
    first = np.array([[0, 0, 400, 400, 0.6], [900, 0, 40, 40, 0.5]], np.float32)
    second = np.array([
        [700, 0, 50, 50, 0.9],  # added
        [600, 0, 50, 50, 0.6],  # added, after the first of the same score
        [500, 0, 50, 50, finder.SECOND - 0.01],  # not sure
        [1000, 0, 300, 300, 0.9],  # large: the first look would have seen it
        [100, 100, 50, 50, 0.99],  # an eye
        [905, 0, 40, 40, 0.9],  # seen already
    ], np.float32)  # fmt: skip
    found = finder.join(first, second, longer=2560)
    assert found[:, 0].tolist() == [700, 0, 600, 900]


def test_place_clips_to_the_photo_and_drops_what_lies_outside():
    boxes = np.array([[-10, 5, 40, 50, 0.9], [200, 0, 10, 10, 0.5]])
    placed = finder.place(boxes, (2, 2), (20, 100))
    assert placed.tolist() == [pytest.approx([0, 2.5, 15, 17.5, 0.9])]
    assert placed.dtype == np.float32
