"""Drawing a face mask onto a bare face, worn right or wrong.

The mask is fitted to the points of the face, so it turns and tilts with the head. Its outline is
worked out in the face's own axes (`shapes.FaceAxes`), its look in `fabrics`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from facemask.drawing.fabrics import KINDS, Fabric, make_fabric, noise
from facemask.drawing.head import Rng
from facemask.drawing.props import OCCLUDERS, add_neck, draw_occluder
from facemask.drawing.shapes import FaceAxes, FaceShape, move_shape
from facemask.io.files import FacemaskError

__all__ = [
    "OCCLUDERS", "WORN", "FaceShape", "add_neck", "draw_mask", "draw_occluder", "move_shape",
]  # fmt: skip

WORN_WRONG = ("nose_out", "chin_hang", "chin_out")
WORN = ("right", *WORN_WRONG)

# A gaiter or a bandana pulled down is a scarf, and none leaves the chin free.
_HALF_WORN = tuple(kind for kind in KINDS if kind != "gaiter")
_KINDS_FOR = {"right": KINDS, "nose_out": KINDS, "chin_hang": _HALF_WORN, "chin_out": _HALF_WORN}
_KIND_WEIGHTS = {
    "surgical": 0.42, "cloth": 0.22, "fold": 0.14, "cup": 0.07, "sponge": 0.09, "gaiter": 0.06,
}  # fmt: skip


def _between(a: float, b: float, part: float) -> float:
    return a + (b - a) * part


class _Outline(NamedTuple):
    top: np.ndarray  # (N, 2) upper edge from left to right, in the face's axes
    bottom: np.ndarray  # (N, 2) lower edge from left to right
    crush: float  # 0 taut .. 1 crumpled


_T = np.linspace(-1, 1, 25)
_UNIT_COLUMNS = np.linspace(0, 1, 64)


def _outline(face: FaceAxes, worn: str, fabric: Fabric, rng: Rng) -> _Outline:
    f, u = face, rng.uniform
    chin_part = f.chin - f.lip_bottom
    inset = fabric.reach * u(0.94, 1.04, 2)  # left and right, share of the half width
    # Below, a mask other than a stiff cup is tied close to the jaw's full width.
    inset_low = inset if fabric.kind == "cup" else np.maximum(inset, u(0.85, 1.03, 2))
    slack = u(*fabric.slack)
    tilt = rng.normal(0, 0.02) * f.height
    crush = u(0, 0.4)
    sharp = u(*fabric.peak)  # exponent of the upper edge: small is a peak on the nose
    corner_top = _between(f.bridge, f.lip_top, u(*fabric.corner))
    corner_bottom = _between(f.tip, f.chin, u(0.45, 0.75))
    top = _between(f.bridge, f.tip, u(0.35, 0.75))
    bottom = f.chin + u(0.02, 0.45) * chin_part * fabric.drop
    if worn == "nose_out":
        low = u(0, 1)
        top = _between(_between(f.tip, f.base, 0.45), _between(f.lip_top, f.lip_bottom, 0.15), low)
        corner_top = top - u(-0.02, 0.2) * f.height
        corner_bottom = max(corner_bottom, corner_top + 0.22 * f.height)
        bottom += u(0, 0.5) * chin_part
        sharp = u(1.3, 2.6)
        crush = u(0.1, 0.7)
    elif worn == "chin_out":
        top = _between(f.bridge, f.tip, u(0.2, 0.7))
        bottom = _between(f.lip_bottom, f.chin, u(0.08, 0.48))
        corner_bottom = _between(f.tip, f.lip_bottom, u(0.3, 0.9))
        corner_top = min(corner_top, corner_bottom - 0.15 * f.height)
        crush = u(0.1, 0.7)
    elif worn == "chin_hang":
        return _hanging(face, fabric, rng, slack, tilt)
    t = _T
    # Upper edge: from corner to corner over the nose.
    share = np.abs(t) ** sharp
    edge = np.where(t < 0, corner_top + tilt, corner_top - tilt)
    y = top + (edge - top) * share + tilt * t * (1 - share)
    upper = f.at(t * np.where(t < 0, *inset), y)
    # Lower edge: along the jaw if it lies under the chin, else straight across the face.
    edge = np.where(t < 0, corner_bottom + tilt, corner_bottom - tilt)
    if fabric.kind == "gaiter":  # a tube down to the neck, or a kerchief's corner
        y = bottom + (corner_bottom - bottom) * np.abs(t) ** u(1.0, 1.5)
        tube = rng.random() < 0.6
        lower = f.at(t * (0.85 if tube else 1.0) * np.where(t < 0, *inset), bottom if tube else y)
    elif bottom >= f.chin:
        ends = [_jaw_place(f, corner_bottom, side) for side in (-1, 1)]
        lower = f.jaw_at(np.where(t < 0, -t * ends[0], t * ends[1]))
        middle = np.array([f.centre(f.lip_top), f.lip_top])
        grow = 1 + slack + (np.where(t < 0, inset_low[0], inset_low[1]) - 1 - slack) * t**4
        lower = middle + (lower - middle) * np.stack([grow, 1 + slack * (1 - t**2)], axis=1)
        lower[:, 1] += (bottom - f.chin) * (1 - np.abs(t) ** 3)
    else:
        y = bottom + (edge - bottom) * np.abs(t) ** u(1.6, 3)
        lower = f.at(t * np.where(t < 0, *inset), y)
    return _Outline(upper, lower, crush)


def _jaw_place(face: FaceAxes, y: float, side: int) -> float:
    """Where along the jaw, -1..1, its outline passes height `y` on one side."""
    places = np.linspace(0.12, 0.95, 24) * side
    return float(places[np.argmin(np.abs(face.jaw_at(places)[:, 1] - y))])


def _hanging(face: FaceAxes, fabric: Fabric, rng: Rng, slack: float, tilt: float) -> _Outline:
    """The outline of a mask pulled under the mouth or down to the neck."""
    f, u, t = face, rng.uniform, _T
    chin_part = f.chin - f.lip_bottom
    at_neck = rng.random() < 0.35
    if at_neck:
        top = f.chin + u(-0.25, 0.35) * chin_part
        bottom = top + u(0.35, 1.3) * chin_part
    else:
        top = f.lip_bottom + u(0.12, 0.75) * chin_part
        bottom = f.chin + u(0.1, 0.9) * chin_part
    # In a tight crop little is left below the chin: keep a strip of the mask in the picture.
    top = max(min(top, f.floor - 0.14 * f.height), f.lip_bottom + 0.08 * chin_part)
    ends = np.clip(u(0.28, 0.58) + rng.normal(0, 0.05, 2), 0.22, 0.65)
    corners = f.jaw_at([-ends[0], ends[1]])
    thick = u(0.1, 0.6) * (bottom - top)  # of the band at its ends
    share = np.abs(t) ** u(1.5, 3)
    along = f.jaw_at(np.where(t < 0, t * ends[0], t * ends[1]))
    # The upper edge sags from the corners; the lower one hugs the jaw from outside.
    edge = np.where(t < 0, corners[0, 1] + tilt, corners[1, 1] - tilt)
    upper = np.stack([along[:, 0], top + (edge - top) * share], axis=1)
    upper[:, 0] += (upper[:, 0] - f.centre(f.chin)) * slack
    edge = edge + thick
    lower = along.copy()
    lower[:, 0] += (lower[:, 0] - f.centre(f.chin)) * (slack + 0.02)
    lower[:, 1] = bottom + (edge - bottom) * np.abs(t) ** u(1.8, 3.5)
    lower[:, 1] = np.maximum(lower[:, 1], upper[:, 1] + 0.5 * thick)
    return _Outline(upper, lower, u(0.4, 1))


def _straps(face: FaceAxes, outline: _Outline, fabric: Fabric, rng: Rng) -> list[np.ndarray]:
    """Ear loops or head bands as polylines in the face's axes; none where hair would hide them."""
    lines = []
    u = rng.uniform
    hidden = rng.random() < fabric.hidden
    for i, sign in ((0, -1), (-1, 1)):
        half = np.interp(face.tip, face.rows, face.sides[sign > 0])
        if hidden or half < 0.2 * face.width or rng.random() < 0.08:
            continue
        ear = face.jaw[0 if sign < 0 else 16] + [sign * u(0, 0.05) * face.width, 0]
        for end, lift in ((outline.top[i], u(-0.12, 0.08)), (outline.bottom[i], u(0.02, 0.25))):
            if fabric.head_bands:
                lift -= 0.15
            goal = ear + [0, lift * face.height]
            bend = (end + goal) / 2 + [
                sign * u(-0.01, 0.06) * face.width,
                u(-0.02, 0.04) * face.height,
            ]
            s = np.linspace(0, 1, 9)[:, None]
            lines.append((1 - s) ** 2 * end + 2 * s * (1 - s) * bend + s**2 * goal)
    return lines


class _Box(NamedTuple):
    """The part of the picture that is drawn on, and the scale it is drawn at."""

    x: int
    y: int
    width: int
    height: int
    scale: int

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Picture coordinates to fixed-point (1/16) pixels of the box, for OpenCV's `shift=4`."""
        points = (points - [self.x, self.y] + 0.5) * self.scale - 0.5
        return np.round(np.clip(points, -4e3, 4e3) * 16).astype(np.int32)


def _box(points: np.ndarray, image: np.ndarray, margin: float, scale: int) -> _Box | None:
    # Plain numbers: NumPy's own scalars would turn float32 arrays into float64.
    x0, y0 = np.maximum(np.floor(points.min(axis=0) - margin), 0).astype(int).tolist()
    high = np.ceil(points.max(axis=0) + margin) + 1
    x1, y1 = np.minimum(high, [image.shape[1], image.shape[0]]).astype(int).tolist()
    return _Box(x0, y0, x1 - x0, y1 - y0, scale) if x1 - x0 > 2 and y1 - y0 > 2 else None


def _surface(
    face: FaceAxes, outline: _Outline, box: _Box
) -> tuple[np.ndarray, np.ndarray]:
    """Fabric coordinates of every pixel of the box.

    Returns:
        Two float32 arrays (h, w): `u`, -1..1 across the mask from edge to edge, and `v`, 0..1
        from its upper to its lower edge; both run on outside the mask.
    """
    k = box.scale
    xs = ((np.arange(box.width * k, dtype=np.float32) + 0.5) / k - 0.5 + box.x)[None]
    ys = ((np.arange(box.height * k, dtype=np.float32) + 0.5) / k - 0.5 + box.y)[:, None]
    xs, ys = xs - np.float32(face.origin[0]), ys - np.float32(face.origin[1])
    (rx, ry), (dx, dy) = face.right.astype(np.float32), face.down.astype(np.float32)
    x = rx * xs + ry * ys
    y = dx * xs + dy * ys

    def look_up(
        where: np.ndarray, start: float, stop: float, *columns: np.ndarray
    ) -> Sequence[np.ndarray]:
        # Linear interpolation in an evenly spaced table: a fraction of the cost of np.interp.
        place = (where - float(start)) * float((len(columns[0]) - 1) / (stop - start))
        table = np.stack([*columns], axis=1).astype(np.float32)[None]
        found = cv2.remap(
            table, place, np.zeros_like(place), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return cv2.split(found)

    middle, left, right = look_up(y, face.rows[0], face.rows[-1], face.middle, *face.sides)
    u = x - middle
    u /= np.where(u < 0, left, right)
    # Edges as heights over columns.
    low = min(outline.top[:, 0].min(), outline.bottom[:, 0].min())
    high = max(outline.top[:, 0].max(), outline.bottom[:, 0].max())
    columns = low + _UNIT_COLUMNS * (high - low)
    edges = []
    for line in (outline.top, outline.bottom):
        order = np.argsort(line[:, 0])
        edges.append(np.interp(columns, line[order, 0], line[order, 1]))
    edges[1] = np.maximum(edges[1], edges[0] + 0.05 * face.height)
    upper, lower = look_up(x, low, high, *edges)
    return u, (y - upper) / (lower - upper)


def _shading(
    u: np.ndarray, v: np.ndarray, fabric: Fabric, crush: float, size: float, rng: Rng
) -> np.ndarray:
    """Brightness of the mask's relief under a light from above, around 1; float32 (h, w)."""
    h, w = u.shape
    side = np.minimum(np.abs(u), 1.0)
    height = np.float32(fabric.bulge) * (1 - side * side)
    height += np.float32(0.12 * fabric.bulge) * cv2.exp(-(u * u) * 25 - (v * v) * 6)
    # Folds run across the mask where it is pulled or crushed, and in all directions elsewhere.
    across = noise(rng, (h, w), max(4, int(5 + 6 * crush)), 3)
    height += across * np.float32(0.008 + 0.022 * crush)
    height += noise(rng, (h, w), 7, 7) * np.float32(0.004 + 0.009 * crush)
    height *= np.float32(size)
    gx = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    gy = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    lx, ly = rng.uniform(-0.35, 0.35), rng.uniform(0.1, 0.45)
    light = (1 + np.float32(lx) * gx + np.float32(ly) * gy) / cv2.sqrt(1 + gx * gx + gy * gy)
    return np.clip(light, 0.5, 1.3)


def _light(
    image: np.ndarray, face: FaceAxes, box: _Box, rng: Rng
) -> tuple[np.ndarray, np.ndarray, float]:
    """How the face is lit: a smooth field (h, w) about 1, the light's colour, and how colourful."""
    corners = face.out(
        np.concatenate([face.jaw[[2, 4, 8, 12, 14]], face.at([-0.7, 0.7], face.bridge)])
    )
    x0, y0 = np.clip(corners.min(axis=0), 0, [image.shape[1] - 3, image.shape[0] - 3]).astype(int)
    x1, y1 = np.clip(
        corners.max(axis=0), [x0 + 3, y0 + 3], [image.shape[1], image.shape[0]]
    ).astype(int)
    small = cv2.resize(image[y0:y1, x0:x1], (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32)
    colour = np.sort(small.reshape(64, 3), axis=0)[32] + 1
    grey = cv2.GaussianBlur(small @ np.array([0.3, 0.59, 0.11], np.float32) + 4, (5, 5), 1.2)
    middle = float(np.sort(grey, axis=None)[32])
    level = middle / 255
    field = np.clip(grey / middle, 0.55, 1.5) ** np.float32(rng.uniform(0.4, 0.8))
    # Sample the 8 x 8 field, which spans the face, over the box.
    k = box.scale
    across, down = 8 / (x1 - x0) / k, 8 / (y1 - y0) / k
    matrix = np.array(
        [[across, 0, (box.x - x0) * k * across - 0.5], [0, down, (box.y - y0) * k * down - 0.5]],
        np.float32,
    )
    field = cv2.warpAffine(
        field,
        matrix,
        (box.width * k, box.height * k),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    exposure = min((level / 0.6) ** 0.5 * rng.uniform(0.92, 1.2), 1.25)
    # Skin is redder than the light on it; what is left over after taking that out is the cast.
    cast = colour / colour.mean() / [1.2, 0.97, 0.83]
    saturation = float((colour.max() - colour.min()) / colour.max())
    cast = np.clip(cast / cast.mean(), 0.6, 1.5) ** 0.35
    return field, exposure * cast, min(1.0, saturation / 0.12)


def _blur_of(image: np.ndarray, box: _Box) -> tuple[float, float]:
    """Blur (sigma in pixels) and noise (standard deviation in grey levels) of the picture there."""
    grey = image[box.y : box.y + box.height, box.x : box.x + box.width, 1].astype(np.float32)
    fine = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 0.7))
    coarse = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 2.1))
    ratio = float(fine.mean() / (coarse.mean() + 1e-3))
    # The flattest part of the picture shows its noise; the rest shows the face.
    grain = float(cv2.resize(fine, (8, 8), interpolation=cv2.INTER_AREA).min())
    return float(np.clip((0.42 - ratio) * 5, 0.35, 2.2)), min(1.8 * grain, 8.0)


def draw_mask(
    image: np.ndarray,
    shape: FaceShape,
    worn: str,
    rng: Rng,
    kind: str | None = None,
) -> np.ndarray:
    """Draw a face mask onto a face; kind, colour, fit and light are drawn from `rng`.

    Args:
        image: uint8 RGB (H, W, 3), 40 px a side or more for a mask that can be told.
        shape: where the face is, in pixels of `image`.
        worn: "right" covers nose, mouth and chin; "nose_out" starts between nose tip and upper
            lip; "chin_hang" hangs below the mouth; "chin_out" ends above the chin.
        rng: the same state gives the same picture.
        kind: one of `fabrics.KINDS`; None draws one.

    Returns:
        A new uint8 RGB array of the same size.

    Raises:
        FacemaskError: `image`, `worn` or `kind` is none of the above.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise FacemaskError("draw_mask needs a uint8 RGB picture (H, W, 3); convert it first")
    if worn not in WORN:
        raise FacemaskError(f"no way to wear a mask is called {worn!r}; use one of {WORN}")
    if kind is None:
        kinds = _KINDS_FOR[worn]
        weights = np.array([_KIND_WEIGHTS[k] for k in kinds])
        kind = str(rng.choice(kinds, p=weights / weights.sum()))
    elif kind not in KINDS:
        raise FacemaskError(f"no kind of mask is called {kind!r}; use one of {KINDS}")
    face = FaceAxes(shape, image.shape[:2])
    fabric = make_fabric(kind, rng)
    outline = _outline(face, worn, fabric, rng)
    straps = _straps(face, outline, fabric, rng)
    edge = face.out(np.concatenate([outline.top, outline.bottom[::-1]]))
    straps = [face.out(line) for line in straps]
    scale = 2 if face.width < 64 else 1
    box = _box(np.concatenate([edge, *straps]), image, 0.06 * face.height + 3, scale)
    if box is None:
        return image.copy()

    size = (box.height * scale, box.width * scale)
    cover = np.zeros(size, np.uint8)
    cv2.fillPoly(cover, [box.pixels(edge)], 255, cv2.LINE_AA, shift=4)
    u, v = _surface(face, outline, box)
    colour = fabric.colour(u, v, face.height * scale, rng)
    field, light, saturation = _light(image, face, box, rng)
    shade = _shading(u, v, fabric, outline.crush, face.width * scale / 2, rng)
    shade *= field
    bands = np.zeros(size, np.uint8)
    thick = face.height * rng.uniform(*fabric.strap) * scale
    for line in straps:
        cv2.polylines(bands, [box.pixels(line)], False, int(255 * min(1, thick)),
                      max(1, round(thick)), cv2.LINE_AA, shift=4)  # fmt: skip

    # Strap under mask, premultiplied by its cover, then all blurred as the picture is.
    cover = cover.astype(np.float32) * np.float32(fabric.opacity / 255)
    bands = bands.astype(np.float32) * np.float32(1 / 255) * (1 - cover)
    colour *= cover * shade
    band_light = bands * field
    planes = [
        plane + band_light * float(c) for plane, c in zip(colour, fabric.strap_colour, strict=True)
    ]
    if saturation < 1:
        grey = (planes[0] + planes[1] + planes[2]) * np.float32(1 / 3)
        planes = [grey + (plane - grey) * np.float32(saturation) for plane in planes]
    planes = [plane * float(255 * c) for plane, c in zip(planes, light, strict=True)]
    blur, grain = _blur_of(image, box)
    layer = cv2.merge([*planes, cover + bands])
    layer = cv2.GaussianBlur(layer, (0, 0), blur * scale)
    if scale > 1:
        layer = cv2.resize(layer, (box.width, box.height), interpolation=cv2.INTER_AREA)
    alpha = cv2.extractChannel(layer, 3)
    # The contact shadow is the mask's cover, softened and a little lower than the mask.
    shadow = cv2.blur(alpha, (2 * int(0.03 * face.height) + 1,) * 2)
    fall = int(0.02 * face.height)
    shadow[fall:] = shadow[: len(shadow) - fall].copy()
    keep = (1 - alpha) * (1 - np.float32(rng.uniform(0.1, 0.4)) * shadow)
    alpha *= rng.standard_normal(alpha.shape, dtype=np.float32) * np.float32(grain)
    out = image.copy()
    part = out[box.y : box.y + box.height, box.x : box.x + box.width]
    below = cv2.multiply(part, cv2.merge([keep] * 3), dtype=cv2.CV_32F)
    below += cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB)
    below += cv2.merge([alpha] * 3)
    # Rounds and saturates; where the layer is empty the picture stays as it was, to the bit.
    part[:] = cv2.convertScaleAbs(np.maximum(below, 0, out=below))
    return out
