"""Find the faces in a photo, and tell a face that was cut out from a photo.

The finder is one small network of our own, trained on bare and masked faces together
(models/finder, `make finder`), that looks at the photo once, and at a large photo a second time:
NumPy, OpenCV and LiteRT, no TensorFlow. What must hold for another implementation to find the same
faces, such as the one in the web page:

1. Canvas: scale = min(SIDE / longer side, ENLARGE). The photo is resized to
   max(1, floor(side * scale + 0.5)) on each side, by area mean if a side shrinks (each old pixel
   counts by the part of it that is covered: OpenCV's INTER_AREA, not Pillow's BOX) and bilinearly
   otherwise, and stays as it is if neither changes. It lies at the left top of a canvas whose
   sides are the next multiples of 32; the rest is filled by repeating the photo's last row and
   column. Values are 0..255, RGB.
2. The network gives for each level of stride s = 8, 16, 32 a map of logits and one of four box
   values a cell. score = 1 / (1 + exp(-logit)). Cell (row, column) means a box with its centre at
   x = (column + b0) * s, y = (row + b1) * s, width exp(b2) * s and height exp(b3) * s pixels of
   the canvas.
3. Cells with a score below the threshold are dropped; boxes whose area's root is below SMALL pixels
   of the canvas need SMALL_EXTRA more. The rest is sorted by score, falling; ties keep the order of
   levels (8, 16, 32), then rows, then columns.
4. From the best down, a box that overlaps a kept one by IoU > SAME, or lies in one by more than
   NESTED of the smaller one's area, is dropped.
5. Boxes are divided by the scale that each side really got (resized side / photo's side) and
   clipped to the photo; empty ones are dropped.
6. A photo whose longer side is LARGE times SIDE or more is looked at again, but for a frame of a
   video: steps 1 to 5 with scale = min(1, sqrt(PIXELS / (width * height))). Of these boxes those
   are added that have a score of SECOND or more, whose area's root times SIDE / longer side is
   below SECOND_SIZE, and that overlap none of the first ones as in step 4. All are sorted anew by
   score; ties keep the first look's before the second's.
7. A picture for which `is_face_crop` holds is judged whole, resized to the classifier's square.
"""

import contextlib
import functools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from facemask.images.boxes import overlaps, size
from facemask.images.crops import check_image, resize
from facemask.io.files import FINDER, FacemaskError

SIDE = 640
ENLARGE = 4.0
# Most false faces are small. Chosen for the most recall at one false face in ten validation photos.
THRESHOLD = 0.42
SMALL, SMALL_EXTRA = 24, 0.18
SAME = 0.35
NESTED = 0.5
# A face of 60 pixels in a phone's photo of 4,000 has 10 left at SIDE. Chosen on the street's
# validation photos, four to sixteen in one picture: of the faces of 8 to 31 pixels of the canvas
# more than four fifths are found instead of three fifths, for up to a third more false ones.
LARGE, PIXELS = 2, 1280 * 960
SECOND, SECOND_SIZE = 0.57, 64
MULTIPLE = 32
# Of canvases that networks are kept set up for; 30 MB for a square one of SIDE. Folders have some
# 20 shapes.
KEPT = 8 * SIDE * SIDE  # pixels
STRIDES = (8, 16, 32)  # pixels a cell of each of the network's levels, finest first
# See is_face_crop.
CROP_SIDE, CROP_ASPECT, CROP_FILL, CROP_SMALL = 256, 1.5, 0.75, 0.5
CROP_SURE, CROP_RIVAL, CROP_FAINT = 0.8, 0.6, 0.1


def find_faces(
    image: np.ndarray, threshold: float = THRESHOLD, again: bool = True
) -> np.ndarray:
    """Find the faces in a photo, with or without masks, by the released finder.

    Args:
        image: uint8 RGB, shape (H, W, 3), values 0..255, of any size.
        threshold: faces with a lower score are dropped, 0..1; small ones need SMALL_EXTRA more,
            and those that only a second look sees at least SECOND.
        again: look twice at a large photo, see step 6; that takes some four times as long.

    Returns:
        float32 array (N, 5): x, y (left top corner), width, height in pixels of `image`, inside
        it, and the score 0..1; best first. N may be 0.

    Raises:
        FacemaskError: the picture has another shape or type, or the finder's file is missing.
    """
    return released()(image, threshold, again)


@functools.cache
def released() -> "Finder":
    """The released finder.

    Raises:
        FacemaskError: its file is missing.
    """
    if not FINDER.is_file():
        raise FacemaskError(f"the face finder {FINDER} is missing; get it from the repository")
    return Finder(FINDER)


def is_face_crop(image: np.ndarray, boxes: np.ndarray) -> bool:
    """Whether the picture is one face, cut out, that should be judged whole.

    So it is if it is nearly square and its face fills it, or if it is as small and as near to
    square as data sets of faces have them: there the detector often sees no face, because it wants
    to see something round it, or takes eyes and mouths for faces, though never with a high score.
    It is not if there is for certain a second face that is not much smaller, or, in a small
    picture, a face with much room round it, or nothing that looks even faintly like one. Chosen on
    pictures of 12k's Train and Validation and of the 3-class archive, and on the validation photos.

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
        if not len(boxes):
            return len(find_faces(image, CROP_FAINT)) > 0
        return len(sure) == 0 or bool(sure[-1] >= CROP_SMALL * shorter)
    return len(sure) > 0 and bool(sure[-1] >= CROP_FILL * shorter)


def canvas(image: np.ndarray, scale: float | None = None) -> tuple:
    """Step 1.

    Args:
        image: uint8 RGB (H, W, 3).
        scale: another than that of the first look.

    Returns:
        uint8 RGB (H', W', 3), sides multiples of 32, and the scales of width and height.
    """
    height, width = image.shape[:2]
    if scale is None:
        scale = min(SIDE / max(height, width), ENLARGE)
    rows, columns = (max(1, int(np.floor(s * scale + 0.5))) for s in (height, width))
    if (rows, columns) != (height, width):
        image = resize(image, columns, rows)
    below, right = -rows % MULTIPLE, -columns % MULTIPLE
    image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return image, (columns / width, rows / height)


def decode(maps: Sequence[np.ndarray], threshold: float) -> np.ndarray:
    """Steps 2 and 3.

    Args:
        maps: the network's outputs in any order, float32 (1, h, w, 1) and (1, h, w, 4), of which
            finer levels are larger.
        threshold: 0..1; small boxes need SMALL_EXTRA more.

    Returns:
        float64 (N, 5): x, y, width, height in pixels of the canvas, and score; best first.
    """
    scores = sorted((m for m in maps if m.shape[-1] == 1), key=lambda m: -m.shape[1])
    boxes = sorted((m for m in maps if m.shape[-1] == 4), key=lambda m: -m.shape[1])
    least = np.log(threshold / (1 - threshold))
    found = []
    for level, (score, box) in enumerate(zip(scores, boxes, strict=True)):
        stride = 8 << level
        row, column = np.nonzero(score[0, :, :, 0] >= least)
        value = box[0, row, column].astype(np.float64)
        centre = (np.stack([column, row], axis=1) + value[:, :2]) * stride
        sides = np.exp(value[:, 2:].clip(-10, 10)) * stride
        chance = 1 / (1 + np.exp(-score[0, row, column, 0].astype(np.float64)))
        found.append(np.column_stack([centre - sides / 2, sides, chance]))
    found = np.concatenate(found)
    needed = np.where(size(found) < SMALL, threshold + SMALL_EXTRA, threshold)
    found = found[found[:, 4] >= needed]
    return found[np.argsort(-found[:, 4], kind="stable")]


def suppress(boxes: np.ndarray, same: float = SAME, nested: float = NESTED) -> np.ndarray:
    """Step 4, for boxes (N, 5) sorted by score."""
    kept = []
    while len(boxes):
        kept.append(boxes[0])
        boxes = _apart(boxes[1:], boxes[0], same, nested)
    return np.array(kept).reshape(-1, 5)


def _apart(boxes: np.ndarray, kept: np.ndarray, same: float, nested: float) -> np.ndarray:
    """Those of some boxes (N, 5) that overlap a kept one (5,) as little as step 4 allows."""
    iou, share = overlaps(kept, boxes)
    return boxes[(iou <= same) & (share <= nested)]


def place(boxes: np.ndarray, scales: tuple[float, float], shape: Sequence[int]) -> np.ndarray:
    """Step 5: boxes (N, 5) of the canvas as float32 (N, 5) in pixels of a photo of `shape`."""
    height, width = shape[:2]
    low = (boxes[:, :2] / scales).clip(0, (width, height))
    high = ((boxes[:, :2] + boxes[:, 2:4]) / scales).clip(0, (width, height))
    boxes = np.column_stack([low, high - low, boxes[:, 4]])
    return boxes[(boxes[:, 2:4] > 0).all(axis=1)].astype(np.float32)


def join(first: np.ndarray, second: np.ndarray, longer: int) -> np.ndarray:
    """Step 6, of what both looks have found in a photo.

    Args:
        first, second: float32 (N, 5) and (M, 5), in pixels of the photo.
        longer: its longer side, in pixels.
    """
    small = size(second) * SIDE / longer < SECOND_SIZE
    second = second[small & (second[:, 4] >= SECOND)]
    for box in first:
        second = _apart(second, box, SAME, NESTED)
    found = np.concatenate([first, second])
    return found[np.argsort(-found[:, 4], kind="stable")]


class Finder:
    """A trained network in LiteRT; one may be used by many threads at once.

    Setting it up for a canvas of another shape costs a quarter of a look, and a folder has photos
    of a few shapes; so that is done once for each of the last ones, KEPT pixels in all.
    """

    def __init__(self, file: Path, threads: int = 1):
        self.content, self.threads = Path(file).read_bytes(), threads
        self._idle: list[Interpreter] = []  # last used last
        self._lock = threading.Lock()

    def maps(self, shown: np.ndarray) -> list[np.ndarray]:
        """The network's outputs for a canvas, uint8 RGB (H, W, 3)."""
        with self._interpreter((1, *shown.shape)) as network:
            entry = network.get_input_details()[0]
            network.set_tensor(entry["index"], shown[None].astype(entry["dtype"]))
            network.invoke()
            return [network.get_tensor(o["index"]) for o in network.get_output_details()]

    def __call__(
        self, image: np.ndarray, threshold: float = THRESHOLD, again: bool = True
    ) -> np.ndarray:
        """Find the faces in a photo, with or without masks.

        Args:
            image: uint8 RGB (H, W, 3), of any size.
            threshold, again: see `find_faces`.

        Returns:
            float32 (N, 5): x, y, width, height in pixels of the photo, inside it, and the score
            0..1; best first.

        Raises:
            FacemaskError: the picture has another shape or type.
        """
        check_image(image)
        found = self._look(image, threshold)
        height, width = image.shape[:2]
        longer = max(height, width)
        if not again or longer < LARGE * SIDE:
            return found
        scale = min(1.0, float(np.sqrt(PIXELS / (height * width))))
        return join(found, self._look(image, threshold, scale), longer)

    def _look(
        self, image: np.ndarray, threshold: float, scale: float | None = None
    ) -> np.ndarray:
        shown, scales = canvas(image, scale)
        return place(suppress(decode(self.maps(shown), threshold)), scales, image.shape)

    @contextlib.contextmanager
    def _interpreter(self, shape: tuple[int, ...]) -> Iterator[Interpreter]:
        with self._lock:
            lent = next((n for n in self._idle if _shape(n) == shape), None)
            if lent is None and self._idle and sum(map(_pixels, self._idle)) >= KEPT:
                lent = self._idle[0]
            if lent is not None:
                self._idle.remove(lent)
        if lent is None or _shape(lent) != shape:
            if lent is None:
                lent = Interpreter(model_content=self.content, num_threads=self.threads)
            lent.resize_tensor_input(lent.get_input_details()[0]["index"], shape)
            lent.allocate_tensors()
        yield lent
        with self._lock:  # not after an error, which may leave it half set up
            self._idle.append(lent)
            while sum(map(_pixels, self._idle)) > KEPT:
                del self._idle[0]


def _shape(network: Interpreter) -> tuple[int, ...]:
    return tuple(network.get_input_details()[0]["shape"])


def _pixels(network: Interpreter) -> int:
    return int(np.prod(_shape(network)[1:3]))
