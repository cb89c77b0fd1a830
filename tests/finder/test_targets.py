"""What the network should answer, and what the loss makes of it."""

import keras
import numpy as np
import pytest

from facemask.finder.network import STRIDES, flat, network
from facemask.finder.targets import EITHER, FACE, NONE, imitation, loss, overlap, targets

NO_BOX = np.empty((0, 4))


def _cells(height, width):
    return sum(height // s * (width // s) for s in STRIDES)


def _boxes(rows, height, width):
    """Targets' boxes in pixels, (N, 4), of the cells that are faces."""
    start, found = 0, []
    for stride in STRIDES:
        own = rows[start : start + height // stride * (width // stride)]
        for k in np.flatnonzero(own[:, 0] == FACE):
            row, column = divmod(k, width // stride)
            x, y = (column + own[k, 1]) * stride, (row + own[k, 2]) * stride
            w, h = np.exp(own[k, 3:5]) * stride
            found.append([x - w / 2, y - h / 2, w, h])
        start += len(own)
    return np.array(found)


@pytest.mark.parametrize("side", [9, 14, 30, 45, 100, 140, 300, 500])
def test_a_face_of_any_size_has_cells_that_give_its_box(side):
    box = np.array([[40.3, 70.7, side * 0.9, side / 0.9]])
    rows = targets(640, 640, box, NO_BOX)
    found = _boxes(rows, 640, 640)
    assert len(found) >= 1
    assert found == pytest.approx(np.repeat(box, len(found), 0), abs=0.01)


def test_no_face_no_target_and_unsure_places_count_neither_way():
    assert (targets(64, 96, NO_BOX, NO_BOX)[:, 0] == NONE).all()
    rows = targets(64, 96, NO_BOX, np.array([[0, 0, 96, 64.0]]))
    assert (rows[:, 0] == EITHER).all() and not rows[:, 1:].any()


def test_of_two_faces_a_cell_goes_to_the_nearer():
    boxes = np.array([[0, 0, 40, 40], [36, 0, 40, 40.0]])
    found = _boxes(targets(64, 96, boxes, NO_BOX), 64, 96)
    assert {tuple(b.round()) for b in found} == {(0, 0, 40, 40), (36, 0, 40, 40)}


def test_a_faces_cells_weigh_the_root_of_their_number():
    rows = targets(320, 320, np.array([[100, 100, 50, 50.0]]), NO_BOX)[: 40 * 40]
    own = rows[rows[:, 0] == FACE]
    assert own[:, 5].sum() == pytest.approx(np.sqrt(len(own)))


def test_overlap_of_equal_and_of_distant_boxes():
    a = np.array([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]], np.float32)
    b = np.array([[0.5, 0.5, 0, 0], [10.5, 0.5, 0, 0]], np.float32)
    iou, giou = (keras.ops.convert_to_numpy(v) for v in overlap(a, b))
    assert iou == pytest.approx([1, 0]) and giou == pytest.approx([1, -9 / 11])


def test_the_right_answer_costs_least_and_unsure_cells_nothing():
    rows = targets(96, 96, np.array([[20, 20, 40, 40.0]]), NO_BOX)[None]
    right = np.concatenate([np.where(rows[..., :1] == FACE, 12, -12), rows[..., 1:5]], axis=-1)
    silent = np.zeros((*rows.shape[:2], 15), np.float32)  # the teacher sees no face

    def cost(given):
        given = np.concatenate([given, silent - 12], axis=-1).astype(np.float32)
        return float(loss(np.concatenate([rows, silent], axis=-1), given))

    wrong = right.copy()
    wrong[..., 0] *= -1
    assert cost(right) < 1e-3 < 1 < cost(wrong)
    aside = right.copy()
    aside[rows[..., 0] == EITHER, 0] = 12
    assert cost(aside) == cost(right)


@pytest.mark.parametrize("part", [0, 2, 4, 9])
def test_a_teacher_is_imitated_in_score_box_and_landmarks(part):
    teacher = np.zeros((1, 20, 15), np.float32)
    teacher[0, :3] = [0.9, 0.5, 0.5, 1, 1, *range(10)]
    like = teacher.copy()
    like[..., 0] = np.where(teacher[..., 0] > 0, np.log(9), -12)
    other = like.copy()
    other[0, 1, part] -= 2
    assert float(imitation(teacher, like)) < 1e-3 < 0.02 < float(imitation(teacher, other))


def test_the_network_has_a_cell_for_every_target():
    model = network()
    assert model.count_params() <= 150_000
    given = flat(model).predict(np.zeros((1, 64, 96, 3)), verbose=0)
    assert given.shape == (1, _cells(64, 96), 5 + 15)
    assert given.shape[1] == len(targets(64, 96, NO_BOX, NO_BOX))
