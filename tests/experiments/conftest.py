"""A split folder of drawn pictures for short trainings."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def split(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn sample at 48 px. Read only."""
    from facemask.datasets.prepare import prepare

    return prepare(sample, "drawn", tmp_path_factory.mktemp("split"), image_size=48)
