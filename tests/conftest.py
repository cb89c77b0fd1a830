"""What all tests share: a clean place to work, the drawn sample, real photographs."""

import os
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"  # before any test imports TensorFlow

import pytest  # noqa: E402
from trained import Trained  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def archives() -> Path:
    """The folder of real data sets' zips; tests that need it are skipped without it."""
    folder = os.environ.get("FACEMASK_ARCHIVES")
    if not folder:
        pytest.skip("set FACEMASK_ARCHIVES to the folder with the data sets' zips")
    return Path(folder)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty drawn pictures per class, in a folder per class. Read only."""
    from facemask.datasets.sample import make_sample

    return make_sample(tmp_path_factory.mktemp("drawn") / "faces", per_class=60, seed=1)


@pytest.fixture(scope="session")
def trained(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A compact model, trained for three epochs at 48 px on the drawn sample. Read only."""
    from facemask.datasets.prepare import prepare
    from facemask.models.train import train

    folder = tmp_path_factory.mktemp("trained")
    split = prepare(sample, "drawn", folder, image_size=48)
    train(split, folder / "run", "compact", epochs=3, batch_size=16)
    return Trained(split, folder / "run")
