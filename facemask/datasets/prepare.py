"""From a folder of pictures to `data/split/<name>/{train,validation,test}/<class>/`.

Every readable picture is turned upright, made 8-bit RGB, brought to the model's size and written
as PNG, so that training reads it fast and without loss, however the publisher had stored it.
`files.csv` in the split folder says where each came from, `prepare.json` what was found.
"""

import contextlib
import csv
import hashlib
import io
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import splitfolders
import tensorflow as tf
from tqdm import tqdm

from facemask import CLASSES
from facemask.copies import duplicates
from facemask.datasets.splits import group_callable
from facemask.images.crops import resize
from facemask.images.reading import find_images, read_image, unhidden
from facemask.images.writing import write_image
from facemask.io.files import (
    FacemaskError,
    one_at_a_time,
    read_json,
    sweep,
    write_json,
    write_whole,
)
from facemask.io.settings import check_numbers

# Folder names, in lower case without spaces, dots, dashes and underscores, and what they mean.
# Extend these tables if your data set uses other words.
CLASS_FOLDERS = {
    "withmask": "with_mask",
    "mask": "with_mask",
    "masked": "with_mask",
    "correctmask": "with_mask",
    "withoutmask": "without_mask",
    "nomask": "without_mask",
    "unmasked": "without_mask",
    "incorrectmask": "incorrect_mask",
    "maskwearedincorrect": "incorrect_mask",
    "incorrect": "incorrect_mask",
}
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
SPLITS = ("train", "validation", "test")


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c not in " ._-")


def label_of(path: Path) -> tuple[str, str] | None:
    """The split and the class that a picture's folders name.

    The innermost folder that the class table knows gives the class: `with_mask/simple/1.jpg` is
    with_mask, `mask/incorrect/1.jpg` is incorrect_mask. The split is "" where the publisher made
    none.

    Args:
        path: relative to the top of the data set.

    Returns:
        (split, class), or None if no folder names a class.
    """
    split = label = ""
    for part in map(_plain, path.parent.parts):
        split = split or SPLIT_FOLDERS.get(part, "")
        label = CLASS_FOLDERS.get(part, label)
    return (split, label) if label else None


def find_labelled(folder: str | Path) -> dict[Path, tuple[str, str]]:
    """All pictures below `folder` with their (split, class), sorted by path.

    Raises:
        FacemaskError: there is no folder, no picture, or fewer than two classes with pictures.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FacemaskError(f"{folder} is not a folder; give a folder with one folder per class")
    images = find_images(folder)
    if not images:
        raise FacemaskError(f"{folder} holds no pictures; give a folder with one folder per class")
    labelled = {p: found for p in images if (found := label_of(p.relative_to(folder)))}
    classes = {label for _, label in labelled.values()}
    if len(classes) < 2:
        raise FacemaskError(
            f"{folder} has pictures for {len(classes)} of the classes {', '.join(CLASSES)}; a "
            "classifier needs at least two. Folders named like "
            f"{', '.join(sorted(CLASS_FOLDERS))} are recognised; others can be added to "
            "CLASS_FOLDERS in facemask/datasets/prepare.py"
        )
    for part in sorted(d for d in unhidden(folder)
                       if d.is_dir() and _plain(d.name) in CLASS_FOLDERS):
        if not any(part in p.parents for p in labelled):
            raise FacemaskError(
                f"the class folder {part} holds no pictures; fill it or remove it"
            )
    return labelled


def unlabelled(folder: str | Path) -> dict[str, int]:
    """How many pictures below `folder` lie in folders that name no class, by the topmost one."""
    paths = [path.relative_to(folder) for path in find_images(folder)]
    tops = (p.parts[0] + "/" if p.parts[1:] else "." for p in paths if not label_of(p))
    return dict(Counter(tops))


def read_images(
    paths: list[Path], size: int, progress: str = ""
) -> Iterator[np.ndarray | FacemaskError]:
    """Read and resize pictures two at a time, in order.

    Yields:
        uint8 RGB (size, size, 3), or the error for a picture that cannot be read.
    """

    def read(path: Path) -> np.ndarray | FacemaskError:
        try:
            return resize(read_image(path), size)
        except FacemaskError as error:
            return error

    # In blocks, so that a large folder never stands in memory as a whole.
    with ThreadPoolExecutor(max_workers=2) as pool, tqdm(
        total=len(paths), desc=progress, unit="img", disable=not progress
    ) as bar:
        for start in range(0, len(paths), 256):
            for result in pool.map(read, paths[start : start + 256]):
                bar.update()
                yield result


def read_all(paths: list[Path], size: int, progress: str = "") -> np.ndarray:
    """Read pictures that must all be readable: uint8 RGB (N, size, size, 3).

    Raises:
        FacemaskError: one of them cannot be read.
    """
    images = []
    for image in read_images(paths, size, progress):
        if isinstance(image, FacemaskError):
            raise image
        images.append(image)
    return np.stack(images)


def prepare(
    source: str | Path,
    name: str,
    data_dir: str | Path = "data",
    image_size: int = 96,
    seed: int = 0,
    ratio: tuple[float, float, float] = (0.7, 0.15, 0.15),
    grouped: bool = True,
    exclude: str | Path | None = None,
) -> Path:
    """Write the pictures of `source`, split and brought to one size, to data/split/<name>.

    The publisher's own splits are kept where there are some, and a missing one is taken from
    train; otherwise `split-folders` makes them in the given ratio, the same for every class.
    Runs once: a folder made from the same pictures with the same settings is used again.

    Args:
        source: folder whose sub-folders name classes, and perhaps splits.
        name: of the folder to write.
        image_size: side in pixels.
        ratio: shares of train, validation and test, which sum to 1.
        grouped: keep pictures that are copies of one another in one split, where a split is made
            here. False: the simple split, picture by picture, for comparison.
        exclude: file that names pictures to leave out, see `read_exclusions`. None: those that
            this folder was last prepared without, so that every later step leaves them out as
            well; an empty file lifts them.

    Returns:
        The split folder. Its prepare.json lists `unreadable`, `excluded` and `exclude_unknown`,
        the lines of the exclusion file that name no picture.

    Raises:
        FacemaskError: see `find_labelled` and `read_exclusions`; or the folder was made from other
            pictures elsewhere; or a class is left without
            pictures in a split; or image_size or seed is no number that will do.
    """
    check_numbers(image_size=image_size, seed=seed)
    source, folder = Path(source), Path(data_dir) / "split" / name
    sweep(folder.parent)
    labelled = find_labelled(source)
    for top, count in unlabelled(source).items():
        tqdm.write(
            f"{count} of the pictures in {top} are of no known class and left out; see "
            "CLASS_FOLDERS in facemask/datasets/prepare.py", file=sys.stderr
        )  # fmt: skip
    listing = "\n".join(f"{p.relative_to(source)} {p.stat().st_size}" for p in labelled)
    published = {split for split, _ in labelled.values()} >= set(SPLITS)
    settings = {
        "pictures": hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest(),
        "image_size": image_size,
        "seed": seed,
        "ratio": list(ratio),
        "grouped": grouped and not published,
    }
    done = folder / "prepare.json"
    before = read_json(done) if done.is_file() else {"settings": {}}
    other = before.get("path", str(source.resolve()))
    if other != str(source.resolve()) and before["settings"]["pictures"] != settings["pictures"]:
        raise FacemaskError(
            f"{folder} was made from {other}, and {source} is another data set of the same name; "
            f"rename one, or delete {folder} and what was trained on it in models/{name}"
        )
    if exclude is None:
        named = {*before.get("excluded", ()), *before.get("exclude_unknown", ())}
    else:
        named = read_exclusions(exclude)
    if named:  # only then: what was trained before there were exclusions stays valid
        text = "\n".join(sorted(named)).encode("utf-8", "surrogateescape")
        settings["exclude"] = hashlib.sha256(text).hexdigest()
    if before["settings"] == settings:
        return folder

    with one_at_a_time(folder, "prepares"):
        if done.is_file() and read_json(done)["settings"] == settings:
            return folder  # by the run that was waited for
        _write_split(source, folder, labelled, named, settings, ratio, grouped)
    return folder


def _write_split(
    source: Path,
    folder: Path,
    labelled: dict[Path, tuple[str, str]],
    named: set[str],
    settings: dict,
    ratio: tuple[float, float, float],
    grouped: bool,
) -> None:
    """Read, resize and write all pictures, whole or not at all; see `prepare`."""
    size = settings["image_size"]
    names = {p: p.relative_to(source).as_posix() for p in labelled}
    excluded = named & set(names.values())
    paths = [p for p in labelled if names[p] not in excluded]
    sources: dict[str, str] = {}
    unreadable: list[list[str]] = []
    with write_whole(folder) as partial:
        for path, image in zip(paths, read_images(paths, size, f"Preparing {folder.name}")):
            if isinstance(image, FacemaskError):
                unreadable.append([names[path], str(image.__cause__ or image)])
                continue
            split, label = labelled[path]
            target = partial / (split or "unsplit") / label / f"{len(sources):06d}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            write_image(target, image)
            sources[target.stem] = names[path]
        published = _complete_splits(partial, settings["seed"], ratio, grouped)
        counts = _count(partial, {label for _, label in labelled.values()})
        table = partial / "files.csv"  # of names that need not be valid Unicode
        with open(table, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.writer(file)
            rows.writerow(["file", "source"])
            for png in sorted(partial.rglob("*.png")):
                rows.writerow([png.relative_to(partial).as_posix(), sources[png.stem]])
        write_json(
            partial / "prepare.json",
            {
                "settings": settings,
                "source": source.name,
                "path": str(source.resolve()),
                "split_by": "publisher" if published else "split-folders",
                "labels": [c for c in CLASSES if any(c in n for n in counts.values())],
                "counts": counts,
                "unreadable": unreadable,
                "excluded": sorted(excluded),
                "exclude_unknown": sorted(named - excluded),
            },
        )


def _complete_splits(
    folder: Path, seed: int, ratio: tuple[float, float, float], grouped: bool
) -> bool:
    """Make the splits that are missing; True if the publisher had made some."""
    unsplit = folder / "unsplit"
    published = any((folder / s).is_dir() for s in SPLITS)
    if published and unsplit.is_dir():
        raise FacemaskError(
            "some pictures lie in train/validation/test folders and some do not; put all of them "
            "in one or none"
        )
    missing = [s for s in SPLITS if not (folder / s).is_dir()]
    if published and "train" in missing:
        raise FacemaskError("there is a test or validation folder but no train folder; add one")
    if not missing:
        return True
    if published:
        (folder / "train").rename(unsplit)
        share = [r if s in missing else 0 for s, r in zip(SPLITS, ratio)]
        ratio = (1 - sum(share), share[1], share[2])
    group = None
    if grouped:
        paths = find_images(unsplit)
        group = group_callable(paths, duplicates.group_pictures(paths), ratio, seed)
    made = folder / "made"
    # `group` has dealt the groups out already, and shuffling them would undo that.
    with contextlib.redirect_stderr(io.StringIO()):  # its bar would outlive an error
        splitfolders.ratio(
            unsplit, made, seed=seed, ratio=ratio, group=group, shuffle=group is None, move=True
        )
    for split, made_name in zip(SPLITS, ("train", "val", "test")):
        if split == "train" or split in missing:
            (made / made_name).rename(folder / split)
    for leftover in (made, unsplit):
        for path in sorted(leftover.rglob("*"), reverse=True):
            path.rmdir()
        leftover.rmdir()
    return published


def _count(folder: Path, labels: set[str]) -> dict[str, dict[str, int]]:
    """Pictures per split and class.

    Raises:
        FacemaskError: a class is missing from a split.
    """
    counts = {
        split: dict(sorted(Counter(p.parent.name for p in (folder / split).rglob("*.png")).items()))
        for split in SPLITS
    }
    for split in SPLITS:
        for label in sorted(labels):
            if not counts[split].get(label):
                raise FacemaskError(
                    f"the {split} split has no readable picture of {label}; add some (ten per "
                    "class is the least that can be split, and copies of one picture stay together)"
                )
    return counts


def read_sources(split_folder: str | Path) -> dict[str, str]:
    """Where each picture of a split folder came from: prepared file -> the publisher's file.

    Raises:
        FacemaskError: the folder was not written by `prepare`.
    """
    try:
        table = Path(split_folder) / "files.csv"
        with open(table, newline="", encoding="utf-8", errors="surrogateescape") as file:
            return {row["file"]: row["source"] for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise FacemaskError(
            f"{split_folder} has no readable files.csv, so it is not a split folder; give one "
            "that the prepare step wrote, such as data/split/face-mask-12k"
        ) from error


def read_exclusions(path: str | Path) -> set[str]:
    """The pictures that an exclusion file names, relative to the data set's folder.

    One path a line, with slashes, as `files.csv` has it under `source`; empty lines and lines
    that begin with # do not count.

    Raises:
        FacemaskError: the file is missing, is not text, or names a path that is not relative.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, TypeError, ValueError) as error:  # among them what can be no file's name
        shown = str(path)[:200]
        raise FacemaskError(f"cannot read the exclusion file {shown} ({error})") from error
    named = {line.strip().replace("\\", "/") for line in lines if line.strip()}
    named = {name.removeprefix("./") for name in named if not name.startswith("#")}
    for name in sorted(named):
        if name.startswith("/") or ":" in name.split("/")[0] or ".." in name.split("/"):
            raise FacemaskError(
                f"{path}: {name} is not a path inside the data set; write it as it is below the "
                "data set's folder, such as Train/WithMask/1.png"
            )
    return named


def load_split(
    folder: str | Path,
    split: str,
    batch_size: int | None = 64,
    shuffle: bool = False,
    seed: int = 0,
) -> tf.data.Dataset:
    """Stream a split from disk as batches of (image, class number).

    Images are float32 RGB (N, S, S, 3), 0..255 (the models scale them to 0..1); class numbers
    are int32 (N,) in the order of `labels`.

    Args:
        folder: a folder written by `prepare`.
        split: "train", "validation" or "test".
        batch_size: None for single pictures.
    """
    facts = read_json(Path(folder) / "prepare.json")
    size = facts["settings"]["image_size"]
    return keras.utils.image_dataset_from_directory(
        Path(folder) / split,
        labels="inferred",
        label_mode="int",
        class_names=facts["labels"],
        image_size=(size, size),
        batch_size=batch_size,
        shuffle=shuffle,
        seed=seed,
        verbose=False,
    )


def split_files(folder: str | Path, split: str) -> list[str]:
    """The files of a split in the order of `load_split`, relative to the split folder."""
    return files_of(load_split(folder, split), folder)


def files_of(data: tf.data.Dataset, folder: str | Path) -> list[str]:
    """The files that `load_split` has found, relative to the split folder."""
    return [Path(path).relative_to(folder).as_posix() for path in data.file_paths]
