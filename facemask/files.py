"""Reading pictures as people have them, and writing files whole or not at all."""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pi_heif
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parent.parent  # the project's top folder
RELEASE = ROOT / "models" / "release"
IMAGE_SUFFIXES = {
    ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".heic", ".heif",
}  # fmt: skip
pi_heif.register_heif_opener()  # HEIC, the format of iPhones, which Pillow alone cannot read


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


def read_image(path: str | Path) -> np.ndarray:
    """Read any picture Pillow knows as the eye sees it.

    EXIF rotation is applied; grey, palette, CMYK and 16-bit pictures become 8-bit RGB;
    transparency is laid on white; of an animation the first frame is taken.

    Returns:
        uint8 RGB array of shape (height, width, 3), values 0..255.

    Raises:
        FacemaskError: the file is missing, empty, truncated or not a picture.
    """
    try:
        with Image.open(path) as image:
            image.load()
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I") or image.mode == "F":  # 16-bit and float grey
                values = np.asarray(image, dtype=np.float64)
                top = 255.0 if values.max() <= 255 else 65535.0
                image = Image.fromarray((values * (255 / top)).clip(0, 255).astype(np.uint8))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                white = Image.new("RGBA", image.size, (255, 255, 255, 255))
                image = Image.alpha_composite(white, image)
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError as error:
        raise FacemaskError(f"{path} does not exist; check the name") from error
    except Image.DecompressionBombError as error:
        raise FacemaskError(f"{path} is too large to open safely; make it smaller") from error
    except (OSError, ValueError, SyntaxError) as error:
        message = f"{path} cannot be read as a picture ({error}); leave it out"
        raise FacemaskError(message) from error


def find_images(folder: str | Path) -> list[Path]:
    """All files below `folder` named like pictures, sorted; hidden ones are passed over."""
    return sorted(
        p for p in unhidden(folder) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()
    )


def unhidden(folder: str | Path) -> Iterator[Path]:
    """What lies below `folder`, less what is hidden there and what macOS adds to a zip."""
    folder = Path(folder)
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if not any(part.startswith((".", "__MACOSX")) for part in parts):
            yield path
