"""Measure the copy finder: what it finds of copies made for the purpose, its time and its memory.

Run it on a folder of pictures: `python -m facemask.benchmarks.copies FOLDER --json FILE`.
"""

import argparse
import io
import platform
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import faiss
import numpy as np
from PIL import Image

from facemask.copies import duplicates, similar
from facemask.images.reading import find_images, read_image
from facemask.io.files import write_json

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def _encode(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def _resize(image: np.ndarray, factor: float) -> np.ndarray:
    height, width = image.shape[:2]
    size = max(round(width * factor), 24), max(round(height * factor), 24)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)


def _crop(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Cut `share` off the width and off the height, anywhere."""
    height, width = image.shape[:2]
    h, w = round(height * (1 - share)), round(width * (1 - share))
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    return image[top : top + h, left : left + w]


def _turn(image: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    degrees *= rng.choice([-1, 1])
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def _light(image: np.ndarray, gain: float) -> np.ndarray:
    return (image * gain).clip(0, 255).astype(np.uint8)


def _all(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    image = _turn(_crop(image[:, ::-1], 0.05, rng), 5, rng)
    image = _light(image, float(rng.choice([0.6, 1.3])))
    return _encode(_resize(image, 0.7), 60)


CHANGES: dict[str, Change] = {
    "identical": lambda image, rng: image,
    "re-encoded, JPEG quality 30": lambda image, rng: _encode(image, 30),
    "half size": lambda image, rng: _resize(image, 0.5),
    "double size": lambda image, rng: _resize(image, 2),
    "mirrored": lambda image, rng: image[:, ::-1],
    "cropped by 5 %": lambda image, rng: _crop(image, 0.05, rng),
    "cropped by 8 %": lambda image, rng: _crop(image, 0.08, rng),
    "cropped by 15 %": lambda image, rng: _crop(image, 0.15, rng),
    "brighter by 40 %": lambda image, rng: _light(image, 1.4),
    "darker by 50 %": lambda image, rng: _light(image, 0.5),
    "turned by 5 degrees": lambda image, rng: _turn(image, 5, rng),
    "turned by 10 degrees": lambda image, rng: _turn(image, 10, rng),
    "turned by 20 degrees": lambda image, rng: _turn(image, 20, rng),
    "blurred, sigma 1.5 % of the side": lambda image, rng: cv2.GaussianBlur(
        image, (0, 0), 0.015 * image.shape[1]
    ),
    "mirrored, cropped 5 %, turned 5 degrees, light, 0.7 size, JPEG 60": _all,
}


def difference_hash(thumbs: np.ndarray) -> np.ndarray:
    """256-bit difference hash of uint8 (N, 48, 48): uint8 (N, 32). For comparison only."""
    small = [cv2.resize(t, (17, 16), interpolation=cv2.INTER_AREA) for t in thumbs]
    grey = np.stack(small).astype(np.int16)
    return np.packbits((grey[:, :, 1:] > grey[:, :, :-1]).reshape(len(thumbs), -1), axis=1)


def recall_and_precision(
    described: duplicates.Descriptors, group: np.ndarray, count: int = 300, seed: int = 0
) -> dict[str, dict[str, float | None]]:
    """Make `count` copies per kind of change and look them up among all pictures.

    A copy counts as found if a picture of its source's group is among the answers. Precision is
    the share of copies and pictures paired that are of one group; since pictures that are copies
    of one another without being in one group count as errors, it is a lower bound.
    """
    rng = np.random.default_rng(seed)
    sources = rng.choice(len(described.paths), min(count, len(described.paths)), replace=False)
    images = [read_image(described.paths[s]) for s in sources]
    stored = difference_hash(described.thumbs)
    results = {}
    for name, change in CHANGES.items():
        changed = [np.ascontiguousarray(change(i, rng)) for i in images]
        thumbs = np.stack([duplicates.thumbnail(image) for image in changed])
        made = duplicates.Descriptors([described.paths[s] for s in sources], thumbs)
        pairs = duplicates.find_copies(made, described, progress=False)
        right = group[sources[pairs.i]] == group[pairs.j]
        row = {
            "recall": len(np.unique(pairs.i[right])) / len(sources),
            "precision": float(right.mean()) if len(right) else None,
            "near": float((pairs.shift[right] <= duplicates.NEAR).mean()) if right.any() else None,
        }
        index = faiss.IndexBinaryFlat(256)
        index.add(stored)
        for limit in (10, 24):
            ends, _, j = index.range_search(difference_hash(thumbs), limit + 1)
            i = np.repeat(np.arange(len(sources)), np.diff(ends.astype(np.int64)))
            right = group[sources[i]] == group[j]
            row[f"difference_hash_{limit}_recall"] = len(np.unique(i[right])) / len(sources)
            row[f"difference_hash_{limit}_precision"] = float(right.mean()) if len(right) else None
        results[name] = row
    return results


class _Clock:
    """Seconds by the clock and of computing, and the highest memory of this process so far."""

    def __init__(self) -> None:
        self.start = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return time.perf_counter(), used.ru_utime + used.ru_stime

    def read(self) -> dict[str, float]:
        wall, cpu = (now - then for now, then in zip(self._now(), self.start, strict=True))
        unit = 1 if platform.system() == "Darwin" else 1024  # bytes there, KiB elsewhere
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return {
            "seconds": round(wall, 1),
            "cpu_seconds": round(cpu, 1),
            "peak_MiB": round(peak / 2**20),
        }


def _blend(thumbs: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Synthetic thumbnails uint8 (n, 48, 48): two pictures laid over each other."""
    result = np.empty((n, *thumbs.shape[1:]), np.uint8)
    for s in range(0, n, 4096):
        i, j = rng.integers(len(thumbs), size=(2, min(4096, n - s)))
        result[s : s + 4096] = (thumbs[i].astype(np.uint16) + thumbs[j, :, ::-1]) // 2
    return result


def cost_at(thumbs: np.ndarray, n: int, lookups: int = 2000, seed: int = 0) -> dict[str, Any]:
    """Time and memory for `n` synthetic pictures, reading them apart.

    The index is built whole; of the look-ups and comparisons, those of `lookups` pictures are
    timed and multiplied.
    """
    many = _blend(thumbs, n, np.random.default_rng(seed))
    clock = _Clock()
    lookup = similar.build_lookup(many)
    build = clock.read()
    clock = _Clock()
    some = many[:lookups]
    i, j, version = similar.candidates(some, lookup, within=False, progress=False)
    duplicates.compare_pairs(some, many, i, j, version, progress=False)
    rest = clock.read()
    factor = n / lookups
    return {
        "images": n,
        "how": f"synthetic; {lookups:,} look-ups timed and scaled up, without reading files",
        "pictures_timed": lookups,
        "seconds": round(build["seconds"] + rest["seconds"] * factor, 1),
        "cpu_seconds": round(build["cpu_seconds"] + rest["cpu_seconds"] * factor, 1),
        "index_seconds": build["seconds"],
        "candidates_per_picture": len(i) / lookups,
        "peak_MiB": rest["peak_MiB"],
    }


def bench(folder: str | Path, scales: tuple[int, ...] = (1, 10, 100), count: int = 300) -> dict:
    """Measure everything on the pictures below `folder`.

    Returns:
        `cost`: a dict per scale with seconds and peak memory; scale 1 is real, the others are
        synthetic (see `cost_at`); `changes`: recall and precision per kind of change.
    """
    paths = find_images(folder)
    clock = _Clock()
    described = duplicates.describe(paths)
    reading = clock.read()
    group = duplicates.groups(described, duplicates.find_copies(described))
    cost: dict[str, dict[str, Any]] = {"1": {
        "images": len(paths), "how": "measured, with reading the files",
        "reading_seconds": reading["seconds"], **clock.read(),
    }}
    changes = recall_and_precision(described, group, count)
    for scale in sorted(scales):  # ascending: peak memory never falls
        if scale > 1:
            cost[str(scale)] = cost_at(described.thumbs, scale * len(paths))
    return {"cost": cost, "changes": changes}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--json", required=True)
    parser.add_argument("--scales", type=int, nargs="+", default=[1, 10, 100])
    arguments = parser.parse_args()
    result = bench(arguments.folder, tuple(arguments.scales))
    result["settings"] = {
        "neighbours": similar.NEIGHBOURS,
        "similar": similar.SIMILAR,
        "copy": duplicates.COPY,
        "near": duplicates.NEAR,
    }
    write_json(arguments.json, result)
