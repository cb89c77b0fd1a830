"""Training pictures of the finder: parts of photos, faces set into them, and what is no face.

Faces of all sizes from 10 pixels to more than the frame are common. Mosaics of four pictures were
made popular by YOLOv4 (Bochkovskiy et al. 2020, arXiv 2004.10934), pasting by Dwibedi et al. 2017
(arXiv 1708.01642).
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from facemask.finder.collect import Picture
from facemask.images.augment import reencode, relight

Rng = np.random.Generator
KINDS = {"photo": 0.45, "mosaic": 0.2, "pasted": 0.2, "close-up": 0.06, "none": 0.09}
SMALLEST = 9  # pixels; of smaller faces nobody can tell
SEEN, HALF_SEEN = 0.5, 0.2  # visible share of a face from which it counts, or counts neither way
LARGEST_SCALE = 4.0
SKIN = ((255, 219, 190), (233, 185, 150), (198, 134, 96), (141, 85, 54), (84, 52, 38))


class Sample(NamedTuple):
    """A picture and its labels: uint8 RGB (H, W, 3), faces (N, 4) and unsure places (M, 4)."""

    image: np.ndarray
    faces: np.ndarray
    unsure: np.ndarray


class Store(NamedTuple):
    """What pictures are made from.

    Attributes:
        photos: with their labels.
        singles: pictures of one face each.
        shares: running sum of how often each photo comes, up to 1: by the root of its faces.
    """

    photos: list[tuple[np.ndarray, Picture]]
    singles: list[tuple[np.ndarray, Picture]]
    shares: np.ndarray


def store(pictures: Sequence[tuple[np.ndarray, Picture]]) -> Store:
    """The training part of what `collect.read` gives."""
    own = [row for row in pictures if row[1].part == "train"]
    photos = [row for row in own if not row[1].name.startswith("face/")]
    shares = np.cumsum([np.sqrt(1 + len(labels.faces)) for _, labels in photos])
    return Store(photos, [row for row in own if row[1].name.startswith("face/")],
                 shares / max(1, shares[-1]))


def _draw(shares: np.ndarray, rng: Rng) -> int:
    return min(int(np.searchsorted(shares, rng.random())), len(shares) - 1)


def make(stock: Store, rng: Rng, height: int, width: int) -> Sample:
    """One training picture with everything that may happen to it."""
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    if kind == "mosaic":
        sample = mosaic(stock, rng, height, width)
    else:
        sample = _MAKERS[kind](stock, rng, height, width)
    return _clip(sample._replace(image=spoil(sample.image, rng)))


def photo(stock: Store, rng: Rng, height: int, width: int) -> Sample:
    """A part of a photo, at a scale that makes one of its faces any size, or the usual one."""
    frame = np.array([width, height])
    for _ in range(5):  # until the photo fills most of the frame
        image, labels = stock.photos[_draw(stock.shares, rng)]
        size = np.sqrt(labels.faces[:, 2:].prod(axis=1))
        rows, columns = image.shape[:2]
        target = None
        if len(size) and rng.random() < 0.65:
            wanted = np.exp(rng.uniform(np.log(10), np.log(0.95 * min(height, width))))
            k = rng.integers(len(size))
            scale = wanted / size[k]
            target = labels.faces[k, :2] + labels.faces[k, 2:] / 2
        else:
            scale = 640 / max(rows, columns) * np.exp(rng.uniform(np.log(0.6), np.log(1.6)))
        covered = np.minimum(1, np.array([columns, rows]) * scale / frame).prod()
        if scale <= LARGEST_SCALE and covered > rng.uniform(0.3, 0.9):
            break
    scale = float(np.clip(scale, 0.08, LARGEST_SCALE))
    frame = frame / scale
    extent = np.array([columns, rows])
    if target is not None:  # the face anywhere in the frame, which may cut a little off
        corner = target - rng.uniform(0.06, 0.94, 2) * frame
        if rng.random() < 0.8:
            corner = _inside(corner, frame, extent)
    else:
        corner = rng.uniform(0, 1, 2) * (extent - frame)
    return _take(image, labels.faces, labels.unsure, scale, corner, height, width, rng)


def pasted(stock: Store, rng: Rng, height: int, width: int) -> Sample:
    """Single faces set into a photo or into something that shows none."""
    under = photo(stock, rng, height, width) if rng.random() < 0.4 else none(
        stock, rng, height, width)
    image, faces = under.image.copy(), list(under.faces)
    taken = [*under.faces, *under.unsure]
    most = 0.85 * min(height, width)
    for _ in range(int(rng.integers(1, 9))):
        single, labels = stock.singles[rng.integers(len(stock.singles))]
        side = np.exp(rng.uniform(np.log(10), np.log(most)))
        room = 1.25 * side
        if room >= min(height, width):
            continue
        for _ in range(6):
            centre = rng.uniform(side * 0.35, [width - side * 0.35, height - side * 0.35])
            near = [abs(centre[0] - b[0] - b[2] / 2) < (b[2] + room) / 2
                    and abs(centre[1] - b[1] - b[3] / 2) < (b[3] + 1.2 * room) / 2 for b in taken]
            if not any(near):
                box = _paste(image, single, labels.faces[0], side, centre, rng)
                faces.append(box)
                taken.append(box)
                break
    return Sample(image, np.array(faces).reshape(-1, 4), under.unsure)


def _paste(
    image: np.ndarray, single: np.ndarray, box: np.ndarray, side: float, centre: np.ndarray,
    rng: Rng,
) -> np.ndarray:
    """Set one face into `image`, in place; returns its box."""
    scale = side / np.sqrt(box[2] * box[3])
    single, scale, box = _shrink(single, scale, box[None])
    box = box[0]
    matrix, turn = _matrix(scale, box[:2] + box[2:] / 2, centre, rng)
    shape = image.shape[1::-1]
    alpha = np.zeros(single.shape[:2], np.float32)
    rows, columns = alpha.shape
    if rng.random() < 0.3:
        alpha[:] = 1
    else:
        middle = (box[:2] + box[2:] / 2 - (0, 0.06 * box[3]))
        axes = box[2:] * rng.uniform([0.58, 0.62], [0.85, 0.85])
        cv2.ellipse(alpha, (middle.tolist(), (2 * axes).tolist(), 0), 1.0, -1)
        soft = max(0.5, float(rng.uniform(0.01, 0.12)) * box[2])
        alpha = cv2.GaussianBlur(alpha, (0, 0), soft)
        edge = max(1, int(0.04 * min(rows, columns)))
        ramp = np.minimum(np.arange(1, columns + 1), np.arange(columns, 0, -1)) / edge
        alpha *= ramp.clip(0, 1).astype(np.float32)
        ramp = np.minimum(np.arange(1, rows + 1), np.arange(rows, 0, -1)) / edge
        alpha *= ramp.clip(0, 1).astype(np.float32)[:, None]
    # Only where it lands.
    corners = np.array([[0, 0], [columns, 0], [0, rows], [columns, rows]]) @ matrix[:, :2].T
    corners += matrix[:, 2]
    low = np.floor(corners.min(axis=0)).astype(int).clip(0, shape)
    high = np.ceil(corners.max(axis=0)).astype(int).clip(0, shape)
    if (high > low).all():
        matrix = matrix.copy()
        matrix[:, 2] -= low
        extent = tuple(int(v) for v in high - low)
        face = cv2.warpAffine(single, matrix, extent, flags=cv2.INTER_LINEAR,
                              borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.warpAffine(alpha, matrix, extent, flags=cv2.INTER_LINEAR)[..., None]
        part = image[low[1] : high[1], low[0] : high[0]]
        part[:] = (part + alpha * (face.astype(np.float32) - part)).astype(np.uint8)
    return _box_after(box, centre, scale, turn)


def close_up(stock: Store, rng: Rng, height: int, width: int) -> Sample:
    """One face that fills the frame or overflows it; its middle alone is no face."""
    image, labels = stock.singles[rng.integers(len(stock.singles))]
    box = labels.faces[0]
    wanted = min(height, width) * np.exp(rng.uniform(np.log(0.55), np.log(3.5)))
    scale = wanted / np.sqrt(box[2] * box[3])
    frame = np.array([width, height]) / scale
    corner = box[:2] + box[2:] * rng.uniform(0.1, 0.9, 2) - frame * rng.uniform(0.2, 0.8, 2)
    extent = np.array(image.shape[1::-1])
    if rng.random() < 0.7:
        corner = _inside(corner, frame, extent)
    return _take(image, labels.faces, labels.unsure, scale, corner, height, width, rng)


def none(stock: Store, rng: Rng, height: int, width: int) -> Sample:
    """A picture without a face: a part of a photo beside its faces, or something drawn."""
    empty = np.empty((0, 4))
    if rng.random() < 0.65:
        for _ in range(12):
            image, labels = stock.photos[rng.integers(len(stock.photos))]
            rows, columns = image.shape[:2]
            part = rng.uniform(0.15, 0.9) * min(rows, columns)
            frame = np.minimum(np.array([width, height]) * part / max(width, height),
                               [columns, rows])
            x, y = rng.uniform(0, 1, 2) * (np.array([columns, rows]) - frame)
            boxes = np.concatenate([labels.faces, labels.unsure])
            low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
            if not ((low < (x + frame[0], y + frame[1])) & (high > (x, y))).all(axis=1).any():
                cut = image[int(y) : int(y + frame[1]) + 1, int(x) : int(x + frame[0]) + 1]
                shrinks = cut.shape[0] > height
                method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
                cut = cv2.resize(cut, (width, height), interpolation=method)
                return Sample(cut[:, ::-1] if rng.random() < 0.5 else cut, empty, empty)
    return Sample(drawn(rng, height, width), empty, empty)


def drawn(rng: Rng, height: int, width: int) -> np.ndarray:
    """Noise, stripes, checks, blobs, letters and hands, which no face is."""
    colours = rng.integers(0, 256, (2, 3))
    y = np.linspace(0, 1, height)[:, None, None]
    image = (colours[0] * (1 - y) + colours[1] * y) * np.ones((1, width, 1))
    image = image.astype(np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        kind = rng.integers(6)
        if kind == 0:  # clouds of noise, coarse or fine
            cells = int(rng.integers(4, 80))
            grey = rng.random() < 0.5
            noise = rng.integers(0, 256, (cells, cells, 1 if grey else 3)).astype(np.uint8)
            noise = cv2.resize(np.repeat(noise, 3, 2) if grey else noise, (width, height),
                               interpolation=int(rng.choice([0, 1, 2])))
            image = cv2.addWeighted(image, 0.5, noise, 0.5, 0)
        elif kind == 1:  # stripes or checks
            period = rng.uniform(4, 90)
            angle = rng.uniform(0, np.pi)
            x, v = np.meshgrid(np.arange(width), np.arange(height))
            wave = np.sin((x * np.cos(angle) + v * np.sin(angle)) * 6.3 / period)
            if rng.random() < 0.5:
                wave = wave * np.sin((v * np.cos(angle) - x * np.sin(angle)) * 6.3 / period)
            image[wave > rng.uniform(-0.3, 0.6)] = rng.integers(0, 256, 3)
        elif kind in (2, 3):  # ellipses and boxes, many in the colours of skin
            for _ in range(int(rng.integers(1, 14))):
                centre = (int(rng.integers(width)), int(rng.integers(height)))
                axes = tuple(int(v) for v in np.exp(rng.uniform(1.6, 5.0, 2)))
                colour = _skin(rng) if rng.random() < 0.6 else rng.integers(0, 256, 3).tolist()
                thick = -1 if rng.random() < 0.7 else int(rng.integers(1, 8))
                if kind == 2:
                    cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour,
                                thick, cv2.LINE_AA)
                else:
                    end = (centre[0] + axes[0], centre[1] + axes[1])
                    cv2.rectangle(image, centre, end, colour, thick)
        elif kind == 4:  # letters
            for _ in range(int(rng.integers(1, 8))):
                text = "".join(rng.choice(list("AO8oQe0%&@:)(+DBx"), int(rng.integers(1, 7))))
                at = (int(rng.integers(-20, width)), int(rng.integers(height)))
                cv2.putText(image, text, at, int(rng.integers(0, 7)),
                            float(np.exp(rng.uniform(-0.7, 1.6))),
                            rng.integers(0, 256, 3).tolist(), int(rng.integers(1, 9)), cv2.LINE_AA)
        else:
            _hand(image, rng)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 4)))
    return image


def _hand(image: np.ndarray, rng: Rng) -> None:
    """A palm with fingers, in place."""
    skin = np.array(_skin(rng))
    side = float(np.exp(rng.uniform(np.log(15), np.log(0.4 * min(image.shape[:2])))))
    centre = rng.uniform(0, 1, 2) * image.shape[1::-1]
    facing = rng.uniform(0, 6.28)
    for spread in np.linspace(-0.9, 0.9, 5) + rng.normal(0, 0.08, 5):
        length = side * rng.uniform(0.6, 1.3)
        angle = facing + spread
        start = centre + side * 0.35 * np.array([np.cos(angle), np.sin(angle)])
        end = start + length * np.array([np.cos(angle), np.sin(angle)])
        cv2.line(image, start.astype(int).tolist(), end.astype(int).tolist(),
                 (skin * rng.uniform(0.82, 1)).tolist(), max(2, int(side * 0.25)), cv2.LINE_AA)
    cv2.circle(image, centre.astype(int).tolist(), max(1, int(side * 0.5)), skin.tolist(), -1,
               cv2.LINE_AA)


def _skin(rng: Rng) -> list[int]:
    k = rng.integers(len(SKIN))
    return (np.array(SKIN[k]) * rng.uniform(0.75, 1.05, 3)).clip(0, 255).astype(int).tolist()


def mosaic(stock: Store, rng: Rng, height: int, width: int) -> Sample:
    """Four pictures side by side."""
    y, x = (int(side * rng.uniform(0.35, 0.65)) for side in (height, width))
    image = np.empty((height, width, 3), np.uint8)
    faces, unsure = [], []
    for top, bottom in ((0, y), (y, height)):
        for left, right in ((0, x), (x, width)):
            kind = str(rng.choice(list(_MAKERS), p=(0.7, 0.1, 0.12, 0.08)))
            part = _clip(_MAKERS[kind](stock, rng, bottom - top, right - left))
            image[top:bottom, left:right] = part.image
            faces.append(part.faces + (left, top, 0, 0))
            unsure.append(part.unsure + (left, top, 0, 0))
    return Sample(image, np.concatenate(faces), np.concatenate(unsure))


_MAKERS = {"photo": photo, "pasted": pasted, "close-up": close_up, "none": none}


def _inside(corner: np.ndarray, frame: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """The frame's corner moved so that it stays in the picture, or the picture in it."""
    low, high = np.minimum(0, extent - frame), np.maximum(0, extent - frame)
    return np.clip(corner, low, high)


def _shrink(image: np.ndarray, scale: float, *boxes: np.ndarray) -> tuple:
    """Do what shrinking is to be done by area mean, which a warp cannot: no aliasing."""
    if scale >= 0.8:
        return image, scale, *boxes
    height, width = (max(1, round(s * scale)) for s in image.shape[:2])
    ratio = np.array([width / image.shape[1], height / image.shape[0]] * 2)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return image, 1.0, *(b * ratio for b in boxes)


def _matrix(scale: float, start: np.ndarray, end: np.ndarray, rng: Rng) -> tuple:
    """A transform that takes the point `start` to `end`, sometimes turned or mirrored; the turn."""
    angle = float(np.clip(rng.normal(0, 10), -25, 25)) if rng.random() < 0.3 else 0.0
    turn = np.deg2rad(angle)
    cos, sin = np.cos(turn), np.sin(turn)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    linear = scale * np.array([[flip * cos, -sin], [flip * sin, cos]])
    return np.column_stack([linear, np.asarray(end) - linear @ np.asarray(start)]), turn


def _box_after(box: np.ndarray, centre: np.ndarray, scale: float, turn: float) -> np.ndarray:
    """The box round a turned ellipse that filled `box`."""
    w, h = box[2:] * scale
    cos, sin = np.cos(turn), np.sin(turn)
    sides = np.sqrt([(w * cos) ** 2 + (h * sin) ** 2, (w * sin) ** 2 + (h * cos) ** 2])
    return np.concatenate([centre - sides / 2, sides])


def _take(
    image: np.ndarray, faces: np.ndarray, unsure: np.ndarray, scale: float, corner: np.ndarray,
    height: int, width: int, rng: Rng,
) -> Sample:
    """The frame whose left top corner lies at `corner` of a picture, scaled."""
    frame = np.array([width, height]) / scale
    middle = corner + frame / 2
    # Only what a turned frame can show, which is quicker than to shrink the whole.
    reach = np.hypot(*frame) / 2 + 2
    extent = np.array(image.shape[1::-1])
    low = np.floor(middle - reach).clip(0, extent - 1).astype(int)
    high = np.ceil(middle + reach).clip(low + 1, extent).astype(int)
    image = image[low[1] : high[1], low[0] : high[0]]
    faces, unsure = (boxes - (*low, 0, 0) for boxes in (faces, unsure))
    middle = middle - low
    image, rest, faces, unsure, point = _shrink(
        image, scale, faces, unsure, np.array([*middle, 0, 0]))
    end = np.array([width, height]) / 2
    matrix, turn = _matrix(rest, point[:2], end, rng)
    fill = rng.random()
    border = cv2.BORDER_REPLICATE if fill < 0.35 else cv2.BORDER_CONSTANT
    colour = rng.integers(0, 256, 3).tolist() if fill > 0.6 else [0, 0, 0]
    taken = cv2.warpAffine(np.ascontiguousarray(image), matrix, (width, height),
                           flags=cv2.INTER_LINEAR, borderMode=border, borderValue=colour)
    moved = []
    for boxes in (faces, unsure):
        centres = (boxes[:, :2] + boxes[:, 2:] / 2) @ matrix[:, :2].T + matrix[:, 2]
        moved.append(np.array([_box_after(b, c, rest, turn) for b, c in zip(boxes, centres)])
                     .reshape(-1, 4))
    return Sample(taken, *moved)


def _clip(sample: Sample) -> Sample:
    """Cut boxes at the frame; those that show too little of a face, or a tiny one, are no faces."""
    height, width = sample.image.shape[:2]
    result = []
    for boxes in (sample.faces, sample.unsure):
        low = boxes[:, :2].clip(0, (width, height))
        high = (boxes[:, :2] + boxes[:, 2:]).clip(0, (width, height))
        cut = np.column_stack([low, high - low])
        result.append((cut, cut[:, 2:].prod(axis=1) / boxes[:, 2:].prod(axis=1).clip(1e-6)))
    (faces, seen), (unsure, shown) = result
    size = np.sqrt(faces[:, 2:].prod(axis=1))
    clear = (seen >= SEEN) & (size >= SMALLEST)
    doubtful = ~clear & (seen >= HALF_SEEN)
    unsure = unsure[(shown > 0) & (unsure[:, 2:].min(axis=1, initial=np.inf) >= 0)]
    return Sample(sample.image, faces[clear], np.concatenate([unsure, faces[doubtful]]))


def spoil(image: np.ndarray, rng: Rng) -> np.ndarray:
    """Light, sharpness, noise and compression, as cameras and web sites have them."""
    height, width = image.shape[:2]
    if rng.random() < 0.7:
        image = relight(image, rng)
    if rng.random() < 0.08:  # dark
        image = cv2.convertScaleAbs(image, alpha=float(rng.uniform(0.15, 0.6)))
    if rng.random() < 0.08:  # light from one side, or from behind
        slope = rng.uniform(-1, 1, 2)
        y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
        light = np.exp(slope[0] * x + slope[1] * y).astype(np.float32)
        image = (image * light[..., None]).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        small = float(rng.uniform(0.5, 0.95))
        image = cv2.resize(image, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    elif rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.5)))
    elif rng.random() < 0.2:  # unsharp mask
        soft = cv2.GaussianBlur(image, (0, 0), 1.2)
        strength = float(rng.uniform(0.3, 1.2))
        image = cv2.addWeighted(image, 1 + strength, soft, -strength, 0)
    if rng.random() < 0.15:
        noise = np.empty(image.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(1 << 31)))
        cv2.randn(noise, 0, float(rng.uniform(3, 16)))
        image = cv2.add(image, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.35:
        image = reencode(np.ascontiguousarray(image), int(rng.integers(25, 95)))
    return image
