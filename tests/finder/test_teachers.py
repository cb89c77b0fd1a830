"""What the finder's training needs from elsewhere is asked for in a line, before any work."""

import sys

import pytest

from facemask.finder import publish, teachers
from facemask.io.files import FacemaskError


def test_a_teacher_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("FACEMASK_YUNET", str(tmp_path / "nowhere.onnx"))
    with pytest.raises(FacemaskError, match="nowhere.onnx is missing; download https://.*"
                       "/yunet_n_dynamic.onnx and set FACEMASK_YUNET to where it is"):
        teachers.check()
    (tmp_path / "there.onnx").write_bytes(b"")
    monkeypatch.setenv("FACEMASK_YUNET", str(tmp_path / "there.onnx"))
    monkeypatch.setattr(teachers.importlib.util, "find_spec", lambda package: None)
    with pytest.raises(FacemaskError, match="pip install -r requirements-bench.txt"):
        teachers.check()


def test_publish_says_so_before_it_looks_at_the_archives(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("FACEMASK_YUNET", str(tmp_path / "nowhere.onnx"))
    monkeypatch.setattr(sys, "argv", ["publish", str(tmp_path / "no-archives")])
    assert publish.main() == 2
    assert capsys.readouterr().err.startswith("facemask.finder.publish: ")
    assert not list(tmp_path.iterdir())
