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
copy as far away as another person's face is. `facemask/bench_copies.py` measures all of it.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import faiss
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from facemask.files import FacemaskError, find_images, read_image, write_whole

THUMB, SMALL, CELLS, BINS = 48, 32, 4, 8  # pixels, pixels, cells a side, orientations
SCALES, TURNS = (0.8, 1.0, 1.2), (-24, -12, 0, 12, 24)  # versions looked up; degrees
NEIGHBOURS = 10  # candidates kept for a picture
SIMILAR = 0.5  # cosine of whitened histograms above which a candidate is aligned
ROUGH = 0.85  # correlation of small pictures below which no finer look is taken
COPY = 0.88  # correlation of aligned pictures above which they are copies
WORKERS = 2
FLAT_UP_TO = 50_000  # pictures searched exactly; above, an inverted file is faster
CHUNK = 512  # pictures looked up at a time; bounds the memory, and small arrays are faster


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
    """Copies found: `i` and `j` are int64 (M,) positions, `score` float32 (M,) in 0.88..1."""

    i: np.ndarray
    j: np.ndarray
    score: np.ndarray


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
    paths = [Path(p) for p in paths]
    keys = [_key(p) for p in paths]
    known = _read_cache(cache)
    missing = [n for n, key in enumerate(keys) if key not in known]
    errors: list[str] = []

    def read(n: int) -> tuple[int, np.ndarray | None]:
        try:
            return n, thumbnail(read_image(paths[n]))
        except FacemaskError as error:
            errors.append(str(error))
            return n, None

    with ThreadPoolExecutor(WORKERS) as pool:
        found = tqdm(
            pool.map(read, missing),
            desc="Reading pictures",
            total=len(missing),
            disable=not (progress and missing),
        )
        known.update((keys[n], thumb) for n, thumb in found)
    if errors:
        raise FacemaskError(f"{len(errors)} of {len(paths)} files: " + "; ".join(sorted(errors)[:3]))
    if cache is not None and missing:
        _write_cache(cache, known)
    thumbs = [known[key] for key in keys]
    return Descriptors(paths, np.stack(thumbs) if thumbs else np.empty((0, THUMB, THUMB), np.uint8))


def find_copies(a: Descriptors, b: Descriptors | None = None, progress: bool = True) -> Pairs:
    """Find the copies within `a`, or of pictures of `a` among those of `b`.

    Finds re-encoded, resized, mirrored, cropped, brightened and darkened copies and rotations up to
    about 30 degrees, in any mixture. For each picture at most its 10 likeliest candidates are
    compared, so of a large family not every pair is listed, but enough to join it.

    Returns:
        Pairs sorted by `i`, then `j`. Within one set each pair is listed once, with i < j; across
        two sets `i` counts in `a` and `j` in `b`.
    """
    other = a if b is None else b
    if not len(a.paths) or not len(other.paths):
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    i, j, version = _candidates(a.thumbs, other.thumbs, b is None, progress)
    transforms = _versions()

    def compare(n: int) -> float:
        return compare_thumbs(a.thumbs[i[n]], other.thumbs[j[n]], transforms[version[n]])

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the pool below has the cores; a thumbnail is too small to share out
    try:
        with ThreadPoolExecutor(WORKERS) as pool:
            jobs = pool.map(compare, range(len(i)), chunksize=64)
            bar = tqdm(jobs, desc="Comparing", total=len(i), disable=not progress)
            score = np.fromiter(bar, np.float32, len(i))
    finally:
        cv2.setNumThreads(threads)
    same_i, same_j = _identical(a.thumbs, None if b is None else b.thumbs)
    i, j = np.concatenate([same_i, i]), np.concatenate([same_j, j])
    score = np.concatenate([np.ones(len(same_i), np.float32), score])
    if b is None:
        i, j = np.minimum(i, j), np.maximum(i, j)
    order = np.lexsort((-score, j, i))
    order = order[score[order] >= COPY]
    i, j, score = i[order], j[order], score[order]
    first = np.r_[True, (np.diff(i) != 0) | (np.diff(j) != 0)][: len(i)]
    return Pairs(i[first], j[first], score[first])


def groups(descriptors: Descriptors, pairs: Pairs) -> np.ndarray:
    """Number the groups of copies: int32 (N,), equal for pictures joined by a chain of copies."""
    n = len(descriptors.paths)
    links = coo_array((np.ones(len(pairs.i), np.int8), (pairs.i, pairs.j)), shape=(n, n))
    return connected_components(links, directed=False)[1]


def leave_out_copies(
    paths: Sequence[str | Path],
    training_paths: Sequence[str | Path],
    cache: str | Path | None = None,
    progress: bool = True,
) -> np.ndarray:
    """Say which of `paths` have a copy among `training_paths`: bool (N,), True for a copy."""
    tested = describe(paths, cache, progress)
    pairs = find_copies(tested, describe(training_paths, cache, progress), progress)
    copied = np.zeros(len(tested.paths), bool)
    copied[pairs.i] = True
    return copied


class _Bin(tuple):
    """A tuple of paths that split-folders sorts by `number`, not by its first path."""

    number: int

    def __lt__(self, other: "_Bin") -> bool:
        return self.number < other.number


def group_callable(
    paths: Sequence[str | Path], group_ids: Sequence[int], seed: int = 0, bins: int = 20
) -> Callable[[list[Path]], list[tuple[Path, ...]]]:
    """Make what `splitfolders.ratio(..., group=callable)` and `kfold` need to keep groups together.

    split-folders deals out whole groups and counts groups, not pictures, and it handles each class
    by itself. A family of a hundred pictures would upset the ratio, and a group with pictures in
    two classes could straddle. So the groups are first packed into `bins` of equal size in every
    class, largest group first into the emptiest bin (Graham, 1969), all of a group into the bin
    of the same number. split-folders shuffles each class from the same seed, so bins of the same
    number go to the same side in every class.

    Args:
        paths: all pictures of the input folder; the folder a picture is in is its class.
        group_ids: the group of each picture.
        seed: decides between bins that are equally full.
        bins: 20 suits ratios in steps of 5 %, and 2, 4, 5, 10 or 20 folds. Fewer are used if a
            class has fewer groups.

    Returns:
        A function from the files of one class to `bins` tuples of files; it raises FacemaskError
        if it is asked about a file that is not in `paths`.
    """
    paths = [Path(p).resolve() for p in paths]
    _, labels = np.unique([str(p.parent) for p in paths], return_inverse=True)
    _, group = np.unique(group_ids, return_inverse=True)
    counts = np.zeros((group.max(initial=-1) + 1, labels.max(initial=-1) + 1), np.int64)
    np.add.at(counts, (group, labels), 1)
    bins = max(1, min(bins, *(counts > 0).sum(axis=0), len(counts)))
    share = counts / np.maximum(counts.sum(axis=0), 1)
    load = np.zeros((bins, counts.shape[1]))
    bin_of_group = np.zeros(len(counts), np.int64)
    shuffled = np.random.default_rng(seed).permutation(len(counts))
    for g in shuffled[np.argsort(-share[shuffled].max(axis=1), kind="stable")]:
        bin_of_group[g] = np.argmin(load @ share[g])
        load[bin_of_group[g]] += share[g]
    bin_of_path = dict(zip(paths, bin_of_group[group].tolist()))

    def pack(files: list[Path]) -> list[tuple[Path, ...]]:
        packed: list[list[Path]] = [[] for _ in range(bins)]
        for file in sorted(files):
            number = bin_of_path.get(Path(file).resolve())
            if number is None:
                raise FacemaskError(f"{file} was not there when copies were looked for; run again")
            packed[number].append(file)
        result = [_Bin(files) for files in packed]
        for number, files in enumerate(result):
            files.number = number
        return result

    return pack


def copies_report(
    folders: Sequence[str | Path], cache: str | Path | None = None, progress: bool = True
) -> dict:
    """Report the copies within and across folders, as a value that can be written as JSON.

    Returns:
        `images`; `folders`: the folders that hold pictures, with their number of images and how
        many of them have a copy anywhere; `shared`: for each pair of such folders, how many
        pictures of the first share a group with a picture of the second (within one folder: with
        another picture of it); `group_sizes`: number of groups of each size; `groups`: the paths
        of each group of two and more, largest first.

    Raises:
        FacemaskError: a folder has no pictures, or a picture cannot be read.
    """
    paths: list[Path] = []
    for folder in folders:
        found = find_images(folder)
        if not found:
            raise FacemaskError(f"{folder} holds no pictures; check the name of the folder")
        paths += [p for p in found if p not in set(paths)]
    described = describe(paths, cache, progress)
    group = groups(described, find_copies(described, progress=progress))
    size = np.bincount(group)
    names, place = np.unique([str(p.parent) for p in paths], return_inverse=True)
    held = np.zeros((len(size), len(names)), np.int64)  # pictures of a group in a folder
    np.add.at(held, (group, place), 1)
    shared = {}
    for f, name in enumerate(names):
        # Pictures of folder f whose group has one more picture in the other folder.
        more = held - np.eye(len(names), dtype=np.int64)[f]
        row = (held[:, [f]] * (more > 0)).sum(axis=0)
        shared[str(name)] = {str(n): int(c) for n, c in zip(names, row) if c}
    members: dict[int, list[str]] = {}
    for path, g in zip(paths, group.tolist()):
        members.setdefault(g, []).append(str(path))
    sizes, numbers = np.unique(size, return_counts=True)
    return {
        "images": len(paths),
        "folders": {
            str(name): {
                "images": int((place == f).sum()),
                "with_copies": int((size[group[place == f]] > 1).sum()),
            }
            for f, name in enumerate(names)
        },
        "shared": shared,
        "group_sizes": {str(s): int(c) for s, c in zip(sizes, numbers)},
        "groups": sorted((m for m in members.values() if len(m) > 1), key=len, reverse=True),
    }


def compare_thumbs(a: np.ndarray, b: np.ndarray, start: np.ndarray) -> float:
    """Align two thumbnails and correlate them.

    Args:
        a: uint8 (48, 48).
        b: uint8 (48, 48).
        start: float64 (2, 3), where a point of `b` is expected in `a`, in units of the side.

    Returns:
        Correlation of what is finer than about a tenth of the picture, over the part that both
        show, -1..1; -1 if they cannot be aligned by a transform that a copy may have.
    """
    small_a = cv2.resize(a, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    small_b = cv2.resize(b, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    try:
        # Whole grey values pull from afar, fine structure then settles the fit.
        match, fit = _align(small_a, small_b, _to_pixels(start, SMALL), 15)
        if match < ROUGH:
            return -1.0
        fine_a, fine_b = _fine(a), _fine(b)
        _, fit = _align(fine_a, fine_b, _to_pixels(_to_unit(fit, SMALL), THUMB), 8)
    except cv2.error:  # did not converge, or the pictures do not overlap any more
        return -1.0
    seen = cv2.warpAffine(
        np.ones_like(a), fit, (THUMB, THUMB), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    ).astype(bool)
    stretch = np.linalg.svd(fit[:, :2], compute_uv=False)
    if seen.mean() < 0.6 or stretch[0] > 1.8 or stretch[1] < 1 / 1.8:
        return -1.0
    moved = cv2.warpAffine(
        cv2.GaussianBlur(fine_a, (3, 3), 0),
        fit,
        (THUMB, THUMB),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    x, y = moved[seen], cv2.GaussianBlur(fine_b, (3, 3), 0)[seen]
    x, y = x - x.mean(), y - y.mean()
    length = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / length if length > 0 else -1.0


def _fine(thumb: np.ndarray) -> np.ndarray:
    grey = thumb.astype(np.float32)
    return grey - cv2.GaussianBlur(grey, (0, 0), THUMB / 13)


def _align(a: np.ndarray, b: np.ndarray, start: np.ndarray, rounds: int) -> tuple[float, np.ndarray]:
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, rounds, 1e-3)
    return cv2.findTransformECC(b, a, start, cv2.MOTION_AFFINE, stop, None, 3)


def _to_pixels(transform: np.ndarray, side: int) -> np.ndarray:
    """From units of the side to pixels, whose centres lie at half units."""
    turn, shift = transform[:, :2], transform[:, 2]
    return np.c_[turn, turn.sum(axis=1) / 2 + shift * side - 0.5].astype(np.float32)


def _to_unit(transform: np.ndarray, side: int) -> np.ndarray:
    turn, shift = transform[:, :2], transform[:, 2]
    return np.c_[turn, (shift + 0.5 - turn.sum(axis=1) / 2) / side]


def _versions() -> list[np.ndarray]:
    """Transforms of the versions looked up, each about the centre: plain ones, then mirrored."""
    result = []
    for mirror in (1, -1):
        for scale in SCALES:
            for turn in np.deg2rad(TURNS):
                cos, sin = scale * np.cos(turn), scale * np.sin(turn)
                matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror, 1])
                result.append(np.c_[matrix, 0.5 - matrix.sum(axis=1) / 2])
    return result


def _histograms(thumbs: np.ndarray) -> np.ndarray:
    """Gradient orientations of uint8 (N, 32, 32) by cell: float32 (N, 128), of length 1."""
    grey = thumbs.astype(np.float32)
    dx, dy = np.zeros_like(grey), np.zeros_like(grey)
    np.subtract(grey[:, :, 2:], grey[:, :, :-2], out=dx[:, :, 1:-1])
    np.subtract(grey[:, 2:], grey[:, :-2], out=dy[:, 1:-1])
    strength, angle = cv2.cartToPolar(dx.reshape(-1, SMALL), dy.reshape(-1, SMALL))
    np.sqrt(strength, out=strength)  # so that one strong edge does not outweigh the rest
    angle *= BINS / (2 * np.pi)
    below = angle.astype(np.int64)
    upper = (angle - below) * strength  # counts for the two nearest orientations, in proportion
    row = np.arange(SMALL) * CELLS // SMALL
    cell = np.arange(len(thumbs))[:, None, None] * CELLS**2 + row[:, None] * CELLS + row
    place = cell.reshape(-1, SMALL) * BINS
    size = len(thumbs) * CELLS**2 * BINS
    histogram = np.bincount((place + below % BINS).ravel(), (strength - upper).ravel(), size)
    histogram += np.bincount((place + (below + 1) % BINS).ravel(), upper.ravel(), size)
    result = histogram.astype(np.float32).reshape(len(thumbs), -1)
    return _unit(result - result.mean(axis=1, keepdims=True))


def _mirror(histograms: np.ndarray) -> np.ndarray:
    """Histograms of the mirrored pictures, without looking at them again."""
    cells = histograms.reshape(-1, CELLS, CELLS, BINS)[:, :, ::-1]
    return cells[..., (BINS // 2 - np.arange(BINS)) % BINS].reshape(len(histograms), -1)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _whitening(histograms: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Learn to even out what the pictures have in common; of few pictures, little is learnt."""
    n, size = histograms.shape
    trust = n / (n + size)
    mean = trust * histograms.mean(axis=0)
    spread = (histograms - mean).T @ (histograms - mean) / n
    values, vectors = np.linalg.eigh(spread)
    level = values.mean()
    values = trust * values + (1 - trust) * level
    matrix = (vectors / np.sqrt(values + 0.3 * level + 1e-12)).astype(np.float32)
    mean = mean.astype(np.float32)
    return lambda rows: np.ascontiguousarray(_unit((rows - mean) @ matrix))


def build_index(rows: np.ndarray) -> faiss.Index:
    """Index unit vectors float32 (N, D) for search by inner product."""
    n, size = rows.shape
    if n <= FLAT_UP_TO:
        index = faiss.IndexFlatIP(size)
    else:
        lists = int(4 * np.sqrt(n))
        index = faiss.index_factory(size, f"IVF{lists},SQfp16", faiss.METRIC_INNER_PRODUCT)
        index.nprobe = 16
        index.train(rows[np.random.default_rng(0).choice(n, min(n, 40 * lists), replace=False)])
    index.add(rows)
    return index


def _shrink(thumbs: np.ndarray) -> np.ndarray:
    return np.stack([cv2.resize(t, (SMALL, SMALL), interpolation=cv2.INTER_AREA) for t in thumbs])


def _versions_of(small: np.ndarray) -> Iterator[np.ndarray]:
    """Histograms of every version of uint8 (N, 32, 32), in the order of `_versions`."""
    plain = _versions()[: len(SCALES) * len(TURNS)]

    def look(transform: np.ndarray) -> np.ndarray:
        matrix = _to_pixels(transform, SMALL)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        turned = [
            cv2.warpAffine(t, matrix, (SMALL, SMALL), flags=flags, borderMode=cv2.BORDER_REPLICATE)
            for t in small
        ]
        return _histograms(np.stack(turned))

    with ThreadPoolExecutor(WORKERS) as pool:
        histograms = list(pool.map(look, plain))
    yield from histograms
    yield from map(_mirror, histograms)


def _candidates(
    a: np.ndarray, b: np.ndarray, within: bool, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Look up likely copies: positions in `a` and in `b`, and the version of `a` that is like b."""
    own = np.concatenate([_histograms(_shrink(b[s])) for s in _chunks(len(b))])
    whiten = _whitening(own)
    index = build_index(whiten(own))
    found = []
    for s in tqdm(list(_chunks(len(a))), desc="Looking up", disable=not progress):
        rows = []
        for version, histograms in enumerate(_versions_of(_shrink(a[s]))):
            near, j = index.search(whiten(histograms), min(NEIGHBOURS + within, len(b)))
            i = np.broadcast_to(np.arange(s.start, s.start + len(near))[:, None], j.shape)
            keep = (near > SIMILAR) & ~(within & (i == j))
            rows.append((i[keep], j[keep], near[keep], np.full(keep.sum(), version)))
        found.append(_best(*map(np.concatenate, zip(*rows))))
    i, j, near, version = map(np.concatenate, zip(*found))
    if within:  # either of two pictures may have found the other: keep the nearer version
        pair = np.minimum(i, j) * len(b) + np.maximum(i, j)
        order = np.lexsort((-near, pair))
        order = order[np.r_[True, np.diff(pair[order]) != 0][: len(order)]]
        i, j, version = i[order], j[order], version[order]
    return i, j, version


def _best(
    i: np.ndarray, j: np.ndarray, near: np.ndarray, version: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Keep the nearest version of each pair, then the nearest pairs of each picture."""
    order = np.lexsort((-near, j, i))
    order = order[np.r_[True, (np.diff(i[order]) != 0) | (np.diff(j[order]) != 0)][: len(order)]]
    order = order[np.lexsort((-near[order], i[order]))]
    start = np.searchsorted(i[order], i[order])  # where the pairs of this picture begin
    order = order[np.arange(len(order)) - start < NEIGHBOURS]
    return i[order], j[order], near[order], version[order]


def _identical(a: np.ndarray, b: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of equal thumbnails: each joined to the first of its kind (in `b`, if given).

    Finds plain pictures too, which have no gradients, and more than NEIGHBOURS equal pictures.
    """
    both = a if b is None else np.concatenate([b, a])
    _, first, kind = np.unique(
        both.reshape(len(both), -1), axis=0, return_index=True, return_inverse=True
    )
    first = first[kind.ravel()]
    if b is None:
        j = np.arange(len(a))
        return first[first != j], j[first != j]
    first = first[len(b) :]
    i = np.flatnonzero(first < len(b))
    return i, first[i]


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK))


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
    except (OSError, ValueError, KeyError, EOFError):
        return {}  # not ours, or of an earlier layout: described anew and overwritten
    if thumbs.shape[1:] != (THUMB, THUMB):
        return {}
    return dict(zip(zip(names.tolist(), sizes.tolist(), times.tolist()), thumbs))


def _write_cache(cache: str | Path, known: dict[tuple[str, int, int], np.ndarray]) -> None:
    names, sizes, times = zip(*known)
    with write_whole(cache) as partial, open(partial, "wb") as file:
        np.savez(
            file,
            names=np.array(names),
            sizes=np.array(sizes),
            times=np.array(times),
            thumbs=np.stack(list(known.values())),
        )
