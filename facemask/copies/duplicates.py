"""Exact and near copies of pictures, and the groups they form.

Three steps, each with a source:

1. Every picture becomes a grey thumbnail and a histogram of gradient orientations over 4 x 4 cells
   (Dalal and Triggs, CVPR 2005, taken over the whole picture). The histograms are whitened (Jegou
   and Chum, ECCV 2012), because faces cut to the same frame are all alike until what they have in
   common is taken out.
2. Every picture is turned, scaled and mirrored in its thumbnail, and faiss (Johnson et al., IEEE
   Trans. Big Data 2021) looks up the nearest pictures of each version: the candidates.
3. A candidate is aligned by an affine transform that maximises the enhanced correlation coefficient
   (Evangelidis and Psarakis, PAMI 2008; in OpenCV). It is a copy if the fine structure of the two
   aligned pictures correlates. Brightness and contrast drop out of all three steps.

A 256-bit difference hash was tried first: fast, but a crop of 5 % or a turn of 5 degrees moves a
copy as far away as another person's face is. `facemask/benchmarks/copies.py` measures all of it.
"""

import os
import zipfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from facemask.copies.similar import (
    SMALL,
    WORKERS,
    beyond_groups,
    build_lookup,
    candidates,
    first_of_each,
    to_pixels,
    to_unit,
    versions,
)
from facemask.images.reading import read_image
from facemask.io.files import FacemaskError, write_whole

THUMB = 48  # pixels a side
ROUGH = 0.85  # correlation of small pictures below which no finer look is taken
COPY = 0.88  # correlation of aligned pictures above which they are copies
NEAR = 0.15  # shift of the corners up to which a copy counts as near
SAME = 0.02  # and as the same picture, perhaps re-encoded, resized, re-lit or mirrored


class Descriptors(NamedTuple):
    """What is kept of each picture.

    Attributes:
        paths: N picture files, as given.
        thumbs: uint8 (N, 48, 48), grey, stretched so that the darkest pixel is 0 and the
            brightest 255.
    """

    paths: list[Path]
    thumbs: np.ndarray


class Pairs(NamedTuple):
    """Copies found.

    Attributes:
        i, j: int64 (M,), positions of the two pictures.
        score: float32 (M,), correlation of the two once aligned, 0.88..1.
        shift: float32 (M,), how far the furthest corner lies from its place in the other picture,
            in sides of the picture and mirroring apart: 0 for the same picture, 0.06 for 4 % cut
            off each side, 0.12 for a turn by 10 degrees. Above `NEAR` it is an augmented copy.
    """

    i: np.ndarray
    j: np.ndarray
    score: np.ndarray
    shift: np.ndarray


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Shrink a uint8 RGB picture (H, W, 3) to a stretched grey thumbnail, uint8 (48, 48)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    way = cv2.INTER_AREA if min(grey.shape) >= THUMB else cv2.INTER_LINEAR
    grey = cv2.resize(grey, (THUMB, THUMB), interpolation=way)
    low, high = grey.min(), grey.max()
    # Stretched before rounding: a much darkened copy keeps its grey levels.
    return np.round((grey - low) * (255 / max(high - low, 1))).astype(np.uint8)


def describe(
    paths: Sequence[str | Path], cache: str | Path | None = None, progress: bool = True
) -> Descriptors:
    """Read pictures and describe them.

    Args:
        paths: picture files.
        cache: an .npz file that remembers thumbnails by path, size and time of change; it is read
            if it is there and rewritten whole when something was added.
        progress: show a progress bar.

    Raises:
        FacemaskError: some files cannot be read; the message names the first of them.
    """
    files = [Path(p) for p in paths]
    keys = [_key(p) for p in files]
    known = _read_cache(cache)
    missing = [n for n, key in enumerate(keys) if key not in known]
    errors: list[str] = []

    def read(n: int) -> tuple[int, np.ndarray | None]:
        try:
            return n, thumbnail(read_image(files[n]))
        except FacemaskError as error:
            errors.append(str(error))
            return n, None

    with ThreadPoolExecutor(WORKERS) as pool:
        jobs = pool.map(read, missing)
        quiet = not (progress and missing)
        bar = tqdm(jobs, desc="Reading pictures", total=len(missing), disable=quiet)
        known.update((keys[n], thumb) for n, thumb in bar)
    if errors:
        first = "; ".join(sorted(errors)[:3])
        raise FacemaskError(f"{len(errors)} of {len(files)} files: {first}")
    if cache is not None and missing:
        _write_cache(cache, known)
    thumbs = [known[key] for key in keys]
    return Descriptors(files, np.stack(thumbs) if thumbs else np.empty((0, THUMB, THUMB), np.uint8))


def find_copies(a: Descriptors, b: Descriptors | None = None, progress: bool = True) -> Pairs:
    """Find the copies within `a`, or of pictures of `a` among those of `b`.

    Finds re-encoded, resized, mirrored, cropped, brightened and darkened copies and rotations up to
    about 30 degrees, in any mixture. For each picture at most its 10 likeliest candidates are
    compared, and for a group of more than 10 also those outside of the group, so of a large
    family not every pair is listed, but enough to join it.

    Returns:
        Pairs sorted by `i`, then `j`. Within one set each pair is listed once, with i < j; across
        two sets `i` counts in `a` and `j` in `b`.
    """
    other = a if b is None else b
    if not len(a.paths) or not len(other.paths):
        none = np.empty(0, np.int64)
        return Pairs(none, none, none.astype(np.float32), none.astype(np.float32))
    lookup = build_lookup(other.thumbs)
    i, j, version = candidates(a.thumbs, lookup, b is None, progress)
    scores = compare_pairs(a.thumbs, other.thumbs, i, j, version, progress)
    same_i, same_j = _identical(a.thumbs, None if b is None else b.thumbs)
    i, j = np.concatenate([same_i, i]), np.concatenate([same_j, j])
    scores = np.concatenate([np.tile(np.array([1, 0], np.float32), (len(same_i), 1)), scores])
    pairs = _sorted_pairs(i, j, scores, b is None)
    if b is not None:
        return pairs
    more_i, more_j, version = beyond_groups(a.thumbs, lookup, groups(a, pairs))
    more = compare_pairs(a.thumbs, a.thumbs, more_i, more_j, version, progress)
    i, j = np.concatenate([i, more_i]), np.concatenate([j, more_j])
    return _sorted_pairs(i, j, np.concatenate([scores, more]), True)


def groups(descriptors: Descriptors, pairs: Pairs) -> np.ndarray:
    """Number the groups of copies: int32 (N,), equal for pictures joined by a chain of copies."""
    n = len(descriptors.paths)
    links = coo_array((np.ones(len(pairs.i), np.int8), (pairs.i, pairs.j)), shape=(n, n))
    return connected_components(links, directed=False)[1]


def group_pictures(paths: Sequence[str | Path], cache: str | Path | None = None) -> np.ndarray:
    """The groups of copies among pictures, see `describe` and `groups`: int32 (N,)."""
    described = describe(paths, cache)
    return groups(described, find_copies(described))


def leave_out_copies(
    paths: Sequence[str | Path],
    training_paths: Sequence[str | Path],
    cache: str | Path | None = None,
    largest_shift: float = np.inf,
    progress: bool = True,
) -> np.ndarray:
    """Say which of `paths` have a copy among `training_paths`.

    Args:
        largest_shift: which copies count (see `Pairs`): all of them, or, with `NEAR`, those that
            an augmentation did not move far.

    Returns:
        bool (N,), True for a copy.
    """
    tested = describe(paths, cache, progress)
    pairs = find_copies(tested, describe(training_paths, cache, progress), progress)
    copied = np.zeros(len(tested.paths), bool)
    copied[pairs.i[pairs.shift <= largest_shift]] = True
    return copied


def count_copies(group: np.ndarray, files: Sequence[str], places: Sequence[str]) -> dict:
    """What the groups of N files say, as a value that can be written as JSON.

    Args:
        group: int (N,), as `groups` gives it.
        places: see `shared`.

    Returns:
        images; shared; group_sizes: number of groups of each size; groups: the files of each
        group of two and more, largest first.
    """
    members: dict[int, list[str]] = {}
    for file, g in zip(files, group.tolist(), strict=True):
        members.setdefault(g, []).append(file)
    return {
        "images": len(files),
        "shared": shared(group, places),
        "group_sizes": {str(s): n for s, n in sorted(Counter(map(len, members.values())).items())},
        "groups": sorted((m for m in members.values() if len(m) > 1), key=len, reverse=True),
    }


def shared(group: np.ndarray, places: Sequence[str]) -> dict[str, dict[str, int]]:
    """For each two places, how many pictures of the first have a copy in the second.

    Args:
        group: int (N,), as `groups` gives it.
        places: N names, such as the folder of each picture.

    Returns:
        First place -> second place -> number above 0; within one place a copy is another picture.
    """
    names, place = np.unique(places, return_inverse=True)
    held = np.zeros((group.max(initial=-1) + 1, len(names)), np.int64)  # of a group in a place
    np.add.at(held, (group, place), 1)
    result = {}
    for f, name in enumerate(names):
        # Pictures of place f whose group has one more picture in the other place.
        more = held - np.eye(len(names), dtype=np.int64)[f]
        row = (held[:, [f]] * (more > 0)).sum(axis=0)
        result[str(name)] = {str(n): int(c) for n, c in zip(names, row, strict=True) if c}
    return result


def _sorted_pairs(i: np.ndarray, j: np.ndarray, scores: np.ndarray, within: bool) -> Pairs:
    """Of candidates, those that are copies, each pair once with its best score."""
    if within:
        i, j = np.minimum(i, j), np.maximum(i, j)
    order = np.lexsort((-scores[:, 0], j, i))
    order = order[scores[order, 0] >= COPY]
    order = order[first_of_each(i[order], j[order])]
    return Pairs(i[order], j[order], scores[order, 0], scores[order, 1])


def compare_pairs(
    a: np.ndarray,
    b: np.ndarray,
    i: np.ndarray,
    j: np.ndarray,
    version: np.ndarray,
    progress: bool,
) -> np.ndarray:
    """Compare the candidates that `similar.candidates` gives: float32 (M, 2), score and shift."""
    transforms = versions()

    def compare(n: int) -> tuple[float, float]:
        return compare_thumbs(a[i[n]], b[j[n]], transforms[version[n]])

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the pool below has the cores; a thumbnail is too small to share out
    try:
        with ThreadPoolExecutor(WORKERS) as pool:
            jobs = pool.map(compare, range(len(i)))
            bar = tqdm(jobs, desc="Comparing", total=len(i), disable=not progress)
            return np.array(list(bar), np.float32).reshape(-1, 2)
    finally:
        cv2.setNumThreads(threads)


def compare_thumbs(a: np.ndarray, b: np.ndarray, start: np.ndarray) -> tuple[float, float]:
    """Align two thumbnails and correlate them.

    Args:
        a: uint8 (48, 48).
        b: uint8 (48, 48).
        start: float64 (2, 3), where a point of `b` is expected in `a`, in units of the side.

    Returns:
        Correlation of what is finer than about a tenth of the picture, over the part that both
        show, -1..1; -1 if they cannot be aligned by a transform that a copy may have. And how far
        the corners are shifted, see `Pairs`.
    """
    small_a = cv2.resize(a, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    small_b = cv2.resize(b, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    try:
        # Whole grey values pull from afar, fine structure then settles the fit.
        match, fit = _align(small_a, small_b, to_pixels(start, SMALL), 15)
        if match < ROUGH:
            return -1.0, np.inf
        fine_a, fine_b = _fine(a), _fine(b)
        _, fit = _align(fine_a, fine_b, to_pixels(to_unit(fit, SMALL), THUMB), 8)
    except cv2.error:  # did not converge, or the pictures do not overlap any more
        return -1.0, np.inf
    inverse = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(np.full(a.shape, 255, np.uint8), fit, (THUMB, THUMB), flags=inverse) > 254
    stretch = np.linalg.svd(fit[:, :2], compute_uv=False)
    if seen.mean() < 0.6 or stretch[0] > 1.8 or stretch[1] < 1 / 1.8:
        return -1.0, np.inf
    smooth_a, smooth_b = (cv2.GaussianBlur(x, (3, 3), 0) for x in (fine_a, fine_b))
    x = cv2.warpAffine(smooth_a, fit, (THUMB, THUMB), flags=inverse)[seen]
    y = smooth_b[seen]
    x, y = x - x.mean(), y - y.mean()
    length = float(np.linalg.norm(x) * np.linalg.norm(y))
    if length == 0:
        return -1.0, np.inf
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    unit = to_unit(fit, THUMB)
    moved = corners @ unit[:, :2].T + unit[:, 2]
    if np.linalg.det(unit[:, :2]) < 0:  # mirrored
        moved[:, 0] = 1 - moved[:, 0]
    return float(x @ y) / length, float(np.linalg.norm(moved - corners, axis=1).max())


def _fine(thumb: np.ndarray) -> np.ndarray:
    grey = thumb.astype(np.float32)
    return grey - cv2.GaussianBlur(grey, (0, 0), THUMB / 13)


def _align(
    a: np.ndarray, b: np.ndarray, start: np.ndarray, rounds: int
) -> tuple[float, np.ndarray]:
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, rounds, 1e-3)
    return cv2.findTransformECC(b, a, start, cv2.MOTION_AFFINE, stop, None, 3)


def _identical(a: np.ndarray, b: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of equal thumbnails: each joined to the first of its kind (in `b`, if given).

    Finds plain pictures too, which have no gradients, and more than NEIGHBOURS equal pictures.
    """
    both = [a] if b is None else [b, a]
    digests = [blake2b(thumb, digest_size=8).digest() for thumbs in both for thumb in thumbs]
    marks = np.frombuffer(b"".join(digests), np.uint64)
    _, first, kind = np.unique(marks, return_index=True, return_inverse=True)
    first = first[kind]
    if b is None:
        j = np.arange(len(a))
        return first[first != j], j[first != j]
    first = first[len(b) :]
    i = np.flatnonzero(first < len(b))
    return i, first[i]


def _key(path: Path) -> tuple[str, int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise FacemaskError(f"{path} does not exist; check the name") from error
    return os.path.abspath(path), status.st_size, status.st_mtime_ns


def _read_cache(cache: str | Path | None) -> dict[tuple[str, int, int], np.ndarray]:
    if cache is None or not Path(cache).exists():
        return {}
    try:
        with np.load(cache, allow_pickle=False) as stored:
            names, sizes, times = stored["names"], stored["sizes"], stored["times"]
            thumbs = stored["thumbs"]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return {}  # not ours, or of an earlier layout: described anew and overwritten
    if thumbs.shape[1:] != (THUMB, THUMB):
        return {}
    keys = zip(names.tolist(), sizes.tolist(), times.tolist(), strict=True)
    return dict(zip(keys, thumbs, strict=True))


def _write_cache(cache: str | Path, known: dict[tuple[str, int, int], np.ndarray]) -> None:
    names, sizes, times = zip(*known, strict=True)
    with write_whole(cache) as partial, open(partial, "wb") as file:
        np.savez(
            file,
            names=np.array(names),
            sizes=np.array(sizes),
            times=np.array(times),
            thumbs=np.stack(list(known.values())),
        )
