"""Drawing a person: a head with skin, hair, clothes and light, from a seed, with no photograph.

A head is a small 3-D surface (`_Head`): features are polygons on it, so pose, shading and the
points that masks hang on agree. Lengths on the face are in half face widths, x to the right of
the picture and y down from the line of the eyes.
"""

from typing import NamedTuple

import cv2
import numpy as np

from facemask.shapes import FaceShape

Rng = np.random.Generator

SKIN = np.float32([(255, 226, 202), (243, 200, 168), (228, 176, 138), (200, 140, 102),
                   (164, 106, 74), (124, 78, 54), (88, 56, 42)])
HAIR = np.float32([(22, 18, 18), (38, 26, 20), (70, 44, 28), (112, 72, 40), (176, 132, 78),
                   (222, 190, 132), (134, 58, 28)])
DYED = np.float32([(40, 70, 140), (170, 60, 110), (60, 120, 90), (120, 60, 150)])
GREY = np.float32((196, 194, 192))


# --- The head -------------------------------------------------------------------------------

_Y = np.linspace(-1.7, 1.7, 137)


def _outline(knots: list[tuple[float, float]]) -> np.ndarray:
    """A smooth table over `_Y` through (y, value) knots."""
    values = np.interp(_Y, *zip(*knots))
    kernel = np.hanning(15) / np.hanning(15).sum()
    return np.convolve(np.pad(values, 7, mode="edge"), kernel, mode="valid")


# Proportions of an adult head: the eyes half-way between crown and chin, five eye widths across.
_WIDTH = _outline([(-1.7, 0.05), (-1.62, 0.3), (-1.4, 0.7), (-1.0, 0.95), (-0.5, 1.0), (0.1, 0.99),
                   (0.5, 0.94), (0.9, 0.83), (1.2, 0.67), (1.45, 0.44), (1.6, 0.24), (1.7, 0.04)])
_JAW = _outline([(-1.7, 0), (0.2, 0), (1.0, 1), (1.4, 1.3), (1.7, 0.4)])
_DEPTH = _outline([(-1.7, 0.2), (-1.5, 0.6), (-1.1, 0.93), (-0.6, 1.04), (0, 1.0), (0.6, 1.02),
                   (1.1, 1.06), (1.5, 1.02), (1.7, 0.8)])


class _Head(NamedTuple):
    """One head: its build, and how it stands in the picture."""

    rotation: np.ndarray  # (3, 3), from the head's axes to the picture's (x right, y down, z near)
    centre: np.ndarray  # (2,) pixels, the middle of the head
    unit: float  # pixels to a half face width
    width: float
    length: float
    jaw: float
    nose: float
    light: np.ndarray  # (3,) unit vector towards the light, in the picture's axes
    key: np.ndarray  # (3,) colour and strength of the light
    ambient: np.ndarray  # (3,)

    def half_width(self, y: np.ndarray) -> np.ndarray:
        return np.interp(y, _Y, _WIDTH) * (1 + self.jaw * np.interp(y, _Y, _JAW))

    def surface(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How far the face stands out (z) at (x, y)."""
        side = np.clip(np.abs(x) / self.half_width(y), 0, 1)
        z = np.interp(y, _Y, _DEPTH) * np.maximum(1 - side**2.4, 0) ** (1 / 2.4)
        ax = np.abs(x)

        def bump(cx: float, cy: float, sx: float, sy: float) -> np.ndarray:
            return np.exp(-(((ax - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)

        ridge = np.clip((y + 0.1) / 0.7, 0, 1) ** 1.2 * (y < 0.62) + np.exp(
            -(((y - 0.62) / 0.1) ** 2)) * (y >= 0.62)
        z = z + self.nose * ridge * np.exp(-((x / (0.1 + 0.07 * ridge)) ** 2))
        z = z + 0.1 * bump(0.15, 0.64, 0.08, 0.08)  # wings of the nose
        z = z - 0.12 * bump(0.45, 0.0, 0.24, 0.16) + 0.05 * bump(0.4, -0.3, 0.4, 0.1)
        z = z + 0.06 * bump(0.55, 0.42, 0.25, 0.22) + 0.06 * bump(0, 1.05, 0.3, 0.16)
        return z + 0.08 * bump(0, 1.5, 0.22, 0.13) - 0.05 * bump(0, 1.28, 0.25, 0.07)

    def place(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) points about the head to (..., 2) pixels, with a little perspective."""
        turned = (points * (self.width, self.length, 1)) @ self.rotation.T
        near = 1 + 0.06 * turned[..., 2:]
        return (self.centre + self.unit * near * turned[..., :2]).astype(np.float32)

    def on(self, points, lift: float = 0.0) -> np.ndarray:
        """(N, 2) points on the face, `lift` above its surface, to (N, 2) pixels."""
        p = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        return self.place(np.column_stack([p, self.surface(p[:, 0], p[:, 1]) + lift]))

    def shell(self, swell: float, low: float, high: float = -1.69) -> np.ndarray:
        """Outline of the whole skull between two heights, swollen by `swell`, as a hull."""
        y, turn = np.meshgrid(np.linspace(high, low, 14), np.linspace(0, 2 * np.pi, 28))
        w, deep = self.half_width(y), np.interp(y, _Y, _DEPTH)
        z = np.cos(turn) * np.where(np.cos(turn) > 0, deep * 0.98, deep * 1.25)
        points = np.stack([w * np.sin(turn), y, z], axis=-1) * (1 + swell, 1 + swell, 1 + swell)
        return cv2.convexHull(self.place(points).reshape(-1, 2))[:, 0]


def _head(rng: Rng, centre, unit: float, turn: float = 1.0) -> _Head:
    yaw, pitch, roll = rng.normal(0, (0.3, 0.12, 0.11)).clip(-0.62, 0.62) * turn
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    side, above = rng.uniform(-1.1, 1.1), rng.uniform(0.0, 0.9)
    light = np.array([np.sin(side) * np.cos(above), -np.sin(above), np.cos(side) * np.cos(above)])
    warm = rng.normal(0, 0.05) * np.array([1, 0.1, -1.2])
    ambient = rng.uniform(0.38, 0.68)
    key = rng.uniform(1.02, 1.2) - ambient
    return _Head(about_z @ about_x @ about_y, np.asarray(centre, float), unit,
                 rng.uniform(0.95, 1.05), rng.uniform(0.93, 1.07), rng.uniform(-0.08, 0.12),
                 rng.uniform(0.22, 0.38), light, key * (1 + warm), ambient * (1 - 0.6 * warm))


def face_shape(head: _Head) -> FaceShape:
    """The points that masks hang on. The jaw follows the visible edge of a turned face."""
    y = np.concatenate([np.linspace(0.05, 1.05, 5), [1.28, 1.46, 1.59]])
    w = head.half_width(y)
    yaw = np.arctan2(head.rotation[0, 2], head.rotation[0, 0])
    jaw = []
    for sign in (-1, 1):
        # An angle past 90 degrees after the turn would lie behind the edge that one sees.
        angle = np.minimum(np.radians(82), np.pi / 2 - sign * yaw)
        x = sign * w * np.sin(angle)
        z = np.interp(y, _Y, _DEPTH) * np.cos(angle) * 0.95
        jaw.append(head.place(np.column_stack([x, y, z])))
    chin = head.on([(0, 1.66)])
    at = head.on([(0, 0.02), (0, 0.58), (0, 0.8), (-0.37, 1.05), (0, 0.94), (0.37, 1.05), (0, 1.2),
                  (-0.45, 0), (0.45, 0)])
    return FaceShape(jaw=np.concatenate([jaw[0], chin, jaw[1][::-1]]), nose_bridge=at[0],
                     nose_tip=at[1], nose_base=at[2], mouth=at[3:7], eyes=at[7:9])


def shrunk(shape: FaceShape, times: float) -> FaceShape:
    """The shape in a picture `times` smaller, pixel centres at whole numbers."""
    return FaceShape(**{name: ((np.asarray(value) + 0.5) / times - 0.5).astype(np.float32)
                        for name, value in shape._asdict().items()})


# --- Brushes --------------------------------------------------------------------------------


def _spline(points, steps: int = 6, closed: bool = True) -> np.ndarray:
    """A smooth curve (Catmull-Rom) through (N, 2) points."""
    p = np.asarray(points, dtype=np.float32)
    if closed:
        a, b, c, d = np.roll(p, 1, 0), p, np.roll(p, -1, 0), np.roll(p, -2, 0)
    else:
        q = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
        a, b, c, d = q[:-3], q[1:-2], q[2:-1], q[3:]
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[None, :, None]
    a, b, c, d = (v[:, None] for v in (a, b, c, d))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, p[-1:]])


def _oval(cx: float, cy: float, rx: float, ry: float, n: int = 20) -> np.ndarray:
    a = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.column_stack([cx + rx * np.cos(a), cy + ry * np.sin(a)])


def _fixed(points: np.ndarray) -> np.ndarray:
    """Pixels as OpenCV's fixed-point numbers with four fractional bits."""
    return np.round(np.asarray(points) * 16).astype(np.int32)


def _mask(size: tuple[int, int], shapes: list[np.ndarray], offset=(0, 0)) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    for points in shapes:
        cv2.fillPoly(mask, [_fixed(points - np.float32(offset))], 255, cv2.LINE_AA, 4)
    return mask


def _blend(part: np.ndarray, mask: np.ndarray, colour, alpha: float = 1.0) -> None:
    """Lay `colour`, one for all or one a pixel, over `part` in place, as strongly as `mask`."""
    weight = (mask.astype(np.float32) * (alpha / 255))[..., None]
    over = np.asarray(colour, dtype=np.float32)
    part[:] = (part + (over - part) * weight + 0.5).clip(0, 255).astype(np.uint8)


def _fill(image, shapes, colour, alpha: float = 1.0, soft: float = 0.0, inside=None) -> None:
    """Fill one polygon or several, edges blurred by `soft` pixels, kept `inside` another."""
    shapes = [shapes] if isinstance(shapes, np.ndarray) else shapes
    if alpha == 1 and not soft and inside is None:
        for points in shapes:
            cv2.fillPoly(image, [_fixed(points)], [float(v) for v in colour], cv2.LINE_AA, 4)
        return
    box = _box(np.concatenate(shapes), 3 * soft + 2, image.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    mask = _mask((y1 - y0, x1 - x0), shapes, (x0, y0))
    if soft:
        mask = cv2.GaussianBlur(mask, (0, 0), soft)
    if inside is not None:
        mask = cv2.min(mask, _mask(mask.shape, [inside], (x0, y0)))
    _blend(image[y0:y1, x0:x1], mask, colour, alpha)


def _box(points: np.ndarray, margin: float, shape) -> tuple[int, int, int, int] | None:
    """The part of a picture around some points; None when they are all outside of it."""
    x0, y0 = np.maximum(np.floor(points.min(0) - margin), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(points.max(0) + margin), (shape[1], shape[0])).astype(int)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _stroke(image, points, colour, width: float, alpha: float = 1.0, soft: float = 0.0) -> None:
    """Draw a line along a curve, thin at both ends."""
    p = np.asarray(points, dtype=np.float32)
    along = np.gradient(p, axis=0)
    across = np.column_stack([-along[:, 1], along[:, 0]])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
    half = 0.5 * width * np.sin(np.linspace(0.15, np.pi - 0.15, len(p)))[:, None]
    _fill(image, np.concatenate([p + across * half, (p - across * half)[::-1]]).astype(np.float32),
          colour, min(alpha, 0.999), soft)


def _ball_shade(size: tuple[int, int], middle, radius: float, head: _Head) -> np.ndarray:
    """Shading (h, w, 3) as on a ball, for what is round but has no surface of its own."""
    h, w = max(size[0] // 4, 1), max(size[1] // 4, 1)
    x = (np.arange(w) * 4 + 2 - middle[0]) / radius
    y = (np.arange(h)[:, None] * 4 + 2 - middle[1]) / radius
    z = np.sqrt(np.maximum(1 - x**2 - y**2, 0.06))
    lit = (x * head.light[0] + y * head.light[1] + z * head.light[2]) / np.sqrt(
        x**2 + y**2 + z**2)
    shade = head.ambient + np.maximum(lit, 0)[..., None] * head.key
    return cv2.resize(shade.astype(np.float32), (size[1], size[0]))


def mix(a, b, share: float) -> np.ndarray:
    return np.asarray(a, np.float32) * (1 - share) + np.asarray(b, np.float32) * share


def _from_scale(scale: np.ndarray, at: float) -> np.ndarray:
    at = at * (len(scale) - 1)
    low = min(int(at), len(scale) - 2)
    return mix(scale[low], scale[low + 1], at - low)


def any_colour(rng: Rng) -> np.ndarray:
    """A colour as clothes have it: any hue, mostly muted, from near black to near white."""
    hsv = np.uint8([[[rng.integers(180), 200 * rng.beta(1.2, 2.2), 30 + 220 * rng.beta(1.3, 1.2)]]])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)


# --- Skin, eyes, nose, mouth ----------------------------------------------------------------


def _shade_face(image: np.ndarray, head: _Head, area: np.ndarray, gloss: float) -> None:
    """Light the face: splat the shading of points on its surface, smoothed, over the picture."""
    turn, y = np.meshgrid(np.linspace(-1.55, 1.55, 76), np.linspace(-1.62, 1.67, 84))
    x = head.half_width(y) * np.sin(turn) * 0.995
    points = np.stack([x, y, head.surface(x, y)], axis=-1)
    solid = points * (head.width, head.length, 1) @ head.rotation.T
    normal = np.cross(np.gradient(solid, axis=1), np.gradient(solid, axis=0))
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    lit = np.maximum(normal @ head.light, 0)
    half = head.light + (0, 0, 1)
    shine = np.maximum(normal @ (half / np.linalg.norm(half)), 0) ** 18

    x0, y0, x1, y1 = _box(area, 2, image.shape)
    step = max(head.unit / 26, 1.0)
    h, w = int((y1 - y0) / step) + 2, int((x1 - x0) / step) + 2
    cell = ((head.place(points) - (x0, y0)) / step).astype(int)
    seen = (normal[..., 2] > 0) & (cell >= 0).all(-1) & (cell < (w, h)).all(-1)
    index = (cell[..., 1] * w + cell[..., 0])[seen]

    def field(weights=None) -> np.ndarray:
        grid = np.bincount(index, weights, minlength=h * w).reshape(h, w).astype(np.float32)
        return cv2.GaussianBlur(grid, (0, 0), 1.1) + 0.02 * cv2.GaussianBlur(grid, (0, 0), 5) + 1e-7

    count = field()
    size = (int(w * step), int(h * step))
    diffuse, spot = (cv2.resize(field(v[seen]) / count, size)[: y1 - y0, : x1 - x0, None]
                     for v in (lit, shine))
    part = image[y0:y1, x0:x1]
    # Light that has gone through skin comes out red: shadows on a face are never grey.
    shade = head.ambient + diffuse * head.key
    shade = shade ** np.float32([0.85, 1.05, 1.1])
    bright = part * shade + (gloss * 255) * spot * head.key
    _blend(part, _mask(part.shape[:2], [area], (x0, y0)), bright)


def _eye(image, head: _Head, side: int, skin, rng: Rng, look: dict) -> None:
    cx, u = 0.45 * side, head.unit
    t = np.linspace(-1, 1, 13)
    x = cx + 0.215 * t
    tilt = -look["slant"] * t * side
    up = -look["open"] * (1 - np.abs(t) ** 2.3) + tilt
    low = 0.06 * (1 - np.abs(t) ** 2) + tilt
    upper, lower = (head.on(np.column_stack([x, v]), 0.06) for v in (up, low))
    lids = np.concatenate([upper, lower[::-1]])
    dark = mix(skin, (70, 30, 24), 0.6)
    # The socket, then the white, iris, pupil and the light's reflection.
    _fill(image, head.on(_oval(cx, -0.02, 0.27, 0.15)), dark, 0.22, 0.05 * u)
    if look["shadow"] is not None:
        _fill(image, head.on(_oval(cx, -0.08, 0.24, 0.1)), look["shadow"], 0.45, 0.04 * u)
    _fill(image, lids, (232, 228, 224), 0.999)
    middle = head.on([(cx + look["gaze"][0], -0.02 + look["gaze"][1])], 0.07)[0]
    r = 0.102 * u
    _fill(image, _oval(*middle, r, r).astype(np.float32), look["iris"] * 0.45, inside=lids)
    _fill(image, _oval(*middle, 0.82 * r, 0.82 * r).astype(np.float32), look["iris"], inside=lids)
    _fill(image, _oval(*middle, 0.45 * r, 0.45 * r).astype(np.float32), (12, 10, 10), inside=lids)
    glint = middle + np.float32([head.light[0], head.light[1] - 0.3]) * 0.4 * r
    _fill(image, _oval(*glint, 0.2 * r, 0.2 * r).astype(np.float32), (250, 250, 250), 0.9)
    # The upper lid shades the ball below it.
    _stroke(image, upper + (0, 0.03 * u), (40, 26, 24), 0.06 * u, 0.45, 0.012 * u)
    _stroke(image, upper, look["lash"], look["lashes"] * u, 0.95)
    _stroke(image, lower, dark, 0.022 * u, 0.7)
    crease = head.on(np.column_stack([cx + 0.235 * t, up - 0.055 - 0.02 * (1 - t**2)]), 0.03)
    _stroke(image, crease, dark * 0.75, 0.03 * u, 0.55, 0.006 * u)


def _brow(image, head: _Head, side: int, rng: Rng, look: dict) -> None:
    t = np.linspace(0, 1, 9)
    x = side * (0.17 + 0.56 * t)
    y = look["brow_y"] - 0.11 * np.sin(np.pi * np.minimum(t * 0.85, 1)) * look["arch"] + 0.05 * t
    thick = look["brow"] * np.array([0.75, 1, 1, 1, 0.95, 0.85, 0.65, 0.4, 0.15])
    top = head.on(np.column_stack([x, y - thick / 2]), 0.03)
    bottom = head.on(np.column_stack([x, y + thick / 2]), 0.03)
    _fill(image, np.concatenate([top, bottom[::-1]]), look["hair"] * 0.8, 0.75, 0.012 * head.unit)
    share = rng.uniform(0, 0.85, 26)
    root = np.column_stack([np.interp(share, t, x), np.interp(share, t, y + thick * 0.45)])
    tip = root + np.column_stack([side * 0.07 + 0 * share, -np.interp(share, t, thick)])
    hairs = np.stack([head.on(root, 0.03), head.on(tip, 0.03)], axis=1)
    cv2.polylines(image, list(_fixed(hairs)), False, [float(v) for v in look["hair"] * 0.65], 1,
                  cv2.LINE_AA, 4)


def _nose(image, head: _Head, skin) -> None:
    u, dark = head.unit, mix(skin * 0.5, (90, 30, 20), 0.25)
    lean = -0.22 * head.light[0]
    cast = [(-0.2, 0.7), (0.2, 0.7), (0.16 + lean, 0.88), (-0.16 + lean, 0.88)]
    _fill(image, head.on(cast), dark, 0.3, 0.035 * u)
    for side in (-1, 1):
        _fill(image, head.on(_oval(side * 0.1, 0.715, 0.062, 0.03)), dark * 0.45, 0.85, 0.01 * u)
        wing = [(side * v, y) for v, y in ((0.19, 0.5), (0.25, 0.6), (0.23, 0.7), (0.16, 0.72))]
        _stroke(image, _spline(head.on(wing), closed=False), dark, 0.045 * u, 0.55, 0.01 * u)
        ridge = [(side * 0.12, -0.1), (side * 0.1, 0.2), (side * 0.13, 0.45)]
        strength = 0.22 if side * head.light[0] < 0 else 0.08
        _stroke(image, head.on(ridge, 0.1), dark, 0.1 * u, strength, 0.03 * u)
    _fill(image, head.on(_oval(0, 0.55, 0.06, 0.07)), (255, 250, 240), 0.16, 0.03 * u)


def _mouth(image, head: _Head, lip, look: dict) -> None:
    u, smile, gap = head.unit, look["smile"], look["gap"]
    half = 0.34 + 0.06 * smile
    t = np.linspace(-1, 1, 17)
    x, corner = half * t, -0.09 * smile * np.abs(t) ** 1.6
    bow = look["lips"] * 0.095 * (1 - np.abs(t) ** 1.8) * (1 - 0.22 * np.exp(-((t / 0.16) ** 2)))
    seam = 1.05 + corner + 0.012 * np.cos(2 * np.pi * t)
    under = seam + gap * (1 - t**2)
    top = head.on(np.column_stack([x, seam - bow]))
    middle = head.on(np.column_stack([x, seam]))
    middle2 = head.on(np.column_stack([x, under]))
    low = head.on(np.column_stack([x, under + look["lips"] * 0.13 * (1 - np.abs(t) ** 2.2)]))
    shadow = head.on(_oval(0, 1.32 + gap, 0.2, 0.035))
    _fill(image, shadow, lip * 0.45, 0.3, 0.03 * u)
    edge = 0.012 * u
    _fill(image, np.concatenate([top, middle[::-1]]), lip * 0.86, 0.9, edge)
    _fill(image, np.concatenate([middle2, low[::-1]]), lip, 0.9, edge)
    if gap > 0.02:
        inner = np.concatenate([middle, middle2[::-1]])
        _fill(image, inner, (52, 18, 18), 0.999)
        teeth = np.column_stack([x * 0.86, seam + np.minimum(0.075, gap * 0.75) * (1 - t**4)])
        upper = head.on(np.column_stack([x * 0.86, seam]))
        _fill(image, np.concatenate([upper, head.on(teeth)[::-1]]), (232, 228, 216), inside=inner)
    _stroke(image, middle, lip * 0.35, 0.035 * u, 0.85)
    shine = head.on(_oval(-0.05, 1.125 + gap, 0.14, 0.02))
    _fill(image, shine, (255, 235, 230), 0.28 * look["gloss"], 0.02 * u)


def _age_marks(image, head: _Head, skin, age: float, rng: Rng) -> None:
    """Wrinkles by age; freckles and moles for some."""
    u, dark = head.unit, mix(skin * 0.55, (90, 40, 30), 0.3)
    for side in (-1, 1):
        fold = [(side * v, y) for v, y in ((0.27, 0.66), (0.38, 0.82), (0.46, 1.0), (0.47, 1.12))]
        _stroke(image, _spline(head.on(fold), closed=False), dark, 0.05 * u, 0.12 + 0.55 * age,
                0.012 * u)
        bag = [(side * v, y) for v, y in ((0.25, 0.1), (0.4, 0.18), (0.6, 0.15), (0.68, 0.08))]
        _stroke(image, _spline(head.on(bag), closed=False), dark, 0.045 * u, 0.12 + 0.45 * age,
                0.012 * u)
        if age > 0.45:
            for rise in (-0.07, 0.0, 0.07):
                foot = [(side * 0.7, rise * 0.6), (side * 0.78, rise), (side * 0.86, rise * 2.0)]
                _stroke(image, head.on(foot), dark, 0.025 * u, 0.6 * age, 0.006 * u)
    if age > 0.35:
        t = np.linspace(-1, 1, 9)
        for y in (-0.52, -0.64, -0.76)[: 1 + int(age * 3)]:
            reach = rng.uniform(0.4, 0.6)
            line = np.column_stack([t * reach + rng.normal(0, 0.03), y + 0.03 * t**2])
            line[:, 1] += rng.normal(0, 0.006, 9)
            _stroke(image, head.on(line), dark, 0.032 * u, 0.5 * age, 0.008 * u)
        for side in (-1, 1):
            frown = head.on([(side * 0.06, -0.34), (side * 0.07, -0.26), (side * 0.05, -0.16)])
            _stroke(image, frown, dark, 0.03 * u, 0.55 * age, 0.006 * u)
    marks = rng.choice([0, 1, 30, 60], p=[0.55, 0.2, 0.15, 0.1])
    if marks:
        spots = np.column_stack([rng.normal(0, 0.42, marks), rng.normal(0.35, 0.22, marks)])
        for spot in spots[np.abs(spots[:, 0]) < 0.8]:
            r = rng.uniform(0.008, 0.02) if marks > 1 else 0.03
            _fill(image, head.on(_oval(*spot, r, r, 8)), dark * 0.9, 0.5, 0.004 * u)


def _glasses(image, head: _Head, rng: Rng) -> None:
    u = head.unit
    colour = any_colour(rng) * 0.45 if rng.random() < 0.6 else np.float32((24, 22, 22))
    rx, ry = rng.uniform(0.27, 0.34), rng.uniform(0.19, 0.28)
    power = rng.choice([2.0, 3.5])  # round, or nearly square
    a = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    rim = np.column_stack([np.sign(np.cos(a)) * np.abs(np.cos(a)) ** (2 / power) * rx,
                           np.sign(np.sin(a)) * np.abs(np.sin(a)) ** (2 / power) * ry])
    width = max(int(rng.uniform(0.025, 0.07) * u), 1)
    sun = rng.random() < 0.15
    ink = [float(v) for v in colour]
    # A frame is flat and stands off the face: it hangs in a plane before the eyes.
    def plane(points, z=1.2):
        p = np.asarray(points, float)
        return head.place(np.column_stack([p, z - 0.12 * p[:, 0] ** 2]))

    for side in (-1, 1):
        lens = plane(rim + (side * 0.46, 0.04))
        _fill(image, lens, (20, 20, 26) if sun else (225, 235, 245), 0.82 if sun else 0.1)
        gleam = plane(np.array([(-0.5, -0.8), (-0.1, -0.9), (-0.4, 0.7), (-0.7, 0.5)]) * (rx, ry)
                      + (side * 0.46, 0.04))
        _fill(image, gleam, (255, 255, 255), rng.uniform(0, 0.25), 0.02 * u, inside=lens)
        cv2.polylines(image, [_fixed(lens)], True, ink, width, cv2.LINE_AA, 4)
        hinge = head.place(np.array([(side * (0.46 + rx), -0.02, 1.1), (side * 0.99, -0.08, 0.25)]))
        turn = side * head.rotation[0, 2]
        if turn < 0.25:
            cv2.polylines(image, [_fixed(hinge)], False, ink, width, cv2.LINE_AA, 4)
    bridge = plane([(-0.46 + rx, 0.0), (0, -0.06), (0.46 - rx, 0.0)], 1.25)
    cv2.polylines(image, [_fixed(bridge)], False, ink, width, cv2.LINE_AA, 4)


def _beard(image, head: _Head, kind: str, hair, rng: Rng) -> None:
    """Stubble, moustache, goatee or a full beard: a tinted area and many short hairs."""
    u = head.unit
    full = [(-0.95, 0.2), (-0.86, 0.62), (-0.5, 0.85), (-0.2, 0.86), (0, 0.84), (0.2, 0.86),
            (0.5, 0.85), (0.86, 0.62), (0.95, 0.2), (0.93, 0.75), (0.8, 1.12), (0.55, 1.45),
            (0.25, 1.64), (0, 1.68), (-0.25, 1.64), (-0.55, 1.45), (-0.8, 1.12), (-0.93, 0.75)]
    small = [(-0.42, 0.95), (0, 0.86), (0.42, 0.95), (0.42, 1.3), (0.25, 1.62), (0, 1.67),
             (-0.25, 1.62), (-0.42, 1.3)]
    lip = [(-0.45, 1.08), (-0.3, 0.92), (0, 0.86), (0.3, 0.92), (0.45, 1.08), (0.2, 1.0),
           (0, 0.98), (-0.2, 1.0)]
    shape = {"stubble": full, "beard": full, "goatee": small, "moustache": lip}[kind]
    area = _spline(head.on(shape), 4)
    hole = [_spline(head.on([(-0.37, 1.05), (0, 0.94), (0.37, 1.05), (0, 1.21)]), 4)]
    box = _box(area, 4, image.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    mask = _mask((y1 - y0, x1 - x0), [area], (x0, y0))
    mask = cv2.GaussianBlur(cv2.subtract(mask, _mask(mask.shape, hole, (x0, y0))), (0, 0), 0.04 * u)
    part = image[y0:y1, x0:x1]
    _blend(part, mask, hair * 0.8, 0.28 if kind == "stubble" else 0.82)
    n = 260 if kind == "stubble" else 420
    root = np.column_stack([rng.uniform(-0.95, 0.95, n), rng.uniform(0.3, 1.66, n)])
    long = 0.02 if kind == "stubble" else rng.uniform(0.07, 0.16)
    tip = root + np.column_stack([root[:, 0] * 0.5 * long + rng.normal(0, 0.02, n),
                                  np.full(n, long)])
    hairs = _fixed(np.stack([head.on(root), head.on(tip, 0.04)], axis=1) - np.float32((x0, y0)))
    layer = part.copy()
    for tone, some in ((0.55, hairs[::2]), (1.25, hairs[1::2])):
        cv2.polylines(layer, list(some), False, [float(v) for v in (hair * tone).clip(0, 255)], 1,
                      cv2.LINE_AA, 4)
    _blend(part, mask, layer, 0.5 if kind == "stubble" else 0.75)


# --- Hair and what covers it ----------------------------------------------------------------

# The edge between hair and face, from the picture's left to its right, by style.
_HAIRLINES = {
    "high": [(-1.02, 0.3), (-0.95, -0.1), (-0.9, -0.55), (-0.62, -0.95), (-0.3, -1.12), (0, -1.08),
             (0.3, -1.12), (0.62, -0.95), (0.9, -0.55), (0.95, -0.1), (1.02, 0.3)],
    "round": [(-1.02, 0.4), (-0.93, -0.1), (-0.88, -0.5), (-0.6, -0.86), (-0.3, -1.0), (0, -1.02),
              (0.3, -1.0), (0.6, -0.86), (0.88, -0.5), (0.93, -0.1), (1.02, 0.4)],
    "parted": [(-1.05, 0.6), (-0.9, 0.0), (-0.82, -0.4), (-0.55, -0.75), (-0.1, -0.95),
               (0.32, -1.22), (0.5, -1.0), (0.76, -0.6), (0.9, -0.2), (0.95, 0.1), (1.05, 0.6)],
    "fringe": [(-1.05, 0.6), (-0.9, 0.1), (-0.84, -0.3), (-0.6, -0.42), (-0.3, -0.45), (0, -0.42),
               (0.3, -0.46), (0.6, -0.42), (0.84, -0.3), (0.9, 0.1), (1.05, 0.6)],
    "receding": [(-1.0, 0.2), (-0.97, -0.2), (-0.94, -0.6), (-0.78, -1.05), (-0.5, -1.42),
                 (0, -1.38), (0.5, -1.42), (0.78, -1.05), (0.94, -0.6), (0.97, -0.2), (1.0, 0.2)],
}


def _opening(head: _Head, line, down: bool = True) -> np.ndarray:
    """The area that hair or cloth leaves free: under a hairline, down to below the chin."""
    edge = _spline(head.on(line, 0.01), 4, closed=False)
    if not down:
        return edge
    away = head.on([(1.0, 0.8), (0.6, 1.6), (-0.6, 1.6), (-1.0, 0.8)])
    away = head.centre + (away - head.centre) * 1.6
    return np.concatenate([edge, away.astype(np.float32)])


def _cover(image, head: _Head, area, opening, colour, rng: Rng, strands=None, shadow=0.4) -> None:
    """Lay hair or cloth over an area but its opening: colour, strands or folds, light, shadow."""
    box = _box(np.concatenate(area), 0.2 * head.unit, image.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    part, size = image[y0:y1, x0:x1], (y1 - y0, x1 - x0)
    mask = _mask(size, area, (x0, y0))
    if opening is not None:
        mask = cv2.subtract(mask, _mask(size, [opening], (x0, y0)))
        mask = cv2.GaussianBlur(mask, (0, 0), 0.02 * head.unit + 0.3)
        shade = cv2.GaussianBlur(mask, (0, 0), 0.09 * head.unit)
        push = np.float32([[1, 0, -0.06 * head.unit * head.light[0]],
                           [0, 1, (0.07 - 0.08 * head.light[1]) * head.unit]])
        _blend(part, cv2.warpAffine(shade, push, size[::-1]), (24, 10, 8), shadow)
    layer = np.empty((*size, 3), np.uint8)
    layer[:] = colour.clip(0, 255)
    for tone, lines, width in strands or ():
        cv2.polylines(layer, [_fixed(v - np.float32((x0, y0))) for v in lines], False,
                      [float(v) for v in (colour * tone + (tone > 1) * 8).clip(0, 255)],
                      width, cv2.LINE_AA, 4)
    layer = cv2.GaussianBlur(layer, (0, 0), max(0.012 * head.unit, 0.4))
    middle = head.centre + (0, -0.5 * head.unit) - (x0, y0)
    _blend(part, mask, layer * _ball_shade(size, middle, 1.55 * head.unit, head))


def _meridians(head: _Head, n: int, low: float, swell: float, wave: float, rng: Rng) -> list:
    """Strands that run from the crown down over the skull, in four tones."""
    y = np.linspace(-1.6, low, 12)
    turn = rng.uniform(-1.9, 1.9, (n, 1)) + rng.normal(0, 0.06, (n, 1)) * y
    turn = turn + wave * np.sin(y * 9 + rng.uniform(0, 6, (n, 1)))
    reach = rng.uniform(0.0, 1.0, (n, 1)) * swell + 0.02
    w = head.half_width(np.minimum(y, 0.4))
    deep = np.interp(np.minimum(y, 0.4), _Y, _DEPTH)
    points = np.stack([w * np.sin(turn), y + 0 * turn, deep * np.cos(turn)], axis=-1)
    lines = head.place(points * (1 + reach[..., None]))
    thick = max(int(0.03 * head.unit), 1)
    return [(tone, lines[k::4], thick) for k, tone in enumerate((0.6, 0.8, 1.2, 1.45))]


def _hair_behind(image, head: _Head, style: str, hair, rng: Rng, neck: float) -> None:
    """What of the hair lies behind neck and shoulders."""
    if style not in ("long", "bob", "curly"):
        return
    end = {"long": rng.uniform(2.4, 3.4), "bob": rng.uniform(1.2, 1.7), "curly": 1.5}[style]
    out = {"long": 1.22, "bob": 1.25, "curly": 1.45}[style]
    t = np.linspace(0, 1, 5)
    sway = rng.normal(0, 0.05, (2, 5))
    # It comes out from behind the skull: broad shoulders of hair at the ears look like wings.
    wide = out * np.array([0.5, 0.86, 1.0, 1.03, 0.98])
    fall = -0.9 + t * (end + 0.9)
    left = np.column_stack([-wide + sway[0], fall])
    right = np.column_stack([wide + sway[1], fall])
    outline = np.concatenate([left, right[::-1]])
    # Hair hangs straight down, whatever way the head leans.
    area = _spline((head.centre + outline * head.unit).astype(np.float32), 4)
    x = rng.uniform(-out, out, (60, 1))
    y = np.linspace(-0.4, end, 9)
    wave = 0.05 * np.sin(y * 3 + rng.uniform(0, 6, (60, 1)))
    lines = head.centre + np.stack([x + wave, y + 0 * x], axis=-1) * head.unit
    strands = [(tone, lines[k::4].astype(np.float32), max(int(0.04 * head.unit), 1))
               for k, tone in enumerate((0.5, 0.7, 1.15, 1.35))]
    _cover(image, head, [area], None, hair * 0.72, rng, strands)


def _hair(image, head: _Head, style: str, hair, rng: Rng) -> None:
    """What of the hair lies over the skull and the face's edges."""
    if style == "bald":
        return
    line = {"buzz": ("round", "receding"), "short": ("high", "round", "receding"),
            "side": ("parted",), "bun": ("high", "round"), "bob": ("fringe", "parted"),
            "long": ("parted", "fringe", "high"), "curly": ("high", "round"),
            "afro": ("high", "round")}[style]
    line = np.array(_HAIRLINES[rng.choice(line)]) * (rng.choice((-1, 1)), 1)
    line = line[np.argsort(line[:, 0], kind="stable")] if line[0, 0] > 0 else line
    line = line + rng.normal(0, 0.015, line.shape)
    swell = {"buzz": 0.03, "short": rng.uniform(0.06, 0.14), "side": rng.uniform(0.1, 0.18),
             "bun": 0.05, "bob": 0.16, "long": 0.14, "curly": 0.26, "afro": 0.5}[style]
    low = {"bob": 0.9, "long": 0.9, "curly": 0.8, "afro": 0.15}.get(style, 0.1)
    area = [head.shell(swell, low)]
    wave = 0.0
    if style in ("curly", "afro"):
        wave = 0.12
        around = head.shell(swell, low).astype(np.float32)
        curl = 0.18 if style == "afro" else 0.26
        n = max(len(around) * 2, 40)
        spots = around[rng.integers(len(around), size=n)] + rng.normal(0, 0.06 * head.unit, (n, 2))
        area += [_oval(*p, curl * head.unit, curl * head.unit, 10).astype(np.float32)
                 for p in spots]
    if style in ("long", "bob"):
        end = rng.uniform(1.5, 2.6) if style == "long" else rng.uniform(0.9, 1.3)
        for side in (-1, 1):
            lock = [(side * 0.9, -0.6), (side * 1.2, -0.3), (side * 1.3, 0.5), (side * 1.25, end),
                    (side * 1.0, end + 0.15), (side * 1.02, 0.8), (side * 0.97, 0.2)]
            middle = head.place(np.array([[side * 0.25, 0, -0.1]]))[0] - (
                side * 0.25 * head.unit, 0)
            area.append(_spline((middle + np.array(lock) * head.unit).astype(np.float32), 4))
    if style == "bun":
        top = head.place(np.array([[0.0, -1.85, -0.5]]))[0]
        area.append(_oval(*top, 0.5 * head.unit, 0.42 * head.unit).astype(np.float32))
    strands = _meridians(head, 150 if style != "buzz" else 60, max(low, 0.4), swell, wave, rng)
    if style in ("curly", "afro"):
        rings = head.centre + rng.normal(0, 0.9, (140, 1, 2)) * head.unit - (0, 0.6 * head.unit)
        rings = (rings + _oval(0, 0, 0.1 * head.unit, 0.09 * head.unit, 9)).astype(np.float32)
        strands += [(tone, rings[k::3], max(int(0.03 * head.unit), 1))
                    for k, tone in enumerate((0.55, 0.8, 1.35))]
    _cover(image, head, area, _opening(head, line), hair, rng, strands, 0.35)


def _headwear(image, head: _Head, kind: str, rng: Rng) -> None:
    """A hat, turban or headscarf over whatever hair there is."""
    u, colour = head.unit, any_colour(rng)
    if kind == "scarf":
        oval = [(-0.88, 0.0), (-0.8, -0.55), (-0.5, -0.88), (0, -0.96), (0.5, -0.88),
                (0.8, -0.55), (0.88, 0.0), (0.86, 0.6), (0.7, 1.15), (0.4, 1.52), (0, 1.63),
                (-0.4, 1.52), (-0.7, 1.15), (-0.86, 0.6)]
        opening = _spline(head.on(np.array(oval) * rng.uniform(0.97, 1.04, 2), 0.02), 4)
        drape = [(-1.1, 0.0), (-1.2, 0.9), (-1.15, 1.6), (-1.9, 2.3), (-2.2, 3.2), (2.2, 3.2),
                 (1.9, 2.3), (1.15, 1.6), (1.2, 0.9), (1.1, 0.0)]
        drape = _spline((head.centre + np.array(drape) * u).astype(np.float32), 4)
        t = np.linspace(0, 1, 10)[:, None]
        folds = []
        for _ in range(26):
            start = (rng.uniform(-1.2, 1.2), rng.uniform(0.3, 1.6))
            end = (start[0] * rng.uniform(0.2, 1.6), rng.uniform(2.0, 3.0))
            bend = np.sin(np.pi * t) * rng.normal(0, 0.15, 2)
            folds.append(head.centre + u * (np.array(start) * (1 - t) + np.array(end) * t + bend))
        tones = (0.72, 1.14, 0.84)
        folds = [(tone, np.float32(folds[k::3]), max(int(0.07 * u), 1))
                 for k, tone in enumerate(tones)]
        folds += [(tone, lines[:4], max(int(0.05 * u), 1))
                  for tone, lines, _ in _meridians(head, 30, 0.8, 0.1, 0.0, rng)[1:3]]
        _cover(image, head, [head.shell(0.1, 1.3), drape], opening, colour, rng, folds, 0.5)
        return
    edge = {"beanie": -0.55, "cap": -0.62, "turban": -0.6, "brim": -0.68}[kind]
    edge += rng.normal(0, 0.05)
    swell = {"beanie": 0.14, "cap": 0.1, "turban": 0.3, "brim": 0.14}[kind]
    t = np.linspace(-1.35, 1.35, 15)
    dip = {"turban": -0.3}.get(kind, 0.05)
    line = np.column_stack([np.sin(t) * 1.05, edge + dip * np.cos(t)])
    rim = head.place(np.column_stack(
        [line[:, 0] * (1 + swell), line[:, 1], np.cos(t) * (1.03 + swell)]))
    below = head.centre + (head.on([(1, 1.6), (-1, 1.6)]) - head.centre) * 1.6
    opening = np.concatenate([rim, below.astype(np.float32)])
    folds = _meridians(head, 44, edge, swell, 0.0, rng)
    if kind == "turban":
        a = np.linspace(-1.5, 1.5, 12)
        wraps = [head.place(np.column_stack([np.sin(a) * 1.25, edge - 0.1 - 0.9 * k * np.cos(a - s),
                                             np.cos(a) * 1.25]))
                 for k in np.linspace(0, 1.1, 8) for s in (-0.5, 0.5)]
        folds = [(0.7, wraps[::2], max(int(0.05 * u), 1)), (1.15, wraps[1::2], 2)]
    if kind == "cap":
        folds = [(0.8, folds[0][1][:5], 1)]
    _cover(image, head, [head.shell(swell, -0.1)], opening, colour, rng, folds, 0.5)
    if kind == "beanie":  # the turned-up edge
        up = rim - (rim[7] - head.place(np.array([[0, edge + 0.32, 1.1]]))[0])
        band = np.concatenate([rim, (2 * rim - up)[::-1]])
        ribs = [np.stack([a, b]) for a, b in
                zip(_spline(rim, 3, False), _spline(2 * rim - up, 3, False))]
        _cover(image, head, [band], None, colour * 0.9, rng, [(0.7, ribs, max(int(0.03 * u), 1))])
    if kind in ("cap", "brim"):
        reach = 0.75 if kind == "cap" else 0.55
        a = np.linspace(-1.3, 1.3, 15) if kind == "cap" else np.linspace(-np.pi, np.pi, 40)
        inner = np.column_stack([np.sin(a) * 1.1, edge + 0 * a, np.cos(a) * 1.1])
        spread = np.cos(a * 1.2) if kind == "cap" else 1
        outer = inner * (1, 1, 1) + np.column_stack(
            [np.sin(a) * reach * 0.5 * spread, 0.12 + 0 * a, np.cos(a) * reach * spread])
        visor = np.concatenate([head.place(inner), head.place(outer)[::-1]])
        if kind == "brim":  # its far half is behind the crown
            front = np.abs(a) < 1.75
            visor = np.concatenate([head.place(inner[front]), head.place(outer[front])[::-1]])
        _fill(image, visor + (0, 0.14 * u), (20, 10, 8), 0.35, 0.06 * u)
        shade = head.ambient + head.key * 0.6
        _fill(image, visor, (colour * shade * rng.uniform(0.7, 1.0)).clip(0, 255), 0.999)


# --- People and pictures --------------------------------------------------------------------


def _body(image, head: _Head, skin, rng: Rng, hood: bool) -> None:
    """Neck, shoulders and what is worn there; the body faces half as far aside as the head."""
    u = head.unit
    base = head.place(np.array([[0.0, 1.1, -0.45]]))[0]
    cloth, slim = any_colour(rng), rng.uniform(0.5, 0.62)
    neck = [(-slim, -0.6), (-slim, 0.5), (-0.95, 0.95), (0, 1.5), (0.95, 0.95), (slim, 0.5),
            (slim, -0.6)]
    neck = (base + np.array(neck) * u).astype(np.float32)
    broad = rng.uniform(1.9, 2.5)
    down = image.shape[0] / u + 8
    torso = [(-0.8, 0.72), (-broad * 0.75, 1.05), (-broad, 1.6), (-broad * 1.08, 3.0),
             (-broad * 1.05, down), (broad * 1.05, down), (broad * 1.08, 3.0), (broad, 1.6),
             (broad * 0.75, 1.05), (0.8, 0.72)]
    torso = _spline((base + np.array(torso) * u).astype(np.float32), 4)
    depth = rng.choice([0.95, 1.2, 1.7])  # crew neck to open collar
    collar = _spline((base + u * np.array([(-0.72, 0.5), (-0.5, 0.9), (0, depth), (0.5, 0.9),
                                           (0.72, 0.5), (0, 0.3)])).astype(np.float32), 4)
    box = _box(np.concatenate([neck, torso]), 2, image.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    part, size = image[y0:y1, x0:x1], (y1 - y0, x1 - x0)
    shade = _ball_shade(size, base + (0, 2.2 * u) - (x0, y0), 3.4 * u, head)
    layer = np.empty((*size, 3), np.uint8)
    layer[:] = cloth
    pattern = rng.random()
    if pattern < 0.3:
        gap, thick = rng.uniform(0.15, 0.5) * u, max(int(rng.uniform(0.04, 0.16) * u), 1)
        second = [float(v) for v in any_colour(rng)]
        for at in np.arange(0, max(size) * 1.2, max(gap, 2)):
            if pattern < 0.2:
                cv2.line(layer, (0, int(at)), (size[1], int(at)), second, thick, cv2.LINE_AA)
            if pattern > 0.1:
                cv2.line(layer, (int(at), 0), (int(at), size[0]), second, thick, cv2.LINE_AA)
    for _ in range(5):  # folds
        start = base + rng.uniform((-broad, 1.2), (broad, 3.0)) * u - (x0, y0)
        fold = start + np.cumsum(rng.uniform((-0.3, 0.2), (0.3, 0.5), (5, 2)), 0) * u
        _stroke(layer, _spline(fold, closed=False), cloth * 0.55, 0.12 * u, 0.4, 0.05 * u)
    _blend(part, _mask(size, [torso], (x0, y0)), layer * shade)
    flesh = skin * _ball_shade(size, base - (x0, y0), 1.6 * u, head) * 0.92
    _blend(part, _mask(size, [neck[[0, 1, 5, 6]], collar], (x0, y0)), flesh)
    _fill(image, collar, cloth * 0.4, 0.12, 0.06 * u)
    ring = _spline(collar[: len(collar) * 5 // 6], 1, closed=False)
    _stroke(image, ring, cloth * (head.ambient + 0.3), 0.16 * u, 0.95)
    # The chin's shadow on the neck.
    _fill(image, head.shell(-0.12, 1.6, 0.6) + (-0.15 * u * head.light[0], 0.32 * u),
          (40, 16, 10), 0.42, 0.1 * u, inside=np.concatenate([neck[:2], collar[:1], neck[5:]]))


def _ear(image, head: _Head, side: int, skin, rng: Rng) -> None:
    if side * head.rotation[0, 2] > 0.3:  # turned away
        return
    u = head.unit
    oval = _oval(0, 0, 0.17, 0.36) * (side, 1) + (side * 0.02, 0.25)
    a = np.arctan2(oval[:, 1], oval[:, 0])
    points = np.column_stack([side * 0.97 + oval[:, 0], oval[:, 1] + 0.0 * a,
                              np.full(len(oval), -0.05) - 0.25 * side * oval[:, 0]])
    area = head.place(points)
    lit = head.ambient + head.key * max(0.25, 0.4 + 0.6 * side * head.light[0])
    tone = (skin * lit * (1.0, 0.9, 0.88)).clip(0, 255)
    _fill(image, area, tone, 0.999)
    inner = area.mean(0) + 0.6 * (area - area.mean(0))
    _fill(image, inner.astype(np.float32), tone * (0.6, 0.48, 0.44), 0.7, 0.04 * u)
    if rng.random() < 0.15:
        ring = area[np.argmax(area[:, 1])] + (0, 0.06 * u)
        _fill(image, _oval(*ring, 0.05 * u, 0.05 * u).astype(np.float32), (236, 214, 150), 0.999)


def draw_person(image: np.ndarray, rng: Rng, centre, unit: float, turn: float = 1.0) -> _Head:
    """Draw one person in place, the face's middle at `centre`, `unit` pixels to half its width."""
    head = _head(rng, centre, unit, turn)
    age, masculine = rng.beta(1.1, 1.6), rng.random() < 0.5
    tone = rng.beta(1.0, 1.2)
    skin = (_from_scale(SKIN, tone) * rng.normal(1, 0.03, 3)).clip(20, 250).astype(np.float32)
    natural = rng.beta(0.9, 1.3) * (1 - 0.75 * tone)
    hair = _from_scale(HAIR[:6], natural) if rng.random() < 0.92 else HAIR[6]
    grey = np.clip((age - 0.45) * 2.2 + rng.normal(0, 0.2), 0, 0.95) * (age > 0.4)
    brow_hair = mix(hair, GREY, grey * 0.6)
    hair = mix(hair, GREY, grey)
    if rng.random() < 0.06:
        hair = brow_hair = DYED[rng.integers(len(DYED))]
    styles = ("bald", "buzz", "short", "side", "bun", "bob", "long", "curly", "afro")
    odds = (0.1, 0.18, 0.34, 0.2, 0.02, 0.01, 0.05, 0.06, 0.04) if masculine else (
        0.01, 0.03, 0.08, 0.06, 0.18, 0.2, 0.26, 0.12, 0.06)
    style = rng.choice(styles, p=odds)
    wear = rng.choice(["", "scarf", "beanie", "cap", "turban", "brim"],
                      p=[0.72, 0, 0.08, 0.1, 0.04, 0.06] if masculine else
                        [0.72, 0.14, 0.05, 0.04, 0.01, 0.04])
    if wear and style in ("afro", "curly", "bun"):
        style = "short"
    if wear == "scarf":
        style = "bald"
    look = {
        "iris": _from_scale(np.float32([(48, 30, 18), (92, 58, 30), (98, 112, 70), (96, 134, 170)]),
                            natural if rng.random() < 0.5 else 0.1 * rng.random()),
        "open": rng.uniform(0.06, 0.125), "slant": rng.normal(0.015, 0.015),
        "gaze": rng.normal(0, (0.035, 0.012)), "lash": np.float32((22, 14, 12)),
        "lashes": rng.uniform(0.03, 0.05) if masculine else rng.uniform(0.045, 0.075),
        "shadow": any_colour(rng) if not masculine and rng.random() < 0.2 else None,
        "brow": rng.uniform(0.08, 0.13) if masculine else rng.uniform(0.05, 0.085),
        "brow_y": rng.normal(-0.24, 0.03), "arch": rng.uniform(0.5, 1.3), "hair": brow_hair,
        "smile": rng.normal(0.3, 0.5), "lips": rng.uniform(0.6, 1.25),
        "gap": max(rng.normal(-0.06, 0.1), 0), "gloss": rng.random(),
    }
    lip = mix(skin, (178, 62, 66), 0.42) * (0.94 - 0.1 * tone)
    if not masculine and rng.random() < 0.3:
        lip = mix(lip, (176, 24, 52), rng.uniform(0.3, 0.8))

    _hair_behind(image, head, style, hair, rng, 0.0)
    _body(image, head, skin, rng, wear == "scarf")
    if wear != "scarf":
        skull = head.shell(0.0, 0.5)
        scalp = skin * (head.ambient + 0.55 * head.key)
        _fill(image, skull, scalp if style in ("bald", "buzz") else hair * 0.5, 0.999)
        for side in (-1, 1):
            _ear(image, head, side, skin, rng)
    # The face itself.
    y, turn_ = np.meshgrid(np.linspace(-1.62, 1.68, 30), np.linspace(-1.5, 1.5, 25))
    x = head.half_width(y) * np.sin(turn_)
    area = cv2.convexHull(head.on(np.column_stack([x.ravel(), y.ravel()])))[:, 0]
    _fill(image, area, skin)
    flush = mix(skin, (206, 70, 60), 0.35)
    for side in (-1, 1):
        _fill(image, head.on(_oval(side * 0.55, 0.45, 0.28, 0.22)), flush,
              rng.uniform(0.15, 0.55), 0.12 * unit)
    _fill(image, head.on(_oval(0, 0.6, 0.18, 0.14)), flush, 0.3, 0.08 * unit)
    _age_marks(image, head, skin, age, rng)
    _mouth(image, head, lip, look)
    for side in (-1, 1):
        _eye(image, head, side, skin, rng, look)
    _nose(image, head, skin)
    _shade_face(image, head, area, rng.uniform(0.03, 0.16) )
    for side in (-1, 1):
        _brow(image, head, side, rng, look)
    if masculine and rng.random() < 0.55:
        kind = rng.choice(["stubble", "beard", "goatee", "moustache"], p=[0.35, 0.35, 0.15, 0.15])
        _beard(image, head, kind, brow_hair * 0.9, rng)
    _hair(image, head, style, hair, rng)
    if wear:
        _headwear(image, head, wear, rng)
    if rng.random() < 0.26:
        _glasses(image, head, rng)
    return head
