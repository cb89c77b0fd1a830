"""Results as Parquet: a folder of part files, each written whole or not at all.

One process writes, the one that was called: engines only bring answers, in any order. So a worker
that dies, or whose work is done a second time, cannot have written anything. A part holds the rows
of whole pictures. What a run cut off has written counts: the next one reads the paths there and
judges the rest.
"""

import contextlib
import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from facemask.io.files import (
    FacemaskError,
    one_at_a_time,
    read_json,
    sweep,
    write_json,
    write_whole,
    writing,
)
from facemask.photos.journal import face_rows

PICTURES = 4096  # in a part at most
SECONDS = 30.0  # of work that a run that is killed may lose
SETTINGS = "_settings.json"  # readers of Parquet pass over names that begin so


def schema(labels: Sequence[str]) -> pa.Schema:
    """The columns, as `write_answers_csv` has them, with probabilities as one and the model."""
    number = pa.float64()
    return pa.schema([
        ("path", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
        ("judged", pa.string()), ("face", pa.int32()), ("x", number), ("y", number),
        ("box_width", number), ("box_height", number), ("score", number), ("label", pa.string()),
        ("probability", number), ("sure", pa.bool_()),
        ("probabilities", pa.struct([(label, number) for label in labels])),
        ("model", pa.string()), ("error", pa.string()),
    ])  # fmt: skip


class Parts:
    """A folder of results that is open for writing, by `opened`.

    Attributes:
        done: paths of all pictures that are in its parts.
    """

    def __init__(self, folder: Path, model: str, labels: Sequence[str]):
        self.folder, self.model, self.schema = folder, model, schema(labels)
        self.done: set[str] = set()
        for path in sorted(folder.glob("part-*.parquet")):
            self.done.update(read(path, ["path"])["path"].to_pylist())
        self._waiting: list[dict] = []
        self._since = time.monotonic()

    def add(self, answer: dict) -> bool:
        """Take an answer in; it is on disk when its part is.

        Returns:
            False if there is an answer about that picture already, so that this one is not kept.

        Raises:
            FacemaskError: it cannot be written, or the model gives no number.
        """
        name = answer["file"]
        if name in self.done:
            return False
        self.done.add(name)
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append(answer)
        if len(self._waiting) >= PICTURES or time.monotonic() - self._since >= SECONDS:
            self.flush()
        return True

    def flush(self) -> None:
        """Write what waits as a part.

        Raises:
            FacemaskError: see `add`.
        """
        if self._waiting:
            answers = sorted(self._waiting, key=lambda answer: answer["file"])
            rows = [self._row(row) for answer in answers for row in face_rows(answer)]
            # Named after what it holds: two runs that know of no locks cannot overwrite another's.
            names = "\n".join(answer["file"] for answer in answers)
            mark = hashlib.sha256(names.encode()).hexdigest()[:16]
            path = self.folder / f"part-{mark}.parquet"
            with write_whole(path) as partial:
                table = pa.Table.from_pylist(rows, self.schema)
                parquet.write_table(table, partial, compression="zstd")
            self._waiting = []

    def _row(self, row: dict) -> dict:
        numbers = [*(row.get("probabilities") or {}).values(), row.get("score") or 0.0]
        if not all(map(math.isfinite, numbers)):
            raise FacemaskError(
                f"the model gives no number for {row['file']}; train or export it again"
            )
        return {**row, "path": row["file"], "model": self.model}


@contextlib.contextmanager
def opened(folder: Path, about: dict, labels: Sequence[str]) -> Iterator[Parts]:
    """Open a folder of results for writing; what waits in the end is written, whatever happened.

    A second run waits until the first is done.

    Args:
        folder: made if need be.
        about: what the rows depend on, "model" among it: a digest for each row. A folder begun with
            anything else is refused.
        labels: of the model, in order.

    Raises:
        FacemaskError: the folder belongs to another run, is damaged or cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder / "parts", "scores into"):
        sweep(folder)
        begun = folder / SETTINGS
        if begun.is_file():
            if read_json(begun) != about:
                raise FacemaskError(
                    f"{folder} was begun with another model or other settings; repeat that command "
                    "to finish it, or name another --out"
                )
        elif any(folder.glob("part-*.parquet")):
            raise FacemaskError(
                f"{folder} holds results but not what they were made with ({SETTINGS} is missing); "
                "name another --out"
            )
        else:
            write_json(begun, about)
        parts = Parts(folder, about["model"], labels)
        try:
            yield parts
        finally:
            parts.flush()


def count(folder: Path) -> dict[str, Any]:
    """What is in a folder of results.

    Returns:
        `pictures`, `faces`, `unreadable`, and `labels`: sure faces by label; `unsure`: the others.

    Raises:
        FacemaskError: a part is damaged.
    """
    counts = {"pictures": 0, "faces": 0, "unreadable": 0, "unsure": 0}
    labels: dict[str, int] = {}
    for path in sorted(folder.glob("part-*.parquet")):
        columns = read(path, ["path", "face", "label", "sure", "error"])
        # The rows of a picture follow one another, and are in one part.
        counts["pictures"] += len(columns["path"].unique())
        counts["unreadable"] += len(columns) - columns["error"].null_count
        faces = columns.filter(columns["face"].is_valid())
        counts["faces"] += len(faces)
        for label, sure in zip(faces["label"].to_pylist(), faces["sure"].to_pylist()):
            if sure:
                labels[label] = labels.get(label, 0) + 1
            else:
                counts["unsure"] += 1
    return {**counts, "labels": dict(sorted(labels.items()))}


def read(path: Path, columns: list[str] | None = None) -> pa.Table:
    """The rows of one part, or some of its columns.

    Raises:
        FacemaskError: it is damaged.
    """
    try:
        # As a file, and not as a data set, which would see a partition in a folder named a=b.
        return parquet.ParquetFile(path).read(columns)
    except (pa.ArrowException, OSError) as error:
        raise FacemaskError(
            f"{path} is damaged ({error}); delete it to have its pictures judged again"
        ) from error
