"""Kaggle's key stays where it was put: searched for in all that a download writes and says."""

import base64
import json
import subprocess
import sys
import traceback

import pytest
from kaggle_server import HANDLE

from facemask.datasets.download import download
from facemask.io.files import FacemaskError

KEY = "5ecret0c0ffee0c0ffee0c0ffee0c0ff"  # 32 characters, as Kaggle's are


@pytest.fixture(params=["environment", "kaggle.json", "kaggle.json for all", "token"])
def planted(request, home, server, monkeypatch):
    """A user name and the key where Kaggle's client finds them; gives the file, if it is one."""
    server.account = ("tester", KEY)
    server.private.add(HANDLE)
    if request.param == "environment":
        monkeypatch.setenv("KAGGLE_USERNAME", "tester")
        monkeypatch.setenv("KAGGLE_KEY", KEY)
        return None
    folder = home / ".kaggle"
    folder.mkdir()
    file = folder / ("access_token" if request.param == "token" else "kaggle.json")
    content = json.dumps({"username": "tester", "key": KEY})
    file.write_text(KEY if request.param == "token" else content)
    file.chmod(0o644 if request.param in ("kaggle.json for all", "token") else 0o600)
    return file


@pytest.fixture
def leaks(planted, tmp_path, capfd, monkeypatch):
    """Download, and give what was said, once the key is nowhere but where it was planted."""
    started = []
    popen = subprocess.Popen

    def start(command, *args, **kwargs):
        started.append(" ".join(map(str, command)))
        return popen(command, *args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", start)

    def check(handle: str = HANDLE) -> str:
        said = ""
        try:
            download(handle, tmp_path / "data")
        except FacemaskError as error:
            said = "".join(traceback.format_exception(error))
        said += "".join(capfd.readouterr())
        written = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p != planted}
        encoded = base64.b64encode(f"tester:{KEY}".encode()).decode()
        for secret in (KEY, encoded, encoded[:24]):
            assert secret not in said
            assert not any(secret in command for command in started)  # others see it in `ps`
            assert [p for p, content in written.items() if secret.encode() in content] == []
        return said

    return check


def test_success(leaks, planted, server):
    said = leaks()
    if planted is None or planted.name == "kaggle.json":
        assert server.requests[0][1] == server.basic  # it was found and used
        assert "Traceback" not in said
    storage = [given for path, given, _ in server.requests if path == f"/{HANDLE}"]
    assert set(storage) <= {None}  # another host, which is told nothing
    if planted:
        assert [p.name for p in planted.parent.iterdir()] == [planted.name]


def test_refused(leaks, server):
    server.account = ("tester", "another")
    assert "credentials" in leaks()


@pytest.mark.parametrize("handle", ["someone/nothing", "someone/secret"])
def test_unknown_and_forbidden(leaks, handle):
    assert "FacemaskError" in leaks(handle)


def test_cut_for_good(leaks, server):
    server.cuts = 1000
    assert "FacemaskError" in leaks()


def test_damaged(leaks, server):
    server.archives[HANDLE] = server.archives[HANDLE][:1000]
    assert "FacemaskError" in leaks()


def test_no_network(leaks, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://nowhere.invalid:9")
    assert "FacemaskError" in leaks()


@pytest.mark.skipif(sys.platform == "win32", reason="has no such modes")
def test_a_file_that_others_can_read_is_named_once(leaks, planted):
    said = leaks()
    if planted is None:
        assert "others can read" not in said
    else:
        open_to_all = bool(planted.stat().st_mode & 0o077)
        assert said.count(f"chmod 600 {planted}") == open_to_all
