"""The built-in sample: drawn faces in three classes, made from a seed, with no photograph in it."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from facemask import CLASSES
from facemask.drawing.brushes import any_colour
from facemask.drawing.head import Rng, face_shape, shrunk
from facemask.drawing.masks import WORN_WRONG, draw_mask, draw_occluder
from facemask.drawing.portrait import draw_person
from facemask.drawing.shapes import FaceShape
from facemask.images.augment import reencode
from facemask.images.writing import write_image
from facemask.io.files import FacemaskError, write_whole

# Drawn over some faces of every class, and no mask: what a classifier must not be misled by.
BESIDE_A_MASK = ("sunglasses", "phone")
OVER_A_BARE_FACE = ("hand", "scarf_neck", "microphone", "cup", "beard", "sunglasses", "phone")


def _backdrop(rng: Rng, width: int, height: int) -> np.ndarray:
    """Somewhere behind the person: a wall, a room or a street, more or less out of focus."""
    small = np.empty((max(height // 4, 8), max(width // 4, 8), 3), np.float32)
    h, w = small.shape[:2]
    ramp = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    small[:] = any_colour(rng) * (1 - ramp) + any_colour(rng) * ramp
    for _ in range(rng.choice([0, 4, 12, 30], p=[0.2, 0.2, 0.35, 0.25])):
        x, y = rng.uniform(-0.2, 1.1) * w, rng.uniform(-0.2, 1.1) * h
        a, b = rng.uniform(0.03, 0.45, 2) * h
        colour = [float(v) for v in any_colour(rng)]
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(small, (int(x), int(y)), int(a / 2) + 1, colour, -1, cv2.LINE_AA)
        elif kind == 1:
            cv2.line(small, (int(x), int(y)), (int(x + 4 * (a - b)), int(y + 3 * b)), colour,
                     int(b / 8) + 1, cv2.LINE_AA)
        else:
            cv2.rectangle(small, (int(x), int(y)), (int(x + a), int(y + 2 * b)), colour, -1)
    small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 4))
    return cv2.resize(small, (width, height)).clip(0, 255).astype(np.uint8)


def _camera(image: np.ndarray, rng: Rng, size: tuple[int, int]) -> np.ndarray:
    """What a camera does to a picture, alike for every class; `size` is (width, height)."""
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if rng.random() < 0.35:  # taken from far away
        share = rng.uniform(0.3, 0.8)
        less = cv2.resize(image, (int(size[0] * share), int(size[1] * share)),
                          interpolation=cv2.INTER_AREA)
        image = cv2.resize(less, size, interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.4))
    elif rng.random() < 0.15:  # moved
        streak = np.zeros((7, 7), np.float32)
        end = 3 + 3 * np.array([np.cos(a := rng.uniform(0, np.pi)), np.sin(a)])
        cv2.line(streak, (3, 3), tuple(int(v) for v in end.round()), 1.0)
        image = cv2.filter2D(image, -1, streak / streak.sum())
    table = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.22))
    table = 255 * table * rng.normal(1, 0.05, 3) * rng.uniform(0.85, 1.12) + rng.normal(0, 6)
    values = cv2.LUT(image, table.clip(0, 255).astype(np.uint8)[:, None]).astype(np.float32)
    noise = rng.standard_normal(values.shape, dtype=np.float32) * rng.gamma(1.6, 2.2)
    image = (values + noise).clip(0, 255).astype(np.uint8)
    return reencode(image, int(rng.uniform(35, 96)))


def _portrait(rng: Rng, size: int) -> tuple[np.ndarray, FaceShape]:
    """A bare face on its background, twice as large as `size`, and its shape there."""
    big = 2 * size
    image = _backdrop(rng, big, big)
    unit = big * rng.uniform(0.21, 0.31)
    centre = big * (0.5 + rng.normal(0, 0.035, 2)) + (0, -0.02 * unit)
    return image, face_shape(draw_person(image, rng, centre, unit))


def draw_face(rng: Rng, size: int = 128) -> tuple[np.ndarray, FaceShape]:
    """Draw a bare face, before any mask and any camera.

    Args:
        rng: the source of all that varies; the same state gives the same picture.
        size: width and height in pixels.

    Returns:
        A uint8 RGB array of shape (size, size, 3), and the face's shape in its pixels.
    """
    image, shape = _portrait(rng, size)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), shrunk(shape, 2)


def _dress(image: np.ndarray, shape: FaceShape, label: str, rng: Rng) -> np.ndarray:
    """Put on the face what its class asks for."""
    if label == "without_mask":
        if rng.random() < 0.4:
            image = draw_occluder(image, shape, str(rng.choice(OVER_A_BARE_FACE)), rng)
        return image
    if rng.random() < 0.1:
        image = draw_occluder(image, shape, str(rng.choice(BESIDE_A_MASK)), rng)
    worn = "right" if label == "with_mask" else str(rng.choice(WORN_WRONG))
    return draw_mask(image, shape, worn, rng)


def draw_picture(label: str, rng: Rng, size: int = 128) -> np.ndarray:
    """Draw one finished picture of a class: a face, a mask worn right, wrong or not, a camera.

    Args:
        label: one of CLASSES.
        rng: the source of all that varies.
        size: width and height in pixels.

    Returns:
        uint8 RGB (size, size, 3).

    Raises:
        FacemaskError: unknown label.
    """
    if label not in CLASSES:
        raise FacemaskError(f"unknown class {label!r}; choose from {', '.join(CLASSES)}")
    image, shape = _portrait(rng, size)
    return _camera(_dress(image, shape, label, rng), rng, (size, size))


def draw_scene(
    rng: Rng, faces: int, width: int = 640, height: int = 480
) -> tuple[np.ndarray, list[dict]]:
    """Draw several people side by side, each with a mask worn right, wrong or not.

    Args:
        rng: the source of all that varies.
        faces: how many people, 1 to about width / 60.
        width: of the picture in pixels.
        height: of the picture in pixels.

    Returns:
        uint8 RGB (height, width, 3), and per person a dict with `label` and `box`: x, y, width
        and height in pixels of the face from brow to chin, ear to ear.
    """
    image = _backdrop(rng, 2 * width, 2 * height)
    column = 2 * width / faces
    people: list[dict[str, Any]] = []
    for number in rng.permutation(faces):
        unit = min(0.26 * column, 0.2 * 2 * height) * rng.uniform(0.8, 1.0)
        centre = np.array([(number + 0.5) * column + rng.normal(0, 0.04) * column,
                           2 * height * rng.uniform(0.35, 0.5)])
        shape = face_shape(draw_person(image, rng, centre, unit))
        label = str(rng.choice(CLASSES))
        image = np.ascontiguousarray(_dress(image, shape, label, rng))
        x0, x1 = shape.jaw[:, 0].min(), shape.jaw[:, 0].max()
        top = 2 * shape.eyes[:, 1].mean() - shape.nose_tip[1]
        box = np.array([x0, top, x1 - x0, shape.jaw[:, 1].max() - top]) / 2
        people.append({"label": label, "box": tuple(float(v) for v in box)})
    people.sort(key=lambda person: person["box"][0])
    return _camera(image, rng, (width, height)), people


def _write_one(job: tuple[str, str, int, int, int]) -> None:
    """Draw one numbered picture of a class and write it as PNG."""
    path, label, seed, number, size = job
    cv2.setNumThreads(1)  # the pictures are made side by side already
    image = draw_picture(label, np.random.default_rng([seed, CLASSES.index(label), number]), size)
    write_image(path, image)


def make_sample(folder: str | Path, per_class: int = 240, seed: int = 0, size: int = 96) -> Path:
    """Write drawn pictures into a folder per class, all of them or none.

    Args:
        folder: to make; what stands there is replaced.
        per_class: pictures of each class.
        seed: the same seed gives the same files.
        size: width and height in pixels.

    Returns:
        The folder.

    Raises:
        FacemaskError: the disk is full or the folder cannot be written.
    """
    with write_whole(folder) as partial:
        jobs = []
        for label in CLASSES:
            (partial / label).mkdir(parents=True)
            jobs += [(str(partial / label / f"{number:04d}.png"), label, seed, number, size)
                     for number in range(per_class)]
        # Fresh processes, not forks: TensorFlow's threads do not survive a fork.
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
            done = pool.map(_write_one, jobs, chunksize=16)
            for _ in tqdm(done, total=len(jobs), desc="Drawing faces", unit="img"):
                pass
    return Path(folder)
