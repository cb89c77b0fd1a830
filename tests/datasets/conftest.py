"""What the tests of downloads share: an empty home, the stand-in for Kaggle, a data folder."""

import os

import pytest
from kaggle_server import HANDLE, KaggleServer, pictures_zip

# Put into the client's process by Python itself: its waits between tries become short, and with
# FULL_DISK set what it downloads goes to a device on which every write fails as on a full disk.
CUSTOMIZE = """
import builtins, os, time
try:  # kaggle 1.7 prints all that it sends to a client on localhost, and there alone
    from kagglesdk.kaggle_http_client import KaggleHttpClient
    if hasattr(KaggleHttpClient, "_print_request"):
        KaggleHttpClient._print = lambda self, message: None
except ImportError:
    pass
wait, real = time.sleep, builtins.open
time.sleep = lambda seconds: wait(min(seconds, 0.02))
def full(path, mode="r", *args, **kwargs):
    full_disk = str(path).endswith(".zip") and mode in ("wb", "ab")
    return real("/dev/full" if full_disk else path, mode, *args, **kwargs)
if os.environ.get("FULL_DISK"):
    builtins.open = full
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home folder and no credentials; the client waits little between tries."""
    for name in list(os.environ):
        if name.startswith("KAGGLE_") or name.lower() in ("no_proxy", "http_proxy", "all_proxy"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    (folder / "site").mkdir(parents=True)
    (folder / "site" / "sitecustomize.py").write_text(CUSTOMIZE)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"))
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    return folder


@pytest.fixture
def server(home, monkeypatch):
    with KaggleServer({HANDLE: pictures_zip()}) as server:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        yield server


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "raw").mkdir(parents=True)
    return folder
