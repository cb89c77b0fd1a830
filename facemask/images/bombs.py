"""Pictures that are small on disk, yet would take more than a gigabyte or five seconds to read."""

import re
from typing import IO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

# So that reading stays below a gigabyte. Phones take up to 108 million as JPEG.
MOST_PIXELS = 110_000_000
# Of formats whose readers hold several copies.
FEWER_PIXELS = {
    "WEBP": 60_000_000, "HEIF": 60_000_000, "AVIF": 60_000_000, "JPEG2000": 40_000_000,
}  # fmt: skip
MOST_TILE = 1 << 24  # pixels in a TIFF's tile, which may be larger than the picture
# A JPEG may go over its pixels again and again; a usual progressive one does ten times.
MOST_PASSES = 20 * MOST_PIXELS
MARKER = re.compile(rb"\xff[^\0\xd0-\xd7\xff]")
START_OF_SCAN, END = b"\xff\xda", b"\xff\xd9"


def check(image: Image.Image) -> None:
    """Raise Image.DecompressionBombError if an opened picture would cost too much to load."""
    pixels = image.width * image.height
    if pixels > FEWER_PIXELS.get(image.format or "", MOST_PIXELS):
        raise Image.DecompressionBombError("too many pixels")
    if isinstance(image, TiffImageFile):
        width, height = (int(image.tag_v2.get(tag) or 0) for tag in (322, 323))
        if width * height > MOST_TILE:
            raise Image.DecompressionBombError("tiles beyond measure")
    if isinstance(image, JpegImageFile) and image.fp:
        most = MOST_PASSES // pixels
        if count_scans(image.fp, most) > most:
            raise Image.DecompressionBombError("too many scans")


def count_scans(file: IO[bytes], most: int) -> int:
    """How often a JPEG file goes over its pixels; not exact while below `most`."""
    place = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(place)
    at, scans = 2, content.count(START_OF_SCAN)
    if scans <= most:
        return scans
    # Thumbnails and what phones append, such as a video, may hold those two bytes as well.
    scans = 0
    while (found := MARKER.search(content, at)) and found[0] != END:
        scans += found[0] == START_OF_SCAN
        at = found.end() + int.from_bytes(content[found.end() : found.end() + 2], "big")
    return scans
