"""Reading pictures as people have them."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pi_heif
from PIL import Image, ImageOps

from facemask.io.files import FacemaskError

IMAGE_SUFFIXES = {
    ".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".heic", ".heif",
}  # fmt: skip
pi_heif.register_heif_opener()  # HEIC, the format of iPhones, which Pillow alone cannot read


def read_image(path: str | Path | BinaryIO) -> np.ndarray:
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
