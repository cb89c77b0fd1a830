"""Two runs that make the same thing: the second waits, and never for one that was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facemask.io import locks
from facemask.io.files import ROOT, one_at_a_time

pytestmark = pytest.mark.skipif(not locks.AVAILABLE, reason="no locks: nobody waits")

HOLD = """
import sys, time
from facemask.io.files import one_at_a_time
with one_at_a_time(sys.argv[1], "makes"):
    print("in", flush=True)
    sys.stdin.readline()
print("out", flush=True)
"""


def start(target: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(target)], cwd=ROOT, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_the_second_says_that_it_waits_and_goes_on(tmp_path):
    target = tmp_path / "new" / "made"
    first = start(target)
    assert first.stdout.readline() == "in\n"
    second = start(target)
    assert second.stderr.readline() == f"another run makes {target}; waiting for it\n"
    other = start(tmp_path / "new" / "other")
    assert other.stdout.readline() == "in\n"  # another target, which nobody makes
    other.communicate("\n", timeout=60)
    assert second.poll() is None
    assert first.communicate("\n", timeout=60) == ("out\n", "")
    assert second.stdout.readline() == "in\n"
    assert second.communicate("\n", timeout=60) == ("out\n", "")  # it was said once
    assert list((tmp_path / "new").iterdir()) == []


def test_a_killed_run_is_not_waited_for(tmp_path):
    killed = start(tmp_path / "made")
    assert killed.stdout.readline() == "in\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert list(tmp_path.iterdir())
    begun = time.monotonic()
    with one_at_a_time(tmp_path / "made", "makes"):
        assert time.monotonic() - begun < 1
    assert list(tmp_path.iterdir()) == []


def test_an_error_frees_it(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), one_at_a_time(tmp_path / "made", "makes"):
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_drive_that_knows_no_locks(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    with one_at_a_time(tmp_path / "made", "makes"):
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_may_hold_what_is_made_already(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with one_at_a_time(tmp_path / "made", "makes"):
        assert list(tmp_path.iterdir()) == []
