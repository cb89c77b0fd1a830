"""Links, commands and targets that README, docs and model card name exist; the docs build."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from facemask import cli
from facemask.io.files import ROOT
from facemask.pages import fill

MOST_LINES = 180
TEXTS = {name: (ROOT / name).read_text("utf-8") for name in fill.FILES}
COMMANDS = ("download", "prepare", "train", "evaluate", "copies", "audit", "export", "predict",
            "run", "score")


def _prose(text: str) -> str:
    """The text less what stands between fences, in which # is no heading and ]( no link."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors of a Markdown text's headings, as GitHub and MkDocs make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", _prose(text), re.MULTILINE):
        words = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        found.add(anchor if anchor not in found else f"{anchor}-1")
    return found


def broken(name: str, text: str) -> list[str]:
    """The links and pictures of a page that lead nowhere; `http` is not looked at."""
    prose = _prose(text)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r'(?:src|href)="([^"]+)"', prose)
    found = []
    for target in targets:
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        outside = not file.is_relative_to(ROOT)
        if outside or not file.exists():
            found.append(target)
        elif anchor and anchor not in anchors(file.read_text("utf-8")):
            found.append(target)
    return found


def options(command: str, capsys: pytest.CaptureFixture) -> set[str]:
    """A command's own options, from its `--help`."""
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}


def test_the_readme_is_short():
    assert len(TEXTS["README.md"].splitlines()) <= MOST_LINES


@pytest.mark.parametrize("name", TEXTS)
def test_links_and_anchors_lead_somewhere(name):
    assert broken(name, TEXTS[name]) == []


def test_a_broken_link_is_noticed():
    text = "[a](docs/no-such.md) [b](README.md#no-such) [c](#nor-this) [d](../outside)\n# Here\n"
    assert len(broken("README.md", text)) == 4


@pytest.mark.parametrize("name", TEXTS)
def test_commands_exist(name, capsys):
    text = TEXTS[name].replace("\\\n", " ")
    shown = re.findall(r"(?:^|`)(?:python -m )?facemask ([a-z]+)([^`\n]*)", text, re.MULTILINE)
    for command, rest in shown:
        assert command in COMMANDS, f"facemask {command}"
        written = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", rest))
        assert written - {"--help"} <= options(command, capsys), f"facemask {command}{rest}"


def test_every_command_and_option_is_described(capsys):
    page = TEXTS["docs/commands.md"]
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    listed = re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE)
    assert set(listed) == set(COMMANDS)
    for command in COMMANDS:
        assert f"\n## {command}\n" in page
        assert {o for o in options(command, capsys) if f"`{o}" not in page} == set()


@pytest.mark.parametrize("name", TEXTS)
def test_make_targets_and_modules_exist(name):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)\b", TEXTS[name], re.MULTILINE)) <= targets
    modules = set(re.findall(r"python -m (facemask\.[\w.]*\w)", TEXTS[name]))
    assert [m for m in modules if importlib.util.find_spec(m) is None] == []
    files = set(re.findall(r"`((?:facemask|tests|web)/[\w/.]+\.\w+)`", TEXTS[name]))
    assert [f for f in files if not (ROOT / f).exists()] == []


def test_the_docs_build_without_a_warning(tmp_path: Path):
    pytest.importorskip("mkdocs_jupyter", reason="pip install -r requirements-docs.txt")
    pytest.importorskip("material", reason="pip install -r requirements-docs.txt")
    # Material's notice about MkDocs' future is no warning about these pages.
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for page in ("index.html", "model-card.html", "contributing.html", "notebooks/03-train.html"):
        assert (tmp_path / page).stat().st_size > 5000
