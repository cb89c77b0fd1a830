"""Fold trainings by Ray Tune on two nodes of this machine, one of them killed, and without Ray.

Starting Ray takes a while, so all is tried in one run.
"""

import multiprocessing
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")

from facemask.benchmarks.scale.nodes import cluster  # noqa: E402
from facemask.evaluation.folds import group_kfold, pool  # noqa: E402
from facemask.evaluation.leaks import group_ids, split_copies  # noqa: E402
from facemask.io.files import ROOT, read_json  # noqa: E402
from facemask.release.ablation import one_core  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="clusters on one machine: Linux")
MODEL, SEEDS, FOLDS, SECONDS = "baseline", (0, 1), 3, 600
TRIALS = [f"{MODEL} on drawn, fold {fold}" for fold in range(FOLDS) for _ in SEEDS]


def by_one_process(split: Path, folder: Path, seed: int) -> list[dict]:
    """The figures of all folds by the project's own command for them, without seconds."""
    files, _ = pool(split)
    groups = group_ids(split_copies(split, folder, progress=False), files)
    found = group_kfold(split, folder, MODEL, groups, FOLDS, seed=seed, progress=False)
    return [{k: v for k, v in fold.items() if k != "seconds"} for fold in found["folds"]]


def test_figures_are_those_without_ray_and_a_killed_node_costs_none(split, tmp_path):
    table, said, bars = (tmp_path / name for name in ("experiments.json", "said", "bars"))
    command = [sys.executable, "-m", "facemask.experiments", "folds", split, "--data-dir", tmp_path,
               "--json", table, "--model", MODEL, "--seeds", *map(str, SEEDS)]  # fmt: skip
    with cluster(2) as (environment, kill_one), open(said, "wb") as out, open(bars, "wb") as err:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err,
                                   env={**os.environ, **environment})  # fmt: skip
        start = time.monotonic()
        while not table.is_file() and process.poll() is None:
            assert time.monotonic() - start < SECONDS
            time.sleep(0.2)
        kill_one()
        assert len(read_json(table)) < len(TRIALS), "it was over before a node was killed"
        assert process.wait(SECONDS) == 0, bars.read_text()
    rows = read_json(table)
    assert [(row["trial"], row["seed"]) for row in rows] == [
        (trial, SEEDS[k % len(SEEDS)]) for k, trial in enumerate(TRIALS)]
    words = said.read_text().splitlines()  # and none of Ray's
    assert words[0] == f"{TRIALS[0]}, seed 0" and words[-1] == str(table)
    assert all(line.startswith((*TRIALS, "  ")) for line in words[:-1])
    shown = re.split(r"[\r\n]+", bars.read_text())
    assert not [line for line in shown if line.strip() and not re.search(r"\[.*\]\s*$", line)]
    assert any(line.startswith("Folds: 100%") for line in shown)

    assert len({str(row["figures"]) for row in rows}) > FOLDS  # or to be equal would say little

    before = table.read_bytes()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                           env={**os.environ, "RAY_ADDRESS": "127.0.0.1:1"})  # fmt: skip
    assert again.returncode == 0 and again.stdout.splitlines() == words  # Ray is not even asked
    assert table.read_bytes() == before

    # As there, each on one core of a new process: sums over more would differ in the last digit.
    with multiprocessing.get_context("spawn").Pool(1, one_core) as alone:
        for seed in SEEDS:
            wanted = alone.apply(by_one_process, (split, tmp_path / f"alone-{seed}", seed))
            assert [row["figures"] for row in rows if row["seed"] == seed] == wanted
