"""Where a model that the tests train lies; conftest has the fixture."""

from pathlib import Path
from typing import NamedTuple


class Trained(NamedTuple):
    split: Path
    run: Path
