"""The torture itself: it sees what it is there to see."""

import os
import signal
import sys
from pathlib import Path

import pytest

from facemask.io.files import FacemaskError
from facemask.torture import corpus, files, spoilt


def test_the_same_number_gives_the_same_file():
    for part in files.PARTS:
        cases = [files.random_case(part, number) for number in range(50)]
        assert cases == [files.random_case(part, number) for number in range(50)]
        contents = {files.content_of(part, case) for case in cases}
        assert len(contents) > 20


def test_every_step_changes_something():
    good, other = corpus.pictures()[1], corpus.journals()[1]
    for kind in set(spoilt.KINDS) - {"mend"}:
        steps = [(spoilt.Step(kind, place, 4099),) for place in range(400)]
        content = other if kind == "token" else good
        assert any(spoilt.spoil(content, other, each) != content for each in steps), kind
    broken = good[:-20] + b"x" + good[-19:]
    assert spoilt.mend_png(broken) != broken and spoilt.mend_png(good) == good


def test_what_counts_as_a_failure(tmp_path):
    def check(error):
        def fail(content, folder):
            raise error

        return files._judge(fail, b"", tmp_path)

    assert check(FacemaskError("no")) == ("refused", "no")
    kind, text = check(KeyError("x"))
    assert kind == "failed" and text.startswith("KeyError: 'x' (") and "test_files.py:" in text
    hidden = FacemaskError("too large")
    hidden.__cause__ = MemoryError()
    assert check(hidden)[0] == "failed"
    assert check(SystemExit())[0] == "failed"
    good = files.Outcome("accepted", "", 4999, 1000)
    assert files._within_limits(good) == good
    assert files._within_limits(good._replace(milliseconds=5001)).kind == "failed"
    assert files._within_limits(good._replace(megabytes=1074)).kind == "failed"


def test_what_is_left_behind_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "unpack", lambda source, target: Path(target.parent, "x").touch())
    with pytest.raises(AssertionError, match="written outside"):
        files.check_archive(corpus.archives()[0], tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="measures by /proc")
def test_the_worker_measures_and_outlives_a_crash(tmp_path):
    with files.Worker("images", tmp_path) as worker:
        small = worker.check(corpus.pictures()[0])
        assert small.kind == "accepted" and small.megabytes < 20
        rows = bytes((3 * 4000 + 1) * 4000)
        large = worker.check(corpus.png(4000, 4000, 2, rows))
        assert large.kind == "accepted" and 100 < large.megabytes < 300
        os.kill(worker.process.pid, signal.SIGKILL)
        assert worker.check(b"").kind == "failed"
        assert worker.check(corpus.pictures()[0]).kind == "accepted"
