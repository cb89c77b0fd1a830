"""Writing files whole or not at all, JSON, and the error that a user can mend."""

import contextlib
import errno
import json
import os
import re
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from facemask.io import locks

REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}
RUNS_AT_ONCE = 8  # that write to one file or folder and can be told from killed ones
PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent  # the project's top folder, in a clone
# What writes a file that others read.
STEPS = {"prepare.json": "prepare", "copies.json": "copies", "report.json": "evaluate",
         "exports.json": "export", "labels.json": "export"}  # fmt: skip
IN_CLONE = (ROOT / "pyproject.toml").is_file()
# The released model and face finder lie in the wheel too.
RELEASE = ROOT / "models" / "release" if IN_CLONE else PACKAGE / "released"
FINDER = ROOT / "models/finder/model-float16.tflite" if IN_CLONE else RELEASE / "finder.tflite"


class FacemaskError(Exception):
    """Something the user can mend: the message says what is wrong and what to do."""


def printable(text: str) -> str:
    """Text that can be shown whatever bytes a file's name in it has."""
    return text.encode("utf-8", "backslashreplace").decode()


def not_installed(module: str, extra: str) -> FacemaskError:
    """What to raise where a package of an extra is missing; on PyPI `facemask` is another's."""
    return FacemaskError(
        f"{module} is not installed; in the project's folder run: pip install '.[{extra}]'"
    )


@contextlib.contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it into place if the block succeeds.

    Works for a file and for a folder. If the block raises, nothing is left behind and what stood
    at `path` before is untouched. What a killed run left is removed by the next one that writes
    to the same `path`; several may do so at once, and the last one stays.

    Raises:
        FacemaskError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _names_beside(path) as (partial, old):
            yield partial
            to_disk(partial)  # or a disk that breaks later could keep the name and lose the content
            with locks.alone_in(path.parent):
                _put_in_place(partial, path, old)
            _remove(old)


def to_disk(path: Path) -> None:
    """Have the system write a file, or all that is in a folder, to the disk itself.

    Raises:
        OSError: it cannot.
    """
    if path.is_dir():
        # One call for all: a call for each of thousands of files would take minutes.
        getattr(os, "sync", lambda: None)()  # Windows has none
        return
    file = os.open(path, os.O_RDWR)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Say what to do if the system refuses what the block writes at `path` or beside it.

    Raises:
        FacemaskError: the disk is full or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def refusal(said: str) -> OSError | None:
    """The error by which the system refused another program's writing, from what that printed."""
    codes = [int(code) for code in re.findall(r"^\w*Error: \[Errno (\d+)\]", said, re.MULTILINE)]
    # As TensorFlow puts it: errors_impl.PermissionDeniedError: <path>; Read-only file system
    reasons = re.findall(r"^[\w.]*errors_impl\.\w+Error: .*; (.+)$", said, re.MULTILINE)
    refused = [code for code in codes if code in REFUSALS]
    refused += [code for code in REFUSALS if os.strerror(code) in reasons]
    return OSError(refused[-1], os.strerror(refused[-1])) if refused else None


def cannot_write(path: str | Path, error: Exception) -> FacemaskError:
    """The message for an error of writing."""
    reason = getattr(error, "strerror", None) or error
    return FacemaskError(
        f"cannot write {path}: {reason}; free some space or choose another folder, then run the "
        "same command again"
    )


@contextlib.contextmanager
def scratch_folder(path: str | Path) -> Iterator[Path]:
    """Give a new hidden folder beside `path`, and remove it in the end.

    What a killed run left is removed by the next one that asks for the same `path`.
    """
    with _names_beside(Path(path)) as (folder, _):
        folder.mkdir()
        yield folder


def sweep(folder: str | Path) -> None:
    """Remove what killed runs left in a folder, whatever they wrote there; living ones are let be.

    For stages to begin with: what is complete they do not write again, and so would not clear up.
    Without locks nothing is removed.
    """
    if not locks.AVAILABLE or not Path(folder).is_dir():
        return
    for lock in sorted(Path(folder).glob(".*-*")):
        found = re.fullmatch(r"\.(.+)-(?:lock(\d)|run)", lock.name)
        with contextlib.suppress(OSError):  # a folder that cannot be written
            if not found or lock.is_dir() or lock.stat().st_size:
                continue
            if (file := locks.take(lock)) is None:
                continue  # a run that lives
            path = lock.with_name(found[1])
            if found[2]:
                with locks.alone_in(path.parent):
                    _clear(path, *_names(path, found[2]))
            locks.give_back(lock, file)


def remove_whole(folder: str | Path) -> None:
    """Remove a folder at once: a run that is killed meanwhile leaves none with half its files."""
    with _names_beside(Path(folder)) as (partial, _):
        Path(folder).rename(partial)


@contextlib.contextmanager
def one_at_a_time(path: str | Path, doing: str) -> Iterator[None]:
    """Wait, with a line that says so, while another run is in such a block for the same `path`.

    One that was killed is not waited for. Where there are no locks, nothing is.

    Args:
        path: of what is made, which need not exist; its folder is made.
        doing: what the runs do, such as "prepares".
    """
    path = Path(path)
    lock, held, said = path.with_name(f".{path.name}-run"), None, False
    # No locks on a network drive, or a folder that cannot be written: whoever writes will say so.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        while locks.AVAILABLE and (held := locks.take(lock)) is None:
            if not said:
                print(f"another run {doing} {path}; waiting for it", file=sys.stderr, flush=True)
                said = True
            time.sleep(0.2)
    try:
        yield
    finally:
        if held is not None:
            locks.give_back(lock, held)


def _put_in_place(partial: Path, path: Path, old: Path) -> None:
    if not (partial.is_dir() and path.exists()):
        os.replace(partial, path)
        return
    path.rename(old)
    try:
        partial.rename(path)
    except OSError:
        old.rename(path)
        raise


@contextlib.contextmanager
def _names_beside(path: Path) -> Iterator[tuple[Path, Path]]:
    """Hidden names beside `path`, for what is half made and for what it replaces.

    Each number that goes into them has a lock, held as long as a run uses them. Where the lock
    is free and the names are there, a run was killed, and what it left is removed. Without locks
    the names are random, and stay.
    """
    numbers = {n: path.with_name(f".{path.name}-lock{n}") for n in range(RUNS_AT_ONCE)}
    mine, held = uuid.uuid4().hex[:8], None
    for number, lock in numbers.items():
        # Beyond the first free number only those that have been used are of interest.
        if not locks.AVAILABLE or (held is not None and not lock.exists()):
            continue
        try:
            file = locks.take(lock)
        except OSError:  # a network drive without locks, or a folder that cannot be written
            break
        if file is None:
            continue  # a run that lives
        with locks.alone_in(path.parent):
            _clear(path, *_names(path, number))
        if held is None:
            mine, held = str(number), file
        else:
            locks.give_back(lock, file)
    partial, old = _names(path, mine)
    try:
        yield partial, old
    finally:
        _remove(partial)
        if held is not None:
            locks.give_back(numbers[int(mine)], held)


def _names(path: Path, mark: str | int) -> tuple[Path, Path]:
    # The suffix stays last: many writers choose the format by it.
    partial = path.with_name(f".{path.stem}-part{mark}{path.suffix}")
    return partial, path.with_name(f".{path.name}-old{mark}")


def _clear(path: Path, partial: Path, old: Path) -> None:
    """Remove what a killed run left; what it had just moved aside comes back."""
    if old.exists() and not path.exists():
        old.rename(path)
    _remove(old)
    _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    with write_whole(path) as partial:
        # File names that are not valid Unicode come as lone surrogates; the escape is JSON's own.
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        FacemaskError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        step = STEPS.get(Path(path).name)
        first = f"`facemask {step}`" if step else "the step that writes it"
        raise FacemaskError(f"{path} is missing; run {first} first") from error
    except ValueError as error:
        message = f"{path} is not valid JSON ({error}); delete it and run again"
        raise FacemaskError(message) from error


def remember(path: str | Path, made_from: Any, make: Callable[[], dict]) -> dict:
    """What `make` returns, kept in a JSON file and read back while it is made from the same.

    Args:
        made_from: a value that JSON can hold; when it differs from the one stored, `make` runs.
    """
    sweep(Path(path).parent)
    made_from = json.loads(json.dumps(made_from))
    if Path(path).is_file():
        stored = read_json(path)
        if stored.get("made_from") == made_from:
            return stored
    result = {"made_from": made_from, **make()}
    write_json(path, result)
    return result


