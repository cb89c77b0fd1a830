"""Stages that are killed and started again, in short, and what the torture has to see."""

import re
import sys
import time
from pathlib import Path

import pytest

from facemask.io.files import FacemaskError, write_whole
from facemask.torture.faults import kills
from facemask.torture.faults.killing import Stage, Torture, begins, left

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


@pytest.mark.parametrize("make", [kills.prepare_stage, kills.predict_folder])
def test_killed_and_started_again(make, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    torture = Torture(make.__name__, make(work), work)
    counts = torture.run(2)
    assert counts["kills"] == counts["restarts"] == 2 and counts["rounds"] >= 1
    assert not torture.problems and counts["failures"] == counts["left behind"] == 0


# Stages with a fault each; they write slowly, so that a kill falls into their work.


def in_place(arguments: list[str]) -> int:
    """Writes its product where it stands."""
    Path("out").mkdir(exist_ok=True)
    with open("out/made.txt", "w") as file:
        _write(file)
    return 0


def trusting(arguments: list[str]) -> int:
    """Takes what is there for whole."""
    return 0 if Path("out/made.txt").exists() else in_place(arguments)


def anew(arguments: list[str]) -> int:
    """Whole or not at all, but under another hidden name each time."""
    Path("out").mkdir(exist_ok=True)
    partial = Path("out") / f".made-part{time.monotonic_ns():x}.txt"
    with open(partial, "w") as file:
        _write(file)
    partial.rename("out/made.txt")
    return 0


def forgetful(arguments: list[str]) -> int:
    """Begins its journal anew."""
    with write_whole("out/made.txt") as partial, open("out/journal", "w") as journal:
        with open(partial, "w") as file:
            _write(file, journal)
    Path("out/journal").unlink()
    return 0


def whole(arguments: list[str]) -> int:
    """As it should be."""
    with write_whole("out/made.txt") as partial, open(partial, "w") as file:
        _write(file)
    return 0


def refusing(arguments: list[str]) -> int:
    """Goes on with nothing that was begun."""
    if Path("begun").exists():
        return 2
    Path("begun").touch()
    whole(arguments)
    Path("begun").unlink()
    return 0


def _write(*files) -> None:
    for number in range(25):
        for file in files:
            print(number, file=file, flush=True)
        time.sleep(0.01)


def lines(work: Path) -> int:
    path = work / "out" / "journal"
    return len(path.read_text().splitlines()) if path.is_file() else 0


@pytest.mark.parametrize("command, problem", [
    (in_place, "out/made.txt is in sight and not whole"),
    (trusting, "not as after an undisturbed run: out/made.txt"),
    (anew, "left behind: .*made-part"),
    (forgetful, "were done, and after a kill"),
    (refusing, "it ended with 2, not 0"),
    (whole, None),
])  # fmt: skip
def test_a_fault_is_seen(command, problem, tmp_path, capsys):
    work = tmp_path / "work"
    work.mkdir()
    stage = Stage(command, [], ("out",), grows=("journal",), done=lines)
    torture = Torture(command.__name__, stage, work)
    seen: list[str] = []
    for seed in range(20 if problem else 3):  # until a kill has met it at work
        torture.run(torture.counts["kills"] + 4, seed)
        seen = [text for text in torture.problems if problem and re.search(problem, text)]
        if seen:
            break
    assert bool(seen) == bool(problem), torture.problems
    assert problem or not torture.problems


def test_half_of_a_folder_that_comes_as_a_whole_is_seen(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    torture = Torture("in_place", Stage(in_place, [], ("out",), at_once=True), work)
    (work / "out/more.txt").touch()
    torture._check_sight()
    assert torture.problems == ["half of the products are in sight: 2 files"]


def test_a_stage_that_fails_undisturbed_is_no_measurement(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "begun").touch()
    with pytest.raises(FacemaskError, match="fails undisturbed"):
        Torture("refusing", Stage(refusing, [], ("out",)), work)


def test_what_may_have_come_first():
    assert begins(b"1,2", b"1,2\n3") and not begins(b"1,3", b"1,2\n3")
    assert begins({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}, "b": 3})
    assert not begins({"a": 2}, {"a": 1}) and not begins({"c": 1}, {"a": 1})


def test_what_is_left_behind_is_found(tmp_path):
    names = [".a-part0.json", ".a-lock3", ".a.json-old1a2b3c4d", ".a-run"]
    for name in [*names, ".archive.json", ".a-part", "a-lock1"]:
        (tmp_path / name).touch()
    assert sorted(Path(found).name for found in left(tmp_path)) == sorted(names)
