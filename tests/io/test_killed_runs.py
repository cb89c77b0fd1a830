"""What killed runs leave beside a file or folder, and runs that write to it at once."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from facemask.io import locks
from facemask.io.files import ROOT, FacemaskError, scratch_folder, sweep, write_json, write_whole

pytestmark = pytest.mark.skipif(not locks.AVAILABLE, reason="no locks: what is left stays")

# Writes a file or a folder, says so, and waits for a line before it goes on.
WRITE = """
import os, signal, sys
from pathlib import Path
from facemask.io.files import scratch_folder, write_whole

def write(partial, kind):
    if kind == "folder":
        (partial / "sub").mkdir(parents=True)
        (partial / "sub" / "1.txt").write_text("child")
    else:
        partial.write_text("child")

kind, target = sys.argv[1], Path(sys.argv[2])
how = scratch_folder if kind == "scratch" else write_whole
with how(target) as partial:
    write(partial / "x" if kind == "scratch" else partial, kind)
    print(partial.name, flush=True)
    sys.stdin.readline()
"""


def start(kind: str, target: Path, code: str = WRITE) -> subprocess.Popen:
    """A run that has written half and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, kind, str(target)], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline().strip() in {p.name for p in target.parent.iterdir()}
    return process


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def finish(process: subprocess.Popen) -> None:
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def put(target: Path, text: str) -> None:
    with write_whole(target) as partial:
        partial.mkdir()
        (partial / "1.txt").write_text(text)


@pytest.mark.parametrize("kind", ["file", "folder", "scratch"])
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path, kind):
    target = tmp_path / "made.json"
    for _ in range(3):
        kill(start(kind, target))
        assert len(names(tmp_path)) == 2  # not one more each time
    if kind == "scratch":
        with scratch_folder(target) as folder:
            assert names(folder) == []
        assert names(tmp_path) == []
    else:
        write_json(target, 1)
        assert names(tmp_path) == ["made.json"] and target.read_text() == "1\n"


def test_a_living_run_is_left_alone(tmp_path):
    target = tmp_path / "made"
    lives, dies, lives_too = (start("folder", target) for _ in range(3))
    kill(dies)
    put(target, "parent")
    assert (target / "1.txt").read_text() == "parent"
    assert len(names(tmp_path)) == 1 + 2 + 2  # of the two that live: what is made, and its lock
    finish(lives)
    assert (target / "sub" / "1.txt").read_text() == "child"
    put(target, "parent")
    finish(lives_too)
    assert names(tmp_path) == ["made"] and names(target) == ["sub"]


def test_other_targets_and_other_peoples_files_stay(tmp_path):
    kill(start("file", tmp_path / "other.json"))
    (tmp_path / ".made-1a2b3c4d.json").write_text("mine")
    (tmp_path / ".made.json").write_text("mine")
    before = names(tmp_path)
    write_json(tmp_path / "made.json", 1)
    assert names(tmp_path) == sorted([*before, "made.json"])


def test_a_folder_is_swept_of_what_killed_runs_left(tmp_path):
    """For a stage that finds its work done, and so does not write the same again."""
    lives = start("folder", tmp_path / "lives")
    kill(start("folder", tmp_path / "made"))
    kill(start("file", tmp_path / "made.json"))
    (tmp_path / ".waited-run").touch()
    (tmp_path / ".mine-lock1").write_text("not a lock of ours")
    (tmp_path / ".mine-part0").write_text("mine")
    sweep(tmp_path)
    assert names(tmp_path) == [".lives-lock0", ".lives-part0", ".mine-lock1", ".mine-part0"]
    finish(lives)
    sweep(tmp_path / "none")


@pytest.mark.parametrize("renames, kept", [(1, "before"), (2, "child")])
def test_killed_while_one_folder_takes_the_place_of_another(tmp_path, renames, kept):
    """After the first of two renames nothing is at the target; it is not lost."""
    target = tmp_path / "made"
    put(target, "before")
    code = WRITE.replace("kind, target =", f"""
rename, done = Path.rename, []
def die(self, to):
    rename(self, to)
    done.append(to)
    if len(done) == {renames}:
        os.kill(os.getpid(), signal.SIGKILL)
Path.rename = die
kind, target =""")
    process = start("folder", target, code)
    process.communicate("\n", timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert target.exists() == (renames == 2) and any("-old" in name for name in names(tmp_path))
    with pytest.raises(ZeroDivisionError), write_whole(target):
        raise ZeroDivisionError
    assert names(tmp_path) == ["made"]
    text = next(target.rglob("1.txt")).read_text()
    assert text == kept


def test_many_at_once(tmp_path):
    """Threads and processes by turns: always a whole folder, and in the end nothing else."""
    target, seen, failed = tmp_path / "made", set(), []
    code = WRITE.replace("with how(target)", "for _ in range(60):\n  with how(target)")
    code = code.replace("\n    write(", "\n      write(").replace("\n    print", "\n      print")
    code = code.replace("    sys.stdin.readline()", "")
    processes = [
        subprocess.Popen([sys.executable, "-c", code, "folder", str(target)], cwd=ROOT,
                         stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]  # fmt: skip

    def work(text: str) -> None:
        try:
            for _ in range(60):
                put(target, text)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(str(k),)) for k in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        try:
            seen.add(tuple(names(target)))
        except FileNotFoundError:
            pass  # between two renames
    for thread in threads:
        thread.join()
    assert [process.wait(60) for process in processes] == [0, 0] and not failed
    assert seen <= {("1.txt",), ("sub",), ()}  # (): moved aside and removed while it was listed
    assert names(tmp_path) == ["made"]


def test_more_runs_than_there_are_numbers(tmp_path):
    target = tmp_path / "made.json"
    running = [start("file", target) for _ in range(9)]
    write_json(target, 1)
    for process in running:
        finish(process)
    assert names(tmp_path) == ["made.json"] and target.read_text() == "child"


def test_without_locks_all_is_as_it_was(tmp_path, monkeypatch):
    target = tmp_path / "made.json"
    kill(start("file", target))
    left = names(tmp_path)
    monkeypatch.setattr(locks, "AVAILABLE", False)
    write_json(target, 1)
    assert names(tmp_path) == sorted([*left, "made.json"])


def test_a_drive_that_knows_no_locks(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    put(tmp_path / "made", "1")
    put(tmp_path / "made", "2")
    assert names(tmp_path) == ["made"]


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FacemaskError, match="cannot write .*made.json: Permission denied"):
        write_json(tmp_path / "made.json", 1)
