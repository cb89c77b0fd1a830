"""Every figure in the README comes from a report that a command wrote."""

import re

import pytest

from facemask.io.files import ROOT
from facemask.pages import fill

TEXT = (ROOT / "README.md").read_text("utf-8")
TEXTS = {name: (ROOT / name).read_text("utf-8") for name in fill.FILES}
LINKS = [(ROOT / name).parent / target for name, text in TEXTS.items()
         for target in re.findall(r"\]\((?!http|#)([^)]+)\)", text)]


@pytest.mark.parametrize("name", TEXTS)
def test_tables_equal_the_reports(name):
    assert fill.render(TEXTS[name]) == TEXTS[name]


def test_every_table_is_used():
    used = {block for text in TEXTS.values()
            for block in re.findall(r"<!-- begin ([\w-]+) -->", text)}
    assert used == set(fill.BLOCKS)


def test_a_changed_figure_is_noticed():
    changed = re.sub(r"\*\*9\d\.\d\d%", "**12.34%", TEXT, count=1)
    assert changed != TEXT and fill.render(changed) == TEXT


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_figure_outside_the_tables(text):
    """Percentages, times and sizes of ours stand in filled blocks alone."""
    prose = re.sub(r"<!-- begin ([\w-]+) -->.*?<!-- end \1 -->", "", text, flags=re.DOTALL)
    assert re.findall(r"\d+\.\d+ ?%|\d+ (?:ms|kB|MB)\b|\d+ of \d+", prose) == []


@pytest.mark.parametrize("target", LINKS, ids=str)
def test_links_lead_somewhere(target):
    assert target.exists()


def test_commands_in_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"\bmake ([a-z]+)\b(?!\.)", TEXT))
    assert used and used <= targets
