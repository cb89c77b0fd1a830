"""Draw answers onto a picture: a box round each face, its label and its probability.

An answer that is not sure is labelled so, in grey.
"""

import functools
from typing import cast

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

# From Okabe and Ito's palette, which colour-blind people can tell apart; the text says it too.
COLOURS = {"with_mask": "#0072B2", "without_mask": "#D55E00", "incorrect_mask": "#CC79A7"}
UNSURE = "#6B6B6B"
LEAST_SIDE = 480  # smaller pictures are enlarged by a whole factor, or labels would hide them
TEXT = 1 / 45  # height of a letter's line, as a share of the picture's longer side
LONGEST = 2.0  # times the shorter side, beyond which a longer one makes nothing larger
SMALLEST_TEXT = 12  # pixels


def annotate(image: np.ndarray, answer: dict, larger: float = 1.0) -> np.ndarray:
    """The picture with its answer on it.

    Labels never overlap. Where no room is left beside a face its label is shortened to the
    probability, or to a question mark, and then left out; the box's colour still tells the class.

    Args:
        image: uint8 RGB (H, W, 3).
        answer: from `predict.judge`, about this picture.
        larger: so many times, the text, for a picture that is shown small.

    Returns:
        A new uint8 RGB array, of the same size or, if that is small, a whole number of times as
        large.
    """
    zoom = max(1, -(-LEAST_SIDE // max(image.shape[:2])))
    if zoom == 1:
        image = image.copy()
    else:
        image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    height, width = image.shape[:2]
    side = min(max(height, width), LONGEST * min(height, width))  # of a strip not all its length
    line = max(2, round(side / 400))
    size = round(max(SMALLEST_TEXT, side * TEXT) * larger)
    if answer["judged"] != "faces":
        whole = answer["whole"]
        if answer["judged"] == "no face":
            text, colour = "no face found", (0, 0, 0)
        else:
            text, colour = said(whole), _rgb(colour_of(whole))
            cv2.rectangle(image, (0, 0), (width - 1, height - 1), colour, 2 * line)
        while size > 8 and _text(text, size).shape[1] > width:
            size -= 1
        _paste(image, _text(text, size), (0, 0), colour)
        return image

    boxes = np.array([face["box"] for face in answer["faces"]], dtype=float).reshape(-1, 4)
    boxes *= zoom
    colours = [_rgb(colour_of(face)) for face in answer["faces"]]
    for (x, y, w, h), colour in zip(boxes.round().astype(int), colours, strict=True):
        corners = (int(x), int(y)), (int(x + w), int(y + h))
        # White under the colour, so that the box is seen on a ground of its own colour too.
        cv2.rectangle(image, *corners, (255, 255, 255), line + 2)
        cv2.rectangle(image, *corners, colour, line)
    for number, text, corner in place_labels(answer["faces"], boxes, (width, height), size, line):
        _paste(image, _text(text, size), corner, colours[number])
    return image


def place_labels(
    faces: list[dict], boxes: np.ndarray, picture: tuple[int, int], size: int, line: int
) -> list[tuple[int, str, tuple[int, int]]]:
    """Find a place beside each face for its label, the largest face first.

    Of the places that lie in the picture and touch no label placed before, the one that covers
    least of any face is taken.

    Args:
        faces: from an answer.
        boxes: (N, 4) x, y, width, height in pixels of the picture as drawn.
        picture: its width and height.
        size: of the text in pixels.
        line: width of the boxes' lines in pixels.

    Returns:
        For each label: the face's number, the text, its left top corner in pixels.
    """
    taken = np.empty((0, 4))
    labels = []
    for number in np.argsort(-boxes[:, 2] * boxes[:, 3], kind="stable"):
        face = faces[number]
        short = f"{face['probability']:.0%}" if face["sure"] else "?"
        best = None
        for cost, text in ((0.0, said(face)), (0.4, short)):
            height, width = _text(text, size).shape
            for rank, (x, y) in enumerate(_places(boxes[number], width, height, line)):
                x = min(max(x, 0), picture[0] - width)  # along the edge rather than beyond it
                place = np.array([x, y, width, height])
                if x < 0 or y < 0 or y + height > picture[1] or _shared(place, taken).any():
                    continue
                covered = _shared(place, boxes).sum() / (width * height)
                worth = cost + covered + rank * 0.01
                if best is None or worth < best[0]:
                    best = worth, text, place
        if best is not None:
            _, text, place = best
            taken = np.vstack([taken, place])
            labels.append((int(number), text, (int(place[0]), int(place[1]))))
    return labels


def _places(box: np.ndarray, width: int, height: int, line: int) -> list[tuple[int, int]]:
    """Left top corners for a label round a box, the usual ones first."""
    x, y, w, h = box.round().astype(int)
    above, below = y - height - line, y + h + line
    left, right = x - width - line, x + w + line
    columns = (x - line // 2, x + (w - width) // 2, x + w - width)
    rows = (y, y + (h - height) // 2, y + h - height)
    outside = [(c, row) for row in (above, below) for c in columns]
    return outside + [(c, row) for c in (right, left) for row in rows] + [(x + line, y + line)]


def _shared(place: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Pixels that a place shares with each of some boxes, all as x, y, width, height."""
    low = np.maximum(place[:2], boxes[:, :2])
    high = np.minimum(place[:2] + place[2:], boxes[:, :2] + boxes[:, 2:])
    return (high - low).clip(0).prod(axis=1)


@functools.lru_cache(maxsize=512)
def _text(text: str, size: int) -> np.ndarray:
    """A line of text with a little room round it: uint8 (h, w), 0 ground to 255 letter."""
    font = cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))  # given a size, it is one
    room = max(2, size // 5)
    left, _, right, _ = font.getbbox(text)
    rise, fall = font.getmetrics()
    mask = Image.new("L", (int(right - left) + 2 * room, rise + fall + room))
    ImageDraw.Draw(mask).text((room - left, room // 2), text, fill=255, font=font)
    return np.asarray(mask)


def _paste(
    image: np.ndarray, mask: np.ndarray, corner: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    """Lay a label onto the picture; black or white letters, whichever stand out more."""
    x, y = corner
    place = image[y : y + mask.shape[0], x : x + mask.shape[1]]
    ground = np.array(colour, np.float32)
    # Relative luminance and contrast after WCAG 2.1, with gamma taken as 2.2.
    luminance = ((ground / 255) ** 2.2) @ np.array((0.2126, 0.7152, 0.0722), np.float32)
    ink = 255.0 if (luminance + 0.05) ** 2 < 1.05 * 0.05 else 0.0
    share = mask[: place.shape[0], : place.shape[1], None] / np.float32(255)
    place[:] = (ground * (1 - share) + ink * share + 0.5).astype(np.uint8)


def said(verdict: dict) -> str:
    """A verdict in a word or two."""
    return f"{verdict['label']} {verdict['probability']:.0%}" if verdict["sure"] else "unsure"


def colour_of(verdict: dict) -> str:
    """The colour that goes with a verdict."""
    return COLOURS.get(verdict["label"], "#000000") if verdict["sure"] else UNSURE


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return red, green, blue
