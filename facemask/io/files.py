"""Writing files whole or not at all, JSON, and the error that a user can mend."""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent  # the project's top folder, in a clone
IN_CLONE = (ROOT / "pyproject.toml").is_file()
# The released model and face finder lie in the wheel too.
RELEASE = ROOT / "models" / "release" if IN_CLONE else PACKAGE / "released"
FINDER = ROOT / "models/finder/model-float16.tflite" if IN_CLONE else RELEASE / "finder.tflite"


class FacemaskError(Exception):
    """Something the user can mend: the message says what is wrong and what to do."""


@contextlib.contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it into place if the block succeeds.

    Works for a file and for a folder. If the block raises, nothing is left behind and what stood
    at `path` before is untouched.

    Raises:
        FacemaskError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    # The suffix stays last: many writers choose the format by it.
    partial = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        if partial.is_dir() and path.exists():
            old = path.with_name(f".{path.name}-old-{uuid.uuid4().hex[:8]}")
            path.rename(old)
            partial.rename(path)
            shutil.rmtree(old)
        else:
            os.replace(partial, path)
    except OSError as error:
        raise FacemaskError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another "
            "folder, then run the same command again"
        ) from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with write_whole(path) as partial:
        partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        FacemaskError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FacemaskError(f"{path} is missing; run the step that writes it first") from error
    except ValueError as error:
        message = f"{path} is not valid JSON ({error}); delete it and run again"
        raise FacemaskError(message) from error


def remember(path: str | Path, made_from: Any, make: Callable[[], dict]) -> dict:
    """What `make` returns, kept in a JSON file and read back while it is made from the same.

    Args:
        made_from: a value that JSON can hold; when it differs from the one stored, `make` runs.
    """
    made_from = json.loads(json.dumps(made_from))
    if Path(path).is_file():
        stored = read_json(path)
        if stored.get("made_from") == made_from:
            return stored
    result = {"made_from": made_from, **make()}
    write_json(path, result)
    return result


