"""Ways to spoil a file."""

import re
import struct
import zlib
from typing import NamedTuple


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
