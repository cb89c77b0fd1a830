import numpy as np
import pytest

from facemask.drawing.fabrics import KINDS
from facemask.drawing.landmarks import default_shape
from facemask.drawing.masks import WORN, FaceShape, draw_mask, move_shape
from facemask.drawing.props import OCCLUDERS, add_neck, draw_occluder
from facemask.io.files import FacemaskError

SEEDS = range(24)


def scene(size: int = 160) -> tuple[np.ndarray, FaceShape]:
    """A flat skin-coloured picture with an average face in its upper middle."""
    image = np.full((size, size, 3), (190, 145, 120), np.uint8)
    return image, move_shape(default_shape(size), 0.6, (0.2 * size, 0.1 * size))


def covered(before: np.ndarray, after: np.ndarray, point: np.ndarray) -> bool:
    """Whether the picture has changed at `point` by more than a shadow or a strap would."""
    x, y = np.round(point).astype(int)
    change = np.abs(after[y - 1 : y + 2, x - 1 : x + 2].astype(int) - before[y, x])
    return change.max(axis=2).min() > 25


def share_covered(worn: str, place, kinds=KINDS) -> float:
    image, shape = scene()
    hits = [
        covered(
            image, draw_mask(image, shape, worn, np.random.default_rng(seed), kind), place(shape)
        )
        for kind in kinds
        for seed in SEEDS
    ]
    return float(np.mean(hits))


def mouth(shape: FaceShape) -> np.ndarray:
    return shape.mouth.mean(axis=0)


def chin(shape: FaceShape) -> np.ndarray:
    return shape.jaw[8] * 0.9 + mouth(shape) * 0.1


def lower_chin(shape: FaceShape) -> np.ndarray:
    return shape.jaw[8] * 0.75 + shape.mouth[3] * 0.25


HALF_KINDS = ("surgical", "fold", "cloth", "sponge", "cup")


# A colour near that of the skin may hide a mask from the test, hence not 1 and 0 exactly.
@pytest.mark.parametrize(
    ("worn", "place", "low", "high"),
    [
        ("right", lambda s: s.nose_tip, 0.9, 1.0),
        ("right", mouth, 0.9, 1.0),
        ("right", chin, 0.9, 1.0),
        ("right", lambda s: s.nose_bridge, 0.0, 0.0),
        ("nose_out", lambda s: s.nose_tip - [0, 3], 0.0, 0.02),
        ("nose_out", lambda s: s.mouth[3], 0.9, 1.0),
        ("nose_out", chin, 0.9, 1.0),
        ("chin_hang", lambda s: s.nose_tip, 0.0, 0.0),
        ("chin_hang", lambda s: s.mouth[1], 0.0, 0.0),
        ("chin_hang", lambda s: s.jaw[8] + [0, 0.2] * (s.jaw[8] - s.mouth[3]), 0.7, 1.0),
        ("chin_out", lambda s: s.nose_tip, 0.9, 1.0),
        ("chin_out", lambda s: s.mouth[1], 0.9, 1.0),
        ("chin_out", lower_chin, 0.0, 0.02),
    ],
)
def test_each_way_of_wearing_covers_what_it_should(worn, place, low, high):
    kinds = KINDS if worn in ("right", "nose_out") else HALF_KINDS
    assert low <= share_covered(worn, place, kinds) <= high


def test_same_seed_same_picture_other_seed_another():
    image, shape = scene()
    for worn in WORN:
        first = draw_mask(image, shape, worn, np.random.default_rng(5))
        again = draw_mask(image, shape, worn, np.random.default_rng(5))
        other = draw_mask(image, shape, worn, np.random.default_rng(6))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_the_picture_away_from_the_mask_stays_and_the_input_is_not_touched():
    image, shape = scene()
    image[:] = np.random.default_rng(0).integers(0, 256, image.shape)
    before = image.copy()
    for seed in SEEDS:
        out = draw_mask(image, shape, WORN[seed % 4], np.random.default_rng(seed))
        assert out.dtype == np.uint8 and out.shape == image.shape
        assert np.array_equal(out[:20], before[:20])
        assert not np.array_equal(out, before)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("size", [24, 40, 64, 112, 600])
def test_works_at_every_size(size):
    image, shape = scene(size)
    for worn in WORN:
        out = draw_mask(image, shape, worn, np.random.default_rng(1))
        share = (np.abs(out.astype(int) - image).max(axis=2) > 20).mean()
        assert 0.01 < share < 0.5


def test_faces_at_the_border_turned_and_broken_shapes_do_not_crash():
    image, shape = scene()
    rng = np.random.default_rng(0)
    for seed in range(24):
        moved = move_shape(shape, rng.uniform(0.3, 2), tuple(rng.uniform(-160, 160, 2)))
        if seed % 3 == 0:  # points at random, as a failed detector gives them
            moved = FaceShape(*(p + rng.normal(0, 30, p.shape).astype(np.float32) for p in moved))
        if seed % 3 == 1:  # profile: all x pressed together
            moved = FaceShape(*(p * np.float32([0.1, 1]) for p in moved))
        for worn in WORN:
            assert draw_mask(image, moved, worn, np.random.default_rng(seed)).shape == image.shape
        for kind in OCCLUDERS:
            assert (
                draw_occluder(image, moved, kind, np.random.default_rng(seed)).shape == image.shape
            )


def test_the_mask_tilts_with_the_head():
    image, shape = scene()
    centre = shape.nose_tip
    turn = np.deg2rad(25)
    matrix = np.float32([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    tilted = FaceShape(*((p - centre) @ matrix + centre for p in shape))
    hits = [
        covered(
            image,
            draw_mask(image, tilted, "right", np.random.default_rng(s), "sponge"),
            mouth(tilted),
        )
        for s in SEEDS
    ]
    assert np.mean(hits) > 0.9


def test_a_mask_in_the_dark_is_dark_and_on_a_grey_picture_grey():
    image, shape = scene()
    x, y = np.round(mouth(shape)).astype(int)
    dark, grey = image // 8, np.repeat(image[..., :1], 3, axis=2)
    for seed in SEEDS:
        out = draw_mask(dark, shape, "right", np.random.default_rng(seed))
        assert out[y - 3 : y + 3, x - 3 : x + 3].mean() < 120
        out = draw_mask(grey, shape, "right", np.random.default_rng(seed)).astype(int)
        assert np.abs(out[..., 0] - out[..., 2]).max() <= 40


@pytest.mark.parametrize("kind", OCCLUDERS)
def test_occluders_change_their_own_part_and_are_reproducible(kind):
    image, shape = scene()
    rng = np.random.default_rng
    for seed in range(6):
        out = draw_occluder(image, shape, kind, rng(seed))
        assert out.dtype == np.uint8 and out.shape == image.shape
        assert np.array_equal(out, draw_occluder(image, shape, kind, rng(seed)))
        assert (np.abs(out.astype(int) - image).max(axis=2) > 15).mean() > 0.005
        free = (
            shape.eyes[0]
            if kind in ("scarf_neck", "beard", "microphone")
            else shape.jaw[0] * [0.2, 0.2]
        )
        assert not covered(image, out, free)


def test_a_neck_makes_room_below_and_keeps_the_face():
    image, _ = scene()
    shape = default_shape(160)
    tall, moved = add_neck(image, shape, np.random.default_rng(3))
    assert tall.dtype == np.uint8 and tall.shape[1] == 160 and 176 <= tall.shape[0] <= 232
    assert np.array_equal(tall[:140], image[:140])
    assert np.array_equal(moved.jaw, shape.jaw)


def test_unknown_names_and_wrong_pictures_are_refused():
    image, shape = scene()
    rng = np.random.default_rng(0)
    with pytest.raises(FacemaskError, match="upside_down"):
        draw_mask(image, shape, "upside_down", rng)
    with pytest.raises(FacemaskError, match="paper"):
        draw_mask(image, shape, "right", rng, kind="paper")
    with pytest.raises(FacemaskError, match="umbrella"):
        draw_occluder(image, shape, "umbrella", rng)
    with pytest.raises(FacemaskError, match="uint8"):
        draw_mask(image / 255, shape, "right", rng)
