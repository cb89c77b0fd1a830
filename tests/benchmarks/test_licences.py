"""Licences: every package of the base install and the page is known, and a doubtful one is seen."""

import pytest

from facemask.benchmarks import licences
from facemask.io.files import FacemaskError


def test_base_install_and_page():
    base, page = list(licences.installed()), list(licences.bundled())
    assert {"numpy", "pillow", "ai-edge-litert"} <= {name for name, _, _ in base}
    assert "tensorflow" not in {name for name, _, _ in base}
    assert "@tensorflow/tfjs-core" in {name for name, _, _ in page}
    assert licences.doubtful(base + page) == []


@pytest.mark.parametrize("licence", ["", "GPL-3.0", "MIT and GPL-2.0", "Commercial"])
def test_doubtful_ones_are_seen(licence):
    assert licences.doubtful([("x", "1", licence), ("y", "1", "MIT")]) == ["x"]


def test_a_missing_package(monkeypatch):
    monkeypatch.setattr(licences, "read_dependencies", lambda: ["no-such-package>=1"])
    with pytest.raises(FacemaskError, match="no-such-package is not installed"):
        list(licences.installed())
