"""Every figure in README, docs and model card comes from a report that a command wrote."""

import re
from pathlib import Path

import pytest

from facemask.io.files import ROOT, write_json
from facemask.pages import fill

TEXT = (ROOT / "README.md").read_text("utf-8")
TEXTS = {name: (ROOT / name).read_text("utf-8") for name in fill.FILES}
FIGURE = r"\d+\.\d+ ?%|\d+ (?:ms|kB|MB|MiB|GB|seconds|minutes|hours)\b|\d+ of \d+"
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
    changed = re.sub(r"\b9\d\.\d\d%", "12.34%", TEXT, count=1)
    assert changed != TEXT and fill.render(changed) == TEXT


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_figure_outside_the_tables(text):
    """Percentages, times and sizes of ours stand in filled blocks alone."""
    prose = re.sub(r"<!-- begin ([\w-]+) -->.*?<!-- end \1 -->", "", text, flags=re.DOTALL)
    assert re.findall(FIGURE, prose) == []


@pytest.mark.parametrize("target", LINKS, ids=str)
def test_links_lead_somewhere(target):
    assert Path(str(target).partition("#")[0]).exists()


def test_what_others_read_is_shown_once_it_is_measured(tmp_path, monkeypatch):
    """The first table is of peers once they are measured; a null is a dash."""
    monkeypatch.setattr(fill, "REPORTS", tmp_path)
    assert fill.front_table() == fill.card.release_table()
    figures = {"accuracy": 0.9, "macro_recall": 0.8}
    write_json(tmp_path / "peers.json", {
        "sets": {"street": 1234, "scenes": 5},
        "models": {"released": {"street": figures, "scenes": figures}, "peer": {"street": figures}},
    })
    lines = fill.front_table().splitlines()
    assert "released: accuracy, mean recall" in lines[0]
    assert lines[2] == "| street | 1,234 | 90.00%, 80.00% | 90.00%, 80.00% |"
    assert lines[3] == "| scenes | 5 | 90.00%, 80.00% | cannot |"
    write_json(tmp_path / "commands.json", {
        "hardware": "an abacus", "installed_megabytes": {"base": 300, "full": 3000},
        "commands": {"make run": {"seconds": 61.4, "peak_megabytes": 1234, "load_beforehand": 0.5},
                     "make test": {"seconds": 6.4, "peak_megabytes": 1, "load_beforehand": 2}},
    })  # fmt: skip
    assert "| `make run` | 61 s | 1,234 MB |\n| `make test` | 6.4 s |" in fill.commands_table()
    assert "an abacus, at a load of 0.5 to 2.0 before" in fill.commands_table()


def test_colab_links_wait_for_an_address(monkeypatch):
    monkeypatch.setattr(fill, "repository", lambda: "")
    assert "colab" not in fill.notebooks_table() and "Upload notebook" in fill.notebooks_table()
    monkeypatch.setattr(fill, "repository", lambda: "https://github.com/someone/masks.git")
    address = f"{fill.COLAB}/someone/masks/blob/HEAD/notebooks/01-download.ipynb"
    assert address in fill.notebooks_table()


def test_commands_in_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = set(re.findall(r"\bmake ([a-z]+)\b(?!\.)", TEXT))
    assert used and used <= targets
