"""`prepare` and `train` started twice at once: the work is done once, and whole."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from facemask.datasets import prepare as prepare_module
from facemask.io import locks
from facemask.io.files import one_at_a_time, read_json, write_json
from facemask.models import train as train_module

pytestmark = pytest.mark.skipif(not locks.AVAILABLE, reason="no locks: nobody waits")


def test_prepare_twice(sample, tmp_path, monkeypatch, capsys):
    calls, both_asked = [], threading.Barrier(2)
    read, find = prepare_module.read_images, prepare_module.find_labelled

    def find_labelled(source):
        both_asked.wait(60)  # neither is done before the other has begun
        return find(source)

    def read_images(*args):
        calls.append(args)
        return read(*args)

    monkeypatch.setattr(prepare_module, "find_labelled", find_labelled)
    monkeypatch.setattr(prepare_module, "read_images", read_images)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(prepare_module.prepare, sample, "s", tmp_path, 32) for _ in range(2)]
        folders = [run.result(120) for run in runs]
    assert folders == [tmp_path / "split" / "s"] * 2 and len(calls) == 1
    assert capsys.readouterr().err.count("another run prepares") == 1
    assert [path.name for path in (tmp_path / "split").iterdir()] == ["s"]
    assert read_json(folders[0] / "prepare.json")["unreadable"] == []


def test_train_waits(tmp_path, monkeypatch):
    done = threading.Event()
    monkeypatch.setattr(train_module, "_train", lambda *args: done.set())
    write_json(tmp_path / "split" / "prepare.json", {"labels": ["a", "b"], "settings": {}})
    call = threading.Thread(
        target=train_module.train, args=(tmp_path / "split", tmp_path / "run", "compact")
    )
    with one_at_a_time(tmp_path / "run" / "compact", "trains"):
        call.start()
        assert not done.wait(0.5)
    assert done.wait(10)
    call.join()
    assert list((tmp_path / "run").iterdir()) == []
