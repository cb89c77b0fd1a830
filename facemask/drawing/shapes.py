"""The shape of a face in a picture, and the face's own axes to draw in."""

from typing import NamedTuple, overload

import numpy as np
from numpy.typing import ArrayLike


class FaceShape(NamedTuple):
    """Where a face lies in a picture: float32 pixel coordinates, x to the right, y down.

    Points may lie outside the picture. "Left" is the left of the picture.
    """

    jaw: np.ndarray  # (17, 2) from the left ear over the chin (index 8) to the right ear
    nose_bridge: np.ndarray  # (2,) between the eyes
    nose_tip: np.ndarray  # (2,)
    nose_base: np.ndarray  # (2,) where the nose meets the upper lip
    mouth: np.ndarray  # (4, 2) left corner, top of upper lip, right corner, bottom of lower lip
    eyes: np.ndarray  # (2, 2) left, right


def move_shape(
    shape: FaceShape, scale: float = 1.0, shift: tuple[float, float] = (0, 0)
) -> FaceShape:
    """The same shape after `point * scale + shift` (pixels), as for a resized or padded crop."""
    by = np.array(shift, np.float32)
    return FaceShape(*((np.asarray(p, np.float32) * scale + by) for p in shape))


def _cut_corners(line: np.ndarray) -> np.ndarray:
    for _ in range(2):
        cut = np.stack([0.75 * line[:-1] + 0.25 * line[1:], 0.25 * line[:-1] + 0.75 * line[1:]], 1)
        line = np.concatenate([line[:1], cut.reshape(-1, *line.shape[1:]), line[-1:]])
    return line


_JAW_PLACES = _cut_corners(np.arange(17.0))  # where the points of the smoothed jaw lie along it
_UNIT_ROWS = np.linspace(0, 1, 48)


class FaceAxes:
    """A face in its own axes: heights of its parts along the nose, and its two sides."""

    def __init__(self, shape: FaceShape, image_size: tuple[int, int]):
        self.origin = shape.nose_tip
        eyes = shape.eyes[1] - shape.eyes[0]
        down = _unit(shape.jaw[8] - shape.nose_bridge) + _unit(np.array([-eyes[1], eyes[0]]))
        self.down = _unit(down)
        self.right = np.array([self.down[1], -self.down[0]])
        middle = [shape.nose_bridge, shape.nose_tip, shape.nose_base, shape.mouth[1],
                  shape.mouth[3], shape.jaw[8]]  # fmt: skip
        x, y = self.into(np.stack(middle)).T
        self.height = height = max(float(y[-1] - y[0]), 2.0)
        # Seen from below or with an open mouth the order can break; everything below relies on it.
        least = height * np.array([0, 0.12, 0.06, 0.03, 0.04, 0.06])
        for i in range(1, 6):
            y[i] = max(y[i], y[i - 1] + least[i])
        self.bridge, self.tip, self.base, self.lip_top, self.lip_bottom, self.chin = map(float, y)
        self.jaw = self.into(shape.jaw)
        # Chaikin's corner cutting, twice, keeps the outline round in large pictures.
        self._smooth_jaw = _cut_corners(self.jaw)
        # A mask is stiffer than a face: its middle is the smoothed middle of the face.
        self.rows = y[0] - 0.5 * height + _UNIT_ROWS * (y[5] - y[0] + 1.2 * height)
        slope = ((x - x.mean()) * (y - y.mean())).sum() / ((y - y.mean()) ** 2).sum()
        line = x.mean() + slope * (self.rows - y.mean())
        self.middle = 0.6 * np.interp(self.rows, y, x) + 0.4 * line
        left, right = self.jaw[:9], self.jaw[16:7:-1]
        width = (right[1:8, 0] - left[1:8, 0]).max()
        self.width = float(max(width, 0.4 * height))
        self.sides = [self._side(left, -1), self._side(right, 1)]
        # How far down the picture reaches, in these axes, below the chin.
        foot = self.out(np.array([[self.centre(self.chin), self.chin]]))[0]
        self.floor = self.chin + (image_size[0] - foot[1]) / max(self.down[1], 0.3)

    def _side(self, points: np.ndarray, sign: int) -> np.ndarray:
        """Half width from the middle to one side for every row; below the jaw, the neck's."""
        y = np.maximum.accumulate(points[:, 1] + np.arange(9) * 1e-3)
        half = sign * (np.interp(self.rows, y, points[:, 0]) - self.middle)
        return np.maximum(half, max(0.62 * half[self.rows < self.tip].max(), 0.13 * self.height))

    def into(self, points: np.ndarray) -> np.ndarray:
        return (points - self.origin) @ np.stack([self.right, self.down], axis=1)

    def out(self, points: np.ndarray) -> np.ndarray:
        return points @ np.stack([self.right, self.down]) + self.origin

    @overload
    def centre(self, y: float) -> float: ...
    @overload
    def centre(self, y: np.ndarray) -> np.ndarray: ...
    def centre(self, y: float | np.ndarray) -> float | np.ndarray:
        return np.interp(y, self.rows, self.middle)

    def at(self, t: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Point at `t` in -1..1 from side to side and height `y`, float (N, 2)."""
        t, y = np.broadcast_arrays(np.asarray(t, float), np.asarray(y, float))
        left, right = (np.interp(y, self.rows, side) for side in self.sides)
        return np.stack([self.centre(y) + t * np.where(t < 0, left, right), y], axis=-1)

    def jaw_at(self, t: ArrayLike) -> np.ndarray:
        """Point of the jaw line at `t`: -1 left ear, 0 chin, 1 right ear; float (N, 2)."""
        place = np.asarray(t, float) * 8 + 8
        return np.stack(
            [np.interp(place, _JAW_PLACES, self._smooth_jaw[:, k]) for k in (0, 1)], axis=-1
        )


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.hypot(*vector)), 1e-6)
