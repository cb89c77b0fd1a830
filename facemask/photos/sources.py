"""What there is to judge: names, folders, patterns and standard input as a list of sources."""

import glob
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facemask.images.reading import find_images, read_image
from facemask.io.files import FacemaskError

VIDEO_SUFFIXES = {
    ".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp", ".mts", ".wmv",
}  # fmt: skip
DRAWN_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}  # that we write


class Source(NamedTuple):
    """A picture or video to judge: its name, and its bytes if they came by standard input."""

    name: str
    data: bytes | None = None


def expand(pictures: Sequence[str | Path]) -> list[Source]:
    """Files, folders, patterns and `-` as a list of pictures and videos, each once.

    Raises:
        FacemaskError: a pattern or folder holds nothing, or nothing is named.
    """
    sources: dict[str, Source] = {}
    for given in map(str, pictures):
        found = _standard_input() if given == "-" else _named(given)
        for source in found:
            key = source.name if source.data else os.path.abspath(source.name)
            sources.setdefault(key, source)
    if not sources:
        raise FacemaskError("there is no picture to classify; name files, folders or --camera")
    return list(sources.values())


def _named(given: str) -> list[Source]:
    path = Path(given)
    if "://" in given and not os.path.exists(path):
        raise FacemaskError(
            f"{given} is an address; download it first, or judge what lies in a store by "
            "facemask score"
        )
    if os.path.isdir(path):  # pathlib's own raises for a name that is too long
        found = [str(p) for p in find_images(path)]
        if not found:
            raise FacemaskError(f"{given} holds no pictures; name videos one by one")
        return [Source(name) for name in found]
    if glob.has_magic(given) and not os.path.exists(path):
        names = sorted(glob.glob(given, recursive=True))
        if not names:
            raise FacemaskError(f"no file matches {given}; check the pattern")
        return [source for name in names for source in _named(name)]
    return [Source(given)]


def _standard_input() -> list[Source]:
    data = sys.stdin.buffer.read()
    # Signatures of JPEG, PNG, GIF, TIFF; WebP and BMP begin with letters, but hold zero bytes soon.
    starts = (b"\xff\xd8\xff", b"\x89PNG", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
    if data.startswith(starts) or b"\0" in data[:32]:
        return [Source("-", data)]
    names = [line.strip() for line in os.fsdecode(data).splitlines()]
    found = [source for name in names if name for source in _named(name)]
    if not found:
        raise FacemaskError("standard input is empty; send a picture or a list of names")
    return found


def read(source: Source) -> np.ndarray:
    """A source's picture, uint8 RGB (H, W, 3), as `reading.read_image` gives it.

    Raises:
        FacemaskError: it is missing or not a picture.
    """
    if source.data is None:
        return read_image(source.name)
    try:
        return read_image(io.BytesIO(source.data))
    except FacemaskError as error:
        raise FacemaskError(
            f"standard input cannot be read as a picture ({error.__cause__ or error})"
        ) from error


def is_video(source: Source) -> bool:
    """Whether the name is that of a video."""
    return source.data is None and Path(source.name).suffix.lower() in VIDEO_SUFFIXES


def place(sources: list[Source], folder: Path) -> dict[str, Path]:
    """Where each annotated picture goes: below `folder` as the originals lie to each other.

    What lies in the output folder itself, from an earlier run, is left out.

    Raises:
        FacemaskError: all pictures lie in the output folder.
    """
    top = os.path.realpath(folder)
    outside = {}
    for source in sources:
        path = os.path.abspath("standard-input.png" if source.data else source.name)
        if not os.path.realpath(path).startswith(top + os.sep):
            outside[source.name] = path
    if not outside:
        raise FacemaskError(f"{folder} is where the pictures lie; choose another --output")
    root = os.path.commonpath([os.path.dirname(p) for p in outside.values()])
    targets, used = {}, set()
    for name, path in outside.items():
        target = os.path.relpath(path, root)
        suffix = Path(path).suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            target += "" if suffix == ".mp4" else ".mp4"
        elif suffix not in DRAWN_SUFFIXES:
            target += ".png"
        while target in used:
            target += Path(target).suffix
        used.add(target)
        targets[name] = folder / target
    return targets


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two names stand for one file, which need not exist."""
    return os.path.realpath(one) == os.path.realpath(other)
