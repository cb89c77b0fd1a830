"""Hostile files: thousands of spoilt pictures, archives and journals, and what became of them.

`python -m facemask.torture --only files` spoils small good files and hands each to a worker
process. A file may be accepted or be refused by a FacemaskError. Anything else is a failure:
another exception, a crash, more than 5 s of processor time or 1 GiB of memory, a byte written
outside the folder. What failed is kept in data/torture/. The tests import the spoiling and the
checks from here. Linux only.
"""

import contextlib
import ctypes
import json
import multiprocessing
import os
import random
import resource
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from facemask.datasets.archive import unpack
from facemask.datasets.download import DATASETS, dataset_name, download
from facemask.images.reading import read_image
from facemask.io.files import FacemaskError
from facemask.io.settings import check_numbers
from facemask.models.classifier import Classifier
from facemask.photos.journal import Journal, read_journal
from facemask.photos.predict import summarise
from facemask.photos.video import judge_video
from facemask.torture import corpus
from facemask.torture.spoilt import KINDS, Case, Step, spoil

INPUTS = 20_000  # spoilt files of each kind
KEPT = Path("data/torture")
SECONDS, MEMORY = 5, 1 << 30  # of processor time and bytes that one input may take
PATIENCE = 60  # seconds by the clock, as the machine may be busy
_PLAIN = Classifier(corpus.LABELS, 32, lambda crops: np.full((len(crops), 2), 0.5, np.float32))


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
        shutil.rmtree(target)
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
        journal = Journal(path, corpus.ABOUT)
        try:
            journal.add({"file": "new.jpg", "error": "none"})
            answers = list(read_journal(path))
            assert {answer["file"] for answer in answers} == journal.done
            summarise(answers, corpus.LABELS)
            journal.finish(results, table, corpus.LABELS)
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


def check_video(content: bytes, folder: Path) -> str:
    """`judge_video` follows the faces of what can be read of it."""
    path = folder / "film.mp4"
    path.write_bytes(content)
    answer = judge_video(path, None, _PLAIN, progress=False)
    assert answer["frames"] > 0 and answer["width"] > 0
    return "accepted"


def check_settings(content: bytes, folder: Path) -> str:
    """What the notebooks do first with their parameters: it works, or is refused."""
    from facemask.datasets.prepare import read_exclusions  # with TensorFlow, as it splits

    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FacemaskError("no parameters") from error
    if not isinstance(values, dict):
        raise FacemaskError("no parameters")
    (folder / "data").mkdir(exist_ok=True)
    dataset: Any = values.get("DATASET")
    check_numbers(image_size=values.get("IMAGE_SIZE"), seed=values.get("SEED"),
                  epochs=values.get("EPOCHS"), batch_size=values.get("BATCH_SIZE"))
    name = dataset_name(dataset)
    assert name == Path(name).name and name not in (".", ".."), name
    if exclude := values.get("EXCLUDE"):
        read_exclusions(exclude)
    if dataset != "sample" and dataset not in DATASETS and "/" not in str(dataset):  # no network
        download(dataset, folder / "data")
    return "accepted"


class Part(NamedTuple):
    seeds: Callable[[], list[bytes]]
    check: Callable[[bytes, Path], str]


PARTS = {
    "images": Part(corpus.pictures, check_picture),
    "archives": Part(corpus.archives, check_archive),
    "journals": Part(corpus.journals, check_journal),
    "videos": Part(corpus.videos, check_video),
    "settings": Part(corpus.settings, check_settings),
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
        for name, make in corpus.bombs().items():
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
        extra = len(PARTS[part].seeds()) + len(corpus.bombs()) * (part == "images")
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


def rows(stack: contextlib.ExitStack) -> dict[str, Callable[[], dict]]:
    """All parts, INPUTS spoilt files each."""
    return {part: partial(torture, part, INPUTS) for part in PARTS}
