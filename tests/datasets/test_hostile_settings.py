"""What a notebook's parameters cell may say: it works, or is refused with a message."""

import pytest
from hostile import CASES, SHORT, holds
from hypothesis import given

from facemask.datasets.download import dataset_name, download
from facemask.datasets.prepare import prepare, read_exclusions
from facemask.io.files import FacemaskError
from facemask.io.settings import LIMITS, check_numbers
from facemask.models.train import train


@given(CASES)
@SHORT
def test_spoilt_settings(case):
    holds("settings", case)


@pytest.mark.parametrize("name", [
    "", " ", None, 12, float("nan"), "a" * 300, "\0", "\ud800x", "~nobody-here",
])  # fmt: skip
def test_what_cannot_name_a_data_set(name, tmp_path):
    for ask in (dataset_name, lambda name: download(name, tmp_path)):
        with pytest.raises(FacemaskError, match="cannot name a data set; give sample"):
            ask(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", [float("nan"), "\0", "a" * 300, ["x"]])
def test_what_cannot_be_an_exclusion_file(path):
    with pytest.raises(FacemaskError, match="cannot read the exclusion file"):
        read_exclusions(path)


@pytest.mark.parametrize("name, value", [
    ("image_size", 0), ("image_size", 96.0), ("image_size", "96"), ("image_size", 10**6),
    ("epochs", 0), ("batch_size", None), ("seed", -1), ("seed", True), ("seed", 2**32),
])  # fmt: skip
def test_numbers_that_will_not_do(name, value):
    with pytest.raises(FacemaskError, match=f"^{name} is .*; give a whole number from"):
        check_numbers(**{name: value})
    ask = prepare if name == "image_size" else train
    arguments = ("in", "x") if ask is prepare else ("split", "run", "compact")
    with pytest.raises(FacemaskError, match=f"^{name} is"):
        ask(*arguments, **{name: value})


def test_numbers_at_their_limits():
    for end in (0, 1):
        check_numbers(**{name: limits[end] for name, limits in LIMITS.items()})
