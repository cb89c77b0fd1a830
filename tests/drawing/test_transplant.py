"""Masks cut from one picture and laid on another."""

import zipfile

import cv2
import numpy as np
import pytest

from facemask.datasets.sample import draw_face
from facemask.drawing.masks import WORN, draw_mask
from facemask.drawing.shapes import FaceAxes
from facemask.drawing.transplant import cut_mask, lay_mask, make_cuts
from facemask.io.files import FacemaskError


@pytest.fixture(scope="module")
def cuts():
    """Cuts of drawn masks, with the pictures before and after: (bare, masked, shape, cut)."""
    found = []
    for seed in range(14):
        rng = np.random.default_rng(seed)
        bare, shape = draw_face(rng, 128)
        masked = draw_mask(bare, shape, "right", rng, kind="surgical")
        found.append((bare, masked, shape, cut_mask(masked, shape)))
    return found


@pytest.fixture(scope="module")
def cut(cuts):
    return next(cut for *_, cut in cuts if cut is not None)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.abs(before.astype(int) - after).max(axis=2) > 12


def test_masks_are_cut_along_their_edge(cuts):
    good = [(b, m, s, c) for b, m, s, c in cuts if c is not None]
    assert len(good) >= 2
    for bare, masked, shape, cut in good:
        face = FaceAxes(shape, masked.shape[:2])
        # Laid back on its own face, the cut covers what the drawn mask covered.
        again = lay_mask(cut, bare, shape, "right", np.random.default_rng(0))
        t, y = np.meshgrid([-0.3, 0, 0.3], [face.lip_top, face.lip_bottom])
        x, y = face.out(face.at(t.ravel(), y.ravel())).round().astype(int).T
        assert np.abs(again[y, x].mean(0) - masked[y, x].mean(0)).max() < 60
        colour = np.median(cut.sheet.reshape(-1, 3), axis=0)
        assert np.abs(colour - np.median(masked[y, x], axis=0)).max() < 40


def test_bare_faces_give_no_cut(cuts):
    assert [cut_mask(bare, shape) for bare, _, shape, _ in cuts] == [None] * len(cuts)


def test_small_pictures_give_no_cut(cuts):
    _, masked, _, _ = cuts[0]
    assert cut_mask(cv2.resize(masked, (64, 64))) is None
    coarse = cv2.resize(cv2.resize(masked, (24, 24)), (128, 128), interpolation=cv2.INTER_NEAREST)
    assert cut_mask(coarse, cuts[0][2]) is None


@pytest.mark.parametrize("worn", WORN)
def test_a_laid_mask_covers_what_it_should(cut, worn):
    for seed in range(6):
        rng = np.random.default_rng(100 + seed)
        bare, shape = draw_face(rng, 128)
        laid = lay_mask(cut, bare, shape, worn, rng)
        assert laid.shape == bare.shape and laid.dtype == np.uint8
        face = FaceAxes(shape, bare.shape[:2])
        # A mask of one colour far from skin and mouth, so that what it covers can be told.
        green = cut._replace(sheet=np.full_like(cut.sheet, (0, 255, 0)), skin=np.full(3, 150.0))
        laid = lay_mask(green, bare, shape, worn, np.random.default_rng(seed)).astype(int)
        is_mask = laid[..., 1] > laid[..., 0] + 40

        def covered(y, is_mask=is_mask, face=face):
            x, y = face.out(face.at(0, y)[None])[0].round().astype(int)
            return bool(is_mask[min(y, len(is_mask) - 1), x])

        tip = face.bridge + 0.9 * (face.tip - face.bridge)
        mouth = 0.5 * (face.lip_top + face.lip_bottom)
        chin = face.chin - 0.1 * (face.chin - face.lip_bottom)
        seen = tuple(covered(y) for y in (tip, mouth, chin))
        assert seen == {
            "right": (True, True, True),
            "nose_out": (False, True, True),
            "chin_hang": (False, False, seen[2]),
            "chin_out": (True, True, False),
        }[worn]
        assert is_mask.sum() > 60


def test_same_seed_same_picture(cut):
    bare, shape = draw_face(np.random.default_rng(5), 112)
    one, same = (lay_mask(cut, bare, shape, "nose_out", np.random.default_rng(3)) for _ in "ab")
    other = lay_mask(cut, bare, shape, "nose_out", np.random.default_rng(4))
    assert np.array_equal(one, same)
    assert changed(one, other).any()


def test_wrong_input_is_refused(cut):
    bare, shape = draw_face(np.random.default_rng(5), 64)
    with pytest.raises(FacemaskError, match="uint8 RGB"):
        cut_mask(bare[..., 0], shape)
    with pytest.raises(FacemaskError, match="sideways"):
        lay_mask(cut, bare, shape, "sideways", np.random.default_rng(0))


def test_cuts_are_kept(archives, tmp_path, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    with zipfile.ZipFile(archives / "face-mask-12k-images-dataset.zip") as archive:
        names = [n for n in archive.namelist() if "/Train/WithMask/" in n]
        paths = []
        for i, name in enumerate(sorted(names)[::100]):
            paths.append(tmp_path / f"{i}.jpg")
            paths[-1].write_bytes(archive.read(name))
    cache = tmp_path / "cuts.npz"
    first = make_cuts(paths, cache)
    assert 1 <= len(first) < len(paths)

    def fail(*_):
        raise AssertionError("cut again")

    monkeypatch.setattr("facemask.drawing.transplant.cut_mask", fail)
    second = make_cuts(paths, cache)
    assert second.keys() == first.keys()
    assert all(np.array_equal(first[p].sheet, second[p].sheet) for p in first)
    cache.write_bytes(b"not a cache")
    with pytest.raises(FacemaskError, match="delete it"):
        make_cuts(paths, cache)
