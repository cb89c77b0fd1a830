"""Drawing a person: a head with skin, hair, clothes and light, from a seed, with no photograph.

Features are polygons on the head's surface (`head.Head`), so pose, shading and the points that
masks hang on agree.
"""

from collections.abc import Mapping
from typing import Any

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
    from_scale,
    mix,
    spline,
    stroke,
)
from facemask.drawing.hair import draw_hair, draw_hair_behind, draw_headwear
from facemask.drawing.head import Head, Rng, make_head

SKIN = np.array([(255, 226, 202), (243, 200, 168), (228, 176, 138), (200, 140, 102),
                 (164, 106, 74), (124, 78, 54), (88, 56, 42)], np.float32)
HAIR = np.array([(22, 18, 18), (38, 26, 20), (70, 44, 28), (112, 72, 40), (176, 132, 78),
                 (222, 190, 132), (134, 58, 28)], np.float32)
DYED = np.array([(40, 70, 140), (170, 60, 110), (60, 120, 90), (120, 60, 150)], np.float32)
IRIS = np.array([(48, 30, 18), (92, 58, 30), (98, 112, 70), (96, 134, 170)], np.float32)
GREY = np.array((196, 194, 192), np.float32)


# --- Skin, eyes, nose, mouth ----------------------------------------------------------------


def _shade_face(image: np.ndarray, head: Head, area: np.ndarray, gloss: float) -> None:
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

    box = bounds(area, 2, image.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    step = max(head.unit / 26, 1.0)
    h, w = int((y1 - y0) / step) + 2, int((x1 - x0) / step) + 2
    cell = ((head.place(points) - (x0, y0)) / step).astype(int)
    seen = (normal[..., 2] > 0) & (cell >= 0).all(-1) & (cell < (w, h)).all(-1)
    index = (cell[..., 1] * w + cell[..., 0])[seen]

    def field(weights: np.ndarray | None = None) -> np.ndarray:
        grid = np.bincount(index, weights, minlength=h * w).reshape(h, w).astype(np.float32)
        return cv2.GaussianBlur(grid, (0, 0), 1.1) + 0.02 * cv2.GaussianBlur(grid, (0, 0), 5) + 1e-7

    count = field()
    size = (int(w * step), int(h * step))
    diffuse, spot = (cv2.resize(field(v[seen]) / count, size)[: y1 - y0, : x1 - x0, None]
                     for v in (lit, shine))
    part = image[y0:y1, x0:x1]
    # Light that has gone through skin comes out red: shadows on a face are never grey.
    shade = head.ambient + diffuse * head.key
    shade = shade ** np.array([0.85, 1.05, 1.1], np.float32)
    bright = part * shade + (gloss * 255) * spot * head.key
    blend(part, filled((y1 - y0, x1 - x0), [area], (x0, y0)), bright)


def _eye(
    image: np.ndarray, head: Head, side: int, skin: np.ndarray, rng: Rng, look: Mapping[str, Any]
) -> None:
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
    fill(image, head.on(ellipse(cx, -0.02, 0.27, 0.15)), dark, 0.22, 0.05 * u)
    if look["shadow"] is not None:
        fill(image, head.on(ellipse(cx, -0.08, 0.24, 0.1)), look["shadow"], 0.45, 0.04 * u)
    fill(image, lids, (232, 228, 224), 0.999)
    middle = head.on([(cx + look["gaze"][0], -0.02 + look["gaze"][1])], 0.07)[0]
    r = 0.102 * u
    for share, colour in ((1, look["iris"] * 0.45), (0.82, look["iris"]), (0.45, (12, 10, 10))):
        disc = ellipse(middle[0], middle[1], share * r, share * r).astype(np.float32)
        fill(image, disc, colour, inside=lids)
    glint = middle + np.array([head.light[0], head.light[1] - 0.3], np.float32) * 0.4 * r
    gleam = ellipse(glint[0], glint[1], 0.2 * r, 0.2 * r).astype(np.float32)
    fill(image, gleam, (250, 250, 250), 0.9)
    # The upper lid shades the ball below it.
    stroke(image, upper + (0, 0.03 * u), (40, 26, 24), 0.06 * u, 0.45, 0.012 * u)
    stroke(image, upper, look["lash"], look["lashes"] * u, 0.95)
    stroke(image, lower, dark, 0.022 * u, 0.7)
    crease = head.on(np.column_stack([cx + 0.235 * t, up - 0.055 - 0.02 * (1 - t**2)]), 0.03)
    stroke(image, crease, dark * 0.75, 0.03 * u, 0.55, 0.006 * u)


def _brow(image: np.ndarray, head: Head, side: int, rng: Rng, look: Mapping[str, Any]) -> None:
    t = np.linspace(0, 1, 9)
    x = side * (0.17 + 0.56 * t)
    y = look["brow_y"] - 0.11 * np.sin(np.pi * np.minimum(t * 0.85, 1)) * look["arch"] + 0.05 * t
    thick = look["brow"] * np.array([0.75, 1, 1, 1, 0.95, 0.85, 0.65, 0.4, 0.15])
    top = head.on(np.column_stack([x, y - thick / 2]), 0.03)
    bottom = head.on(np.column_stack([x, y + thick / 2]), 0.03)
    fill(image, np.concatenate([top, bottom[::-1]]), look["hair"] * 0.8, 0.75, 0.012 * head.unit)
    share = rng.uniform(0, 0.85, 26)
    root = np.column_stack([np.interp(share, t, x), np.interp(share, t, y + thick * 0.45)])
    tip = root + np.column_stack([side * 0.07 + 0 * share, -np.interp(share, t, thick)])
    hairs = np.stack([head.on(root, 0.03), head.on(tip, 0.03)], axis=1)
    cv2.polylines(image, list(fixed(hairs)), False, [float(v) for v in look["hair"] * 0.65], 1,
                  cv2.LINE_AA, 4)


def _nose(image: np.ndarray, head: Head, skin: np.ndarray) -> None:
    u, dark = head.unit, mix(skin * 0.5, (90, 30, 20), 0.25)
    lean = -0.22 * head.light[0]
    cast = [(-0.2, 0.7), (0.2, 0.7), (0.16 + lean, 0.88), (-0.16 + lean, 0.88)]
    fill(image, head.on(cast), dark, 0.3, 0.035 * u)
    for side in (-1, 1):
        fill(image, head.on(ellipse(side * 0.1, 0.715, 0.062, 0.03)), dark * 0.45, 0.85, 0.01 * u)
        wing = [(side * v, y) for v, y in ((0.19, 0.5), (0.25, 0.6), (0.23, 0.7), (0.16, 0.72))]
        stroke(image, spline(head.on(wing), closed=False), dark, 0.045 * u, 0.55, 0.01 * u)
        ridge = [(side * 0.12, -0.1), (side * 0.1, 0.2), (side * 0.13, 0.45)]
        strength = 0.22 if side * head.light[0] < 0 else 0.08
        stroke(image, head.on(ridge, 0.1), dark, 0.1 * u, strength, 0.03 * u)
    fill(image, head.on(ellipse(0, 0.55, 0.06, 0.07)), (255, 250, 240), 0.16, 0.03 * u)


def _mouth(image: np.ndarray, head: Head, lip: np.ndarray, look: Mapping[str, Any]) -> None:
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
    shadow = head.on(ellipse(0, 1.32 + gap, 0.2, 0.035))
    fill(image, shadow, lip * 0.45, 0.3, 0.03 * u)
    edge = 0.012 * u
    fill(image, np.concatenate([top, middle[::-1]]), lip * 0.86, 0.9, edge)
    fill(image, np.concatenate([middle2, low[::-1]]), lip, 0.9, edge)
    if gap > 0.02:
        inner = np.concatenate([middle, middle2[::-1]])
        fill(image, inner, (52, 18, 18), 0.999)
        teeth = np.column_stack([x * 0.86, seam + np.minimum(0.075, gap * 0.75) * (1 - t**4)])
        upper = head.on(np.column_stack([x * 0.86, seam]))
        fill(image, np.concatenate([upper, head.on(teeth)[::-1]]), (232, 228, 216), inside=inner)
    stroke(image, middle, lip * 0.35, 0.035 * u, 0.85)
    shine = head.on(ellipse(-0.05, 1.125 + gap, 0.14, 0.02))
    fill(image, shine, (255, 235, 230), 0.28 * look["gloss"], 0.02 * u)


def _age_marks(image: np.ndarray, head: Head, skin: np.ndarray, age: float, rng: Rng) -> None:
    """Wrinkles by age; freckles and moles for some."""
    u, dark = head.unit, mix(skin * 0.55, (90, 40, 30), 0.3)
    for side in (-1, 1):
        fold = [(side * v, y) for v, y in ((0.27, 0.66), (0.38, 0.82), (0.46, 1.0), (0.47, 1.12))]
        stroke(image, spline(head.on(fold), closed=False), dark, 0.05 * u, 0.12 + 0.55 * age,
                0.012 * u)
        bag = [(side * v, y) for v, y in ((0.25, 0.1), (0.4, 0.18), (0.6, 0.15), (0.68, 0.08))]
        stroke(image, spline(head.on(bag), closed=False), dark, 0.045 * u, 0.12 + 0.45 * age,
                0.012 * u)
        if age > 0.45:
            for rise in (-0.07, 0.0, 0.07):
                foot = [(side * 0.7, rise * 0.6), (side * 0.78, rise), (side * 0.86, rise * 2.0)]
                stroke(image, head.on(foot), dark, 0.025 * u, 0.6 * age, 0.006 * u)
    if age > 0.35:
        t = np.linspace(-1, 1, 9)
        for y in (-0.52, -0.64, -0.76)[: 1 + int(age * 3)]:
            reach = rng.uniform(0.4, 0.6)
            line = np.column_stack([t * reach + rng.normal(0, 0.03), y + 0.03 * t**2])
            line[:, 1] += rng.normal(0, 0.006, 9)
            stroke(image, head.on(line), dark, 0.032 * u, 0.5 * age, 0.008 * u)
        for side in (-1, 1):
            frown = head.on([(side * 0.06, -0.34), (side * 0.07, -0.26), (side * 0.05, -0.16)])
            stroke(image, frown, dark, 0.03 * u, 0.55 * age, 0.006 * u)
    marks = rng.choice([0, 1, 30, 60], p=[0.55, 0.2, 0.15, 0.1])
    if marks:
        spots = np.column_stack([rng.normal(0, 0.42, marks), rng.normal(0.35, 0.22, marks)])
        for spot in spots[np.abs(spots[:, 0]) < 0.8]:
            r = rng.uniform(0.008, 0.02) if marks > 1 else 0.03
            fill(image, head.on(ellipse(spot[0], spot[1], r, r, 8)), dark * 0.9, 0.5, 0.004 * u)


def _glasses(image: np.ndarray, head: Head, rng: Rng) -> None:
    u = head.unit
    colour = any_colour(rng) * 0.45 if rng.random() < 0.6 else np.array((24, 22, 22), np.float32)
    rx, ry = rng.uniform(0.27, 0.34), rng.uniform(0.19, 0.28)
    power = rng.choice([2.0, 3.5])  # round, or nearly square
    a = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    rim = np.column_stack([np.sign(np.cos(a)) * np.abs(np.cos(a)) ** (2 / power) * rx,
                           np.sign(np.sin(a)) * np.abs(np.sin(a)) ** (2 / power) * ry])
    width = max(int(rng.uniform(0.025, 0.07) * u), 1)
    sun = rng.random() < 0.15
    ink = [float(v) for v in colour]
    # A frame is flat and stands off the face: it hangs in a plane before the eyes.
    def plane(points: ArrayLike, z: float = 1.2) -> np.ndarray:
        p = np.asarray(points, float)
        return head.place(np.column_stack([p, z - 0.12 * p[:, 0] ** 2]))

    for side in (-1, 1):
        lens = plane(rim + (side * 0.46, 0.04))
        fill(image, lens, (20, 20, 26) if sun else (225, 235, 245), 0.82 if sun else 0.1)
        gleam = plane(np.array([(-0.5, -0.8), (-0.1, -0.9), (-0.4, 0.7), (-0.7, 0.5)]) * (rx, ry)
                      + (side * 0.46, 0.04))
        fill(image, gleam, (255, 255, 255), rng.uniform(0, 0.25), 0.02 * u, inside=lens)
        cv2.polylines(image, [fixed(lens)], True, ink, width, cv2.LINE_AA, 4)
        hinge = head.place(np.array([(side * (0.46 + rx), -0.02, 1.1), (side * 0.99, -0.08, 0.25)]))
        turn = side * head.rotation[0, 2]
        if turn < 0.25:
            cv2.polylines(image, [fixed(hinge)], False, ink, width, cv2.LINE_AA, 4)
    bridge = plane([(-0.46 + rx, 0.0), (0, -0.06), (0.46 - rx, 0.0)], 1.25)
    cv2.polylines(image, [fixed(bridge)], False, ink, width, cv2.LINE_AA, 4)


def _beard(image: np.ndarray, head: Head, kind: str, hair: np.ndarray, rng: Rng) -> None:
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
    area = spline(head.on(shape), 4)
    hole = [spline(head.on([(-0.37, 1.05), (0, 0.94), (0.37, 1.05), (0, 1.21)]), 4)]
    box = bounds(area, 4, image.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    mask = filled((y1 - y0, x1 - x0), [area], (x0, y0))
    mask = cv2.subtract(mask, filled(mask.shape, hole, (x0, y0)))
    mask = cv2.GaussianBlur(mask, (0, 0), 0.04 * u)
    part = image[y0:y1, x0:x1]
    blend(part, mask, hair * 0.8, 0.28 if kind == "stubble" else 0.82)
    n = 260 if kind == "stubble" else 420
    root = np.column_stack([rng.uniform(-0.95, 0.95, n), rng.uniform(0.3, 1.66, n)])
    long = 0.02 if kind == "stubble" else rng.uniform(0.07, 0.16)
    tip = root + np.column_stack([root[:, 0] * 0.5 * long + rng.normal(0, 0.02, n),
                                  np.full(n, long)])
    hairs = np.stack([head.on(root), head.on(tip, 0.04)], axis=1)
    hairs = fixed(hairs - np.array((x0, y0), np.float32))
    layer = part.copy()
    for tone, some in ((0.55, hairs[::2]), (1.25, hairs[1::2])):
        cv2.polylines(layer, list(some), False, [float(v) for v in (hair * tone).clip(0, 255)], 1,
                      cv2.LINE_AA, 4)
    blend(part, mask, layer, 0.5 if kind == "stubble" else 0.75)


# --- People and pictures --------------------------------------------------------------------


def _body(image: np.ndarray, head: Head, skin: np.ndarray, rng: Rng, hood: bool) -> None:
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
    torso = spline((base + np.array(torso) * u).astype(np.float32), 4)
    depth = rng.choice([0.95, 1.2, 1.7])  # crew neck to open collar
    collar = spline((base + u * np.array([(-0.72, 0.5), (-0.5, 0.9), (0, depth), (0.5, 0.9),
                                           (0.72, 0.5), (0, 0.3)])).astype(np.float32), 4)
    box = bounds(np.concatenate([neck, torso]), 2, image.shape)
    if box is None:
        return
    x0, y0, x1, y1 = box
    part, size = image[y0:y1, x0:x1], (y1 - y0, x1 - x0)
    shade = ball_shade(size, base + (0, 2.2 * u) - (x0, y0), 3.4 * u, head)
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
        stroke(layer, spline(fold, closed=False), cloth * 0.55, 0.12 * u, 0.4, 0.05 * u)
    blend(part, filled(size, [torso], (x0, y0)), layer * shade)
    flesh = skin * ball_shade(size, base - (x0, y0), 1.6 * u, head) * 0.92
    blend(part, filled(size, [neck[[0, 1, 5, 6]], collar], (x0, y0)), flesh)
    fill(image, collar, cloth * 0.4, 0.12, 0.06 * u)
    ring = spline(collar[: len(collar) * 5 // 6], 1, closed=False)
    stroke(image, ring, cloth * (head.ambient + 0.3), 0.16 * u, 0.95)
    # The chin's shadow on the neck.
    fill(image, head.shell(-0.12, 1.6, 0.6) + (-0.15 * u * head.light[0], 0.32 * u),
          (40, 16, 10), 0.42, 0.1 * u, inside=np.concatenate([neck[:2], collar[:1], neck[5:]]))


def _ear(image: np.ndarray, head: Head, side: int, skin: np.ndarray, rng: Rng) -> None:
    if side * head.rotation[0, 2] > 0.3:  # turned away
        return
    u = head.unit
    oval = ellipse(0, 0, 0.17, 0.36) * (side, 1) + (side * 0.02, 0.25)
    a = np.arctan2(oval[:, 1], oval[:, 0])
    points = np.column_stack([side * 0.97 + oval[:, 0], oval[:, 1] + 0.0 * a,
                              np.full(len(oval), -0.05) - 0.25 * side * oval[:, 0]])
    area = head.place(points)
    lit = head.ambient + head.key * max(0.25, 0.4 + 0.6 * side * head.light[0])
    tone = (skin * lit * (1.0, 0.9, 0.88)).clip(0, 255)
    fill(image, area, tone, 0.999)
    inner = area.mean(0) + 0.6 * (area - area.mean(0))
    fill(image, inner.astype(np.float32), tone * (0.6, 0.48, 0.44), 0.7, 0.04 * u)
    if rng.random() < 0.15:
        ring = area[np.argmax(area[:, 1])] + (0, 0.06 * u)
        hoop = ellipse(ring[0], ring[1], 0.05 * u, 0.05 * u).astype(np.float32)
        fill(image, hoop, (236, 214, 150), 0.999)


def draw_person(
    image: np.ndarray, rng: Rng, centre: ArrayLike, unit: float, turn: float = 1.0
) -> Head:
    """Draw one person in place, the face's middle at `centre`, `unit` pixels to half its width."""
    head = make_head(rng, centre, unit, turn)
    age, masculine = rng.beta(1.1, 1.6), rng.random() < 0.5
    tone = rng.beta(1.0, 1.2)
    skin = (from_scale(SKIN, tone) * rng.normal(1, 0.03, 3)).clip(20, 250).astype(np.float32)
    natural = rng.beta(0.9, 1.3) * (1 - 0.75 * tone)
    hair = from_scale(HAIR[:6], natural) if rng.random() < 0.92 else HAIR[6]
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
        "iris": from_scale(IRIS, natural if rng.random() < 0.5 else 0.1 * rng.random()),
        "open": rng.uniform(0.06, 0.125), "slant": rng.normal(0.015, 0.015),
        "gaze": rng.normal(0, (0.035, 0.012)), "lash": np.array((22, 14, 12), np.float32),
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

    draw_hair_behind(image, head, style, hair, rng, 0.0)
    _body(image, head, skin, rng, wear == "scarf")
    if wear != "scarf":
        skull = head.shell(0.0, 0.5)
        scalp = skin * (head.ambient + 0.55 * head.key)
        fill(image, skull, scalp if style in ("bald", "buzz") else hair * 0.5, 0.999)
        for side in (-1, 1):
            _ear(image, head, side, skin, rng)
    # The face itself.
    y, turn_ = np.meshgrid(np.linspace(-1.62, 1.68, 30), np.linspace(-1.5, 1.5, 25))
    x = head.half_width(y) * np.sin(turn_)
    area = cv2.convexHull(head.on(np.column_stack([x.ravel(), y.ravel()])))[:, 0]
    fill(image, area, skin)
    flush = mix(skin, (206, 70, 60), 0.35)
    for side in (-1, 1):
        fill(image, head.on(ellipse(side * 0.55, 0.45, 0.28, 0.22)), flush,
              rng.uniform(0.15, 0.55), 0.12 * unit)
    fill(image, head.on(ellipse(0, 0.6, 0.18, 0.14)), flush, 0.3, 0.08 * unit)
    _age_marks(image, head, skin, age, rng)
    _mouth(image, head, lip, look)
    for side in (-1, 1):
        _eye(image, head, side, skin, rng, look)
    _nose(image, head, skin)
    _shade_face(image, head, area, rng.uniform(0.03, 0.16))
    for side in (-1, 1):
        _brow(image, head, side, rng, look)
    if masculine and rng.random() < 0.55:
        kind = rng.choice(["stubble", "beard", "goatee", "moustache"], p=[0.35, 0.35, 0.15, 0.15])
        _beard(image, head, str(kind), brow_hair * 0.9, rng)
    draw_hair(image, head, style, hair, rng)
    if wear:
        draw_headwear(image, head, str(wear), rng)
    if rng.random() < 0.26:
        _glasses(image, head, rng)
    return head
