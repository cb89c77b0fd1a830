"""Brushes and colours for drawn people: they change uint8 RGB pictures (H, W, 3) in place."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

from facemask.drawing.head import Head, Rng

Colour = np.ndarray | Sequence[float]  # RGB 0..255


def spline(points: ArrayLike, steps: int = 6, closed: bool = True) -> np.ndarray:
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


def ellipse(cx: float, cy: float, rx: float, ry: float, n: int = 20) -> np.ndarray:
    """`n` points (n, 2) round the middle (cx, cy), at radii rx and ry."""
    a = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.column_stack([cx + rx * np.cos(a), cy + ry * np.sin(a)])


def fixed(points: np.ndarray) -> np.ndarray:
    """Pixels as OpenCV's fixed-point numbers with four fractional bits."""
    return np.round(np.asarray(points) * 16).astype(np.int32)


def filled(
    size: tuple[int, int], shapes: Iterable[np.ndarray], offset: ArrayLike = (0, 0)
) -> np.ndarray:
    """A mask (h, w), 0 to 255, of polygons whose points are less by `offset` in it."""
    mask = np.zeros(size, np.uint8)
    for points in shapes:
        cv2.fillPoly(mask, [fixed(points - np.asarray(offset, np.float32))], 255, cv2.LINE_AA, 4)
    return mask


def blend(part: np.ndarray, mask: np.ndarray, colour: ArrayLike, alpha: float = 1.0) -> None:
    """Lay `colour`, one for all or one a pixel, over `part` in place, as strongly as `mask`."""
    weight = (mask.astype(np.float32) * (alpha / 255))[..., None]
    over = np.asarray(colour, dtype=np.float32)
    part[:] = (part + (over - part) * weight + 0.5).clip(0, 255).astype(np.uint8)


def fill(
    image: np.ndarray, shapes: np.ndarray | Sequence[np.ndarray], colour: Colour,
    alpha: float = 1.0, soft: float = 0.0, inside: np.ndarray | None = None,
) -> None:  # fmt: skip
    """Fill one polygon or several, edges blurred by `soft` pixels, kept `inside` another."""
    shapes = [shapes] if isinstance(shapes, np.ndarray) else shapes
    if alpha == 1 and not soft and inside is None:
        for points in shapes:
            cv2.fillPoly(image, [fixed(points)], [float(v) for v in colour], cv2.LINE_AA, 4)
        return
    box = bounds(np.concatenate(shapes), 3 * soft + 2, image.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    mask = filled((y1 - y0, x1 - x0), shapes, (x0, y0))
    if soft:
        mask = cv2.GaussianBlur(mask, (0, 0), soft)
    if inside is not None:
        mask = cv2.min(mask, filled(mask.shape, [inside], (x0, y0)))
    blend(image[y0:y1, x0:x1], mask, colour, alpha)


def bounds(
    points: np.ndarray, margin: float, shape: Sequence[int]
) -> tuple[int, int, int, int] | None:
    """The part of a picture around some points; None when they are all outside of it."""
    x0, y0 = np.maximum(np.floor(points.min(0) - margin), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(points.max(0) + margin), (shape[1], shape[0])).astype(int)
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def stroke(
    image: np.ndarray, points: ArrayLike, colour: Colour,
    width: float, alpha: float = 1.0, soft: float = 0.0,
) -> None:  # fmt: skip
    """Draw a line along a curve, thin at both ends."""
    p = np.asarray(points, dtype=np.float32)
    along = np.gradient(p, axis=0)
    across = np.column_stack([-along[:, 1], along[:, 0]])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
    half = 0.5 * width * np.sin(np.linspace(0.15, np.pi - 0.15, len(p)))[:, None]
    fill(image, np.concatenate([p + across * half, (p - across * half)[::-1]]).astype(np.float32),
          colour, min(alpha, 0.999), soft)


def ball_shade(
    size: tuple[int, int], middle: np.ndarray, radius: float, head: Head
) -> np.ndarray:
    """Shading (h, w, 3) as on a ball, for what is round but has no surface of its own."""
    h, w = max(size[0] // 4, 1), max(size[1] // 4, 1)
    x = (np.arange(w) * 4 + 2 - middle[0]) / radius
    y = (np.arange(h)[:, None] * 4 + 2 - middle[1]) / radius
    z = np.sqrt(np.maximum(1 - x**2 - y**2, 0.06))
    lit = (x * head.light[0] + y * head.light[1] + z * head.light[2]) / np.sqrt(
        x**2 + y**2 + z**2)
    shade = head.ambient + np.maximum(lit, 0)[..., None] * head.key
    return cv2.resize(shade.astype(np.float32), (size[1], size[0]))


def mix(a: ArrayLike, b: ArrayLike, share: float) -> np.ndarray:
    """A colour between `a` (share 0) and `b` (share 1)."""
    return np.asarray(a, np.float32) * (1 - share) + np.asarray(b, np.float32) * share


def from_scale(scale: np.ndarray, at: float) -> np.ndarray:
    """The colour `at` 0..1 of the way along a scale of colours (N, 3)."""
    at = at * (len(scale) - 1)
    low = min(int(at), len(scale) - 2)
    return mix(scale[low], scale[low + 1], at - low)


def any_colour(rng: Rng) -> np.ndarray:
    """A colour as clothes have it: any hue, mostly muted, from near black to near white."""
    hsv = [rng.integers(180), 200 * rng.beta(1.2, 2.2), 30 + 220 * rng.beta(1.3, 1.2)]
    return cv2.cvtColor(np.array([[hsv]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
