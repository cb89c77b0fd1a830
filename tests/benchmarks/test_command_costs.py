"""What the first commands take, measured on commands whose cost is known."""

import sys
from pathlib import Path

import pytest

from facemask.benchmarks import commands
from facemask.io.files import FacemaskError

BUSY = "import os, time; kept = bytearray(200_000_000); time.sleep(0.5); print(os.environ['HOME'])"


def test_time_and_memory(tmp_path: Path, capfd):
    taken = commands.take([sys.executable, "-c", BUSY], tmp_path, tmp_path / "home")
    assert 0.5 < taken.seconds < 60 and 200 < taken.megabytes < 400
    assert capfd.readouterr().err.strip() == str(tmp_path / "home")
    with pytest.raises(FacemaskError, match="ended with 3"):
        commands.take([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, tmp_path)


def test_space(tmp_path: Path):
    (tmp_path / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    folder = commands.packages(tmp_path)
    (folder / "a").write_bytes(bytes(range(256)) * 8000)
    (folder / "b").hardlink_to(folder / "a")
    assert 2.0 < commands.megabytes(folder) < 2.3
