"""The hair of a drawn person, and the hats, turbans and scarves that cover it."""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

from facemask.drawing.brushes import (
    any_colour,
    ball_shade,
    blend,
    bounds,
    ellipse,
    fill,
    filled,
    fixed,
    spline,
)
from facemask.drawing.head import DEPTH, HEIGHTS, Head, Rng

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

# A tone, lines in pixels, and their width.
Strands = tuple[float, Sequence[np.ndarray] | np.ndarray, int]


def _opening(head: Head, line: ArrayLike, down: bool = True) -> np.ndarray:
    """The area that hair or cloth leaves free: under a hairline, down to below the chin."""
    edge = spline(head.on(line, 0.01), 4, closed=False)
    if not down:
        return edge
    away = head.on([(1.0, 0.8), (0.6, 1.6), (-0.6, 1.6), (-1.0, 0.8)])
    away = head.centre + (away - head.centre) * 1.6
    return np.concatenate([edge, away.astype(np.float32)])


def _cover(
    image: np.ndarray, head: Head, area: Sequence[np.ndarray], opening: np.ndarray | None,
    colour: np.ndarray, rng: Rng, strands: Iterable[Strands] | None = None, shadow: float = 0.4,
) -> None:  # fmt: skip
    """Lay hair or cloth over an area but its opening: colour, strands or folds, light, shadow."""
    box = bounds(np.concatenate(area), 0.2 * head.unit, image.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    part, size = image[y0:y1, x0:x1], (y1 - y0, x1 - x0)
    mask = filled(size, area, (x0, y0))
    if opening is not None:
        mask = cv2.subtract(mask, filled(size, [opening], (x0, y0)))
        mask = cv2.GaussianBlur(mask, (0, 0), 0.02 * head.unit + 0.3)
        shade = cv2.GaussianBlur(mask, (0, 0), 0.09 * head.unit)
        push = np.array([[1, 0, -0.06 * head.unit * head.light[0]],
                         [0, 1, (0.07 - 0.08 * head.light[1]) * head.unit]], np.float32)
        blend(part, cv2.warpAffine(shade, push, size[::-1]), (24, 10, 8), shadow)
    layer = np.empty((*size, 3), np.uint8)
    layer[:] = colour.clip(0, 255)
    for tone, lines, width in strands or ():
        cv2.polylines(layer, [fixed(v - np.array((x0, y0), np.float32)) for v in lines], False,
                      [float(v) for v in (colour * tone + (tone > 1) * 8).clip(0, 255)],
                      width, cv2.LINE_AA, 4)
    layer = cv2.GaussianBlur(layer, (0, 0), max(0.012 * head.unit, 0.4))
    middle = head.centre + (0, -0.5 * head.unit) - (x0, y0)
    blend(part, mask, layer * ball_shade(size, middle, 1.55 * head.unit, head))


def _meridians(
    head: Head, n: int, low: float, swell: float, wave: float, rng: Rng
) -> list[Strands]:
    """Strands that run from the crown down over the skull, in four tones."""
    y = np.linspace(-1.6, low, 12)
    turn = rng.uniform(-1.9, 1.9, (n, 1)) + rng.normal(0, 0.06, (n, 1)) * y
    turn = turn + wave * np.sin(y * 9 + rng.uniform(0, 6, (n, 1)))
    reach = rng.uniform(0.0, 1.0, (n, 1)) * swell + 0.02
    w = head.half_width(np.minimum(y, 0.4))
    deep = np.interp(np.minimum(y, 0.4), HEIGHTS, DEPTH)
    points = np.stack([w * np.sin(turn), y + 0 * turn, deep * np.cos(turn)], axis=-1)
    lines = head.place(points * (1 + reach[..., None]))
    thick = max(int(0.03 * head.unit), 1)
    return [(tone, lines[k::4], thick) for k, tone in enumerate((0.6, 0.8, 1.2, 1.45))]


def draw_hair_behind(
    image: np.ndarray, head: Head, style: str, hair: np.ndarray, rng: Rng, neck: float
) -> None:
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
    area = spline((head.centre + outline * head.unit).astype(np.float32), 4)
    x = rng.uniform(-out, out, (60, 1))
    y = np.linspace(-0.4, end, 9)
    wave = 0.05 * np.sin(y * 3 + rng.uniform(0, 6, (60, 1)))
    lines = head.centre + np.stack([x + wave, y + 0 * x], axis=-1) * head.unit
    strands = [(tone, lines[k::4].astype(np.float32), max(int(0.04 * head.unit), 1))
               for k, tone in enumerate((0.5, 0.7, 1.15, 1.35))]
    _cover(image, head, [area], None, hair * 0.72, rng, strands)


def draw_hair(image: np.ndarray, head: Head, style: str, hair: np.ndarray, rng: Rng) -> None:
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
        area += [ellipse(p[0], p[1], curl * head.unit, curl * head.unit, 10).astype(np.float32)
                 for p in spots]
    if style in ("long", "bob"):
        end = rng.uniform(1.5, 2.6) if style == "long" else rng.uniform(0.9, 1.3)
        for side in (-1, 1):
            lock = [(side * 0.9, -0.6), (side * 1.2, -0.3), (side * 1.3, 0.5), (side * 1.25, end),
                    (side * 1.0, end + 0.15), (side * 1.02, 0.8), (side * 0.97, 0.2)]
            middle = head.place(np.array([[side * 0.25, 0, -0.1]]))[0] - (
                side * 0.25 * head.unit, 0)
            area.append(spline((middle + np.array(lock) * head.unit).astype(np.float32), 4))
    if style == "bun":
        top = head.place(np.array([[0.0, -1.85, -0.5]]))[0]
        area.append(ellipse(top[0], top[1], 0.5 * head.unit, 0.42 * head.unit).astype(np.float32))
    strands = _meridians(head, 150 if style != "buzz" else 60, max(low, 0.4), swell, wave, rng)
    if style in ("curly", "afro"):
        rings = head.centre + rng.normal(0, 0.9, (140, 1, 2)) * head.unit - (0, 0.6 * head.unit)
        rings = (rings + ellipse(0, 0, 0.1 * head.unit, 0.09 * head.unit, 9)).astype(np.float32)
        strands += [(tone, rings[k::3], max(int(0.03 * head.unit), 1))
                    for k, tone in enumerate((0.55, 0.8, 1.35))]
    _cover(image, head, area, _opening(head, line), hair, rng, strands, 0.35)


def draw_headwear(image: np.ndarray, head: Head, kind: str, rng: Rng) -> None:
    """A hat, turban or headscarf over whatever hair there is."""
    u, colour = head.unit, any_colour(rng)
    if kind == "scarf":
        oval = [(-0.88, 0.0), (-0.8, -0.55), (-0.5, -0.88), (0, -0.96), (0.5, -0.88),
                (0.8, -0.55), (0.88, 0.0), (0.86, 0.6), (0.7, 1.15), (0.4, 1.52), (0, 1.63),
                (-0.4, 1.52), (-0.7, 1.15), (-0.86, 0.6)]
        opening = spline(head.on(np.array(oval) * rng.uniform(0.97, 1.04, 2), 0.02), 4)
        drape = [(-1.1, 0.0), (-1.2, 0.9), (-1.15, 1.6), (-1.9, 2.3), (-2.2, 3.2), (2.2, 3.2),
                 (1.9, 2.3), (1.15, 1.6), (1.2, 0.9), (1.1, 0.0)]
        drape = spline((head.centre + np.array(drape) * u).astype(np.float32), 4)
        t = np.linspace(0, 1, 10)[:, None]
        folds = []
        for _ in range(26):
            start = (rng.uniform(-1.2, 1.2), rng.uniform(0.3, 1.6))
            end = (start[0] * rng.uniform(0.2, 1.6), rng.uniform(2.0, 3.0))
            bend = np.sin(np.pi * t) * rng.normal(0, 0.15, 2)
            folds.append(head.centre + u * (np.array(start) * (1 - t) + np.array(end) * t + bend))
        tones = (0.72, 1.14, 0.84)
        laid: list[Strands] = [(tone, np.array(folds[k::3], np.float32), max(int(0.07 * u), 1))
                               for k, tone in enumerate(tones)]
        laid += [(tone, lines[:4], max(int(0.05 * u), 1))
                 for tone, lines, _ in _meridians(head, 30, 0.8, 0.1, 0.0, rng)[1:3]]
        _cover(image, head, [head.shell(0.1, 1.3), drape], opening, colour, rng, laid, 0.5)
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
                zip(spline(rim, 3, False), spline(2 * rim - up, 3, False))]
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
        fill(image, visor + (0, 0.14 * u), (20, 10, 8), 0.35, 0.06 * u)
        shade = head.ambient + head.key * 0.6
        fill(image, visor, (colour * shade * rng.uniform(0.7, 1.0)).clip(0, 255), 0.999)
