"""Training pictures of the finder, made of drawn people."""

import numpy as np
import pytest

from facemask.drawing.portrait import draw_person
from facemask.finder import scenes
from facemask.finder.collect import Picture

NO_BOX = np.empty((0, 4))


def _drawn(seed, height, width, unit, centre):
    image = np.full((height, width, 3), 120, np.uint8)
    draw_person(image, np.random.default_rng(seed), centre, unit)
    box = np.array([[centre[0] - unit, centre[1] - 1.2 * unit, 2 * unit, 2.6 * unit]])
    return image, box


@pytest.fixture(scope="module")
def stock():
    rows = []
    for k in range(3):
        image, box = _drawn(k, 200, 260, 20 + 8 * k, (100 + 20 * k, 90))
        rows.append((image, Picture(f"street/{k}.jpg", "train", box, NO_BOX, 1)))
        image, box = _drawn(9 + k, 120, 110, 34, (55, 55))
        rows.append((image, Picture(f"face/{k}.jpg", "train", box, NO_BOX, 0)))
    rows.append((rows[0][0], Picture("street/v.jpg", "validation", NO_BOX, NO_BOX, 0)))
    return scenes.store(rows)


def test_the_store_holds_the_training_part_only(stock):
    assert len(stock.photos) == len(stock.singles) == 3
    assert stock.shares[-1] == 1


def test_pictures_and_boxes_are_sound_and_repeat(stock):
    sizes = []
    for k in range(60):
        sample = scenes.make(stock, np.random.default_rng(k), 160, 192)
        assert sample.image.shape == (160, 192, 3) and sample.image.dtype == np.uint8
        for boxes in (sample.faces, sample.unsure):
            assert boxes.shape[1] == 4 and (boxes >= 0).all()
            assert (boxes[:, :2] + boxes[:, 2:] <= (192.001, 160.001)).all()
        sizes += np.sqrt(sample.faces[:, 2:].prod(axis=1)).tolist()
    assert len(sizes) > 60 and min(sizes) >= scenes.SMALLEST and max(sizes) > 90
    again = scenes.make(stock, np.random.default_rng(3), 160, 192)
    assert (again.image == scenes.make(stock, np.random.default_rng(3), 160, 192).image).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_box_follows_its_face(seed):
    """A bright face on black stays where its box says, shrunk, enlarged, turned and mirrored."""
    image = np.zeros((200, 300, 3), np.uint8)
    image[40:120, 150:210] = 255
    rng = np.random.default_rng(seed)
    scale = [0.4, 0.7, 1, 1.5, 2, 0.5][seed]
    box = np.array([[150, 40, 60, 80.0]])
    sample = scenes._take(image, box, NO_BOX, scale, np.array([20.0, -10]), 320, 640, rng)
    y, x = np.nonzero((sample.image > 250).all(axis=2))
    left, top, w, h = sample.faces[0]
    assert (x.mean(), y.mean()) == pytest.approx((left + w / 2, top + h / 2), abs=1.5)
    assert len(x) == pytest.approx(60 * 80 * scale**2, rel=0.15)


def test_what_shows_little_of_a_face_is_no_face():
    image = np.zeros((64, 64, 3), np.uint8)
    boxes = np.array([[-10, 10, 40, 40], [-30, 10, 40, 40], [-38, 10, 40, 40], [5, 5, 4, 4.0]])
    sample = scenes._clip(scenes.Sample(image, boxes, NO_BOX))
    assert sample.faces.tolist() == [[0, 10, 30, 40]]
    assert sample.unsure.tolist() == [[0, 10, 10, 40], [5, 5, 4, 4]]


def test_what_is_drawn_and_what_is_cut_beside_faces_has_no_face(stock):
    for k in range(20):
        sample = scenes.none(stock, np.random.default_rng(k), 96, 128)
        assert sample.image.shape == (96, 128, 3) and not len(sample.faces)
