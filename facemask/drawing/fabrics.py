"""What a face mask is made of: its cut, colours, pattern, pleats, seams, valve and straps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from facemask.drawing.head import Rng

KINDS = ("surgical", "fold", "cup", "cloth", "sponge", "gaiter")

_TILE = 128  # side of a pattern, pixels
_V = np.linspace(0, 1, 256, dtype=np.float32)

# Colours as photographed, RGB 0..1, and how often.
_SURGICAL = [
    ((0.62, 0.80, 0.90), 4.0),  # light blue
    ((0.45, 0.70, 0.86), 2.0),
    ((0.88, 0.91, 0.93), 4.0),  # white
    ((0.62, 0.85, 0.80), 2.0),  # green
    ((0.35, 0.66, 0.62), 1.0),
    ((0.09, 0.09, 0.10), 2.5),  # black
    ((0.90, 0.68, 0.74), 1.5),  # pink
    ((0.55, 0.57, 0.60), 0.7),
    ((0.72, 0.66, 0.85), 0.4),
]
_RESPIRATOR = [
    ((0.93, 0.93, 0.91), 6.0),
    ((0.10, 0.10, 0.11), 1.5),
    ((0.55, 0.57, 0.58), 1.5),
    ((0.90, 0.84, 0.62), 0.7),
    ((0.62, 0.76, 0.86), 0.5),
    ((0.86, 0.66, 0.68), 0.5),
]
_DARK = [
    ((0.07, 0.07, 0.08), 5.0),
    ((0.22, 0.23, 0.25), 2.0),
    ((0.45, 0.46, 0.48), 1.0),
    ((0.12, 0.15, 0.30), 1.0),
    ((0.85, 0.60, 0.66), 0.7),
    ((0.90, 0.90, 0.90), 0.8),
]


class Fabric(NamedTuple):
    """One mask: how it is cut and how its surface looks."""

    kind: str
    reach: float  # share of the face's half width that the mask spans
    corner: tuple[float, float]  # height of the upper corners, from bridge (0) to upper lip (1)
    peak: tuple[float, float]  # exponent of the upper edge; below 1.2 it peaks on the nose
    slack: tuple[float, float]  # how far the mask stands off the jaw, share of the face
    drop: float  # how far it may reach below the chin
    bulge: float  # depth of the relief, share of the half width
    strap: tuple[float, float]  # thickness, share of the face's height
    strap_colour: np.ndarray
    hidden: float  # how often the straps cannot be seen
    head_bands: bool
    opacity: float
    base: np.ndarray  # RGB 0..1
    tile: np.ndarray | None  # float32 (128, 128, 3) pattern, laid `repeats` times over the mask
    repeats: float
    pleats: np.ndarray  # (256,) brightness from the upper to the lower edge
    seam: float  # darkness of a seam down the middle
    facet: float  # brightness step between the halves of a folded mask
    wire: float  # how much brighter (darker below 0) the wire over the nose shows
    valve: tuple[float, float, float] | None  # u, v and radius
    valve_colour: np.ndarray

    def colour(self, u: np.ndarray, v: np.ndarray, size: float, rng: Rng) -> np.ndarray:
        """Unlit colour at the fabric coordinates `u` (-1..1) and `v` (0..1), float32 (3, h, w).

        `size` is the height of the face in pixels, which sets the thinnest line that can be
        drawn.
        """
        shape = u.shape
        wobble = noise(rng, shape, 3, 5) * np.float32(0.012)
        fine = max(0.012, 1.2 / float(size))  # thinnest line
        place = np.clip((v + wobble) * 255, 0, 255)
        tone = cv2.remap(self.pleats.reshape(1, -1), place, np.zeros_like(place), cv2.INTER_LINEAR)
        if self.seam:
            tone *= 1 - np.float32(self.seam) * cv2.exp(-(((u + wobble) / fine) ** 2))
        if self.facet:
            tone *= 1 + np.float32(self.facet) * np.clip(u / 0.06, -1, 1)
        if self.wire:
            middle = np.clip((0.32 - np.abs(u)) * 12, 0, 1)
            tone += np.float32(self.wire) * middle * cv2.exp(-(((v - 0.09) / 0.025) ** 2))
        weave = np.float32(rng.uniform(0.003, 0.02))
        tone += weave * rng.standard_normal(shape, dtype=np.float32)
        if self.tile is None:
            colour = tone * self.base[:, None, None]
        else:
            # Towards its sides the mask turns away, so the pattern is squeezed there.
            across = (u * (1 + 0.3 * u * u) + 1) * np.float32(0.5 * self.repeats * _TILE)
            aspect = 1.0 if self.repeats == 1 else 0.6
            down = (v + wobble) * np.float32(aspect * self.repeats * _TILE)
            colour = cv2.remap(
                self.tile, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
            )
            colour = np.stack(cv2.split(colour)) * tone
        if self.valve is not None:
            self._draw_valve(self.valve, colour, u, v, fine)
        return colour

    def _draw_valve(
        self, valve: tuple[float, float, float],
        colour: np.ndarray, u: np.ndarray, v: np.ndarray, fine: float,
    ) -> None:  # fmt: skip
        u0, v0, radius = valve
        far = cv2.sqrt(((u - u0) * 0.5) ** 2 + ((v - v0) * 0.55) ** 2)
        inside = np.clip((radius - far) / fine + 0.5, 0, 1)
        rim = cv2.exp(-(((far - radius) / (1.2 * fine)) ** 2)) * np.float32(0.3)
        ring = cv2.exp(-(((far - 0.55 * radius) / fine) ** 2)) * np.float32(0.15)
        colour += (self.valve_colour[:, None, None] - colour) * inside
        colour *= 1 - rim - ring


def noise(rng: Rng, shape: tuple[int, int], rows: int, columns: int) -> np.ndarray:
    """Smooth noise, float32 of `shape`, about -2..2, with `rows` x `columns` bumps."""
    coarse = rng.standard_normal((rows + 1, columns + 1), dtype=np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)


def _pick(rng: Rng, choices: Sequence[tuple[ArrayLike, float]]) -> np.ndarray:
    weights = np.array([w for _, w in choices])
    colour = np.array(choices[rng.choice(len(choices), p=weights / weights.sum())][0], np.float32)
    return np.clip(colour + rng.normal(0, 0.03, 3), 0.03, 0.97).astype(np.float32)


def any_colour(rng: Rng, low: float = 0.05, high: float = 0.95) -> np.ndarray:
    """A colour anywhere between grey and fully saturated, float32 RGB 0..1."""
    hue, saturation, value = rng.uniform(0, 6), rng.uniform(0, 1) ** 0.8, rng.uniform(low, high)
    ramp = np.clip(np.abs((hue + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    return (value * (1 - saturation * (1 - ramp))).astype(np.float32)


def _lines(rng: Rng, count: int, depth: float, width: float) -> np.ndarray:
    """Brightness over v for `count` pleats: a dark crease, then cloth that catches the light."""
    v = _V
    tone = np.ones(256, np.float32)
    spots = (np.arange(count) + 0.8 + rng.uniform(-0.1, 0.1, count)) / (count + 0.6)
    for spot in spots:
        tone -= depth * np.exp(-(((v - spot) / width) ** 2))
        tone += 0.35 * depth * np.exp(-(((v - spot - 3 * width) / (2 * width)) ** 2))
    return tone


def _hems(tone: np.ndarray, rng: Rng, depth: float) -> np.ndarray:
    v = _V
    for spot in (rng.uniform(0.03, 0.08), 1 - rng.uniform(0.03, 0.07)):
        tone = tone - depth * np.exp(-(((v - spot) / 0.012) ** 2))
    return tone.astype(np.float32)


def _tile(rng: Rng, base: np.ndarray) -> tuple[np.ndarray, float]:
    """A pattern, float32 (128, 128, 3), and how often it repeats across the mask."""
    kind = rng.choice(["stripes", "checks", "dots", "blobs", "flag", "logo", "print"],
                      p=[0.14, 0.12, 0.14, 0.26, 0.12, 0.14, 0.08])  # fmt: skip
    tile = np.empty((_TILE, _TILE, 3), np.float32)
    tile[:] = base
    other = any_colour(rng)
    y, x = np.mgrid[:_TILE, :_TILE].astype(np.float32) / _TILE
    repeats = rng.uniform(1.5, 5)
    if kind == "stripes":
        phase = (x * rng.integers(0, 3) + y * rng.integers(0, 3)) if rng.random() < 0.5 else x
        tile[(phase * rng.integers(1, 4)) % 1 < rng.uniform(0.15, 0.6)] = other
    elif kind == "checks":
        share = rng.uniform(0.2, 0.5)
        both = ((x * 2 % 1 < share).astype(np.float32) + (y * 2 % 1 < share)) / 2
        tile += (other - tile) * both[..., None]
    elif kind == "dots":
        radius = rng.uniform(0.1, 0.3)
        near = (x * 2 % 1 - 0.5) ** 2 + (y * 2 % 1 - 0.5) ** 2 < radius**2
        tile[near] = other
    elif kind == "blobs":  # flowers, leopard, camouflage, tie-dye
        for _ in range(rng.integers(1, 4)):
            bumps = int(rng.integers(4, 12))
            coarse = rng.standard_normal((bumps, bumps), dtype=np.float32)
            coarse = np.tile(coarse, (3, 3))
            field = cv2.resize(coarse, (3 * _TILE,) * 2, interpolation=cv2.INTER_CUBIC)
            field = field[_TILE : 2 * _TILE, _TILE : 2 * _TILE]
            tile += (any_colour(rng) - tile) * (field > rng.uniform(0.1, 0.9))[..., None]
        repeats = rng.uniform(0.8, 2.5)
    elif kind == "flag":
        along = x if rng.random() < 0.6 else y
        colours = [any_colour(rng, 0.2), any_colour(rng, 0.5), any_colour(rng, 0.2)]
        for i, colour in enumerate(colours[: rng.integers(2, 4)]):
            tile[along >= i / 3] = colour
        repeats = 1
    else:
        repeats = 1
        middle = rng.uniform([0.2, 0.3], [0.8, 0.7]) * _TILE if kind == "logo" else (64, 70)
        middle = tuple(int(m) for m in middle)
        ink = tuple(float(c) for c in other)
        if kind == "logo":
            size = rng.uniform(4, 16, 2).astype(int).tolist()
            cv2.ellipse(tile, middle, size, 0, 0, 360, ink, -1, cv2.LINE_AA)
            for i in range(rng.integers(0, 4)):
                left = middle[0] - 16
                row = middle[1] + 20 + 5 * i
                cv2.line(tile, (left, row), (left + int(rng.integers(8, 34)), row), ink, 2)
        else:  # a printed mouth, snout or jaw
            wide = int(rng.integers(14, 34))
            cv2.ellipse(tile, middle, (wide, wide // 2), 0, 0, 180, ink, -1, cv2.LINE_AA)
            white = (0.9, 0.9, 0.88)
            cv2.ellipse(tile, middle, (wide - 4, wide // 5), 0, 0, 180, white, -1, cv2.LINE_AA)
            if rng.random() < 0.5:
                cv2.circle(tile, (64, 30), int(rng.integers(5, 12)), ink, -1, cv2.LINE_AA)
    return tile, float(repeats)


def make_fabric(kind: str, rng: Rng) -> Fabric:
    """Draw one mask of `kind` (one of KINDS) from `rng`."""
    u = rng.uniform
    plain = np.ones(256, np.float32)
    white = np.array([0.93, 0.93, 0.92], np.float32)
    look: dict[str, Any] = dict(
        kind=kind, reach=u(0.82, 0.98), corner=(0.25, 0.6), peak=(0.9, 1.9), slack=(0.0, 0.05),
        drop=1.0, bulge=u(0.25, 0.6), strap=(0.010, 0.022), strap_colour=white, hidden=0.3,
        head_bands=False, opacity=u(0.97, 1.0), base=white, tile=None, repeats=1.0, pleats=plain,
        seam=0.0, facet=0.0, wire=0.0, valve=None, valve_colour=white,
    )  # fmt: skip
    if kind in ("surgical", "fold", "cup") and rng.random() < 0.5:
        look["wire"] = u(-0.12, 0.12)
    if kind == "surgical":
        base = _pick(rng, _SURGICAL) if rng.random() < 0.9 else any_colour(rng)
        dark = base.mean() < 0.25
        pleats = _lines(rng, int(rng.integers(2, 5)), u(0.04, 0.22), u(0.01, 0.022))
        look.update(
            reach=u(0.78, 0.96), base=base, pleats=_hems(pleats, rng, u(0.02, 0.12)),
            strap_colour=base if dark and rng.random() < 0.8 else white,
        )  # fmt: skip
        if rng.random() < 0.06:
            look["tile"], look["repeats"] = _tile(rng, base)
    elif kind == "fold":
        base = _pick(rng, _RESPIRATOR)
        look.update(
            reach=u(0.86, 1.0), base=base, corner=(0.3, 0.6), peak=(0.7, 1.3), bulge=u(0.3, 0.65),
            slack=(0.02, 0.09), seam=u(0.08, 0.3), facet=rng.choice([-1, 1]) * u(0.02, 0.16),
            pleats=_hems(plain, rng, u(0.02, 0.1)), drop=0.5,
            strap_colour=base if rng.random() < 0.4 else white,
        )  # fmt: skip
        if rng.random() < 0.3:
            look["valve"] = (
                float(rng.choice([-1, 1])) * u(0.25, 0.5),
                u(0.45, 0.65),
                u(0.05, 0.085),
            )
            look["valve_colour"] = base * np.float32(u(0.6, 1.05))
    elif kind == "cup":
        base = _pick(rng, _RESPIRATOR[:1] * 4 + _RESPIRATOR[1:])
        ridges = _lines(rng, int(rng.integers(0, 4)), u(0.02, 0.1), 0.02)
        look.update(
            reach=u(0.68, 0.85), base=base, corner=(0.35, 0.6), peak=(1.0, 1.6), bulge=u(0.4, 0.8),
            slack=(0.0, 0.05), pleats=_hems(ridges, rng, u(0.05, 0.15)), drop=0.3,
            strap_colour=_pick(rng, [(white, 2), ((0.85, 0.7, 0.2), 1), ((0.1, 0.1, 0.1), 1)]),
            head_bands=True, strap=(0.014, 0.03), hidden=0.1,
        )  # fmt: skip
        if rng.random() < 0.55:
            look["valve"] = (u(-0.15, 0.15), u(0.4, 0.65), u(0.06, 0.1))
            look["valve_colour"] = (
                any_colour(rng) if rng.random() < 0.4 else base * np.float32(u(0.5, 1))
            )
    elif kind == "cloth":
        base = any_colour(rng) if rng.random() < 0.6 else _pick(rng, _DARK + _SURGICAL)
        folded = rng.random() < 0.6
        pleats = plain if folded else _lines(rng, int(rng.integers(1, 4)), u(0.04, 0.16), 0.02)
        look.update(
            reach=u(0.84, 1.04), base=base, peak=(0.8, 2.2), slack=(0.0, 0.07),
            pleats=_hems(pleats, rng, u(0, 0.12)), seam=u(0.05, 0.25) if folded else 0.0,
            facet=u(-0.08, 0.08) if folded else 0.0, hidden=0.35,
            strap_colour=base if rng.random() < 0.5 else any_colour(rng),
        )  # fmt: skip
        if rng.random() < 0.65:
            look["tile"], look["repeats"] = _tile(rng, base)
    elif kind == "sponge":
        base = _pick(rng, _DARK)
        look.update(
            reach=u(0.95, 1.06), base=base, corner=(0.15, 0.45), peak=(1.0, 1.8), bulge=u(0.3, 0.6),
            slack=(-0.01, 0.03), strap=(0.03, 0.07), strap_colour=base, seam=u(0, 0.3), drop=0.6,
        )  # fmt: skip
    else:  # gaiter or bandana: over the ears and down the neck
        base = any_colour(rng) if rng.random() < 0.7 else _pick(rng, _DARK)
        look.update(
            reach=u(1.0, 1.1), base=base, corner=(-0.05, 0.35), peak=(1.2, 2.5), slack=(0.03, 0.1),
            drop=u(3.0, 6.0), bulge=u(0.15, 0.4), hidden=1.0, strap_colour=base,
        )  # fmt: skip
        if rng.random() < 0.55:
            look["tile"], look["repeats"] = _tile(rng, base)
            if look["repeats"] > 1:
                look["repeats"] *= 1.5
    return Fabric(**look)
