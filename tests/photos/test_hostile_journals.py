"""Journals that are damaged or not ours: gone on with or refused, and never spoilt."""

import json

import pytest
from hostile import CASES, SHORT, holds
from hypothesis import given

from facemask.io.files import FacemaskError
from facemask.photos.journal import Journal, read_journal
from facemask.torture import corpus, files

FIRST = corpus.journals()[0]


@given(CASES)
@SHORT
def test_spoilt_journals(case):
    holds("journals", case)


def test_what_predict_leaves_behind_is_gone_on_with(tmp_path):
    for content in corpus.journals()[:8]:
        assert files.check_journal(content, tmp_path) == "accepted"


@pytest.mark.parametrize("line", [
    b"\xff\xfe", b"no json", b"5", b"[]", b"{}", b'{"file": 5}', b'{"file": "a"}', b"",
    b'{"file": "a", "error": null}', b'{"file": "a", "error": "e", "whole": 5}',
    b'{"file": "a", "error": "e", "faces": [1]}', b'{"file": "a", "error": "e", "x": NaN}',
    b'{"file": "a", "error": "e", "x": 1e999}', b'{"file": "a", "error": "e", "x": [[]]}',
    b'{"file": "a", "judged": "faces", "faces": [{"box": [1, 2]}], "whole": null}',
    b'{"file": "a", "judged": "whole picture", "faces": [], "whole": null}',
    b"[" * 100_000, b"9" * 5000,
])  # fmt: skip
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "j"
    content = FIRST + b'{"file": "a", "error": "none"}\n' + line + b"\n"
    path.write_bytes(content)
    with pytest.raises(FacemaskError, match="j is damaged in line 3; remove that line"):
        Journal(path, corpus.ABOUT)
    assert path.read_bytes() == content
    with pytest.raises(FacemaskError, match="damaged in line 3"):
        list(read_journal(path))


@pytest.mark.parametrize("content", [b"my notes", b"my notes\nmore", b"\xff\n", FIRST[:-9] + b"x"])
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path, content):
    """It was cut off after its last whole line before anybody looked at it."""
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(FacemaskError, match="begun with another model"):
        Journal(path, corpus.ABOUT)
    assert path.read_bytes() == content


def test_what_is_no_number_is_not_written(tmp_path):
    """JSON has no NaN: other readers would refuse the answers."""
    journal = Journal(tmp_path / "j", corpus.ABOUT)
    with pytest.raises(FacemaskError, match="gives no number for a.jpg; train or export"):
        journal.add({"file": "a.jpg", "judged": "no face", "whole": {"probability": float("nan")}})
    journal.finish(tmp_path / "a.json", None, corpus.LABELS)
    assert json.loads((tmp_path / "a.json").read_text()) == []
