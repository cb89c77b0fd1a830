"""A drawn head as a small 3-D surface, on which features, hair and masks find their places.

Lengths on the face are in half face widths, x to the right of the picture and y down from the line
of the eyes.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from facemask.drawing.shapes import FaceShape

Rng = np.random.Generator

HEIGHTS = np.linspace(-1.7, 1.7, 137)


def _outline(knots: list[tuple[float, float]]) -> np.ndarray:
    """A smooth table over `HEIGHTS` through (y, value) knots."""
    heights, at = zip(*knots)
    values = np.interp(HEIGHTS, heights, at)
    kernel = np.hanning(15) / np.hanning(15).sum()
    return np.convolve(np.pad(values, 7, mode="edge"), kernel, mode="valid")


# Proportions of an adult head: the eyes half-way between crown and chin, five eye widths across.
_WIDTH = _outline([(-1.7, 0.05), (-1.62, 0.3), (-1.4, 0.7), (-1.0, 0.95), (-0.5, 1.0), (0.1, 0.99),
                   (0.5, 0.94), (0.9, 0.83), (1.2, 0.67), (1.45, 0.44), (1.6, 0.24), (1.7, 0.04)])
_JAW = _outline([(-1.7, 0), (0.2, 0), (1.0, 1), (1.4, 1.3), (1.7, 0.4)])
DEPTH = _outline([(-1.7, 0.2), (-1.5, 0.6), (-1.1, 0.93), (-0.6, 1.04), (0, 1.0), (0.6, 1.02),
                   (1.1, 1.06), (1.5, 1.02), (1.7, 0.8)])


class Head(NamedTuple):
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
        return np.interp(y, HEIGHTS, _WIDTH) * (1 + self.jaw * np.interp(y, HEIGHTS, _JAW))

    def surface(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How far the face stands out (z) at (x, y)."""
        side = np.clip(np.abs(x) / self.half_width(y), 0, 1)
        z = np.interp(y, HEIGHTS, DEPTH) * np.maximum(1 - side**2.4, 0) ** (1 / 2.4)
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

    def on(self, points: ArrayLike, lift: float = 0.0) -> np.ndarray:
        """(N, 2) points on the face, `lift` above its surface, to (N, 2) pixels."""
        p = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        return self.place(np.column_stack([p, self.surface(p[:, 0], p[:, 1]) + lift]))

    def shell(self, swell: float, low: float, high: float = -1.69) -> np.ndarray:
        """Outline of the whole skull between two heights, swollen by `swell`, as a hull."""
        y, turn = np.meshgrid(np.linspace(high, low, 14), np.linspace(0, 2 * np.pi, 28))
        w, deep = self.half_width(y), np.interp(y, HEIGHTS, DEPTH)
        z = np.cos(turn) * np.where(np.cos(turn) > 0, deep * 0.98, deep * 1.25)
        points = np.stack([w * np.sin(turn), y, z], axis=-1) * (1 + swell, 1 + swell, 1 + swell)
        return cv2.convexHull(self.place(points).reshape(-1, 2))[:, 0]


def make_head(rng: Rng, centre: ArrayLike, unit: float, turn: float = 1.0) -> Head:
    """A head of random build, light and pose; `turn` scales how far it may look aside."""
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
    return Head(about_z @ about_x @ about_y, np.asarray(centre, float), unit,
                 rng.uniform(0.95, 1.05), rng.uniform(0.93, 1.07), rng.uniform(-0.08, 0.12),
                 rng.uniform(0.22, 0.38), light, key * (1 + warm), ambient * (1 - 0.6 * warm))


def face_shape(head: Head) -> FaceShape:
    """The points that masks hang on. The jaw follows the visible edge of a turned face."""
    y = np.concatenate([np.linspace(0.05, 1.05, 5), [1.28, 1.46, 1.59]])
    w = head.half_width(y)
    yaw = np.arctan2(head.rotation[0, 2], head.rotation[0, 0])
    jaw = []
    for sign in (-1, 1):
        # An angle past 90 degrees after the turn would lie behind the edge that one sees.
        angle = np.minimum(np.radians(82), np.pi / 2 - sign * yaw)
        x = sign * w * np.sin(angle)
        z = np.interp(y, HEIGHTS, DEPTH) * np.cos(angle) * 0.95
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
