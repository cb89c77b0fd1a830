"""Every figure in the README comes from a report that a command wrote."""

import re

import pytest
from conftest import ROOT

from facemask import readme

TEXT = (ROOT / "README.md").read_text("utf-8")


def test_tables_equal_the_reports():
    assert readme.render(TEXT) == TEXT
    assert set(re.findall(r"<!-- begin ([\w-]+) -->", TEXT)) == set(readme.BLOCKS)


def test_a_changed_figure_is_noticed():
    changed = re.sub(r"\*\*9\d\.\d\d%", "**12.34%", TEXT, count=1)
    assert changed != TEXT and readme.render(changed) == TEXT


def test_no_figure_outside_the_tables():
    """Percentages, times and sizes of ours stand in filled blocks alone."""
    prose = re.sub(r"<!-- begin ([\w-]+) -->.*?<!-- end \1 -->", "", TEXT, flags=re.DOTALL)
    assert re.findall(r"\d+\.\d+ ?%|\d+ (?:ms|kB|MB)\b|\d+ of \d+", prose) == []


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http|#)([^)]+)\)", TEXT))
def test_links_lead_somewhere(target):
    assert (ROOT / target).exists()


def test_commands_in_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"\bmake ([a-z]+)\b(?!\.)", TEXT))
    assert used and used <= targets
