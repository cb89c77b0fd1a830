"""Small good files of each kind, and such as are made to harm: what `spoilt` starts from."""

import io
import json
import stat
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from facemask.images.bombs import FEWER_PIXELS, MOST_PIXELS
from facemask.io.files import ROOT

ABOUT = {"model": "m", "folder": "None", "margin": 0.1}  # of a journal
LABELS = ["with_mask", "without_mask"]


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, color: int = 2, rows: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG file of given size, 8 bits, color type 0 to 6, and (filtered) rows, packed here."""
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + extra
        + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")
    )  # fmt: skip


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@cache
def pictures() -> list[bytes]:
    """Small good pictures in every format that we read, and every mode of it that matters."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (31, 41, 3), dtype=np.uint8))
    flat = Image.linear_gradient("L").resize((96, 80))
    clear = flat.convert("RGBA")
    clear.putalpha(flat)
    deep = Image.fromarray(np.asarray(flat).astype(np.uint16) * 200)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    made: list[tuple[Image.Image, str, dict]] = [
        *((noise, form, {}) for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")),
        (noise, "JPEG", {"progressive": True, "exif": exif}),
        (flat.convert("RGB"), "JPEG", {"exif": exif, "icc_profile": bytes(200)}),
        (noise.convert("CMYK"), "JPEG", {}),
        (clear, "PNG", {"exif": exif}),
        (clear.quantize(16), "PNG", {"transparency": 0}),
        (deep, "PNG", {}),
        (flat.convert("1"), "PNG", {}),
        (flat, "PNG", {"transparency": 7, "append_images": [flat] * 3, "save_all": True}),
        (clear, "WEBP", {"lossless": True, "exif": exif}),
        (noise, "WEBP", {"append_images": [noise.rotate(90)] * 2, "save_all": True}),
        (clear.quantize(8), "GIF", {"append_images": [flat] * 3, "save_all": True}),
        *((noise, "TIFF", {"compression": name, "exif": exif})
          for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
        (flat.convert("F"), "TIFF", {}),
        (deep, "TIFF", {}),
        (flat.convert("1"), "TIFF", {"compression": "group4"}),
        (noise.convert("LAB"), "TIFF", {}),
        (noise.convert("YCbCr"), "TIFF", {"compression": "jpeg"}),
        (noise.quantize(5), "BMP", {}),
        (noise, "MPO", {"append_images": [noise], "save_all": True}),
        (noise, "JPEG2000", {}), (noise, "PPM", {}),
    ]  # fmt: skip
    files = [_saved(image, form, **options) for image, form, options in made]
    # Pillow and pi-heif only read it: this one lies with the tests.
    heic = ROOT / "tests" / "photos" / "drawn.heic"
    return [*files, heic.read_bytes()] if heic.is_file() else files


def many_scans(side: int, count: int) -> bytes:
    """A progressive JPEG, side x side, grey, that goes over its pixels `count` times more."""
    content = _saved(Image.new("L", (side, side), 77), "JPEG", progressive=True)
    return content[:-2] + content[content.rindex(b"\xff\xda") : -2] * count + content[-2:]


def large_tile(side: int, tile: int) -> bytes:
    """A TIFF, side x side, whose only tile has `tile` x `tile` pixels."""
    packed = zlib.compress(bytes(3 * tile * tile), 9)
    depths = 8 + 2 + 10 * 12 + 4  # where they stand
    short, long = 3, 4
    fields = [
        (256, long, 1, side), (257, long, 1, side), (258, short, 3, depths), (259, short, 1, 8),
        (262, short, 1, 2), (277, short, 1, 3), (322, long, 1, tile), (323, long, 1, tile),
        (324, long, 1, depths + 6), (325, long, 1, len(packed)),
    ]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", *field) for field in fields)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(fields))
    return head + directory + bytes(4) + struct.pack("<3H", 8, 8, 8) + packed


def many_frames(count: int) -> bytes:
    """A GIF of one pixel and many frames."""
    frame = b"\x21\xf9\x04\0\1\0\0\0" + b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    return b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * count + b";"


def bombs() -> dict[str, Callable[[], bytes]]:
    """Pictures that are small on disk and large in memory, or long to read: name -> content."""
    side = int(MOST_PIXELS**0.5)
    clear = _chunk(b"PLTE", bytes(range(30))) + _chunk(b"tRNS", bytes(10))
    text = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 27)) * 8)
    turned = Image.Exif()
    turned[0x0112] = 5

    def flat(form: str, mode: str = "RGB", **options: Any) -> Callable[[], bytes]:
        each = int(FEWER_PIXELS.get(form, MOST_PIXELS) ** 0.5)
        return lambda: _saved(Image.new(mode, (each, each)), form, **options)

    return {
        "header of 60,000 x 60,000": lambda: png(60_000, 60_000, rows=bytes(1000)),
        "header of 1 x 2,147,483,647": lambda: png(1, 0x7FFFFFFF, rows=bytes(1000)),
        "GIF of a million frames": lambda: many_frames(1_000_000),
        "text that unpacks to 20 GB": lambda: png(8, 8, rows=bytes(200), extra=text * 20),
        "JPEG of 500 scans": lambda: many_scans(10_000, 500),
        "TIFF with a tile of 25,600 x 25,600": lambda: large_tile(100, 25_600),
        "large RGB": lambda: png(side, side, 2, bytes((3 * side + 1) * side)),
        "large palette, transparent": lambda: png(
            side, side, 3, bytes((side + 1) * side), extra=clear
        ),
        "large 16-bit TIFF": flat("TIFF", "I;16", compression="tiff_adobe_deflate"),
        "large TIFF, packed": flat("TIFF", "RGBA", compression="tiff_adobe_deflate"),
        "large JPEG, turned": flat("JPEG", exif=turned),
        "large CMYK JPEG, turned": flat("JPEG", "CMYK", exif=turned),
        "large GIF": flat("GIF", "P"),
        "large WebP": flat("WEBP", method=0, quality=1),
        "large JPEG 2000": flat("JPEG2000"),
        "large AVIF": flat("AVIF", speed=10),
    }


NAMES = (
    "../evil.png", "a/../../evil.png", "/tmp/facemask-evil.png", "..\\evil.png", "C:\\evil.png",
    "a/./b.png", "a//b.png", "./b.png", "A.png", "a.png", "a.PNG", "CON.jpg", "con", "aux.png",
    "NUL", "com1.txt", "a.png.", "a.png ", "a /b.png", "b./c.png", "a.png:hidden", "a?.png",
    "a.png/b.png", "a.png/", ".archive.json", ".archive.json/a.png", "-rf", "~/a.png", "$HOME.png",
    "a\0.png", "\x1b[2J.png", "n\n.png", "\u202egnp.exe", "e\u0301.png", "\xe9.png",
    "x" * 300 + ".png", "d/" * 3000 + "a.png", " ", ".", "..", "", "/", "//host/share/a.png",
)  # fmt: skip


def make_zip(
    entries: list[tuple[str, bytes, int]], method: int = zipfile.ZIP_DEFLATED
) -> bytes:
    """A zip of (name, content, mode) entries, with names as they are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content, mode in entries:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, method
            info.create_system, info.external_attr = 3, mode << 16
            archive.writestr(info, content)
    return file.getvalue()


@cache
def archives() -> list[bytes]:
    """Small zips of pictures: good ones, ones with an entry that is not, and bombs."""
    image = pictures()[1]
    good = [("with_mask/a.png", image, 0o100644), ("without_mask/b.png", image, 0o100644)]
    files = [
        make_zip(good, method)
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2,
                       zipfile.ZIP_LZMA)
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of names that come twice
        files += [make_zip([*good, (name, image, 0o100644)]) for name in NAMES]
        files += [make_zip([*good, good[0], ("WITH_MASK/A.PNG", image, 0)])]
    files += [make_zip([*good, ("l.png", b"/etc/passwd", kind | 0o777)])
              for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK, stat.S_IFSOCK)]  # fmt: skip
    files.append(make_zip([*good, ("d", b"..", stat.S_IFLNK | 0o777), ("d/x.png", image, 0)]))
    nested = make_zip([("z.png", bytes(1 << 22), 0)])
    files.append(make_zip([*good, ("n.zip", make_zip([("m.zip", nested, 0)]), 0)]))
    files.append(make_zip([*good, ("zeros.bmp", bytes(90 << 20), 0)]))
    files += [overlapping(image, 300), lying(1000), lying(1 << 33)]
    files.append(lying(1000, zipfile.ZIP_BZIP2))
    return files


def overlapping(image: bytes, count: int) -> bytes:
    """A zip whose directory names one and the same packed content up to a thousand times."""
    whole = make_zip([("a/0.png", image, 0)])
    start = whole.index(b"PK\x01\x02")
    entry = whole[start : whole.rindex(b"PK\x05\x06")]
    entries = b"".join(entry.replace(b"a/0.png", b"%03d.png" % n) for n in range(count))
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(entries), start, 0)
    return whole[:start] + entries + end


def lying(size: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip whose directory gives `size` bytes for an entry that unpacks to 64 MiB."""
    content = make_zip([("a.png", b"x", 0), ("b.png", bytes(64 << 20), 0)], method)
    at = content.rindex(b"PK\x01\x02") + 24
    return content[:at] + struct.pack("<I", min(size, 0xFFFFFFFE)) + content[at + 4 :]


@cache
def journals() -> list[bytes]:
    """Journals that `predict` could have left behind, of one run and of others."""
    verdict = {"label": LABELS[0], "probability": 0.9, "sure": True,
               "probabilities": dict(zip(LABELS, (0.9, 0.1)))}  # fmt: skip
    face = {"box": [1.0, 2.0, 30.5, 40.0], **verdict, "score": 0.9}
    shape = {"width": 64, "height": 48}
    track = {"track": 1, **face, "best_frame": 0, "first_frame": 0, "last_frame": 4, "frames": 5}
    answers: list[dict] = [
        {"file": "a.jpg", **shape, "judged": "faces", "faces": [face, face], "whole": None},
        {"file": "b.jpg", **shape, "judged": "no face", "faces": [], "whole": verdict},
        {"file": "c/d.jpg", **shape, "judged": "whole picture", "faces": [], "whole": verdict},
        {"file": "e.jpg", "error": "e.jpg cannot be read as a picture; leave it out"},
        {"file": "f.mp4", **shape, "judged": "video", "faces": [track], "whole": None,
         "frames": 5, "frames_per_second": 25.0, "warning": "f.mp4: only 5 of 9 frames"},
        {"file": "caf\udce9.jpg", "error": "\udce9"},
    ]  # fmt: skip
    first = json.dumps({"about": ABOUT}, sort_keys=True) + "\n"
    lines = [json.dumps(answer) + "\n" for answer in answers]
    texts = [first, first + "".join(lines), *(first + line for line in lines),
             "".join(lines), first + "\n" + lines[0], first + lines[0] + "\0" * 500]  # fmt: skip
    return [text.encode() for text in texts]


@cache
def videos() -> list[bytes]:
    """Short videos in the containers and codecs that OpenCV writes."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(3)]
    files = []
    with tempfile.TemporaryDirectory() as folder:
        for suffix, codec in (("mp4", "mp4v"), ("avi", "MJPG"), ("avi", "XVID"), ("mkv", "VP80"),
                              ("mov", "mp4v")):
            path = Path(folder) / f"film.{suffix}"
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, (64, 48))
            for frame in frames:
                writer.write(frame)
            writer.release()
            if path.is_file() and path.stat().st_size:  # not every build writes all of them
                files.append(path.read_bytes())
    return files


@cache
def settings() -> list[bytes]:
    """What a notebook's parameters cell may say, as JSON."""
    usual: dict[str, Any] = {"DATASET": ".", "IMAGE_SIZE": 96, "SEED": 0, "EXCLUDE": "",
                             "EPOCHS": 30, "BATCH_SIZE": 32}
    changes: list[dict] = [
        {}, {"DATASET": "../../x"}, {"DATASET": "in.zip"}, {"DATASET": "nowhere"},
        {"DATASET": "a" * 300}, {"EXCLUDE": "exclude.txt"}, {"IMAGE_SIZE": -1, "SEED": 1.5},
        {"EPOCHS": 10**30},
    ]  # fmt: skip
    return [json.dumps(usual | change).encode() for change in changes]
