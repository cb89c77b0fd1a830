"""By how much luck moves the figures: one row a seed, beside what was measured before."""

import sys

import numpy as np
import pytest

from facemask.finder import measure
from facemask.finder.network import network
from facemask.io.files import read_json, write_json
from facemask.pages import finders


@pytest.fixture
def asked(monkeypatch):
    """Which trainings were asked for; none is done."""
    calls = []

    def train(archives, folder, data_dir, schedule, seed):
        calls.append((folder.name, schedule.epochs, seed))
        return network(8)

    monkeypatch.setattr(measure, "train", train)
    return calls


def test_a_row_a_seed(asked, tmp_path, monkeypatch):
    photo = np.full((128, 128, 3), 128, np.uint8)  # with nothing in it
    nobody = np.zeros((0, 5))
    annotated = np.array([[8.0, 8.0, side, side] for side in (64, 32, 16)])
    photos = [(name, photo, annotated) for name in ("street", "scenes")]
    monkeypatch.setattr(measure, "gather", lambda *a: (photos, [[nobody] * 2] * 2, [photo]))
    monkeypatch.setattr(measure, "REPORT", tmp_path / "finder.json")
    write_json(tmp_path / "finder.json", {"test": "what was measured before"})
    monkeypatch.setattr(sys, "argv", ["measure", str(tmp_path), "--seeds", "0", "7"])
    measure.main()
    assert asked == [("finder-seed-0", 48, 0), ("finder-seed-7", 48, 7)]
    report = read_json(tmp_path / "finder.json")
    assert report["test"] == "what was measured before"
    row = report["test, by seed"]["seeds"]["7"]
    assert row["street"]["32 to 63 px"]["recall"] == 0 and row["prajnasb"]["none found"] == 1
    monkeypatch.setattr(finders, "REPORTS", tmp_path)
    first, *_, last = finders.seeds_table().splitlines()
    assert first == "After 48 epochs:" and last.startswith("| 7 | 0.00% / 0.00% / 0.00% |")
