"""Splits that keep copies together: groups of pictures, handed to split-folders."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from facemask.files import FacemaskError


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
