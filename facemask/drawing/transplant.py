"""Real masks moved from one photograph to another: cut from a masked face, laid on a bare one."""

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from facemask.drawing import masks
from facemask.drawing.fabrics import make_fabric, noise
from facemask.drawing.head import Rng
from facemask.drawing.landmarks import default_shape, face_shape
from facemask.drawing.shapes import FaceAxes, FaceShape, move_shape
from facemask.images.reading import read_image
from facemask.io.files import FacemaskError, write_whole

LEAST_SIDE = 80  # pixels; a smaller picture has no texture worth moving
WORK_SIDE = 112  # pixels; the picture is this large where the mask is told from the rest
SHEET = (96, 128)  # rows and columns of the texture
COLUMNS = 33  # where along the mask its edges are known
_T = np.linspace(-1, 1, COLUMNS)


class Cut(NamedTuple):
    """A mask taken off a face, flattened: its texture, and its edges in terms of the face.

    Heights are levels: 0 is the bridge of the nose, 1 its tip, 2 the chin, linear between.
    """

    sheet: np.ndarray  # uint8 RGB (96, 128, 3): rows from upper to lower edge, columns across
    top: np.ndarray  # float32 (33,) level of the upper edge, from left to right
    bottom: np.ndarray  # float32 (33,) level of the lower edge
    reach: np.ndarray  # float32 (2,) how far left and right it goes, 1 is the face's half width
    skin: np.ndarray  # float32 (3,) RGB 0..255 of the face it was worn on


def _levels(face: FaceAxes) -> np.ndarray:
    return np.array([face.bridge, face.tip, face.chin])


def _to_level(face: FaceAxes, y: np.ndarray) -> np.ndarray:
    bridge, tip, chin = _levels(face)
    return np.where(y < tip, (y - bridge) / (tip - bridge), 1 + (y - tip) / (chin - tip))


def _from_level(face: FaceAxes, level: np.ndarray) -> np.ndarray:
    bridge, tip, chin = _levels(face)
    return np.where(level < 1, bridge + level * (tip - bridge), tip + (level - 1) * (chin - tip))


def _halves(face: FaceAxes) -> list[float]:
    """Half widths of the face, left and right of the nose, at the height of its tip."""
    return [float(np.interp(face.tip, face.rows, side)) for side in face.sides]


def _across(face: FaceAxes, t: np.ndarray, reach: np.ndarray) -> np.ndarray:
    left, right = _halves(face)
    return face.centre(face.base) + t * np.where(t < 0, reach[0] * left, reach[1] * right)


def _last_row(image: np.ndarray) -> int:
    """Rows above the border that repeats the picture's last row, as crops over the edge have."""
    step = np.abs(np.diff(image.astype(np.int16), axis=0)).mean(axis=(1, 2))
    moving = np.flatnonzero(step > 1.5)
    return int(moving[-1]) + 1 if len(moving) else 0


def _is_coarse(image: np.ndarray) -> bool:
    """Whether the picture is a small one enlarged into blocks.

    Blocks have edges in two directions only, and a median filter leaves them as they are. The
    limits part the blocks from the rest in some sixty pictures judged by eye.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if max(grey.shape) > 224:
        scale = 224 / max(grey.shape)
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    h, w = grey.shape
    inner = slice(h * 3 // 20, h * 17 // 20), slice(w * 3 // 20, w * 17 // 20)
    exact = grey.astype(np.float32)
    fine = np.abs(exact - cv2.GaussianBlur(exact, (0, 0), 1.5))[inner].mean()
    left = np.abs(exact - cv2.medianBlur(grey, 5))[inner].mean()
    gx, gy = (cv2.Sobel(exact, cv2.CV_32F, *d)[inner] for d in ((1, 0), (0, 1)))
    turn = np.arctan2(gy, gx) % (np.pi / 2)
    share, _ = np.histogram(turn, 30, (0, np.pi / 2), weights=np.hypot(gx, gy))
    peak = np.convolve(np.pad(share, 2, "wrap"), np.ones(5), "valid").max() / (share.sum() + 1)
    return bool(peak > 0.46 and left < 0.65 * fine)


def _grid(face: FaceAxes, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Place across, -1..1 from side to side, and height in the face's axes, of every pixel."""
    ys, xs = np.mgrid[: size[0], : size[1]].astype(np.float64)
    points = face.into(np.stack([xs, ys], axis=-1).reshape(-1, 2))
    x, y = points[:, 0] - face.centre(points[:, 1]), points[:, 1]
    left, right = _halves(face)
    return (x / np.where(x < 0, left, right)).reshape(size), y.reshape(size)


def _segment(image: np.ndarray, face: FaceAxes) -> tuple[np.ndarray, np.ndarray] | None:
    """Which pixels are mask, uint8 0/1 (h, w), and the skin's colour; None if it looks wrong."""
    t, y = _grid(face, image.shape[:2])
    level = _to_level(face, y)
    side = np.abs(t)
    lower = level > 1
    seed = lower & (level < 1.75) & (side < 0.5)
    lips = _to_level(face, np.array(face.lip_top))
    start = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    near = (level > -0.1) & (level < 2.35) & (side < 1.25)
    start[near] = cv2.GC_PR_BGD
    start[(level > 0.55) & (level < 1.95) & (side < 0.85)] = cv2.GC_PR_FGD
    start[seed] = cv2.GC_FGD
    start[_last_row(image):] = cv2.GC_BGD
    if not (start == cv2.GC_FGD).sum() > 60 or not (start != cv2.GC_FGD).any():
        return None
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    # Cheeks under the eyes and the bridge between them: bare on whoever wears a mask.
    bare = (level > -0.25) & (level < 0.3) & (side < 0.75)
    if bare.sum() < 30:
        return None
    skin = np.median(image[bare], axis=0).astype(np.float32)
    if skin.min() < 0.2 * skin.max():  # a poster's colours, no photograph's
        return None
    models = np.zeros((2, 1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), start, None, models[0], models[1], 3,
                cv2.GC_INIT_WITH_MASK)  # fmt: skip
    found = ((start == cv2.GC_FGD) | (start == cv2.GC_PR_FGD)).astype(np.uint8)
    # Straps and strands of hair go; buttons, prints and valves stay.
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    outline = max(outlines, key=cv2.contourArea)
    found = cv2.drawContours(np.zeros_like(found), [outline], -1, 1, -1)
    area = cv2.contourArea(outline)
    solid = area / max(cv2.contourArea(cv2.convexHull(outline)), 1)
    if solid < 0.9 or found[seed].mean() < 0.97:
        return None
    mask_lab, bare_lab = lab[seed], lab[bare]
    apart = np.linalg.norm(np.median(mask_lab, axis=0) - np.median(bare_lab, axis=0))
    colour = np.linalg.norm((np.median(mask_lab, axis=0) - np.median(bare_lab, axis=0))[1:])
    if apart < 22 or (colour < 7 and apart < 40):
        return None
    # Both above and under the lips the mask must be one piece of cloth: a bare mouth is not.
    halves = [np.median(lab[seed & part], axis=0) for part in (level < lips, level > lips)
              if (seed & part).any()]  # fmt: skip
    if len(halves) == 2 and np.linalg.norm(halves[0] - halves[1]) > 45:
        return None
    return found, skin


def cut_mask(image: np.ndarray, shape: FaceShape | None = None) -> Cut | None:
    """Cut the mask off a face that wears it right.

    The mask is told from skin and background by GrabCut (Rother et al., "GrabCut: interactive
    foreground extraction using iterated graph cuts", 2004), started from the lower face.

    Args:
        image: uint8 RGB (H, W, 3), a face crop.
        shape: where the face is, in pixels of `image`; None takes the average of tight crops.

    Returns:
        The mask, or None where it is not clearly told: more are refused than would do.

    Raises:
        FacemaskError: `image` is not an RGB picture.
    """
    _check(image)
    if min(image.shape[:2]) < LEAST_SIDE or _is_coarse(image):
        return None
    if shape is None:
        shape = default_shape(100)
        wide_tall = np.array([image.shape[1], image.shape[0]], np.float32)
        shape = FaceShape(*(p * wide_tall / 100 for p in shape))
    scale = WORK_SIDE / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    face = FaceAxes(move_shape(shape, scale, (0.5 * scale - 0.5,) * 2), small.shape[:2])
    if max(_halves(face)) > 2.6 * min(_halves(face)):  # from the side
        return None
    part = _segment(small, face)
    if part is None:
        return None
    found, skin = part
    # The mask upright, in the face's axes: a pixel is 1/64 of the face's height.
    step = face.height / 64
    rows, columns = 112, 144
    axes = np.stack(np.meshgrid((np.arange(columns) - columns / 2) * step + face.centre(face.base),
                                face.bridge + (np.arange(rows) - 16) * step), axis=-1)  # fmt: skip
    places = face.out(axes.reshape(-1, 2)).reshape(rows, columns, 2).astype(np.float32)
    smooth = cv2.GaussianBlur(found.astype(np.float32), (0, 0), 1.0)
    upright = cv2.remap(smooth, places[..., 0], places[..., 1], cv2.INTER_LINEAR) > 0.5
    filled = np.flatnonzero(upright.sum(axis=0) > 0.2 * 64)  # no tips and straps
    if len(filled) < 32:
        return None
    x = axes[0, filled[[0, -1]], 0] - face.centre(face.base)
    reach = np.abs(x) / _halves(face)
    at = (_across(face, _T * 0.985, reach) - axes[0, 0, 0]) / step
    column = upright[:, np.clip(at.round().astype(int), 0, columns - 1)]
    top = column.argmax(axis=0)
    bottom = rows - 1 - column[::-1].argmax(axis=0)
    top, bottom = (np.convolve(np.pad(e, 1, "edge"), [0.25, 0.5, 0.25], "valid")
                   for e in (axes[0, 0, 1] + e * step for e in (top, bottom)))  # fmt: skip
    edges = _to_level(face, top), _to_level(face, bottom)
    if not _worn_right(face, *edges, top, bottom, reach):
        return None
    # The outermost pixels hold a mixture with skin: read the texture a little inside.
    inset = 1.3 / scale / max(image.shape) * face.height / 64 + 0.025
    v = np.linspace(inset, 1 - inset, SHEET[0])[:, None]
    t = np.linspace(-0.97, 0.97, SHEET[1])
    upper, lower = np.interp(t, _T, top), np.interp(t, _T, bottom)
    points = np.stack(np.broadcast_arrays(_across(face, t, reach), upper + v * (lower - upper)), -1)
    points = (face.out(points.reshape(-1, 2)) + 0.5) / scale - 0.5
    points = points.reshape(*SHEET, 2).astype(np.float32)
    sheet = cv2.remap(image, points[..., 0], points[..., 1], cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    if _shows_skin(sheet, skin):
        return None
    upper, lower = (e.astype(np.float32) for e in edges)
    return Cut(sheet, upper, lower, reach.astype(np.float32), skin)


def _shows_skin(sheet: np.ndarray, skin: np.ndarray) -> bool:
    """Whether a nose or a hand was cut out with the mask."""
    lab = cv2.cvtColor(sheet, cv2.COLOR_RGB2LAB).astype(np.float32).reshape(-1, 3)
    bare = cv2.cvtColor(skin.round().astype(np.uint8)[None, None], cv2.COLOR_RGB2LAB)[0, 0]
    # Colour counts more than brightness: the nose and the cheeks are lit differently.
    weight = np.array([0.4, 1, 1], np.float32)
    to_skin = np.linalg.norm((lab - bare) * weight, axis=1)
    to_mask = np.linalg.norm((lab - np.median(lab, axis=0)) * weight, axis=1)
    # The skin's colour is taken where glasses or hair may lie, so any skin's counts as well: the
    # box in Cr and Cb of Chai and Ngan, "Face segmentation using skin-color map" (1999).
    _, cr, cb = cv2.cvtColor(sheet, cv2.COLOR_RGB2YCrCb).reshape(-1, 3).T
    any_skin = (cr >= 133) & (cr <= 173) & (cb >= 77) & (cb <= 127)
    bare = ((to_skin < 14) & (to_mask > 18)) | (any_skin & (to_mask > 30))
    return bool(bare.mean() > 0.04)


def _worn_right(
    face: FaceAxes, top_level: np.ndarray, bottom_level: np.ndarray,
    top: np.ndarray, bottom: np.ndarray, reach: np.ndarray,
) -> bool:  # fmt: skip
    middle = COLUMNS // 2
    if not 0.05 < top_level[middle] < 0.95 or not 1.72 < bottom_level[middle] < 2.32:
        return False
    if reach.min() < 0.58 or reach.max() > 1.3 or reach.max() > 1.7 * reach.min():
        return False
    tall = bottom - top
    # Symmetric about the nose, without steps along its edges, tallest near the middle.
    lopsided = [np.abs(e - e[::-1]).mean() / face.height for e in (top, bottom)]
    rough = [np.abs(np.diff(e, 2))[2:-2].max() / face.height for e in (top, bottom)]
    return bool(
        max(lopsided) < 0.12 and max(rough) < 0.06
        and tall[middle] > 0.9 * np.median(tall) and tall.min() > 0.12 * face.height
    )  # fmt: skip


def _check(image: np.ndarray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise FacemaskError("a mask needs a uint8 RGB picture (H, W, 3); convert it first")


def _outline(cut: Cut, face: FaceAxes, worn: str, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower edge, (N, 2) each in the face's axes, of the cut worn that way."""
    f, u = face, rng.uniform
    m = COLUMNS // 2
    chin_part = f.chin - f.lip_bottom
    top, bottom = (_from_level(f, e.astype(float)) for e in (cut.top, cut.bottom))
    reach = cut.reach * u(0.97, 1.03, 2)
    tilt = rng.normal(0, 0.02) * f.height * _T
    # Real edges, moved to the heights that this way of wearing has.
    if worn == "right":
        goal = f.bridge + u(0.35, 0.75) * (f.tip - f.bridge)
        low = max(bottom[m], f.chin + u(0.02, 0.45) * chin_part)
    elif worn == "nose_out":
        first = f.tip + 0.45 * (f.base - f.tip)
        goal = first + u(0, 1) * (f.lip_top + 0.15 * (f.lip_bottom - f.lip_top) - first)
        low = f.chin + u(0.05, 0.8) * chin_part
        top = top[m] + (top - top[m]) * u(0.2, 0.9)  # the peak over the nose falls in
    else:  # chin_out
        goal = f.bridge + u(0.2, 0.7) * (f.tip - f.bridge)
        low = f.lip_bottom + u(0.08, 0.48) * chin_part
    top = top + (goal - top[m])
    tall = bottom - _from_level(f, cut.top.astype(float))
    bottom = top + tall * (low - goal) / tall[m]
    if worn != "chin_out":
        # The sides hang on the ears: they follow the middle's fall by half at most.
        fall = np.abs(_T) ** 2 * (goal - _from_level(f, cut.top[m])) * u(0.3, 0.6)
        top, bottom = top - fall, bottom - fall
    # Where the face is narrower, so is what is tied to it.
    corner = float(np.median(top[[0, -1]] + bottom[[0, -1]]) / 2)
    narrow = [np.interp(corner, f.rows, s) / h for s, h in zip(f.sides, _halves(f), strict=True)]
    x = _across(f, _T, reach * np.clip(narrow, 0.8, 1.0) ** 0.7)
    return np.stack([x, top + tilt], axis=1), np.stack([x, bottom + tilt], axis=1)


def lay_mask(
    cut: Cut, image: np.ndarray, shape: FaceShape, worn: str, rng: Rng
) -> np.ndarray:
    """Lay a cut mask on a bare face; fit, light and folds are drawn from `rng`.

    Args:
        cut: what `cut_mask` took from another picture.
        image: uint8 RGB (H, W, 3).
        shape: where the face is, in pixels of `image`.
        worn: one of `masks.WORN`, with the same heights of its edges as `masks.draw_mask`.
        rng: the same state gives the same picture.

    Returns:
        A new uint8 RGB array of the same size.

    Raises:
        FacemaskError: `image` or `worn` is none of the above.
    """
    _check(image)
    if worn not in masks.WORN:
        raise FacemaskError(f"no way to wear a mask is called {worn!r}; use one of {masks.WORN}")
    face = FaceAxes(shape, image.shape[:2])
    fabric = make_fabric("surgical", rng)  # for the straps and the way it hangs
    part = (0.0, 1.0)  # of the mask's height that is seen
    if worn == "chin_hang":
        drawn = masks._outline(face, worn, fabric, rng)
        top, bottom = drawn.top, drawn.bottom
        shown = rng.uniform(0.35, 1)
        part = (rng.uniform(0, 1 - shown), shown)
    else:
        top, bottom = _outline(cut, face, worn, rng)
    outline = masks._Outline(top, bottom, 0.0)
    straps = [face.out(line) for line in masks._straps(face, outline, fabric, rng)]
    edge = face.out(np.concatenate([top, bottom[::-1]]))
    scale = 2 if face.width < 64 else 1
    box = masks._box(np.concatenate([edge, *straps]), image, 0.06 * face.height + 3, scale)
    if box is None:
        return image.copy()

    size = (box.height * scale, box.width * scale)
    cover = np.zeros(size, np.uint8)
    cv2.fillPoly(cover, [box.pixels(edge)], 255, cv2.LINE_AA, shift=4)
    # Across, the texture runs from edge to edge of the mask with the nose in the middle.
    u, v = _places(face, top, bottom, box)
    bend = noise(rng, size, 5, 3) * np.float32(rng.uniform(0, 0.03))
    columns = (u + 1) * np.float32((SHEET[1] - 1) / 2)
    rows = (np.clip(v + bend, 0, 1) * part[1] + part[0]) * np.float32(SHEET[0] - 1)
    sheet = cut.sheet[:, ::-1] if rng.random() < 0.5 else cut.sheet
    if size[1] < SHEET[1]:  # the texture is shrunk: smooth it first
        sheet = cv2.GaussianBlur(sheet, (0, 0), 0.35 * SHEET[1] / size[1])
    colour = cv2.remap(np.ascontiguousarray(sheet), columns, rows, cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_REPLICATE).astype(np.float32)  # fmt: skip
    field, _, _ = masks._light(image, face, box, rng)
    shade = 1 + noise(rng, size, 7, 4) * np.float32(rng.uniform(0.01, 0.07))
    colour *= (shade * cv2.pow(field, 0.5))[..., None]
    colour *= _relight(cut.skin, image, face, rng)
    bands = np.zeros(size, np.uint8)
    thick = face.height * rng.uniform(*fabric.strap) * scale
    for line in straps:
        cv2.polylines(bands, [box.pixels(line)], False, int(255 * min(1, thick)),
                      max(1, round(thick)), cv2.LINE_AA, shift=4)  # fmt: skip
    cover = cover.astype(np.float32) * np.float32(1 / 255)
    bands = bands.astype(np.float32) * np.float32(1 / 255) * (1 - cover)
    loop = np.percentile(cut.sheet.reshape(-1, 3), 75, axis=0) if rng.random() < 0.5 else [215] * 3
    loop = np.array(loop, np.float32) * _relight(cut.skin, image, face, rng)
    layer = cv2.merge([*cv2.split(colour * cover[..., None] + bands[..., None] * loop * 0.95),
                       cover + bands])  # fmt: skip
    blur, grain = masks._blur_of(image, box)
    layer = cv2.GaussianBlur(layer, (0, 0), 0.8 * blur * scale)
    if scale > 1:
        layer = cv2.resize(layer, (box.width, box.height), interpolation=cv2.INTER_AREA)
    alpha = layer[..., 3]
    shadow = cv2.blur(alpha, (2 * int(0.03 * face.height) + 1,) * 2)
    fall = int(0.02 * face.height)
    shadow[fall:] = shadow[: len(shadow) - fall].copy()
    keep = (1 - alpha) * (1 - np.float32(rng.uniform(0.1, 0.4)) * shadow)
    speck = alpha * rng.standard_normal(alpha.shape, dtype=np.float32) * np.float32(0.7 * grain)
    out = image.copy()
    below = out[box.y : box.y + box.height, box.x : box.x + box.width]
    mixed = below * keep[..., None] + layer[..., :3] + speck[..., None]
    below[:] = cv2.convertScaleAbs(np.maximum(mixed, 0))
    return out


def _places(
    face: FaceAxes, top: np.ndarray, bottom: np.ndarray, box: masks._Box
) -> tuple[np.ndarray, np.ndarray]:
    """For every pixel of the box its place on the mask: -1..1 across, 0..1 down; float32."""
    k = box.scale
    xs = ((np.arange(box.width * k, dtype=np.float32) + 0.5) / k - 0.5 + box.x)[None]
    ys = ((np.arange(box.height * k, dtype=np.float32) + 0.5) / k - 0.5 + box.y)[:, None]
    xs, ys = xs - np.float32(face.origin[0]), ys - np.float32(face.origin[1])
    (rx, ry), (dx, dy) = face.right.astype(np.float32), face.down.astype(np.float32)
    x, y = rx * xs + ry * ys, dx * xs + dy * ys
    ends = (min(top[0, 0], bottom[0, 0]), max(top[-1, 0], bottom[-1, 0]))
    columns = np.linspace(*ends, 128)
    t = np.linspace(-1, 1, len(top))
    edges = [np.interp(columns, line[:, 0], line[:, 1]) for line in (top, bottom)]
    edges[1] = np.maximum(edges[1], edges[0] + 0.04 * face.height)
    table = np.stack([np.interp(columns, top[:, 0], t), *edges], axis=1).astype(np.float32)[None]
    place = (x - np.float32(ends[0])) * np.float32(127 / (ends[1] - ends[0]))
    u, upper, lower = cv2.split(cv2.remap(table, place, np.zeros_like(place), cv2.INTER_LINEAR,
                                          borderMode=cv2.BORDER_REPLICATE))  # fmt: skip
    return u, (y - upper) / (lower - upper)


def _relight(skin: np.ndarray, image: np.ndarray, face: FaceAxes, rng: Rng) -> np.ndarray:
    """Factor (3,) from the light of the mask's picture to this one's, judged by the two skins."""
    points = face.out(face.at([-0.5, -0.35, 0.35, 0.5], [0.5 * (face.bridge + face.tip)] * 4))
    x, y = np.clip(points.round(), 0, np.array(image.shape[1::-1]) - 1).astype(int).T
    here = np.median(image[y, x].astype(np.float32), axis=0) + 8
    # Skins differ too, so only part of the difference is the light's.
    ratio = here / (skin + 8)
    level = np.clip(ratio.mean() ** rng.uniform(0.3, 0.6), 0.35, 1.12)
    cast = np.clip(ratio / ratio.mean(), 0.6, 1.5) ** 0.3
    return (level * cast).astype(np.float32)


def make_cuts(paths: Iterable[str | Path], cache: str | Path) -> dict[str, Cut]:
    """Cuts of many masked faces, read from the file `cache` where it holds them already.

    Args:
        paths: picture files, one masked face each; those in which the face mesh finds no face
            give none.
        cache: `.npz`, written anew, whole or not at all, if a picture was missing from it.

    Returns:
        For each path (as a string) whose mask was clearly told its Cut. A picture is known by its
        bytes, so moving the files does not spoil the cache.

    Raises:
        FacemaskError: the cache or a picture cannot be read, or the face mesh is not installed.
    """
    names = {str(p): hashlib.sha1(Path(p).read_bytes()).hexdigest() for p in paths}
    known = _load(cache)
    missing = {name: path for path, name in names.items() if name not in known}
    for name, path in tqdm(missing.items(), desc="cutting masks", disable=not missing):
        image = read_image(path)
        shape = face_shape(image) if min(image.shape[:2]) >= LEAST_SIDE else None
        known[name] = None if shape is None else cut_mask(image, shape)
    if missing:
        good = [name for name, cut in known.items() if cut is not None]
        fields: dict[str, Any] = {
            field: np.array([getattr(known[name], field) for name in good]) for field in Cut._fields
        }
        refused = [name for name, cut in known.items() if cut is None]
        with write_whole(cache) as partial:
            np.savez(partial, good=np.array(good, "U40"), refused=np.array(refused, "U40"),
                     **fields)  # fmt: skip
    return {path: cut for path, name in names.items() if (cut := known[name]) is not None}


def _load(cache: str | Path) -> dict[str, Cut | None]:
    if not Path(cache).exists():
        return {}
    try:
        with np.load(cache, allow_pickle=False) as data:
            parts = [data[field] for field in Cut._fields]
            known = dict(zip(data["good"].tolist(), map(Cut, *parts), strict=True))
            return known | dict.fromkeys(data["refused"].tolist())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise FacemaskError(f"{cache} cannot be read ({error}); delete it and run again") from error
