"""Splits that keep copies together: groups of pictures, handed to split-folders."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from facemask.io.files import FacemaskError

PARTS = 100  # what split-folders is given to deal out, per class


class _Part(tuple[Path, ...]):
    """A tuple of paths that split-folders sorts by `number`, not by its first path."""

    number: int

    def __lt__(self, other: tuple[Path, ...]) -> bool:
        return self.number < other.number if isinstance(other, _Part) else super().__lt__(other)


def group_callable(
    paths: Sequence[str | Path],
    group_ids: Sequence[int] | np.ndarray,
    shares: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
) -> Callable[[list[Path]], list[tuple[Path, ...]]]:
    """Make what split-folders needs to keep groups together:

        splitfolders.ratio(folder, out, ratio=shares, shuffle=False,
                           group=group_callable(paths, group_ids, shares, seed))

    and `splitfolders.kfold(folder, out, k=k, shuffle=False, group=...)` with k equal shares.

    split-folders deals out whole groups, but it counts groups, not pictures, and it handles each
    class by itself: a family of a hundred pictures would upset the ratio, and a group with pictures
    in two classes could straddle. So the groups are dealt out here, larger ones first, each to the
    side that is least full for its classes (greedy packing: Graham, 1969), all classes at once. The
    callable then hands split-folders, for each class, 100 parts in an order that puts every group
    where it belongs. With `shuffle=True` groups would still stay whole, but the ratio would not
    be kept.

    Args:
        paths: all pictures of the input folder; the folder a picture is in is its class.
        group_ids: the group of each picture.
        shares: the ratio that split-folders will be given, in whole per cents.
        seed: another seed deals the groups out differently.

    Returns:
        A function from the files of one class to 100 tuples of files, some of them empty; it raises
        FacemaskError if it is asked about a file that is not in `paths`.
    """
    resolved = [Path(p).resolve() for p in paths]
    _, label = np.unique([str(p.parent) for p in resolved], return_inverse=True)
    _, group = np.unique(group_ids, return_inverse=True)
    counts = np.zeros((group.max(initial=-1) + 1, label.max(initial=-1) + 1))
    np.add.at(counts, (group, label), 1)
    size = counts.sum(axis=1)
    counts /= np.maximum(counts.sum(axis=0), 1)  # shares of the class

    # As split-folders does: what is left over by rounding goes to the last side.
    borders = [round(s * PARTS) for s in np.cumsum([0, *shares[:-1]])] + [PARTS]
    target = np.diff(borders)
    rng = np.random.default_rng(seed)
    part = np.zeros(len(counts), np.int64)
    full = np.zeros((len(target), counts.shape[1]))
    dealt = np.zeros(len(target), np.int64)
    for g in np.argsort(-size * rng.uniform(0.5, 1, len(size))):
        need = (full + counts[g]) @ counts[g]
        side = np.argmin(np.where(target, need / np.maximum(target, 1), np.inf))
        full[side] += counts[g]
        part[g] = borders[side] + dealt[side] % target[side]
        dealt[side] += 1
    part_of_path = dict(zip(resolved, part[group].tolist(), strict=True))

    def pack(files: list[Path]) -> list[tuple[Path, ...]]:
        parts: list[list[Path]] = [[] for _ in range(PARTS)]
        for file in sorted(files):
            number = part_of_path.get(Path(file).resolve())
            if number is None:
                raise FacemaskError(f"{file} was not there when copies were looked for; run again")
            parts[number].append(file)
        result: list[tuple[Path, ...]] = []
        for number, members in enumerate(parts):
            whole = _Part(members)
            whole.number = number
            result.append(whole)
        return result

    return pack
