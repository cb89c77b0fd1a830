"""Full disks, read-only ones, folders without permission, a clock that goes back: what comes of it.

`python -m facemask.torture --only disks` runs every stage that writes on a small ext4 in a file.

- full: no block of 4096 bytes is free, one, one too few, or some random number;
- read-only: before the run, or from some moment of it on, when the disk breaks (by the kernel's own
  `trigger_fs_error`, after which every write is refused);
- no permission: files and folders that nobody may write, for a run without root's right to do so
  all the same;
- clock: set back by a day during the run, or between one that a full disk cut off and the next (by
  libfaketime, for the run's processes alone, as setting the machine's would disturb others; the
  monotonic clock goes on, as a real one does).

A run that does not finish has to say so in a line, leave what was there as it was and nothing half
made under a product's name. The same command, given again once the disk is well, has to finish
with the products of a run that nothing disturbed, and without leftovers. Linux and root only.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from facemask.io.files import ROOT, FacemaskError
from facemask.torture.faults.small_disk import BLOCK, Disk, disk
from facemask.torture.faults.writers import (
    Stage,
    content,
    contents,
    environment,
    make_inputs,
    matches,
)
from facemask.torture.faults.writers import stages as all_stages

PATIENCE = 900  # seconds after which a run counts as one that waits for ever
MOST_LINES = 3  # of a message
DAY = 24 * 3600
NEEDED = ("mkfs.ext4", "e2fsck", "mount", "umount", "losetup", "setpriv", "faketime")
# A right of root's: to read and write whatever a file's mode says.
OBEYS_MODES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search",
               "--inh-caps=-dac_override,-dac_read_search")  # fmt: skip
PROGRESS = re.compile(r"\d+%\||\d+(\.\d+)?(it|img|photo|frame|B|kB|MB|s)/|\?\w*/s|^\[\d/\d\]")
NOISE = re.compile(
    r"Traceback|Exception ignored|^\s+File \"|\b[A-Z]\w*(Error|Exception)\b|Warning|"
    r"^[IWEF]\d{4} |tensorflow|HDF5|libpng|absl", re.MULTILINE
)  # fmt: skip
ADVICE = re.compile(r"[;,] .*(free some space|choose another|run)")


class Run(NamedTuple):
    """What became of a command; `said` is its error stream without progress bars."""

    code: int
    said: str
    seconds: float


def do(
    stage: Stage, folder: Path, by: tuple[str, ...] = (), more: dict[str, str] | None = None,
    meanwhile: Callable[[threading.Event], None] | None = None,
) -> Run:
    """Run a stage's command in a folder.

    Args:
        by: what starts the command.
        more: environment variables besides.
        meanwhile: called in a thread with an event that is set when the run is over.
    """
    at = folder if (folder / "facemask").is_dir() else ROOT
    start, over = time.monotonic(), threading.Event()
    with tempfile.TemporaryFile() as out, contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            [*by, *stage.command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=out, env=environment(at) | (more or {}), start_new_session=True,
        )  # fmt: skip
        if meanwhile:
            thread = threading.Thread(target=meanwhile, args=(over,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(over.set)
        try:
            code = process.wait(PATIENCE)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
            if not isinstance(sys.exc_info()[1], subprocess.TimeoutExpired):
                raise
        over.set()
        with contextlib.suppress(ProcessLookupError):  # a notebook's kernel may outlive it
            os.killpg(process.pid, signal.SIGKILL)
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
    return Run(code, without_progress(text), time.monotonic() - start)


def without_progress(text: str) -> str:
    """What was said besides progress bars."""
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;]*\w", "", text))
    return "\n".join(line for line in lines if line.strip() and not PROGRESS.search(line))


# What has to hold


def problem_of_refusal(stage: Stage, done: Run, folder: Path, was: dict, after: dict) -> str | None:
    """What is wrong after a run that could not finish; None if nothing is.

    Args:
        was: `contents` before it.
        after: `contents` after a run that nothing disturbed, with the stage's `alike`.
    """
    lines = done.said.splitlines()
    if done.code == 0:
        return "it says that it has finished"
    if done.code < 0:
        return f"it was ended by signal {-done.code}: {done.said[-300:]}"
    if not lines or len(lines) > MOST_LINES or NOISE.search(done.said):
        return f"no short message, but: {done.said[-1500:] or 'nothing'}"
    tops = {name.split("/")[0] for name in after} | {folder.name}
    if not any(top in lines[-1] for top in tops) or not ADVICE.search(lines[-1]):
        return f"the message does not say where, or what to do: {lines[-1]}"
    for name, old in was.items():
        path = folder / name
        if not os.path.lexists(path):
            return f"{name} is gone"
        if content(path, False) != old and not _new(stage, path, name, after):
            return f"{name} is not as it was"
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_dir() or name in was or hidden or matches(name, stage.aside):
            continue
        if not _new(stage, path, name, after):
            return f"{name} is there, and not as it should be"
    return None


def _new(stage: Stage, path: Path, name: str, after: dict) -> bool:
    """Whether it is a product that may be there before the run is over, and whole."""
    if not matches(name, stage.gradual):
        return False
    try:
        return bool(content(path, matches(name, stage.alike)) == after.get(name))
    except Exception:  # half of it, as a reader would find
        return False


def problem_of_success(stage: Stage, done: Run, folder: Path, after: dict) -> str | None:
    """What is wrong after a run that should have finished; None if nothing is."""
    if done.code:
        return f"exit status {done.code}: {done.said[-1500:]}"
    if "Traceback" in done.said or "Exception ignored" in done.said:
        return f"it says: {done.said[-1500:]}"
    try:
        found = contents(folder, stage.alike)
    except Exception as error:
        return f"a product cannot be read: {error!r}"
    wrong = sorted(name for name in {*found, *after} if found.get(name) != after.get(name))
    return f"not as after a run undisturbed: {', '.join(wrong[:5])}" if wrong else None


# The ways to disturb a run


class Trial:
    """A stage on a small disk: first undisturbed, then disturbed in one way after the other."""

    def __init__(self, name: str, stage: Stage, small: Disk, before: Path):
        self.name, self.stage, self.disk, self.before = name, stage, small, before
        before.mkdir()
        stage.earlier(before)
        self.was = contents(before)
        small.lay(before)
        with small.most_used() as most:
            done = do(stage, small.work)
        if done.code:
            raise FacemaskError(f"{name} fails undisturbed: {done.said[-1500:]}; mend that first")
        self.after = contents(small.work, stage.alike)
        # The new products at least, should a busy machine have let the peak pass unseen.
        found = contents(small.work)
        made = [name for name in found if found[name] != self.was.get(name)]
        sizes = [(small.work / name).lstat().st_size for name in made]
        self.needs = max(most[0], sum(-(-size // BLOCK) for size in sizes))
        self.seconds = done.seconds
        self.rng = random.Random(name)
        self.refused = 0
        self.failures: list[str] = []

    def amounts(self) -> list[int]:
        """Free blocks: none, one, just too few, and random numbers between."""
        few = [self.needs - 1, 0, 1, self.needs - 2][: (self.stage.amounts + 1) // 2]
        chosen = {n for n in few if n >= 0}
        while len(chosen) < min(self.stage.amounts, self.needs):
            chosen.add(self.rng.randrange(self.needs))
        return sorted(chosen)

    def first(self, done: Run, how: str, surely: bool = True) -> None:
        """Check a run that was disturbed: `surely`, or perhaps, so that it cannot finish."""
        if done.code == 0 and not surely:
            problem = problem_of_success(self.stage, done, self.disk.work, self.after)
        else:
            problem = problem_of_refusal(self.stage, done, self.disk.work, self.was, self.after)
            self.refused += 1
        self.note(how, problem)

    def again(self, how: str, **more: Any) -> None:
        done = do(self.stage, self.disk.work, **more)
        self.note(how, problem_of_success(self.stage, done, self.disk.work, self.after))

    def note(self, how: str, problem: str | None) -> None:
        if problem:
            self.failures.append(f"{self.name}, {how}: {problem}")
            tqdm.write(self.failures[-1], file=sys.stderr)

    def full(self) -> int:
        """How often it was run on a full disk."""
        for blocks in (amounts := self.amounts()):
            how = f"{blocks} of {self.needs} blocks free"
            self.disk.lay(self.before)
            self.disk.leave(blocks)
            self.first(do(self.stage, self.disk.work), how, surely=blocks == 0)
            self.disk.leave_all()
            self.again(f"after {how}")
        return len(amounts)

    def read_only(self) -> int:
        self.disk.lay(self.before)
        self.disk.read_only()
        self.first(do(self.stage, self.disk.work), "read-only")
        self.disk.mend()
        self.again("after read-only")
        if self.disk.kind != "ext4":
            return 1
        self.disk.lay(self.before)
        share = self.rng.uniform(0.3, 0.9)
        broken = do(self.stage, self.disk.work, meanwhile=self._later(share, self.disk.spoil))
        self.first(broken, f"the disk broke after {share:.0%}", surely=False)
        self.disk.mend()
        self.again(f"after the disk broke after {share:.0%}")
        return 2

    def no_permission(self) -> int:
        self.disk.lay(self.before)
        paths = [self.disk.work, *self.disk.work.rglob("*")]
        modes = {path: path.stat().st_mode & 0o777 for path in paths if not path.is_symlink()}
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
        self.first(do(self.stage, self.disk.work, by=OBEYS_MODES), "no permission")
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode)
        self.again("after no permission", by=OBEYS_MODES)
        return 1

    def clock(self) -> int:
        with tempfile.TemporaryDirectory() as folder:
            setting = Path(folder) / "clock"
            more = {
                "FAKETIME_TIMESTAMP_FILE": str(setting), "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "LD_PRELOAD": _faketime(),
            }  # fmt: skip
            setting.write_text("+0")
            self.disk.lay(self.before)
            turn_back = partial(setting.write_text, f"-{DAY}")
            back = self._later(self.rng.uniform(0.3, 0.9), turn_back)
            self.again("clock back during the run", more=more, meanwhile=back)
            setting.write_text("+0")
            self.disk.lay(self.before)
            self.disk.leave(self.rng.randrange(self.needs))
            do(self.stage, self.disk.work, more=more)
            self.disk.leave_all()
            setting.write_text(f"-{DAY}")
            self.again("clock back between two runs", more=more)
        return 2

    def _later(self, share: float, act: Callable[[], object]) -> Callable[[threading.Event], None]:
        def wait(over: threading.Event) -> None:
            if not over.wait(share * self.seconds):
                act()

        return wait

    def row(self) -> dict[str, Any]:
        """All of them; counts of runs that were disturbed."""
        row = {"full": self.full(), "read-only": self.read_only(),
               "no permission": self.no_permission(),
               "clock": self.clock() if self.stage.clock else 0}  # fmt: skip
        return {**row, "refused with a message": self.refused, "failures": len(self.failures)}


def _faketime() -> str:
    """The library that gives a process another clock."""
    found = next(Path("/usr").rglob("libfaketimeMT.so.1"), None)
    if found is None:
        raise FacemaskError("libfaketime is missing; apt-get install faketime")
    return str(found)


def rows(stack: contextlib.ExitStack) -> dict[str, Callable[[], dict]]:
    """Every stage, all on one small disk that is there until the stack is closed.

    Raises:
        FacemaskError: not root on Linux, or a tool is missing.
    """
    missing = [tool for tool in NEEDED if not shutil.which(tool)]
    if sys.platform != "linux" or os.geteuid() or missing:
        raise FacemaskError(
            "small file systems are mounted, which needs Linux, root and the tools "
            f"{', '.join(missing or NEEDED)}; on Debian: apt-get install e2fsprogs util-linux "
            "faketime"
        )
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    small = stack.enter_context(disk())
    make_inputs(folder / "inputs")

    def measure(name: str, stage: Stage) -> dict:
        return Trial(name, stage, small, folder / re.sub(r"\W+", "-", name)).row()

    return {name: partial(measure, name, stage)
            for name, stage in all_stages(folder / "inputs").items()}  # fmt: skip
