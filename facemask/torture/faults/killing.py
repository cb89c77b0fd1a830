"""To kill a command at random moments, start it again, and look at what has come of it.

It runs as a process of its own and is ended by SIGKILL, with all that it has started. After each
kill what is in sight must be whole; after a run that is let finish, the products must be those of
an undisturbed run, and nothing else may lie about. `kills` has the commands. Linux only.
"""

import contextlib
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from tqdm import tqdm

from facemask.io.files import FacemaskError

# What a run that was killed may leave until the next one starts; see facemask/io/files.py.
LEFT = re.compile(r"\..+-((part|lock|old)[0-9a-f]+(\.\w+)?|run)")
MOST_FAILURES = 20  # after which a stage is given up
PATIENCE = 60  # seconds that a run may take longer than ten undisturbed ones
Tree = dict[str, object]  # path -> what of a file's content has to be the same


class Stage(NamedTuple):
    """A command to be killed, in a working folder that holds what it reads.

    Attributes:
        command: what a process of its own does with `arguments`; gives the exit code.
        arguments: of it.
        products: patterns of the files and folders that it writes, below the working folder.
        facts: from a product to what has to be as after an undisturbed run.
        at_once: the products come into sight together; else one file after the other.
        grows: names of files that grow as work is done. What has been written of those that an
            undisturbed run leaves too, has to be a beginning of theirs.
        done: from the working folder to how much work is done, which may never become less; None
            for all of it, after which a start begins anew.
        earlier: arguments that give other products, which stand there when every second round
            begins; none: they never do.
        forked: from a process that has imported all before; else from nothing.
    """

    command: Callable[[list[str]], int]
    arguments: list[str]
    products: tuple[str, ...]
    facts: Callable[[Path], object] = Path.read_bytes
    at_once: bool = False
    grows: tuple[str, ...] = ()
    done: Callable[[Path], int | None] = lambda work: 0
    earlier: list[str] | None = None
    forked: bool = True


class _Run(Protocol):
    def wait(self, seconds: float) -> int | None:
        """The exit code; None if it runs after that time."""

    def kill(self) -> None:
        """End it and all that it has started, at once."""


class _Forked:
    """A process forked from one that has imported all that the stages need, and done nothing."""

    def __init__(self, stage: Stage, arguments: list[str], work: Path):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["facemask.torture.faults.kills"])
        self._process = context.Process(
            target=_begin, args=(stage.command, arguments, work, work.with_suffix(".log"))
        )
        self._process.start()

    def wait(self, seconds: float) -> int | None:
        self._process.join(seconds)
        return self._process.exitcode

    def kill(self) -> None:
        _kill_group(self._process.pid)
        self._process.kill()  # before it has a group of its own
        self._process.join()


def _begin(
    command: Callable[[list[str]], int], arguments: list[str], work: Path, log: Path
) -> None:
    os.setsid()
    os.chdir(work)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(command(arguments))


class _Started:
    """`python -m facemask`, with the package that lies in the working folder."""

    def __init__(self, stage: Stage, arguments: list[str], work: Path):
        with open(work.with_suffix(".log"), "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "facemask", *arguments], cwd=work, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def wait(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        _kill_group(self._process.pid)
        self._process.wait()


def _kill_group(number: int | None) -> None:
    with contextlib.suppress(ProcessLookupError):
        if number and os.getpgid(number) != os.getpgid(0):
            os.killpg(number, signal.SIGKILL)


def start(stage: Stage, arguments: list[str], work: Path) -> _Run:
    """Start a stage in its working folder."""
    return (_Forked if stage.forked else _Started)(stage, arguments, work)


def tree(stage: Stage, work: Path) -> Tree:
    """What is in sight of a stage's products."""
    found: Tree = {}
    for pattern in stage.products:
        for top in work.glob(pattern):
            for path in [top] if top.is_file() else sorted(top.rglob("*")):
                name = path.relative_to(work)
                if path.is_file() and not any(map(LEFT.fullmatch, name.parts)):
                    found[str(name)] = stage.facts(path)
    return found


def begins(content: object, whole: object) -> bool:
    """Whether a text, or a JSON object, is a part of the whole one that could have come first."""
    if isinstance(content, bytes) and isinstance(whole, bytes):
        return whole.startswith(content)
    if isinstance(content, dict) and isinstance(whole, dict):
        return all(key in whole and begins(value, whole[key]) for key, value in content.items())
    return content == whole


def left(work: Path) -> list[str]:
    """What runs that no longer live have left: hidden files, and processes."""
    files = [str(path) for path in work.rglob("*") if LEFT.fullmatch(path.name)]
    end = time.monotonic() + PATIENCE
    while (alive := list(_processes(work))) and time.monotonic() < end:
        time.sleep(0.2)
    return files + alive


def _processes(work: Path) -> Iterator[str]:
    """Processes that work in a folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if Path(os.readlink(process / "cwd")).is_relative_to(work):
                yield f"process {process.name}"


class Torture:
    """One stage in one working folder.

    Raises:
        FacemaskError: it fails undisturbed.
    """

    def __init__(self, name: str, stage: Stage, work: Path):
        self.name, self.stage, self.work = name, stage, work.resolve()
        self.problems: list[str] = []
        self.counts = dict.fromkeys(("kills", "restarts", "rounds", "left behind", "failures"), 0)
        self.before: Tree = {}
        if stage.earlier:
            self._undisturbed(stage.earlier)
            self.before = tree(stage, self.work)
            for pattern in stage.products:
                for path in self.work.glob(pattern):
                    shutil.copytree(path, self._kept(path)) if path.is_dir() else shutil.copy2(
                        path, self._kept(path))  # fmt: skip
        self.code, self.seconds = self._undisturbed(stage.arguments)
        self.whole = tree(stage, self.work)
        if not self.whole or self.whole == self.before:
            raise FacemaskError(f"{name} writes nothing; see {self.work.with_suffix('.log')}")

    def _kept(self, path: Path) -> Path:
        target = self.work.with_suffix(".earlier") / path.relative_to(self.work)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _undisturbed(self, arguments: list[str]) -> tuple[int, float]:
        self._clear()
        if self.stage.forked:  # so that what is imported once is not in the time
            start(self.stage._replace(command=len), [], self.work).wait(3600)
        begin = time.monotonic()
        code = start(self.stage, arguments, self.work).wait(3600)
        if code not in (0, 1):
            log = self.work.with_suffix(".log")
            text = log.read_text(errors="replace").strip() if log.is_file() else ""
            raise FacemaskError(f"{self.name} fails undisturbed: {text[-500:]}")
        return code, time.monotonic() - begin

    def _clear(self) -> None:
        for pattern in self.stage.products:
            for path in self.work.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def run(self, kills: int, seed: int = 0) -> dict[str, int]:
        """Kill it that often, each time at a moment between its start and its usual end.

        Returns:
            kills that met it alive; restarts after one; rounds, from a fresh start to a finished
            run; what was left behind; failures.
        """
        rng = random.Random(f"{self.name} {seed}")
        with tqdm(total=kills, desc=f"Killing {self.name}", unit="kill") as bar:
            while self.counts["kills"] < kills and self.counts["failures"] < MOST_FAILURES:
                self._round(rng, kills, bar)
        return self.counts

    def _round(self, rng: random.Random, kills: int, bar: tqdm) -> None:
        self._clear()
        if self.stage.earlier and self.counts["rounds"] % 2:
            kept = self.work.with_suffix(".earlier")
            shutil.copytree(kept, self.work, dirs_exist_ok=True)
        self.counts["rounds"] += 1
        done: int | None = 0
        code, killed = None, 0
        while code is None and self.counts["kills"] < kills:
            run = start(self.stage, self.stage.arguments, self.work)
            self.counts["restarts"] += killed > 0
            code = run.wait(rng.uniform(0, self.seconds))
            if code is None:
                run.kill()
                killed += 1
                self.counts["kills"] += 1
                bar.update()
                self._check_sight()
                done, before = self.stage.done(self.work), done
                if done is not None and before is not None and done < before:
                    self._fail(f"{before} were done, and after a kill {done}")
        if code is None:
            run = start(self.stage, self.stage.arguments, self.work)
            self.counts["restarts"] += 1
            code = run.wait(10 * self.seconds + PATIENCE)
            if code is None:
                run.kill()
        self._check_end(code)

    def _check_sight(self) -> None:
        """What a kill has left in sight is whole."""
        seen = tree(self.stage, self.work)
        if self.stage.at_once:
            if seen not in ({}, self.before, self.whole):
                self._fail(f"half of the products are in sight: {len(seen)} files")
            return
        for name, content in seen.items():
            if ".unfinished/" in name:  # says so itself
                continue
            whole = self.whole.get(name)
            if Path(name).name in self.stage.grows:
                fine = whole is None or begins(content, whole) or content == self.before.get(name)
            else:
                fine = content in (whole, self.before.get(name))
            if not fine:
                self._fail(f"{name} is in sight and not whole")

    def _check_end(self, code: int | None) -> None:
        """A run that was let finish has given what an undisturbed one gives."""
        if code != self.code:
            self._fail(f"it ended with {code}, not {self.code}: {self._last_words()}")
        found = tree(self.stage, self.work)
        names = {name for name in found | self.whole if found.get(name) != self.whole.get(name)}
        if names:
            self._fail(f"not as after an undisturbed run: {', '.join(sorted(names)[:5])}")
        behind = left(self.work)
        self.counts["left behind"] += len(behind)
        if behind:
            self._fail(f"left behind: {', '.join(behind[:5])}")

    def _last_words(self) -> str:
        lines = self.work.with_suffix(".log").read_text(errors="replace").strip().splitlines()
        return lines[-1][-300:] if lines else ""

    def _fail(self, text: str) -> None:
        self.counts["failures"] += 1
        self.problems.append(text)
        tqdm.write(f"{self.name}: {text}", file=sys.stderr)
