"""What the ablation leaves out, and that its published figures are of these rows."""

import sys

import numpy as np
import pytest

from facemask.images.augment import augment, move
from facemask.io.files import ROOT, FacemaskError, read_json, write_json
from facemask.release import ablation
from facemask.release.collect import KINDS


def test_kinds_are_chosen_by_a_word():
    assert set(ablation.kinds("moved")) == {
        "moved right", "moved nose_out", "moved chin_hang", "moved chin_out"}
    photographs = set(KINDS) - set(ablation.kinds("drawn", "moved", "bare with"))
    assert photographs == {f"{a} {b}" for a in ("12k", "3class", "street")
                           for b in ("masked", "bare")} | {"3class incorrect", "street incorrect"}


def test_every_row_leaves_something_out():
    recipe, *others = ablation.ROWS.values()
    assert recipe == ablation.SHORT
    assert all(row != recipe for row in others) and len(set(others)) == len(others)
    *others, last = ablation.LASTS.values()
    assert all(row != last for row in others) and len(set(others)) == len(others)


CHANGES = {row.change for rows in (ablation.ROWS, ablation.LASTS) for row in rows.values()}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [48, 96])
def test_changes_keep_shape_and_differ_by_seed(change, size):
    image, behind = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    first, again, other = (change(image, np.random.default_rng(s), behind) for s in (1, 1, 2))
    assert first.shape == image.shape and first.dtype == np.uint8
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_far_faces_are_smaller_and_further_from_the_middle():
    """A white square on black: where its pixels end up."""
    image = np.zeros((96, 96, 3), np.uint8)
    image[24:72, 24:72] = 255
    behind = np.zeros_like(image)

    def places(far):
        found = []
        for seed in range(300):
            moved = move(image, np.random.default_rng(seed), behind, far)[..., 0] > 128
            found.append((moved.mean(), np.argwhere(moved)[:, 0].mean() / 95 - 0.5))
        return np.array(found)

    (small, high), (small_near, high_near) = (
        (np.quantile(p[:, 0], 0.05), p[:, 1].std()) for p in (places(True), places(False)))
    assert small < 0.7 * small_near and high > 1.3 * high_near


def test_augment_goes_far_only_where_it_knows_what_lies_behind():
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    near = [augment(image, np.random.default_rng(s)).mean() for s in range(5)]
    assert near != [augment(image, np.random.default_rng(s), image).mean() for s in range(5)]


def test_a_report_of_another_schedule_or_recipe_is_refused(tmp_path):
    report = tmp_path / "ablation.json"
    found = read_json(ROOT / "reports" / "ablation.json")
    for change in ({"code": "of another day"}, {"schedule": {"epochs": 1}}):
        write_json(report, found | {"code": ablation.code()} | change)
        before = report.read_bytes()
        with pytest.raises(FacemaskError, match="another recipe"):
            ablation.ablate(tmp_path, tmp_path, report)
        assert report.read_bytes() == before


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 writes code, and so its digest, anew")
def test_the_published_figures_are_of_these_rows():
    report = read_json(ROOT / "reports" / "ablation.json")
    assert list(report["rows"]) == list(ablation.RECIPES)
    assert list(report["sizes"]) == list(ablation.SIZES)
    assert report["schedule"] == {
        key: getattr(ablation.SHORT, key) for key in ("epochs", "steps", "image_size")}
    assert report["code"] == ablation.code(), "of the recipe as it ships"
    for runs in report["rows"].values():
        assert set(runs) == {*map(str, ablation.SEEDS), "cost"}
