"""A finder of another seed is set beside the one that ships, if nothing else sets them apart."""

import shutil
import sys

import numpy as np
import pytest

from facemask.finder import measure
from facemask.io.files import FINDER, FacemaskError, read_json, write_json
from facemask.pages import finders

SHIPS = FINDER.parent


@pytest.fixture
def again(tmp_path):
    """A folder as `publish --seed 1` writes it, but for what it has learnt."""
    folder = tmp_path / "finder-1"
    folder.mkdir()
    shutil.copy(FINDER, folder)
    write_json(folder / "settings.json", read_json(SHIPS / "settings.json") | {"seed": 1})
    return folder


def test_only_the_seed_may_differ(again, tmp_path):
    assert measure.seed_of(again, SHIPS) == "1"
    with pytest.raises(FacemaskError, match="holds no finder; publish --seed 1 --out"):
        measure.seed_of(tmp_path, SHIPS)
    with pytest.raises(FacemaskError, match="by its seed, and by nothing else"):
        measure.seed_of(SHIPS, SHIPS)
    write_json(again / "settings.json", read_json(again / "settings.json") | {"width": 8})
    with pytest.raises(FacemaskError, match="by its seed, and by nothing else"):
        measure.seed_of(again, SHIPS)


def test_its_row_is_added_to_the_report_and_shown(again, tmp_path, monkeypatch):
    photo = np.full((128, 128, 3), 128, np.uint8)  # with nothing in it
    nobody = np.zeros((0, 5))
    annotated = np.array([[8.0, 8.0, side, side] for side in (64, 32, 16)])
    photos = [(name, photo, annotated) for name in ("street", "scenes")]
    monkeypatch.setattr(measure, "gather", lambda *a: (photos, [[nobody] * 2] * 2, [photo]))
    monkeypatch.setattr(measure, "REPORT", tmp_path / "finder.json")
    monkeypatch.setattr(sys, "argv", ["measure", str(tmp_path), "--again", str(again)])
    with pytest.raises(FacemaskError, match="run it without --again first"):
        measure.main()
    row = measure.measure_again(tmp_path, tmp_path, again, "test")
    assert row["street"]["32 to 63 px"]["recall"] == 0 and row["prajnasb"]["none found"] == 1
    write_json(tmp_path / "finder.json", {"test": {"finders": {"ours": row}}})
    measure.main()
    monkeypatch.setattr(finders, "REPORTS", tmp_path)
    *_, ships, other = finders.seeds_table().splitlines()
    assert ships.startswith("| 0, ships | ") and other == ships.replace("0, ships", "1")
