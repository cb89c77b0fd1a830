"""What the first commands take that a user gives: time, memory, space; see reports/commands.json.

`python -m facemask.benchmarks.commands` gives each in a fresh clone of HEAD, with an empty home and
no caches, and with what the one before it left. Three quarters of an hour on two free cores. A row
is measured alone by `--only "make run"`; the others stay as they were. Linux and macOS.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from facemask.datasets.sample import draw_scene
from facemask.io.files import ROOT, FacemaskError, read_json, write_json
from facemask.io.tables import REPORTS

REPORT = REPORTS / "commands.json"
INSTALL, PREDICT, RUN, TEST = "pip install .", "facemask predict photo.jpg", "make run", "make test"
# A small process starts the command: of a large one the size would be taken for its child's.
WATCH = """\
import json, resource, subprocess, sys, time
start = time.monotonic()
code = subprocess.call(sys.argv[2:])
most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
with open(sys.argv[1], "w") as file:
    json.dump([code, time.monotonic() - start, most], file)
"""
WITHOUT = ("VIRTUAL_ENV", "PYTHONPATH", "CONDA_PREFIX", "FACEMASK_ARCHIVES", "CI")


class Taken(NamedTuple):
    """What a command took: by the clock, and its largest process."""

    seconds: float
    megabytes: float


def take(command: Sequence[str | Path], folder: Path, home: Path) -> Taken:
    """Run a command to its end, its output on the error stream.

    Raises:
        FacemaskError: it failed.
    """
    kept = {name: value for name, value in os.environ.items() if name not in WITHOUT}
    with tempfile.TemporaryDirectory() as place:
        answer = Path(place) / "taken"
        subprocess.run(
            [sys.executable, "-I", "-c", WATCH, answer, *map(str, command)], cwd=folder,
            stdout=sys.stderr, check=True,
            env={**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")},
        )  # fmt: skip
        code, seconds, most = json.loads(answer.read_text())
    if code:
        raise FacemaskError(f"{' '.join(map(str, command))} ended with {code}")
    return Taken(seconds, most * (1 if sys.platform == "darwin" else 1024) / 1e6)


def megabytes(folder: Path) -> float:
    """What the files below a folder take on the disk, a file of several names once."""
    found = {(s.st_dev, s.st_ino): s.st_blocks * 512 / 1e6
             for s in (path.lstat() for path in folder.rglob("*"))}  # fmt: skip
    return sum(found.values())


def packages(environment: Path) -> Path:
    """Where an environment has its packages."""
    (found,) = environment.glob("lib/python*/site-packages")
    return found


def measure(chosen: Sequence[str]) -> dict:
    """Rows by command, and `installed_megabytes` as far as it was found out."""
    rows: dict[str, Taken] = {}
    sizes: dict[str, float] = {}
    loads = {}
    with tempfile.TemporaryDirectory() as name:
        folder, home = Path(name), Path(name) / "home"
        home.mkdir()
        clone, base = folder / "project", folder / "base"
        take(["git", "clone", "--quiet", ROOT, clone], folder, home)

        def row(command: str, *typed: str | Path, place: Path = clone) -> None:
            loads[command] = os.getloadavg()[0]
            rows[command] = take(typed, place, home)

        if {INSTALL, PREDICT} & set(chosen):
            venv.create(base, with_pip=True)
            before = megabytes(packages(base))
            row(INSTALL, base / "bin" / "pip", "install", "--quiet", ".")
            sizes["base"] = megabytes(packages(base)) - before
            Image.fromarray(draw_scene(np.random.default_rng(0), 2)[0]).save(folder / "photo.jpg")
            typed = (base / "bin" / "facemask", "predict", "photo.jpg")
            take(typed, folder, home)  # the first time Python compiles what it reads
            row(PREDICT, *typed, place=folder)
        if RUN in chosen:
            row(RUN, "make", "run")
            sizes["full"] = megabytes(packages(clone / ".venv"))
        if TEST in chosen:
            row(TEST, "make", "test")
    return {
        "commands": {
            name: {"seconds": round(taken.seconds, 1), "peak_megabytes": round(taken.megabytes),
                   "load_beforehand": round(loads[name], 1)}
            for name, taken in rows.items()
        },
        "installed_megabytes": {name: round(size) for name, size in sizes.items()},
        "hardware": hardware(),
    }  # fmt: skip


def hardware() -> str:
    """Number and kind of the cores."""
    kind = "a processor that does not say its name"
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        kind = found[1].strip() if found else kind
    return f"{os.cpu_count()} cores of {kind}"


def main() -> int:
    """See the module's text.

    Returns:
        0 if all was measured, 2 if a command failed.
    """
    every = [INSTALL, PREDICT, RUN, TEST]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=every, default=every, metavar="COMMAND",
                        help="; ".join(every))  # fmt: skip
    args = parser.parse_args()
    old = read_json(REPORT) if REPORT.is_file() else {"commands": {}, "installed_megabytes": {}}
    try:
        new = measure(args.only)
    except FacemaskError as error:
        print(f"facemask.benchmarks.commands: {error}", file=sys.stderr)
        return 2
    commands = old["commands"] | new["commands"]
    write_json(REPORT, {
        "hardware": new["hardware"],
        "commands": {name: commands[name] for name in every if name in commands},
        "installed_megabytes": old["installed_megabytes"] | new["installed_megabytes"],
    })
    print(REPORT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
