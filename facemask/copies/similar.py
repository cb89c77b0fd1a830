"""Candidates for copies: pictures whose gradients point the same way at the same places."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import cv2
import faiss
import numpy as np
from tqdm import tqdm

SMALL, CELLS, BINS = 32, 4, 8  # pixels a side, cells a side, orientations
SCALES, TURNS = (0.8, 1.0, 1.2), (-24, -12, 0, 12, 24)  # versions looked up; degrees
NEIGHBOURS = 10  # candidates kept for a picture
SPEAKERS = 12  # pictures of a large group looked up again, outside of it
SIMILAR = 0.5  # cosine of whitened histograms above which a picture is a candidate
FLAT_UP_TO = 50_000  # pictures searched exactly; above, an inverted file is faster
CHUNK = 512  # pictures looked up at a time: bounds the memory, and small arrays stay in the cache
WORKERS = 2


class Lookup(NamedTuple):
    """Pictures to look up others in: the index of their descriptors, and what evens these out."""

    descriptors: faiss.Index
    whiten: Callable[[np.ndarray], np.ndarray]


def build_lookup(thumbs: np.ndarray) -> Lookup:
    """Index uint8 (N, 48, 48) thumbnails, N > 0."""
    n = len(thumbs)
    lists = int(4 * np.sqrt(n))
    # Enough pictures to learn from; of many more, the rest would only take time.
    size = min(n, max(40 * lists, 20_000))
    sample = np.random.default_rng(0).choice(n, size, replace=False)
    rows = np.concatenate([_histograms(_shrink(thumbs[sample[s]])) for s in _chunks(size)])
    whiten = _whitening(rows)
    if n <= FLAT_UP_TO:
        index: Any = faiss.IndexFlatIP(rows.shape[1])
    else:
        kind = f"IVF{lists},SQfp16"
        index = faiss.index_factory(rows.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        index.nprobe = 16
        index.cp.niter = 10
        index.train(whiten(rows))
    for s in _chunks(n):
        index.add(whiten(_histograms(_shrink(thumbs[s]))))
    return Lookup(index, whiten)


def candidates(
    a: np.ndarray, lookup: Lookup, within: bool, progress: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Look up likely copies of the pictures of `a`.

    Args:
        a: uint8 (N, 48, 48), N > 0.
        lookup: made from the pictures to search, b; `within` says that these are `a` itself.

    Returns:
        int64 (M,) each: positions in `a`, positions in b, and the version of a that is like b.
    """
    found = []
    for s in tqdm(list(_chunks(len(a))), desc="Looking up", disable=not progress):
        i, j, near, version = _search(a[s], lookup, NEIGHBOURS + within)
        i += s.start
        other = ~(within & (i == j))
        found.append(_best(i[other], j[other], near[other], version[other]))
    i, j, near, version = map(np.concatenate, zip(*found, strict=True))
    if within:  # either of two pictures may have found the other: keep the nearer version
        low, high = np.minimum(i, j), np.maximum(i, j)
        order = np.lexsort((-near, high, low))
        order = order[first_of_each(low[order], high[order])]
        i, j, version = i[order], j[order], version[order]
    return i, j, version


def beyond_groups(
    thumbs: np.ndarray, lookup: Lookup, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Look up pictures of large groups again, this time outside of their own group.

    The nearest neighbours of a picture of a large family are all of that family; whoever else is
    a copy, such as another part of the family, is not among them. A few pictures speak for each.

    Args:
        thumbs: uint8 (N, 48, 48), the pictures that `lookup` was made from.
        group: int (N,), the groups found so far.

    Returns:
        Like `candidates`.
    """
    found = []
    order = np.argsort(group, kind="stable")
    for members in np.split(order, np.cumsum(np.bincount(group))[:-1]):
        if len(members) <= NEIGHBOURS:
            continue
        some = members[:: -(-len(members) // SPEAKERS)]
        i, j, near, version = _search(thumbs[some], lookup, min(NEIGHBOURS + len(members), 1000))
        other = group[j] != group[members[0]]
        i, j, _, version = _best(i[other], j[other], near[other], version[other])
        found.append((some[i], j, version))
    none = np.empty(0, np.int64)
    i, j, version = map(np.concatenate, zip((none,) * 3, *found, strict=True))
    return i, j, version


def versions() -> list[np.ndarray]:
    """Transforms of the versions looked up, each about the centre: plain ones, then mirrored."""
    result = []
    for mirror in (1, -1):
        for scale in SCALES:
            for turn in np.deg2rad(TURNS):
                cos, sin = scale * np.cos(turn), scale * np.sin(turn)
                matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror, 1])
                result.append(np.c_[matrix, 0.5 - matrix.sum(axis=1) / 2])
    return result


def to_pixels(transform: np.ndarray, side: int) -> np.ndarray:
    """From units of the side to pixels, whose centres lie at half units."""
    turn, shift = transform[:, :2], transform[:, 2]
    shift = turn.sum(axis=1) / 2 + shift * side - 0.5
    return np.hstack([turn, shift[:, None]]).astype(np.float32)


def to_unit(transform: np.ndarray, side: int) -> np.ndarray:
    turn, shift = transform[:, :2], transform[:, 2]
    return np.hstack([turn, ((shift + 0.5 - turn.sum(axis=1) / 2) / side)[:, None]])


def first_of_each(i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Of sorted pairs, True for the first of each run of equal ones."""
    return np.r_[True, (np.diff(i) != 0) | (np.diff(j) != 0)][: len(i)]


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


def _shrink(thumbs: np.ndarray) -> np.ndarray:
    return np.stack([cv2.resize(t, (SMALL, SMALL), interpolation=cv2.INTER_AREA) for t in thumbs])


def _versions_of(small: np.ndarray) -> Iterator[np.ndarray]:
    """Histograms of every version of uint8 (N, 32, 32), in the order of `versions`."""
    plain = versions()[: len(SCALES) * len(TURNS)]

    def look(transform: np.ndarray) -> np.ndarray:
        matrix = to_pixels(transform, SMALL)
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


def _search(thumbs: np.ndarray, lookup: Lookup, k: int) -> tuple[np.ndarray, ...]:
    """Look up all versions of some pictures: i, j, similarity and version of what is similar."""
    rows = lookup.whiten(np.concatenate(list(_versions_of(_shrink(thumbs)))))
    near, j = lookup.descriptors.search(rows, min(k, lookup.descriptors.ntotal))
    row, column = np.nonzero((near > SIMILAR) & (j >= 0))  # faiss answers -1 if it found too few
    version, i = np.divmod(row, len(thumbs))
    return i, j[row, column], near[row, column], version


def _best(
    i: np.ndarray, j: np.ndarray, near: np.ndarray, version: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Keep the nearest version of each pair, then the nearest pairs of each picture."""
    order = np.lexsort((-near, j, i))
    order = order[first_of_each(i[order], j[order])]
    order = order[np.lexsort((-near[order], i[order]))]
    start = np.searchsorted(i[order], i[order])  # where the pairs of this picture begin
    order = order[np.arange(len(order)) - start < NEIGHBOURS]
    return i[order], j[order], near[order], version[order]


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK))
