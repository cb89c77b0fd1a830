"""Hostile files: thousands of spoilt pictures, archives and journals, and what became of them.

`python -m facemask.benchmarks.torture --only images --inputs 20000` spoils small good files, hands
each to a worker process and writes counts to reports/torture.json. A file may be accepted or be
refused by a FacemaskError. Anything else is a failure: another exception, a crash, more than 5 s
of processor time or 1 GiB of memory, a byte written outside the folder. What failed is kept in
data/torture/. The tests import the spoiling and the checks from here. Linux only.
"""

import argparse
import ctypes
import io
import json
import multiprocessing
import os
import random
import re
import stat
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from facemask.datasets.archive import unpack
from facemask.images.bombs import FEWER_PIXELS, MOST_PIXELS
from facemask.images.reading import read_image
from facemask.io.files import ROOT, FacemaskError, read_json, write_json
from facemask.photos.journal import Journal, read_journal
from facemask.photos.predict import summarise

REPORT = Path("reports/torture.json")
KEPT = Path("data/torture")
SECONDS, MEMORY = 5, 1 << 30  # of processor time and bytes that one input may take
PATIENCE = 60  # seconds by the clock, as the machine may be busy
ABOUT = {"model": "m", "folder": "None", "margin": 0.1}
LABELS = ["with_mask", "without_mask"]


class Step(NamedTuple):
    """One way to spoil a file; `place` and `value` may be any numbers from 0."""

    kind: str
    place: int
    value: int


class Case(NamedTuple):
    """A spoilt file: which good file, which other one parts come from, and what is done to it."""

    seed: int
    other: int
    steps: tuple[Step, ...]


KINDS = ("cut", "flip", "byte", "field", "repeat", "drop", "splice", "token", "mend")
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 60000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
TOKENS = (
    b"null", b"true", b"-1", b"1e999", b"NaN", b"-Infinity", b'"x"', b'""', b"[]", b"{}",
    b"9" * 5000, b"[" * 100_000, b'"\\ud800"', b'"\\u0000"', b"[1,2]", b'{"a":1}',
    b'"../../x"', b"[null]",
)  # fmt: skip


def spoil(content: bytes, other: bytes, steps: tuple[Step, ...]) -> bytes:
    """Do one step after the other to a file's content."""
    for kind, place, value in steps:
        # A third of the steps each: anywhere, in the header, at the end, where zips keep theirs.
        near = (len(content), 64, 160)[place % 3]
        at = (place // 3) % (min(near, len(content)) + 1)
        if place % 3 == 2:
            at = len(content) - at
        count = value % 4096
        head, tail = content[:at], content[at:]
        if kind == "cut":
            content = head
        elif kind == "flip" and tail:
            content = head + bytes([tail[0] ^ (1 << value % 8)]) + tail[1:]
        elif kind == "byte":
            content = head + bytes([value % 256]) + tail[1:]
        elif kind == "field":
            number = EXTREMES[value % len(EXTREMES)]
            form = ("<H", ">H", "<I", ">I")[value // len(EXTREMES) % 4]
            field = struct.pack(form, number & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
            content = head + field + tail[len(field) :]
        elif kind == "repeat":
            content = head + tail[:count] * (value % 17) + tail[count:]
        elif kind == "drop":
            content = head + tail[count:]
        elif kind == "splice":
            content = head + other[value % (len(other) + 1) :]
        elif kind == "token":
            content = _change_token(content, place, value)
        elif kind == "mend":
            content = mend_png(content)
    return content


def _change_token(content: bytes, place: int, value: int) -> bytes:
    """Put an odd value in the place of one value or name of a JSON text."""
    found = list(re.finditer(rb'"[^"\n]*"|-?\d[\d.]*|null|true', content[:20_000]))
    if not found:
        return content
    start, end = found[place % len(found)].span()
    return content[:start] + TOKENS[value % len(TOKENS)] + content[end:]


def mend_png(content: bytes) -> bytes:
    """The same PNG with right checksums, so that what was changed gets past them."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    parts, at = [content[:8]], 8
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        body = content[at + 4 : at + 8 + length]
        if at + 12 + length > len(content):
            break
        parts += [content[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + length
    return b"".join(parts) + content[at:]


# Good files, and such as are made to harm


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
    verdict = {"label": LABELS[0], "probability": 0.9,
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


# What has to hold: each gives "accepted", or raises FacemaskError, which is a refusal


def check_picture(content: bytes, folder: Path) -> str:
    """`read_image` gives uint8 RGB."""
    path = folder / "picture"
    path.write_bytes(content)
    image = read_image(path)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3, image.shape
    assert image.size > 0 and image.flags.c_contiguous
    return "accepted"


def check_archive(content: bytes, folder: Path) -> str:
    """`unpack` writes ordinary files into its folder, or nothing at all."""
    source, target = folder / "in.zip", folder / "one" / "two" / "out"
    source.write_bytes(content)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        unpack(source, target)
        for path in target.rglob("*"):
            mode = path.lstat().st_mode
            assert stat.S_ISREG(mode) or stat.S_ISDIR(mode), f"{path} is no plain file"
        _remove(target)
        return "accepted"
    finally:
        left = {str(path.relative_to(folder)) for path in folder.rglob("*")} - {"picture"}
        assert left == {"in.zip", "one", "one/two"}, f"written outside, or left behind: {left}"
        assert not Path("/tmp/facemask-evil.png").exists()


def check_journal(content: bytes, folder: Path) -> str:
    """A journal is gone on with and finished, or refused and left as it is."""
    path, results, table = folder / "j.unfinished", folder / "j.json", folder / "j.csv"
    path.write_bytes(content)
    try:
        journal = Journal(path, ABOUT)
        try:
            journal.add({"file": "new.jpg", "error": "none"})
            answers = list(read_journal(path))
            assert {answer["file"] for answer in answers} == journal.done
            summarise(answers, LABELS)
            journal.finish(results, table, LABELS)
        finally:
            journal.close()
        # As strict readers do: NaN and Infinity are no JSON.
        written = json.loads(results.read_text("utf-8"), parse_constant=lambda name: 1 / 0)
        assert len(written) == len(answers) and not path.exists()
        return "accepted"
    finally:
        for each in (path, results, table):
            each.unlink(missing_ok=True)
        assert not list(folder.iterdir()), f"left behind: {list(folder.iterdir())}"


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


class Part(NamedTuple):
    seeds: Callable[[], list[bytes]]
    check: Callable[[bytes, Path], str]


PARTS = {
    "images": Part(pictures, check_picture),
    "archives": Part(archives, check_archive),
    "journals": Part(journals, check_journal),
}


def random_case(part: str, number: int) -> Case:
    """The same case for the same number, wherever it runs."""
    rng = random.Random(f"{part} {number}")
    count = len(PARTS[part].seeds())
    steps = tuple(Step(rng.choice(KINDS), rng.getrandbits(32), rng.getrandbits(32))
                  for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 5))))  # fmt: skip
    if part == "images":
        steps += (Step("mend", 0, 0),) * rng.getrandbits(1)
    return Case(rng.randrange(count), rng.randrange(count), steps)


def content_of(part: str, case: Case) -> bytes:
    seeds = PARTS[part].seeds()
    return spoil(seeds[case.seed % len(seeds)], seeds[case.other % len(seeds)], case.steps)


# The worker


class Outcome(NamedTuple):
    """What became of one input: "accepted", "refused" or "failed", with what was said."""

    kind: str
    text: str
    milliseconds: float  # of processor time
    megabytes: float  # of memory beyond what the idle process takes


class Worker:
    """A process under limits that checks one input after the other, and is replaced if it dies."""

    def __init__(self, part: str, folder: Path):
        self.part, self.folder = part, folder
        self.process: Any = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def check(self, content: bytes) -> Outcome:
        """Have an input checked."""
        if self.process is None:
            self._start()
        try:
            self.pipe.send_bytes(content)
            if self.pipe.poll(PATIENCE):
                outcome = Outcome(*self.pipe.recv())
                if outcome.kind != "failed":
                    return _within_limits(outcome)
                return outcome
            text = f"took more than {PATIENCE} s"
        except (EOFError, OSError):
            self.process.join()
            text = f"the process died ({self.process.exitcode})"
        self._end()
        return Outcome("failed", text, 1e3 * PATIENCE, 0)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would bring the parent's memory
        self.pipe, theirs = context.Pipe()
        folder = tempfile.mkdtemp(dir=self.folder)
        self.process = context.Process(target=_work, args=(theirs, self.part, Path(folder)))
        self.process.start()
        theirs.close()

    def _end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.pipe.close()
            self.process = None


def _within_limits(outcome: Outcome) -> Outcome:
    if outcome.milliseconds > 1e3 * SECONDS:
        return outcome._replace(kind="failed", text=f"took {outcome.milliseconds:.0f} ms")
    if outcome.megabytes * 1e6 > MEMORY:
        return outcome._replace(kind="failed", text=f"took {outcome.megabytes:.0f} MB")
    return outcome


def _work(pipe: Connection, part: str, folder: Path) -> None:
    """Check what comes, until the pipe is closed."""
    import resource  # not there on Windows, where the tests need only the rest

    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)  # progress bars, and what libtiff says
    check = PARTS[part].check
    check(PARTS[part].seeds()[0], folder)  # what is set up once does not count
    space = _memory("VmSize")
    # Against what would bring the machine down. It counts what is reserved as well, such as the
    # 4 GB that Python reserves, and never touches, for what a PNG says that it will hold.
    resource.setrlimit(resource.RLIMIT_AS, (space + 6 * MEMORY, space + 6 * MEMORY))
    while True:
        try:
            content = pipe.recv_bytes()
        except EOFError:
            return
        ctypes.CDLL(None).malloc_trim(0)  # what earlier inputs left would hide what this one takes
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
        idle = _memory("VmRSS")
        start = time.process_time()
        kind, text = _judge(check, content, folder)
        spent = 1e3 * (time.process_time() - start)
        peak = max(0, _memory("VmHWM") - idle) / 1e6
        pipe.send((kind, text, spent, peak))


def _judge(check: Callable[[bytes, Path], str], content: bytes, folder: Path) -> tuple[str, str]:
    try:
        return check(content, folder), ""
    except FacemaskError as error:
        if isinstance(error.__cause__, MemoryError):
            return "failed", f"memory ran out: {error}"
        return "refused", str(error)
    except BaseException as error:
        where = error.__traceback__
        while where and where.tb_next:
            where = where.tb_next
        line = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else ""
        return "failed", f"{type(error).__name__}: {str(error)[:200]} ({line})"


def _memory(field: str) -> int:
    """A field of /proc/self/status in bytes."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.partition(f"{field}:")[2].split()[0])


# The command


def inputs_of(part: str, count: int) -> Iterator[tuple[str, bytes]]:
    """Name and content: all good files and bombs as they are, then `count` spoilt ones."""
    for number, content in enumerate(PARTS[part].seeds()):
        yield f"seed-{number}", content
    if part == "images":
        for name, make in bombs().items():
            yield name.replace(" ", "-"), make()
    for number in range(count):
        yield f"{number}", content_of(part, random_case(part, number))


def torture(part: str, count: int) -> dict:
    """Try the inputs of one part; what failed is kept and said.

    Returns:
        Counts, and what the slowest and the largest input took.
    """
    kinds = {"accepted": 0, "refused": 0, "failed": 0}
    slowest = largest = 0.0
    with tempfile.TemporaryDirectory() as folder, Worker(part, Path(folder)) as worker:
        extra = len(PARTS[part].seeds()) + len(bombs()) * (part == "images")
        bar = tqdm(inputs_of(part, count), total=count + extra, desc=part, unit="input")
        for name, content in bar:
            outcome = worker.check(content)
            kinds[outcome.kind] += 1
            slowest = max(slowest, outcome.milliseconds)
            largest = max(largest, outcome.megabytes)
            if outcome.kind == "failed":
                KEPT.mkdir(parents=True, exist_ok=True)
                (KEPT / f"{part}-{name[:60]}").write_bytes(content)
                tqdm.write(f"{part} {name}: {outcome.text}")
    return {
        "inputs": sum(kinds.values()),
        "accepted": kinds["accepted"],
        "refused with a message": kinds["refused"],
        "failures": kinds["failed"],
        "slowest, ms of processor time": round(slowest, 1),
        "peak MB": round(largest, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="facemask.benchmarks.torture", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", choices=PARTS, help="try this part alone")
    parser.add_argument("--inputs", type=int, default=2000, help="spoilt files for each part")
    args = parser.parse_args()
    report = read_json(REPORT) if REPORT.is_file() else {}
    for part in [args.only] if args.only else PARTS:
        report[part] = torture(part, args.inputs)
        write_json(REPORT, report)
        print(f"{part}: {report[part]}")
    return 1 if any(report[part]["failures"] for part in report) else 0


if __name__ == "__main__":
    sys.exit(main())
