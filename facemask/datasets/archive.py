"""Check a zip archive and unpack it into one folder, safely, and whole or not at all."""

import hashlib
import os
import re
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tqdm import tqdm

from facemask.images.reading import IMAGE_SUFFIXES, find_images
from facemask.io.files import FacemaskError, read_json, write_json, write_whole

STAMP = ".archive.json"  # in an unpacked folder: which archive it came from
# What a zip of pictures may grow by, and from which size on that is looked at. Pictures are
# compressed already, so that they hardly grow at all.
MOST_GROWTH, GROWTH_FROM = 100, 64 << 20
LONGEST_NAME, LONGEST_PATH = 255, 2000  # in bytes; file systems take no longer ones
WINDOWS = os.name == "nt"
# There a name may not hold these, and some names are devices, with any suffix.
NOT_ON_WINDOWS = re.compile(
    r'[<>:"|?*\x00-\x1f]|[. ](/|$)|(^|/)(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$) *([./]|$)',
    re.IGNORECASE,
)


class BadArchive(FacemaskError):
    """The archive itself is at fault, so a fresh copy of it is needed."""


def unpack(archive: str | Path, folder: str | Path) -> Path:
    """Check a zip archive and unpack it to `folder`, whole or not at all.

    A folder that already holds this archive's content is used again; one from another archive is
    replaced. Every file's CRC-32 is compared while unpacking, before the folder is in place.

    Returns:
        `folder`.

    Raises:
        BadArchive: no zip, damaged, cut short, without pictures, made to harm, or with entries
            that would leave the folder (absolute paths, `..`, links) or that the file system
            cannot hold side by side. Nothing is written.
        FacemaskError: the disk is too full.
    """
    archive, folder = Path(archive), Path(folder)
    try:
        with zipfile.ZipFile(archive) as opened:
            mark = _fingerprint(opened)
            if is_complete(folder, mark):
                return folder
            entries = _checked_entries(opened, archive, folder)
            size = sum(info.file_size for info in entries.values())
            progress = tqdm(total=size, unit="B", unit_scale=True, desc=f"unpack {archive.name}")
            with write_whole(folder) as partial, progress:
                for name, info in entries.items():
                    with opened.open(info) as source, _create(partial / name, archive) as file:
                        shutil.copyfileobj(source, file, 1 << 20)
                    progress.update(info.file_size)
                write_json(partial / STAMP, {"archive": mark, "images": len(find_images(partial))})
    except FacemaskError:
        raise
    except OSError as error:  # write_whole has already turned errors of writing into a message
        raise FacemaskError(f"cannot read {archive}: {error.strerror}; check it") from error
    except Exception as error:  # zipfile lets many kinds through
        with open(archive, "rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
        problem = f"is damaged, cut short or locked ({error})" if is_zip else "is not a zip archive"
        raise BadArchive(f"archive {archive} {problem}; get it again") from error
    return folder


def _create(path: Path, archive: Path) -> BinaryIO:
    """A new file, open for writing, in a new folder if need be.

    Raises:
        BadArchive: there is one already, as where A.jpg and a.jpg are the same name.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise BadArchive(
            f"archive {archive} has two entries for one place, {path.name!r}; rename one of them"
        ) from error


def _checked_entries(
    opened: zipfile.ZipFile, archive: Path, folder: Path
) -> dict[str, zipfile.ZipInfo]:
    """Relative path -> entry, for the files of an archive that is safe to unpack and will fit."""
    entries = {}
    for info in opened.infolist():
        # orig_filename: zipfile has cut `filename` at a zero byte and changed separators.
        name = info.orig_filename.replace("\\", "/")
        problem = _problem(name, info)
        if problem:
            raise BadArchive(f"archive {archive} is not safe: its entry {name[:100]!r} {problem}")
        if not name.endswith("/"):
            entries[name] = info
    if not any(PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES for name in entries):
        raise BadArchive(f"archive {archive} holds no pictures; give one that does")
    end = 0
    for info in sorted(opened.infolist(), key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise BadArchive(f"archive {archive} is not safe: its entries overlap; get it again")
        end = info.header_offset + 30 + len(info.orig_filename) + info.compress_size
    size = sum(info.file_size for info in entries.values())
    if size > GROWTH_FROM and size > MOST_GROWTH * archive.stat().st_size:
        raise BadArchive(f"archive {archive} would grow a hundredfold; it is no picture archive")
    needed = size + 4096 * len(entries)  # a file fills whole blocks
    free = shutil.disk_usage(next(p for p in folder.absolute().parents if p.is_dir())).free
    if free < needed:
        raise FacemaskError(
            f"the disk is too full: {folder} needs {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB "
            "are free; free some space or choose another data folder, then run again"
        )
    return entries


def _problem(name: str, info: zipfile.ZipInfo) -> str | None:
    """Why an entry is not to be unpacked, and what to do; None if nothing is wrong."""
    outside = name.startswith("/") or re.match(r"[A-Za-z]:", name) or "\0" in name
    kind = stat.S_IFMT(info.external_attr >> 16)
    if outside or ".." in name.split("/") or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or would be written outside its folder; get it from a source you trust"
    if name.startswith(STAMP + "/"):
        return "stands where this program writes; rename it and pack it again"
    encoded = os.fsencode(name)
    if max(map(len, encoded.split(b"/"))) > LONGEST_NAME or len(encoded) > LONGEST_PATH:
        return "has too long a name; pack it with shorter ones"
    if WINDOWS and NOT_ON_WINDOWS.search(name):
        return "has a name that Windows cannot hold; rename it and pack it again"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile unpacks a whole megabyte of these at once, which may give gigabytes.
        return "is packed in a rare way (bzip2, LZMA or such); pack it as a usual zip, by deflate"
    return None


def _fingerprint(opened: zipfile.ZipFile) -> str:
    """A hash of every entry's name, size and CRC-32: changes when the content does."""
    lines = (f"{i.orig_filename}\n{i.file_size} {i.CRC}\n" for i in opened.infolist())
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def is_complete(folder: Path, fingerprint: str | None = None) -> bool:
    """Whether `folder` was unpacked from this archive (or any) and still has its pictures."""
    if not (folder / STAMP).is_file():
        return False
    stamp = read_json(folder / STAMP)
    if not isinstance(stamp, dict) or not isinstance(stamp.get("images"), int):
        return False
    same = fingerprint in (None, stamp.get("archive"))
    return same and len(find_images(folder)) >= stamp["images"]
