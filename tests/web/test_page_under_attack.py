"""Short forms of `python -m facemask.torture --only page`, and that it sees what is wrong."""

import re
import shutil
from pathlib import Path

import pytest

from facemask.torture.webpage import attacks, page, versions
from facemask.torture.webpage.visit import build_other

pytestmark = pytest.mark.usefixtures("chromium")


def spoiled(site: Path, out: Path, old: str, new: str, name: str = "main.js") -> Path:
    """The built page with something changed in one of its files, and without its policy."""
    shutil.copytree(site, out)
    (path,) = out.rglob(name)
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    index = out / "index.html"
    index.write_text(re.sub('content="default-src[^"]*"', 'content=""', index.read_text("utf-8")))
    return out


def test_no_script_and_no_request_gets_out(site, tmp_path):
    assert page.security(site, tmp_path) == {"tried": len(attacks.ATTEMPTS), "failures": 0}


def test_without_a_policy_they_do(site, tmp_path):
    bare = spoiled(site, tmp_path / "bare", "", "")
    names = ["eval", "inline handler", "worker from a blob", "image", "fetch", "form"]
    assert page.security(bare, tmp_path, names)["failures"] >= len(names)


def test_names_and_texts_of_files_stay_text(site, tmp_path):
    row = page.texts(site, tmp_path, (attacks.NAMES[0], attacks.NAMES[-1]))
    assert row == {"tried": 6, "failures": 0}


def test_names_that_become_html_are_seen(site, tmp_path):
    bad = spoiled(site, tmp_path / "bad", ".status.textContent=", ".status.innerHTML=")
    assert page.texts(bad, tmp_path, ("<b id=injected>b",))["failures"] > 0


def test_odd_files(site, tmp_path):
    row = page.oddities(site, tmp_path, large=False)
    assert row["failures"] == 0
    assert row["answered"] >= 4 and row["refused with a message"] >= 6


def test_memory_stays_from_photo_to_photo(site, tmp_path):
    assert page.photos(site, tmp_path, count=24, early=8)["failures"] == 0


def test_memory_that_grows_is_seen(site, tmp_path):
    leak = "addEventListener('change', () => (window.a ??= []).push(Array(3e6).fill(0.5)), true);"
    bad = tmp_path / "bad"
    shutil.copytree(site, bad)
    (main,) = bad.glob("*/main.js")
    main.write_text(leak + main.read_text("utf-8"), "utf-8")
    assert page.photos(bad, tmp_path, count=4, early=2)["failures"] == 1


def test_webcam_for_a_while(site, tmp_path):
    assert page.webcam(site, tmp_path, minutes=1 / 6)["failures"] == 0


def test_back_a_second_tab_and_an_update(site, model, tmp_path):
    other = build_other(tmp_path / "other", model[1])
    assert versions.versions(site, other, tmp_path, backend="wasm")["failures"] == 0
