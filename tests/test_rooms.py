"""The package keeps its order: rooms, contracts between them, hints and style.

The contracts stand in pyproject.toml under [tool.importlinter].
"""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "facemask"
FOLDERS = sorted({path.parent for path in PACKAGE.rglob("*.py")})
MOST = 12  # modules in a folder


def lint(folder: Path) -> dict[str, bool]:
    """Each contract of the project in `folder`, and whether it is kept."""
    call = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", call, "--no-cache"], cwd=folder, capture_output=True, text=True
    )
    marks = re.findall(r"^(.+) (KEPT|BROKEN)\b", done.stdout, re.MULTILINE)
    kept = {name: mark == "KEPT" for name, mark in marks}
    assert kept, done.stdout + done.stderr
    assert all(kept.values()) == (done.returncode == 0), done.stdout + done.stderr
    return kept


def run(*arguments: str) -> None:
    """Run a module's command on the project; what it finds is the failure's text."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contracts_are_kept():
    kept = lint(ROOT)
    assert len(kept) == 4 and all(kept.values()), kept


@pytest.mark.parametrize("module, line, broken", [
    ("photos/predict.py", "from facemask.release import collect",
     "Imports run one way through the rooms"),
    ("photos/predict.py", "from facemask.release import collect",
     "What a user calls never imports the laboratory"),
    # predict imports finder.
    ("photos/finder.py", "from facemask.photos import predict", "No circles within a room"),
    ("photos/predict.py", "import tensorflow", "Judging needs no TensorFlow"),
])  # fmt: skip
def test_a_forbidden_import_is_found(module, line, broken, tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "facemask", ignore=shutil.ignore_patterns("__pycache__"))
    changed = tmp_path / "facemask" / module
    changed.write_text(f"{changed.read_text(encoding='utf-8')}\n\n{line}\n", encoding="utf-8")
    assert lint(tmp_path)[broken] is False


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_a_folder_is_small_and_says_what_it_is_for(folder):
    modules = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert 0 < len(modules) <= MOST
    text = (folder / "__init__.py").read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))


def test_ruff_finds_nothing():
    run("ruff", "check", "facemask", "notebooks", "tests", "web")


def test_mypy_finds_nothing():
    run("mypy")
