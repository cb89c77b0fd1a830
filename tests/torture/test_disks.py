"""A full disk and a read-only one, small and real, and that the checks see what they are there for.

As a script it works within `unshare -rm`, where any user may mount: `test_disks.py CASE FOLDER`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask import CLASSES
from facemask.io.files import ROOT
from facemask.torture.faults import disks
from facemask.torture.faults.small_disk import disk
from facemask.torture.faults.writers import FACEMASK, Stage

# Each writes product.txt, 100 kB, and does one thing wrong; "as it should be" does not.
START = """
import sys
from pathlib import Path
from facemask.io.files import FacemaskError, write_whole
text, product = "new " * 25000, Path("product.txt")
"""
RIGHT = """
try:
    with write_whole(product) as partial:
        partial.write_text(text)
except FacemaskError as error:
    sys.exit(f"writer: {error}")
"""
REFUSE = """
except OSError:
    sys.exit("writer: cannot write product.txt; free some space and run it again")
"""
WRITERS = {
    "as it should be": RIGHT,
    "in place": "\ntry:\n    product.write_text(text)" + REFUSE,
    "in place of another name": "\ntry:\n    Path('product2.txt').write_text(text)" + REFUSE,
    "removes first": "\nproduct.unlink(missing_ok=True)" + RIGHT,
    "a traceback": RIGHT.replace("FacemaskError as", "ValueError as"),
    "says nothing": RIGHT.replace('f"writer: {error}"', "2"),
    "does not say what to do": RIGHT.replace("{error}", "cannot write product.txt"),
    "does not notice": RIGHT.replace('sys.exit(f"writer: {error}")', "pass"),
    "leaves a file behind": "\nPath(f'.left-{id(text)}').touch()" + RIGHT,
    "crashes": RIGHT.replace('sys.exit(f"writer: {error}")', "import os; os.abort()"),
}


def _earlier(folder: Path) -> None:
    """What stands there before, of each of the stages below."""
    for name in ("product.txt", "out/0.jpg", "out/answers.json", "data/split/faces/old.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old")
    (folder / "data/split/faces/prepare.json").write_text('{"settings": {}}')


def _stages(folder: Path) -> dict[str, Stage]:
    rng = np.random.default_rng(0)
    for number in range(36):
        image = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
        for path in (folder / "faces" / CLASSES[number % 3] / f"{number}.png",
                     *([folder / "photos" / f"{number}.jpg"] * (number < 3))):  # fmt: skip
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    faces, photos = str(folder / "faces"), str(folder / "photos")
    return {
        "predict": Stage(_earlier, (*FACEMASK, "predict", photos, "--output", "out"), 2,
                         gradual=("out/*.jpg",), aside=("*.unfinished",)),
        "prepare": Stage(_earlier, (*FACEMASK, "prepare", "--dataset", faces), 1),
        **{name: Stage(_earlier, (sys.executable, "-c", START + code), 4)
           for name, code in WRITERS.items()},
    }  # fmt: skip


def _try(names: list[str], folder: Path) -> dict[str, list[str]]:
    """The failures of stages on a full disk; of the writers on a read-only one as well."""
    stages, found = _stages(folder), {}
    with disk("tmpfs") as small:
        for name in names:
            trial = disks.Trial(name, stages[name], small, folder / f"before {name}")
            trial.full()
            if name in WRITERS:
                trial.read_only()
            found[name] = trial.failures
    return found


def in_a_namespace(names: list[str], folder: Path) -> dict[str, list[str]]:
    """`_try`, where this user may mount."""
    able = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    try:
        done = subprocess.run(able, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("unshare is not here, so nothing can be mounted")
    if done.returncode:
        pytest.skip(f"nothing can be mounted: {done.stderr.strip()}")
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, __file__, json.dumps(names), str(folder)], cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, check=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["predict", "prepare"])
def test_on_a_full_disk(tmp_path, name):
    assert in_a_namespace([name], tmp_path) == {name: []}


def test_what_is_wrong_is_seen(tmp_path):
    found = in_a_namespace(list(WRITERS), tmp_path)
    assert found.pop("as it should be") == []
    assert [name for name, failures in found.items() if not failures] == []
    text = {name: " ".join(failures) for name, failures in found.items()}
    assert "product.txt is not as it was" in text["in place"]
    assert "product2.txt is there" in text["in place of another name"]
    assert "product.txt is gone" in text["removes first"]
    assert "Traceback" in text["a traceback"] and "but: nothing" in text["says nothing"]
    assert "what to do" in text["does not say what to do"]
    assert "it says that it has finished" in text["does not notice"]
    assert "not as after a run undisturbed: .left" in text["leaves a file behind"]
    assert "ended by signal 6" in text["crashes"]


def test_progress_is_not_a_message():
    said = ("Judging:  50%|##   | 3/6 [00:01<00:01,  2.9photo/s]\rx: cannot write a; run again\n"
            "Drawing faces: 0img [00:00, ?img/s]\n")  # fmt: skip
    assert disks.without_progress(said) == "x: cannot write a; run again"


if __name__ == "__main__":
    print(json.dumps(_try(json.loads(sys.argv[1]), Path(sys.argv[2]))))
