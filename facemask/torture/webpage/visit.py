"""What `page` and `versions` share: building the page, and visiting it with checks."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from facemask.benchmarks import browser
from facemask.io.files import RELEASE, ROOT, FacemaskError, read_json, write_json
from facemask.torture.webpage import attacks


def build(out: Path, model: Path = RELEASE) -> Path:
    """Build the page.

    Raises:
        FacemaskError: that failed.
    """
    command = [sys.executable, str(ROOT / "web" / "build.py"), str(model), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise FacemaskError(f"the page cannot be built: {done.stderr.strip()[-500:]}")
    return out


def build_other(out: Path, model: Path = RELEASE) -> Path:
    """Build another version: its labels mean something else, its downloads are fewer."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(model / "tfjs", Path(folder, "tfjs"))
        path = Path(folder, "tfjs", "labels.json")
        description = read_json(path)
        first, *rest = description["labels"]
        write_json(path, description | {"labels": [*rest, first]})
        return build(out, Path(folder))


class Visit:
    """One visit of the page: what is to be done there, then what it showed and what was wrong."""

    def __init__(self, name: str, folder: Path):
        self.name, self.folder = name, folder
        self.steps: list[dict] = []
        self.checks: dict[str, bool] = {}
        self.answer: dict[str, Any] = {}
        self.good = folder / "good photo.png"
        attacks.photo(0).save(self.good)

    def do(self, action: str, **details: Any) -> int:
        """Add a step; its number."""
        self.steps.append({"do": action, **details})
        return len(self.steps) - 1

    def run(self, script: str) -> int:
        return self.do("run", script=script)

    def judge(self, path: Path | None = None) -> int:
        """Have a photo judged, the good one if none is named."""
        return self.do("file", path=str(path or self.good))

    def go(self, site: Path, film: Path | None = None) -> None:
        """Do the steps.

        Raises:
            FacemaskError: the browser, or the page in it, did not get to the end.
        """
        camera = ["--use-fake-device-for-media-stream",
                  f"--use-file-for-fake-video-capture={film}"] if film else []  # fmt: skip
        self.answer = browser.drive(site, self.steps, browser.SOFTWARE_GRAPHICS + camera)

    def __getitem__(self, step: int) -> dict:
        return self.answer["results"][step]

    def labels(self, step: int) -> list[str]:
        return [face["label"] for face in self[step]["faces"]]

    def check(self, what: str, holds: bool) -> None:
        """Count a check, and say when it does not hold."""
        self.checks[what] = bool(holds)
        if not holds:
            print(f"page, {self.name}: {what}", file=sys.stderr)

    def quiet(self) -> None:
        """Check that there was no error that nobody caught, and nothing asked of others."""
        self.check(f"errors: {self.answer['errors']}", not self.answer["errors"])
        self.check(f"asked of others: {self.answer['elsewhere']}", not self.answer["elsewhere"])
        self.check(f"not found: {self.answer['missing']}", not self.answer["missing"])

    def still_judges(self, first: int, later: int) -> None:
        """Check that the good photo's answer came, and came again."""
        same = self[first]["faces"] == self[later]["faces"]
        self.check(f"the good photo is judged at step {later}", bool(self[first]["faces"]) and same)

    @property
    def failures(self) -> int:
        return sum(not holds for holds in self.checks.values())
