"""What is drawn on a bare face and is not a mask, and room below the chin of a tight crop."""

import cv2
import numpy as np
from numpy.typing import ArrayLike

from facemask.drawing.fabrics import any_colour, noise
from facemask.drawing.head import Rng
from facemask.drawing.shapes import FaceAxes, FaceShape
from facemask.io.files import FacemaskError

OCCLUDERS = ("hand", "scarf_neck", "microphone", "cup", "beard", "sunglasses", "phone")


def _skin(image: np.ndarray, face: FaceAxes, rng: Rng) -> np.ndarray:
    """The skin's colour on the cheeks, float32 RGB 0..255."""
    points = face.out(face.at([-0.5, -0.35, 0.35, 0.5], [face.tip] * 4))
    size = np.array(image.shape[1::-1]) - 1
    x, y = np.clip(points.round(), 0, size).astype(int).T
    return np.median(image[y, x].astype(np.float32), axis=0)


class _Sheet:
    """A layer of the picture's size to draw shaded parts on, at twice the size if it is small."""

    def __init__(self, image: np.ndarray, face: FaceAxes):
        self.image = image
        self.face = face
        self.scale = 2 if face.width < 64 else 1
        size = (image.shape[0] * self.scale, image.shape[1] * self.scale)
        self.colour = np.zeros((*size, 3), np.float32)
        self.cover: np.ndarray = np.zeros(size, np.float32)

    def pixels(self, points: ArrayLike) -> np.ndarray:
        points = (self.face.out(np.asarray(points, float)) + 0.5) * self.scale - 0.5
        return np.round(np.clip(points, -4e3, 4e3) * 16).astype(np.int32)

    def part(
        self, points: ArrayLike, colour: ArrayLike, round_by: float = 0.0,
        light: tuple[float, float] = (0.0, -1.0), depth: float = 0.35,
    ) -> None:  # fmt: skip
        """Fill a polygon (face axes), or a thick line if `round_by` (pixels) is its radius.

        Its rim is darkened away from the light so that it looks solid.
        """
        mask = np.zeros(self.cover.shape, np.uint8)
        if round_by:
            width = max(1, int(round(2 * round_by * self.scale)))
            cv2.polylines(mask, [self.pixels(points)], False, 255, width, cv2.LINE_AA, shift=4)
        else:
            cv2.fillPoly(mask, [self.pixels(points)], 255, cv2.LINE_AA, shift=4)
        alpha = mask.astype(np.float32) / 255
        sigma = max(1.0, 0.05 * self.face.height * self.scale)
        relief = cv2.GaussianBlur(alpha, (0, 0), sigma)
        gx = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=0.125 * sigma)
        gy = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=0.125 * sigma)
        shade = 1 - depth + depth * relief / max(float(relief.max()), 1e-3)
        shade = np.clip(shade + 1.2 * depth * (light[0] * gx - light[1] * gy), 0.25, 1.3)
        paint = np.asarray(colour, np.float32) * shade[..., None]
        # Each part throws a soft shadow on those that lie under it.
        self.colour *= (1 - 0.35 * relief * (1 - alpha))[..., None]
        self.colour += (paint - self.colour) * alpha[..., None]
        self.cover = np.maximum(self.cover, alpha)

    def lay(self, rng: Rng, grain: float = 2.0) -> np.ndarray:
        """The picture with the layer on it."""
        blur = rng.uniform(0.5, 1.1) * self.scale
        layer = cv2.merge([*cv2.split(self.colour * self.cover[..., None]), self.cover])
        layer = cv2.GaussianBlur(layer, (0, 0), blur)
        if self.scale > 1:
            layer = cv2.resize(layer, self.image.shape[1::-1], interpolation=cv2.INTER_AREA)
        alpha = layer[..., 3:]
        shadow = cv2.blur(layer[..., 3], (2 * int(0.04 * self.face.height) + 1,) * 2)[..., None]
        mix = self.image * (1 - alpha) * (1 - 0.3 * shadow) + layer[..., :3]
        mix += alpha * rng.normal(0, grain, alpha.shape).astype(np.float32)
        return np.clip(mix + 0.5, 0, 255).astype(np.uint8)


def draw_occluder(
    image: np.ndarray, shape: FaceShape, kind: str, rng: Rng
) -> np.ndarray:
    """Draw onto a bare face something that is not a mask.

    Args:
        image: uint8 RGB (H, W, 3).
        shape: where the face is, in pixels of `image`.
        kind: one of OCCLUDERS. Hand, cup, microphone and phone may hide the mouth and the nose.
        rng: the same state gives the same picture.

    Returns:
        A new uint8 RGB array of the same size.

    Raises:
        FacemaskError: `kind` is none of OCCLUDERS.
    """
    if kind not in OCCLUDERS:
        raise FacemaskError(f"no occluder is called {kind!r}; use one of {OCCLUDERS}")
    face = FaceAxes(shape, image.shape[:2])
    if kind == "beard":
        return _beard(image, face, rng)
    sheet = _Sheet(image, face)
    draw = {"hand": _hand, "scarf_neck": _scarf_neck, "microphone": _microphone, "cup": _cup,
            "sunglasses": _sunglasses, "phone": _phone}  # fmt: skip
    draw[kind](sheet, face, rng)
    return sheet.lay(rng)


def _exposure(image: np.ndarray) -> float:
    return float(np.clip((image.mean() / 130) ** 0.6, 0.25, 1.2))


def _palm(
    sheet: _Sheet, face: FaceAxes, centre: np.ndarray, reach: float, angle: float, rng: Rng
) -> None:
    """A hand whose fingers point along `angle` (radians, 0 is the picture's right)."""
    skin = _skin(sheet.image, face, rng) * rng.uniform(0.85, 1.1)
    along = np.array([np.cos(angle), np.sin(angle)])
    side = np.array([-along[1], along[0]]) * rng.choice([-1, 1])
    light = (float(rng.uniform(-0.5, 0.5)), -0.8)
    thick = 0.085 * reach * rng.uniform(0.9, 1.15)
    wrist = centre - along * reach * rng.uniform(1.2, 1.6)
    sheet.part(np.stack([wrist, centre - along * 0.35 * reach]), skin, 0.22 * reach, light)
    turn = np.linspace(0, 2 * np.pi, 24)[:, None]
    palm = (
        centre
        - along * 0.3 * reach
        + np.cos(turn) * along * 0.36 * reach
        + np.sin(turn) * side * 0.36 * reach
    )
    sheet.part(palm, skin, 0, light)
    bend = rng.uniform(-0.15, 0.15)
    spread = rng.uniform(0.165, 0.23)
    for i in (3, 0, 2, 1):
        start = centre + side * (i - 1.5) * spread * reach - along * 0.1 * reach
        length = reach * (0.62, 0.72, 0.68, 0.52)[i] * rng.uniform(0.8, 1.1)
        goal = start + along * length + side * ((i - 1.5) * 0.06 + bend) * reach
        middle = (start + goal) / 2 - side * bend * 0.2 * reach
        tone = skin * rng.uniform(0.94, 1.03)
        sheet.part(np.stack([start, middle, goal]), tone, thick, light, depth=0.45)
        if rng.random() < 0.5:
            nail = goal + along * 0.01 * reach
            colour = any_colour(rng) * 220 if rng.random() < 0.3 else np.minimum(skin * 1.12, 255)
            sheet.part(
                np.stack([nail - along * 0.05 * reach, nail]), colour, 0.45 * thick, light, 0.1
            )
    thumb = centre - side * 0.42 * reach - along * 0.3 * reach
    sheet.part(
        np.stack(
            [
                thumb,
                thumb - side * 0.16 * reach + along * 0.22 * reach,
                thumb - side * 0.1 * reach + along * 0.45 * reach,
            ]
        ),
        skin,
        1.15 * thick,
        light,
    )


def _hand(sheet: _Sheet, face: FaceAxes, rng: Rng) -> None:
    sign = rng.choice([-1, 1])
    target = face.at(rng.uniform(-0.25, 0.25), rng.uniform(face.base, face.lip_bottom))
    # From the side with the fingers across the mouth, or from below with the fingers up.
    angle = rng.uniform(-0.6, 0.3) if rng.random() < 0.6 else rng.uniform(-1.7, -1.0)
    if sign < 0:
        angle = np.pi - angle
    reach = face.width * rng.uniform(0.62, 0.85)
    _palm(
        sheet,
        face,
        target - 0.15 * reach * np.array([np.cos(angle), np.sin(angle)]),
        reach,
        angle,
        rng,
    )


def _scarf_neck(sheet: _Sheet, face: FaceAxes, rng: Rng) -> None:
    colour = any_colour(rng) * 235 * _exposure(sheet.image)
    other = any_colour(rng) * 235 * _exposure(sheet.image)
    top = face.chin + rng.uniform(-0.08, 0.12) * face.height
    top = max(min(top, face.floor - 0.16 * face.height), face.lip_bottom + 0.03 * face.height)
    t = np.linspace(-1, 1, 15)
    turns = rng.integers(1, 4)
    for i in range(turns + 1):
        start = top + i * rng.uniform(0.1, 0.2) * face.height
        rise = rng.uniform(0.05, 0.25) * face.height
        tilt = rng.normal(0, 0.06) * face.height
        upper = np.stack([face.centre(face.chin) + t * face.width * 0.62,
                          start - rise * t**2 + tilt * t], axis=1)  # fmt: skip
        lower = upper[::-1] + [0, 1.5 * face.height]
        sheet.part(
            np.concatenate([upper, lower]), colour if i % 2 == 0 else colour * 0.9, depth=0.5
        )
        if rng.random() < 0.4:
            stripe = upper + [0, 0.06 * face.height]
            sheet.part(stripe, other, 0.015 * face.height, depth=0.2)


def _microphone(sheet: _Sheet, face: FaceAxes, rng: Rng) -> None:
    head = face.at(rng.uniform(-0.4, 0.4), rng.uniform(face.lip_top, face.chin))
    size = face.height * rng.uniform(0.13, 0.24)
    down = np.array([rng.uniform(-0.5, 0.5), 1.0])
    shine = _exposure(sheet.image)
    sheet.part(
        np.stack([head, head + down * 1.5 * face.height]),
        np.array([30, 30, 34], np.float32) * shine,
        0.6 * size,
    )
    colour = any_colour(rng) * 230 if rng.random() < 0.3 else np.full(3, rng.uniform(25, 170))
    turn = np.linspace(0, 2 * np.pi, 32)[:, None]
    ball = head + np.concatenate([np.cos(turn), np.sin(turn) * 1.1], axis=1) * size
    sheet.part(ball, colour * shine, depth=0.6)
    grain = rng.normal(1, 0.2, sheet.cover.shape).astype(np.float32)[..., None]
    sheet.colour *= np.clip(grain, 0.5, 1.5)


def _cup(sheet: _Sheet, face: FaceAxes, rng: Rng) -> None:
    wide, tall = face.width * rng.uniform(0.2, 0.36), face.height * rng.uniform(0.45, 0.8)
    top = face.at(rng.uniform(-0.2, 0.2), rng.uniform(face.base, face.lip_bottom))
    low = top + [rng.uniform(-0.1, 0.1) * face.width, tall]
    narrow = wide * rng.uniform(0.65, 1.0)
    white = np.array([0.93, 0.92, 0.9], np.float32)
    colour = (any_colour(rng, 0.2) if rng.random() < 0.6 else white) * 245
    colour = colour * _exposure(sheet.image)
    across = np.array([1.0, 0.0])
    body = np.stack(
        [top - across * wide, top + across * wide, low + across * narrow, low - across * narrow]
    )
    sheet.part(body, colour, light=(0.8, -0.2), depth=0.45)
    if rng.random() < 0.5:
        band = np.stack([body[0] * 0.6 + body[3] * 0.4, body[1] * 0.6 + body[2] * 0.4,
                         body[1] * 0.3 + body[2] * 0.7, body[0] * 0.3 + body[3] * 0.7])  # fmt: skip
        sheet.part(band, any_colour(rng) * 220, light=(0.8, 0), depth=0.3)
    rim = np.stack([body[0], (body[0] + body[1]) / 2 + [0, 0.02 * face.height], body[1]])
    sheet.part(rim, colour * 0.85, 0.025 * face.height, depth=0.2)
    if rng.random() < 0.7:
        side = rng.choice([-1, 1])
        centre = (top + low) / 2 + [side * wide * 1.5, 0.1 * face.height]
        _palm(sheet, face, centre - [side * 0.9 * wide, 0], 0.6 * face.width,
              np.pi if side > 0 else 0.0, rng)  # fmt: skip


def _phone(sheet: _Sheet, face: FaceAxes, rng: Rng) -> None:
    wide, tall = face.width * rng.uniform(0.2, 0.3), face.height * rng.uniform(0.55, 0.8)
    centre = face.at(rng.uniform(-0.9, 0.9), rng.uniform(face.lip_top, face.chin))
    turn = rng.uniform(-0.6, 0.6)
    x = np.array([np.cos(turn), np.sin(turn)])
    y = np.array([-x[1], x[0]])
    colour = (any_colour(rng) if rng.random() < 0.4 else np.full(3, rng.uniform(0.03, 0.2))) * 230

    def box(at: np.ndarray, half_x: float, half_y: float) -> np.ndarray:
        return np.stack([at + a * x * half_x + b * y * half_y
                         for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))])  # fmt: skip

    sheet.part(box(centre, wide, tall), colour, depth=0.2)
    camera = centre - 0.6 * wide * x - 0.75 * tall * y
    sheet.part(box(camera, 0.25 * wide, 0.15 * tall), (20, 20, 25), depth=0.2)
    side = rng.choice([-1, 1])
    angle = (np.pi if side > 0 else 0.0) + turn
    _palm(
        sheet, face, centre + side * x * wide * 0.6 + 0.4 * tall * y, 0.55 * face.width, angle, rng
    )


def _sunglasses(sheet: _Sheet, face: FaceAxes, rng: Rng) -> None:
    dark = (any_colour(rng, 0.02, 0.3) if rng.random() < 0.5 else np.full(3, 0.06)) * 230
    y = _between_eyes(face)
    tall = face.height * rng.uniform(0.14, 0.22)
    turn = np.linspace(0, 2 * np.pi, 40)
    power = rng.uniform(0.5, 1.0)  # round to nearly square
    centres = [face.at(-0.5, y), face.at(0.5, y)]
    wide = 0.5 * abs(centres[1][0] - centres[0][0]) * rng.uniform(0.78, 0.92)
    sheet.part(np.stack([centres[0], centres[1]]), dark * 0.8, 0.015 * face.height, depth=0.1)
    for sign, centre in zip((-1, 1), centres, strict=True):
        ear = face.at(sign * 1.0, y - 0.03 * face.height)
        sheet.part(np.stack([centre, ear]), dark * 0.8, 0.018 * face.height, depth=0.1)
        ring = np.stack(
            [
                np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power * wide,
                np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power * tall,
            ],
            axis=1,
        )
        sheet.part(centre + ring, dark, light=(0.2, 1.0), depth=0.25)


def _between_eyes(face: FaceAxes) -> float:
    return face.bridge + 0.04 * face.height


def _beard(image: np.ndarray, face: FaceAxes, rng: Rng) -> np.ndarray:
    """Hair along jaw, lip and chin: grey, black, or as dark as the picture's darkest tenth."""
    scale = 2 if face.width < 64 else 1
    height, width = image.shape[0] * scale, image.shape[1] * scale
    t = np.linspace(-1, 1, 33)
    top = rng.uniform(0.35, 0.9)
    outer = face.jaw_at(t * top)
    outer[:, 1] += rng.uniform(0.0, 0.18) * face.height * (1 - t**2)
    level = rng.uniform(0.0, 0.8) * (face.lip_bottom - face.tip) + face.tip
    inner = face.at(t[::-1] * 0.86, level)
    inner[:, 1] += (face.lip_bottom - level + 0.02 * face.height) * (1 - t[::-1] ** 2) ** 1.5
    mask = np.zeros((height, width), np.uint8)
    sheet = _Sheet(image, face)
    cv2.fillPoly(mask, [sheet.pixels(np.concatenate([outer, inner]))], 255, cv2.LINE_AA, shift=4)
    if rng.random() < 0.8:  # moustache
        line = face.at(np.linspace(-0.42, 0.42, 9), 0.5 * (face.base + face.lip_top))
        line[:, 1] += 0.1 * face.height * np.linspace(-1, 1, 9) ** 2
        cv2.polylines(
            mask,
            [sheet.pixels(line)],
            False,
            255,
            max(1, int(0.07 * face.height * scale)),
            cv2.LINE_AA,
            shift=4,
        )
    lips = face.at(np.linspace(-0.3, 0.3, 5), 0.5 * (face.lip_top + face.lip_bottom))
    soft = (
        cv2.GaussianBlur(mask, (0, 0), max(0.8, 0.04 * face.height * scale)).astype(np.float32)
        / 255
    )
    mouth = np.zeros_like(mask)
    wide = max(1, int(0.8 * (face.lip_bottom - face.lip_top) * scale))
    cv2.polylines(mouth, [sheet.pixels(lips)], False, 255, wide, cv2.LINE_AA, shift=4)
    soft *= 1 - cv2.GaussianBlur(mouth, (0, 0), 1.0).astype(np.float32) / 255
    # Strands: noise drawn out downwards, denser where the beard is full.
    strands = noise(rng, (height, width), max(4, height // 5), max(8, width // 2))
    full = rng.uniform(0.45, 1.15)
    alpha = np.clip(soft * (full + 0.14 * strands), 0, 0.97)
    kind = str(rng.choice(["grey", "black", "dark"], p=[0.2, 0.3, 0.5]))
    dark = np.percentile(image[::4, ::4].reshape(-1, 3), 8, axis=0).astype(np.float32)
    tones = {"grey": rng.uniform(90, 200), "black": rng.uniform(12, 40),
             "dark": dark + rng.uniform(5, 30)}
    colour = np.array([1, 1, 1], np.float32) * tones[kind] * _exposure(image)
    shade = 1 + 0.2 * noise(rng, (height, width), max(4, height // 4), max(8, width // 2))
    layer = cv2.merge([*(np.clip(shade, 0.4, 1.8) * float(c) * alpha for c in colour), alpha])
    layer = cv2.GaussianBlur(layer, (0, 0), 0.5 * scale)
    if scale > 1:
        layer = cv2.resize(layer, image.shape[1::-1], interpolation=cv2.INTER_AREA)
    mix = image * (1 - layer[..., 3:]) + layer[..., :3]
    return np.clip(mix + 0.5, 0, 255).astype(np.uint8)


def add_neck(
    image: np.ndarray, shape: FaceShape, rng: Rng
) -> tuple[np.ndarray, FaceShape]:
    """Give a tight crop room below the chin: the rest of the chin, a neck, shoulders or clothes.

    Tight crops end at the chin, so a mask that is worn right would always run out of the picture
    and one at the neck could not be seen. Drawn before the mask, for every class alike.

    Args:
        image: uint8 RGB (H, W, 3).
        shape: where the face is, in pixels of `image`.
        rng: the same state gives the same picture.

    Returns:
        The picture, 10 % to 45 % taller, and the shape in its pixels (unchanged).
    """
    face = FaceAxes(shape, image.shape[:2])
    more = int(image.shape[0] * rng.uniform(0.1, 0.45))
    skin = _skin(image, face, rng)
    tall = cv2.copyMakeBorder(image, 0, more, 0, 0, cv2.BORDER_REPLICATE)
    height = image.shape[0]
    # The last row drawn out downwards would leave streaks: blur them, more with depth.
    tail = max(4, height // 24)
    strip = cv2.GaussianBlur(tall[height:], (0, 0), height / 12)
    part = np.clip(np.arange(more) / (0.15 * height), 0, 1)[:, None, None]
    tall[height:] = tall[height:] * (1 - part) + strip * part
    below = FaceAxes(shape, tall.shape[:2])
    sheet = _Sheet(tall, below)
    t = np.linspace(-1, 1, 25)
    neck = face.width * rng.uniform(0.27, 0.37)
    middle = face.centre(face.chin) + rng.normal(0, 0.03) * face.width
    start = face.chin - 0.25 * face.height
    foot = face.chin + 1.2 * face.height
    sheet.part(np.array([[middle - neck, start], [middle + neck, start],
                         [middle + 1.15 * neck, foot], [middle - 1.15 * neck, foot]]),
               skin * rng.uniform(0.8, 1.0), light=(0.3, 0.0), depth=0.3)  # fmt: skip
    if rng.random() < 0.85:
        collar = face.chin + rng.uniform(0.08, 0.4) * face.height
        dip = rng.uniform(0.0, 0.25) * face.height
        line = np.stack(
            [
                middle + 1.1 * face.width * t,
                collar + dip * (1 - np.abs(t)) ** 2 + 0.15 * face.height * t**2,
            ],
            axis=1,
        )
        cloth = any_colour(rng) * 225 * _exposure(image)
        ends = np.array([[line[-1, 0], foot], [line[0, 0], foot]])
        sheet.part(np.concatenate([line, ends]), cloth, depth=0.4)
    chin = face.jaw_at(t * 0.6)
    sheet.part(np.concatenate([chin, face.at([0.3, -0.3], face.lip_bottom)]), skin, depth=0.15)
    # What the photograph shows stays as it was; only the rows below are drawn.
    drawn = sheet.lay(rng)
    fade = np.clip((np.arange(tall.shape[0]) - (height - tail)) / tail, 0, 1)[:, None, None]
    return (tall * (1 - fade) + drawn * fade + 0.5).astype(np.uint8), shape
