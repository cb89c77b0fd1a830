"""Copies within and across the splits of a split folder: looked for once, then remembered."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from facemask.copies import duplicates
from facemask.datasets.prepare import SPLITS, read_sources
from facemask.datasets.splits import group_callable
from facemask.io.files import read_json, remember

# Which copies count, by how far the corners of the picture are shifted (`duplicates.Pairs`).
KINDS = {"same": duplicates.SAME, "near": duplicates.NEAR, "all": np.inf}


def split_copies(split_folder: str | Path, run: str | Path, progress: bool = True) -> dict:
    """Find the copies in a split folder, and keep them in <run>/copies.json.

    Returns:
        images; shared: for "split/class" and "split/class" how many pictures of the first have a
        copy in the second (`duplicates.shared`); of_training: for test and validation and each
        class the number of images and of those with a copy in train, by `KINDS`: "same" is the same
        picture, perhaps re-encoded, resized, re-lit or mirrored; "near" may be cropped, turned or
        shifted by a little as well; "all" are all that share a group with a training picture;
        closest: for each picture of test and validation that has one, [its closest copy in train,
        shift]; groups: the files of each group of two and more, largest first; group_sizes: number
        of groups by size.

    Raises:
        FacemaskError: the folder was not written by `prepare`, or a picture cannot be read.
    """
    split_folder = Path(split_folder)
    settings = read_json(split_folder / "prepare.json")["settings"]
    made_from = {
        "data": settings, "copy": duplicates.COPY, "same": duplicates.SAME, "near": duplicates.NEAR,
    }  # fmt: skip
    return remember(
        Path(run) / "copies.json", made_from, lambda: _find(split_folder, progress)
    )


def _find(split_folder: Path, progress: bool) -> dict:
    files = list(read_sources(split_folder))
    described = duplicates.describe([split_folder / f for f in files], progress=progress)
    group = duplicates.groups(described, duplicates.find_copies(described, progress=progress))
    split = np.array([f.split("/")[0] for f in files])

    def part(name: str) -> duplicates.Descriptors:
        places = np.flatnonzero(split == name)
        return duplicates.Descriptors([Path(files[n]) for n in places], described.thumbs[places])

    closest: dict[str, tuple[str, float]] = {}
    train = part("train")
    for name in SPLITS[1:]:
        # Asked for apart: of a large family the first search lists some pairs only.
        ours = part(name)
        pairs = duplicates.find_copies(ours, train, progress=progress)
        for n in np.argsort(-pairs.shift):  # the closest last
            file = ours.paths[pairs.i[n]].as_posix()
            closest[file] = train.paths[pairs.j[n]].as_posix(), float(pairs.shift[n])
    # One search may find what the other has missed: join the groups of what it found.
    place = {f: n for n, f in enumerate(files)}
    for file, (other, _) in closest.items():
        a, b = group[place[file]], group[place[other]]
        group[group == b] = a
    found = duplicates.count_copies(group, files, [f.rsplit("/", 1)[0] for f in files])
    found["closest"] = closest
    found["of_training"] = {}
    for name in SPLITS[1:]:
        ours = [f for f in files if f.startswith(f"{name}/")]
        label = np.array([f.split("/")[1] for f in ours])
        marks = {kind: copied(found, ours, kind) for kind in KINDS}
        found["of_training"][name] = {
            str(c): {
                "images": int(np.sum(label == c)),
                **{kind: int(np.sum(mark[label == c])) for kind, mark in marks.items()},
            }
            for c in np.unique(label)
        }
    return found


def copied(found: dict, files: Sequence[str], kind: str = "all") -> np.ndarray:
    """Which of some test or validation pictures are copies of training pictures.

    Args:
        found: what `split_copies` returned.
        files: N files, relative to the split folder.
        kind: one of `KINDS`.

    Returns:
        bool (N,).
    """
    if kind == "all":
        marked = {
            f for group in found["groups"] if any(g.startswith("train/") for g in group)
            for f in group
        }
    else:
        marked = {f for f, (_, shift) in found["closest"].items() if shift <= KINDS[kind]}
    return np.array([f in marked for f in files], bool)


def group_ids(found: dict, files: Iterable[str]) -> np.ndarray:
    """The number of the group of copies of each of N files: int (N,)."""
    number = {f: n for n, group in enumerate(found["groups"]) for f in group}
    alone = len(found["groups"])
    return np.array([number.get(f, alone + n) for n, f in enumerate(files)])


def leaking_shares(found: dict, split_folder: str | Path, seed: int = 0) -> dict[str, float]:
    """The share of test pictures with a copy in train, by this split and by two made for it.

    Returns:
        "this split"; "simple split" of all its pictures, drawn by class; "group-aware split", dealt
        out as `splits.group_callable` does; each 70/15/15 but the first.
    """
    split_folder = Path(split_folder)
    files = list(read_sources(split_folder))
    group, label = group_ids(found, files), np.array([f.split("/")[1] for f in files])
    side = {"this split": np.array([f.split("/")[0] for f in files])}
    rng, order = np.random.default_rng(seed), ["train"] * 70 + ["validation"] * 15 + ["test"] * 15
    drawn, dealt = np.empty(len(files), object), np.empty(len(files), object)
    # By class alone: pictures of one class may lie in three folders here.
    paths = [Path(f.split("/")[1], str(n)) for n, f in enumerate(files)]
    pack = group_callable(paths, group, seed=seed)
    for c in np.unique(label):
        ours = np.flatnonzero(label == c)
        places = np.arange(len(ours)) * 100 // len(ours)
        drawn[rng.permutation(ours)] = np.array(order, object)[places]
        for part, members in zip(order, pack([paths[n] for n in ours]), strict=True):
            dealt[[int(path.name) for path in members]] = part
    side |= {"simple split": drawn, "group-aware split": dealt}
    shares = {}
    for name, where in side.items():
        leaks = np.isin(group[where == "test"], group[where == "train"])
        shares[name] = float(leaks.mean()) if len(leaks) else 0.0
    return shares


def summary(found: dict) -> str:
    """The counts in a few lines, for the terminal."""
    several = sum(len(group) for group in found["groups"])
    lines = [
        f"{found['images']} pictures, {several} of them in {len(found['groups'])} groups of copies",
        f"{'':26}{'pictures':>9} {'same':>6} {'near':>6} {'all':>6}  copies of training pictures",
    ]
    for split, classes in found["of_training"].items():
        for label, row in classes.items():
            numbers = " ".join(f"{row[kind]:6}" for kind in KINDS)
            lines.append(f"{split:11}{label:15}{row['images']:9} {numbers}")
    lines.append("pictures of the first that have a copy in the second:")
    for first, row in found["shared"].items():
        for second, number in row.items():
            lines.append(f"  {first:26}{second:26}{number:7}")
    return "\n".join(lines)
