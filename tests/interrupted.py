"""Kill a folder run again and again, as `test_batch` does: `python tests/interrupted.py 20`."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from facemask import CLASSES  # noqa: E402
from facemask.datasets.sample import draw_scene  # noqa: E402
from facemask.models.classifier import Classifier  # noqa: E402
from facemask.photos import batch  # noqa: E402
from facemask.photos.sources import expand, place  # noqa: E402


def light_model() -> Classifier:
    """Judges by brightness alone: starts at once, and any process gives the same answer."""

    def predict(crops: np.ndarray) -> np.ndarray:
        value = crops.mean(axis=(1, 2, 3)) / 255
        return np.stack([value, (1 - value) * 0.7, (1 - value) * 0.3], axis=1).astype(np.float32)

    return Classifier(list(CLASSES), 32, predict)


def make_folder(folder: Path, count: int) -> Path:
    """Many small pictures, no two alike, from a few drawn scenes."""
    scenes = [draw_scene(np.random.default_rng(k), 1 + k, 320, 240)[0] for k in range(3)]
    (folder / "more").mkdir(parents=True)
    for number in range(count):
        image = scenes[number % 3].astype(np.float32) * (0.6 + 0.4 * number / count)
        image = cv2.resize(image.astype(np.uint8), (200 + number, 180))
        Image.fromarray(image).save(folder / ("more" if number % 2 else "") / f"{number:03d}.jpg")
    (folder / "broken.jpg").write_text("no picture")
    return folder


def judge(folder: Path, out: Path) -> int:
    """What `predict FOLDER --output OUT --csv` does, with the light model."""
    sources = expand([folder])
    return batch.judge_many(
        sources, light_model(), place(sources, out), out / "answers.json", out / "answers.csv",
        {"model": "light"},
    )  # fmt: skip


def interrupt(folder: Path, out: Path, kills: int, seed: int = 0) -> list[int]:
    """Start `judge` as a process of its own, kill it at random moments, then let it finish.

    Returns:
        For each kill that met a run under way, the lines that the journal had then.
    """
    rng = np.random.default_rng(seed)
    journal = out / "answers.json.unfinished"
    step = len(list(folder.rglob("*.jpg"))) // (kills + 1)
    command = [sys.executable, __file__, "judge", str(folder), str(out)]
    lines = []
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        goal = _lines(journal) + int(rng.integers(0, max(2, step + 1)))
        while _lines(journal) < goal and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.03))
        under_way = process.poll() is None
        process.kill()
        process.wait()
        lines += [_lines(journal)] * under_way
    subprocess.run(command, check=False, capture_output=True)
    return lines


def check(folder: Path, out: Path, whole: Path) -> None:
    """Nothing lost, nothing doubled: as if the run had never been interrupted."""
    answers = json.loads((out / "answers.json").read_text())
    assert [a["file"] for a in answers] == [str(p) for p in sorted(folder.rglob("*.jpg"))]
    assert answers == json.loads((whole / "answers.json").read_text())
    assert (out / "answers.csv").read_bytes() == (whole / "answers.csv").read_bytes()
    assert not (out / "answers.json.unfinished").exists()
    for picture in sorted(whole.rglob("*.jpg")):
        twin = out / picture.relative_to(whole)
        assert twin.read_bytes() == picture.read_bytes()


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


if __name__ == "__main__":
    if sys.argv[1] == "judge":
        sys.exit(judge(Path(sys.argv[2]), Path(sys.argv[3])))
    with tempfile.TemporaryDirectory() as place_to_work:
        work = Path(place_to_work)
        pictures = make_folder(work / "photos", 60)
        judge(pictures, work / "whole")
        met = interrupt(pictures, work / "out", int(sys.argv[1]))
        check(pictures, work / "out", work / "whole")
        print(f"{len(met)} kills, at {met} lines of 62: nothing lost, nothing doubled")
