"""The Ray engine on two nodes of this machine: the local engine's rows, in spite of a killed node.

Starting Ray takes a while, so all is tried in one run.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install '.[score]'")
pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")

from facemask import cli  # noqa: E402
from facemask.benchmarks.scale.__main__ import compared, make_photos, rows_of  # noqa: E402
from facemask.benchmarks.scale.nodes import Run, cluster  # noqa: E402
from facemask.images.reading import find_images  # noqa: E402
from facemask.io.files import ROOT  # noqa: E402
from facemask.scoring import command  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="clusters on one machine: Linux")
SECRET = "planted-secret"


def test_rows_are_the_local_ones_and_a_killed_node_costs_none(photos, tmp_path):
    many = make_photos(find_images(photos / "2021-03-14"), tmp_path / "many", 160)
    command.score(str(many), tmp_path / "local")
    arguments = [many, "--out", tmp_path / "ray", "--engine", "ray"]
    with cluster(2) as (environment, kill_one):
        run = Run(arguments, tmp_path / "said.txt", environment)
        assert run.until(20)
        kill_one()
        run.finish()
        assert run.process.returncode == 1  # one in a hundred is broken
        again = subprocess.run(
            [sys.executable, "-m", "facemask", "score", *map(str, arguments)], cwd=ROOT,
            env={**os.environ, **environment}, capture_output=True, text=True,
        )  # fmt: skip
        lines = again.stdout.splitlines()
        assert lines[0].startswith("160 pictures: ") and len(lines) == 2
    rows = rows_of(tmp_path / "local")
    assert compared(rows, rows_of(tmp_path / "ray")) == {
        "rows": len(rows), "rows lost": 0, "rows doubled": 0, "rows that differ": 0,
    }  # fmt: skip
    said = re.split(r"[\r\n]+", (tmp_path / "said.txt").read_text())
    words = [line for line in said if line.strip() and not line.startswith("Scoring: ")]
    assert words == [*lines[:1], str(tmp_path / "ray")]  # and none of Ray's


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nobody.invalid:6379", "ray://[::1]:1"])
def test_a_cluster_that_does_not_answer_is_said(photos, tmp_path, monkeypatch, capsys, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    arguments = ["score", str(photos), "--out", str(tmp_path / "out"), "--engine", "ray"]
    start = time.monotonic()
    assert cli.main(arguments) == 2
    assert f"nothing answers at {address}" in capsys.readouterr().err
    assert time.monotonic() - start < 60 and not list(Path(tmp_path / "out").glob("part-*"))
