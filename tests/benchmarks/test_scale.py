"""What the benchmark of scoring counts, on rows and runs whose worth is known."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask.io.files import write_json
from facemask.pages import scale as page

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install '.[score]'")

from facemask.benchmarks.scale import __main__ as scale  # noqa: E402
from facemask.benchmarks.scale.nodes import Look, Run  # noqa: E402


def test_lost_doubled_and_other_rows_are_counted():
    assert scale.compared(["a", "b", "c"], ["c", "b", "a"]) == {
        "rows": 3, "rows lost": 0, "rows doubled": 0, "rows that differ": 0,
    }  # fmt: skip
    assert scale.compared(["a", "b", "c"], ["a", "a", "d"]) == {
        "rows": 3, "rows lost": 2, "rows doubled": 1, "rows that differ": 1,
    }  # fmt: skip


def test_photos_are_links_and_one_in_a_hundred_is_broken(tmp_path: Path):
    original = tmp_path / "a.png"
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(original)
    folder = scale.make_photos([original], tmp_path / "many", 250)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    broken = [path for path in paths if not os.path.samefile(path, original)]
    assert len(paths) == 250 and [path.stem for path in broken] == ["0000050", "0000150"]


def test_the_rate_and_the_memory_of_a_run():
    run = Run.__new__(Run)
    run.looks = [Look(0, 0, 0), Look(10, 0, 50), Look(20, 10, 100), Look(30, 50, 120),
                 Look(40, 110, 110), Look(50, 110, 90)]  # fmt: skip
    assert run.rate() == 5.0
    assert run.memory(500) == (120, 110)
    assert run.memory(50) == (100, 120)


def test_the_cost_is_the_arithmetic_of_the_stages(tmp_path: Path, monkeypatch):
    write_json(tmp_path / "scale.json", {"stages": {
        "photos per core-second": {"read and decode": 100, "find": 25, "judge": 50, "write": 1000},
        "photos per core-second, all stages": 14.08, "bytes a photo": 100_000,
        "bytes of results a photo": 200, "bytes of memory a name": 300,
    }})  # fmt: skip
    monkeypatch.setattr(page, "REPORT", tmp_path / "scale.json")
    text = page.BLOCKS["scale-cost"]()
    assert "| 1 million | 20 | 12 minutes | 0.10 TB | 0.2 GB | 0.3 GB |" in text
    assert "| 10 billion | 197,285 | 82 days | 1,000.00 TB | 2,000.0 GB | 3,000.0 GB |" in text
    assert "56.34% of its time goes into the stage “find”" in text
    assert "read 1.1 Gbit a second" in text and "from 888 cores on" in text
    assert "from 71 cores on" in text
    assert "| find | 25 | 56.34% |" in page.BLOCKS["scale-stages"]()
    assert page.BLOCKS["scale-kills"]().startswith("Not measured yet")
