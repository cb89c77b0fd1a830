"""`python -m facemask.torture`: rows that are named, and a report that keeps what was done."""

import sys

import pytest

from facemask.io.files import FacemaskError, read_json
from facemask.torture import __main__ as command
from facemask.torture import files


def test_a_row_is_in_the_report_as_soon_as_it_is_done(tmp_path, monkeypatch, capsys):
    def broken() -> dict:
        raise FacemaskError("no room")

    rows = {"one": lambda: {"failures": 0}, "two, more": lambda: {"failures": 1}, "three": broken}
    monkeypatch.setattr(files, "rows", lambda stack: rows)
    monkeypatch.setattr(command, "REPORT", tmp_path / "torture.json")
    command.put("page", "old", {"failures": 0})
    assert _run(monkeypatch) == 2 and "files: no room" in capsys.readouterr().err
    kept = {"page": {"old": {"failures": 0}}}
    assert read_json(command.REPORT) == kept | {
        "files": {"one": {"failures": 0}, "two, more": {"failures": 1}}
    }
    rows["one"] = lambda: {"failures": 0, "tried": 5}
    assert _run(monkeypatch, "files, one") == 0
    assert _run(monkeypatch, "files, two, more") == 1
    assert read_json(command.REPORT)["files"]["one"]["tried"] == 5
    assert _run(monkeypatch, "files, four") == 2 and "no row four" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        _run(monkeypatch, "fires")


def _run(monkeypatch, *only: str) -> int:
    monkeypatch.setattr(sys, "argv", ["torture", "--only", *(only or ["files"])])
    return command.main()
