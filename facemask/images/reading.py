"""Reading pictures as people have them."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pi_heif
from PIL import Image, ImageCms, UnidentifiedImageError

from facemask.images import bombs
from facemask.io.files import FacemaskError

IMAGE_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".heic",
    ".heif", ".avif",
}  # fmt: skip
STRIP = 1 << 20  # pixels that are converted at a time
# EXIF's eight ways to hold a camera, as what has to be done to rows and columns.
Turn = Callable[[np.ndarray], np.ndarray]
TURNS: dict[int, Turn] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
pi_heif.register_heif_opener()  # HEIC, the format of iPhones, which Pillow alone cannot read
Image.init()
# What is read, whatever a file is named. Of Pillow's other formats some start a program
# (Ghostscript for EPS), and the rest is seldom met and little tried on hostile files.
FORMATS = {
    "JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "HEIF", "AVIF", "JPEG2000", "PPM",
} & set(Image.OPEN)  # fmt: skip


def read_image(path: str | Path | BinaryIO, name: str | None = None) -> np.ndarray:
    """Read a picture of one of FORMATS as the eye sees it.

    EXIF rotation is applied; colours of another space, such as phones' Display P3, become sRGB,
    as a browser shows them; grey, palette, CMYK and 16-bit pictures become 8-bit RGB;
    transparency is laid on white; of an animation the first frame is taken.

    Args:
        name: what messages call it, if it is not read from where its name says.

    Returns:
        uint8 RGB array of shape (height, width, 3), values 0..255.

    Raises:
        FacemaskError: the file is missing, empty, truncated, not a picture, or would take too
            much to read (see `bombs`).
    """
    name = name or str(path)
    try:
        pixels, turn = _read(path)  # Pillow's own copy is gone before a turned one is made
        return np.ascontiguousarray(turn(pixels))
    except FileNotFoundError as error:
        raise FacemaskError(f"{name} does not exist; check the name") from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise FacemaskError(f"{name} is too large to open safely; make it smaller") from error
    except Exception as error:  # for a damaged file each of the formats' readers has its own
        why = "of no known format" if isinstance(error, UnidentifiedImageError) else error
        message = f"{name} cannot be read as a picture ({why}); leave it out"
        raise FacemaskError(message) from error


def _read(path: str | Path | BinaryIO) -> tuple[np.ndarray, Turn]:
    """A picture as it is stored, uint8 RGB, and how it has to be turned."""
    with Image.open(path, formats=sorted(FORMATS)) as image:
        bombs.check(image)
        image.load()
        return _rgb(image), _turn(image)


def _turn(image: Image.Image) -> Turn:
    """How EXIF says that the picture has to be turned; not at all if its EXIF is damaged."""
    try:
        return TURNS[image.getexif()[0x0112]]
    except Exception:  # what is wrong beside the picture is no reason to leave it out
        return lambda a: a


def _rgb(image: Image.Image) -> np.ndarray:
    """A loaded picture as uint8 RGB, strip by strip, as whole copies of large ones take room."""
    width, height = image.size
    rows = max(1, STRIP // width)
    boxes = [(0, y, width, min(y + rows, height)) for y in range(0, height, rows)]
    deep = image.mode.startswith("I") or image.mode == "F"  # 16-bit and float grey
    if deep:
        brightest = max(np.nan_to_num(np.asarray(image.crop(box))).max() for box in boxes)
        top = 255 if brightest <= 255 else 65535
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    to_srgb = _to_srgb(image)
    for box in boxes:
        strip = image.crop(box)
        if to_srgb:
            ImageCms.applyTransform(strip, to_srgb, inPlace=True)
        if deep:
            values = np.nan_to_num(np.asarray(strip, dtype=np.float64)) * (255 / top)
            strip = Image.fromarray(values.clip(0, 255).astype(np.uint8))
        if strip.has_transparency_data:
            strip = strip.convert("RGBA")
            white = Image.new("RGBA", strip.size, (255, 255, 255, 255))
            strip = Image.alpha_composite(white, strip)
        pixels[box[1] : box[3]] = np.asarray(strip.convert("RGB"))
    return pixels


def _to_srgb(image: Image.Image) -> Any:
    """How to bring an RGB picture's colours to sRGB; None if they are that or nothing is known."""
    profile = image.info.get("icc_profile")
    if image.mode != "RGB" or not profile:
        return None
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(own).lower():
            return None
        return ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    except Exception:  # what is wrong beside the picture is no reason to leave it out
        return None


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
