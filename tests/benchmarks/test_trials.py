"""The verdict on real trainings: some built to overfit, one healthy, five seeds of each."""

import numpy as np
import pytest

from facemask.benchmarks.trials import KINDS, draw_faces, trial


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray]:
    return draw_faces()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "healthy"])
def test_says_overfits_of_a_run_built_to_overfit(faces, kind, seed):
    found = trial(kind, seed, faces)
    assert found["says"] == "overfits", found["text"]


@pytest.mark.parametrize("seed", range(5))
def test_does_not_say_overfits_of_a_healthy_run(faces, seed):
    found = trial("healthy", seed, faces)
    assert found["says"] != "overfits", found["text"]
    assert "learned little" not in found["text"]
