"""Answers on disk: written one by one, so that a run that is cut off goes on where it stopped.

While a run lasts, its answers are lines of JSON in a journal, `<results>.unfinished`: the first
line says what the run was about, every further one is an answer, written in one piece once all
that belongs to it (such as the annotated picture) is on disk. When the run is done, the journal
becomes the .json and the .csv file and is removed.
"""

import contextlib
import csv
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from facemask.io.files import FacemaskError, cannot_write, write_whole, writing

CSV_FIELDS = (
    "file", "width", "height", "judged", "face", "x", "y", "box_width", "box_height",
    "label", "probability", "sure",
)  # fmt: skip


class Journal:
    """A journal that is open for writing.

    Args:
        path: of the journal.
        about: what the run depends on; a journal begun with anything else is refused.

    Raises:
        FacemaskError: the journal belongs to another run, is damaged or cannot be written.
    """

    def __init__(self, path: str | Path, about: dict):
        self.path = Path(path)
        first = json.dumps({"about": about}, sort_keys=True).encode() + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b")
            _lock(self._file, self.path)
            self._file.seek(0)
            begun = self._file.read(len(first))
            if not first.startswith(begun):  # looked at before anything is cut off
                self._file.close()
                raise FacemaskError(
                    f"{self.path} was begun with another model or other settings; repeat that "
                    "command to finish it, or delete the file to start anew"
                )
            if begun == first:
                self._file.truncate(_whole_lines(self.path))
            else:
                self._file.truncate(0)
                self._file.write(first)
                self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            self.done = {answer["file"] for answer in read_journal(self.path)}
        except FacemaskError:
            self._file.close()
            raise

    def add(self, answer: dict) -> None:
        """Append an answer; after the return it survives the end of the process.

        Raises:
            FacemaskError: it cannot be written, or holds what is no number (NaN), which JSON
                does not know.
        """
        try:
            line = json.dumps(answer, allow_nan=False) + "\n"
        except ValueError as error:
            raise FacemaskError(
                f"the model gives no number for {answer['file']}; train or export it again"
            ) from error
        try:
            self._file.write(line.encode())
            self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.done.add(answer["file"])

    def finish(self, json_path: Path | None, csv_path: Path | None, labels: Sequence[str]) -> None:
        """Write the answers as .json and .csv, whole or not at all, and remove the journal."""
        self._file.close()
        if json_path:
            write_answers_json(json_path, read_journal(self.path))
        if csv_path:
            write_answers_csv(csv_path, read_journal(self.path), labels)
        with writing(self.path):  # a disk may break at any moment
            self.path.unlink()

    def close(self) -> None:
        """Leave the journal as it is, to be gone on with."""
        with contextlib.suppress(OSError):  # what was added is on disk; the error is known
            self._file.close()


def read_journal(path: str | Path) -> Iterator[dict]:
    """The answers in a journal, one after the other.

    Raises:
        FacemaskError: a line is not an answer as `predict` describes it.
    """
    with open(path, "rb") as lines:
        next(lines, None)
        for number, line in enumerate(lines, 2):
            answer = _parse(line)
            if answer is None:
                raise FacemaskError(
                    f"{path} is damaged in line {number}; remove that line to have its picture "
                    "judged again, or delete the file to start anew"
                )
            yield answer


def _parse(line: bytes) -> dict | None:
    """The answer that a line holds; None if it holds none."""
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return value if _is_answer(value) else None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):  # JSON knows neither NaN nor Infinity
        raise ValueError(text)
    return value


def _is_answer(value: Any) -> bool:
    if not _is_flat(value, ("faces", "whole")) or not isinstance(value.get("file"), str):
        return False
    faces, whole, judged = value.get("faces"), value.get("whole"), value.get("judged")
    if "error" in value:
        return isinstance(value["error"], str) and not faces and not whole
    if judged in ("whole picture", "no face"):
        return faces == [] and _is_verdict(whole)
    return (
        judged in ("faces", "video") and whole is None and isinstance(faces, list)
        and all(_is_verdict(face) and _is_box(face.get("box")) for face in faces)
    )  # fmt: skip


def _is_verdict(value: Any) -> bool:
    return (
        _is_flat(value, ("box", "probabilities")) and isinstance(value.get("label"), str)
        and isinstance(value.get("sure"), bool) and isinstance(value.get("probabilities"), dict)
        and all(isinstance(p, (int, float)) for p in value["probabilities"].values())
    )  # fmt: skip


def _is_box(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) == 4
        and all(isinstance(v, (int, float)) for v in value)
    )  # fmt: skip


def _is_flat(value: Any, but: tuple[str, ...]) -> bool:
    """Whether it is a JSON object that holds no lists and objects, but in some of its fields."""
    return isinstance(value, dict) and not any(
        isinstance(inner, (dict, list)) for name, inner in value.items() if name not in but
    )


def write_answers_json(path: str | Path, answers: Iterator[dict]) -> None:
    """Write answers as a JSON array, one to a line, never holding all of them in memory."""
    # Names that are not valid Unicode come as lone surrogates; the escape is JSON's own.
    with write_whole(path) as partial:
        with open(partial, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("[")
            for number, answer in enumerate(answers):
                text = json.dumps(answer, ensure_ascii=False)
                file.write((",\n" if number else "\n") + text)
            file.write("\n]\n")


def write_answers_csv(path: str | Path, answers: Iterator[dict], labels: Sequence[str]) -> None:
    """Write answers as CSV: a row per face, or one for a picture that is not judged by faces.

    Columns: CSV_FIELDS, `probability_<label>` for every label, `score`, `error`. `face` counts
    from 1 within a picture (in a video it is the number of the track); for a picture judged whole
    the box columns, and for one without a face `face` too, are empty.
    """
    fields = [*CSV_FIELDS, *(f"probability_{label}" for label in labels), "score", "error"]
    with write_whole(path) as partial:
        with open(
            partial, "w", newline="", encoding="utf-8", errors="backslashreplace"
        ) as file:
            rows = csv.DictWriter(file, fields, extrasaction="ignore")
            rows.writeheader()
            for answer in answers:
                rows.writerows(face_rows(answer))


def face_rows(answer: dict) -> Iterator[dict]:
    """An answer as flat rows, one a face; see `write_answers_csv`. Its own fields stay in each."""
    whole = answer.get("whole")
    if whole:
        face = 1 if answer["judged"] == "whole picture" else None
        yield {**answer, **_flat(whole), "face": face}
    for number, face in enumerate(answer.get("faces", ()), 1):
        x, y, width, height = face["box"]
        box = {"x": x, "y": y, "box_width": width, "box_height": height}
        yield {**answer, **box, **_flat(face), "face": face.get("track", number)}
    if not whole and not answer.get("faces"):  # unreadable, or a video without a face
        yield answer


def _flat(verdict: dict) -> dict:
    each = {f"probability_{label}": p for label, p in verdict["probabilities"].items()}
    return {**verdict, **each}


def _lock(file: BinaryIO, path: Path) -> None:
    """Keep a second run off the same journal; the lock ends with the process, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows, where two runs at once are left to the user
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FacemaskError(
            f"{path} is being written by another run; wait for it or choose another name"
        ) from error
    except OSError:  # a drive that knows no locks
        return


def _whole_lines(path: Path) -> int:
    """Bytes up to the end of the last whole line."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:  # backwards, as the end of a line is near
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
