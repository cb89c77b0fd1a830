"""Run the notebooks headless, and prepare them for committing.

`python -m facemask run` runs all six on a data set. `python -m facemask.notebooks save` writes
what they made back into `notebooks/`, less the outputs of cells tagged `photographs`.
"""

import argparse
import base64
import hashlib
import io
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import papermill
from PIL import Image

from facemask.datasets.download import dataset_name
from facemask.io.files import (
    ROOT,
    FacemaskError,
    read_json,
    refusal,
    scratch_folder,
    sweep,
    write_json,
    write_whole,
    writing,
)

FOLDER = ROOT / "notebooks"

# The project's address, from which Colab fetches it: to set, here alone, when it is published;
# `clean` writes it into the notebooks. While it is empty, the first cell asks for it.
REPOSITORY = ""

SETUP = f'''\
import os
import shutil
import sys
from pathlib import Path

if "google.colab" in sys.modules:
    REPOSITORY = "{REPOSITORY}"
    KEEP_ON_DRIVE = False  # True: data/ and models/ stay on your Google Drive
    os.chdir("/content")
    if not Path("project").exists():
        REPOSITORY = REPOSITORY or input("The project's address, as for git clone: ")
        !git clone -q {{REPOSITORY}} project
    os.chdir("project")
    %pip install -q -r requirements.txt
    if KEEP_ON_DRIVE:
        from google.colab import drive
        drive.mount("/content/drive")
        for name in ("data", "models"):
            kept = Path("/content/drive/MyDrive/face-mask", name)
            kept.mkdir(parents=True, exist_ok=True)
            if not Path(name).is_symlink():
                shutil.copytree(name, kept, dirs_exist_ok=True)  # the released model, read-me files
                os.rename(name, f"{{name}}-of-the-project")
                os.symlink(kept, name)
while not Path("pyproject.toml").exists():
    if Path.cwd() == Path.cwd().parent:
        raise FileNotFoundError("open this notebook inside the project's folder")
    os.chdir("..")
sys.path.insert(0, os.getcwd())

from facemask.io.quiet import hush

hush()  # what TensorFlow and its like say of the machine'''

PHOTOGRAPHS = "photographs"  # the tag of a cell whose output shows pictures of people
DRAWN = "drawn"  # the tag of a cell whose output shows drawn people only
MOST_TEXTURE = 0.02  # share of middling steps between pixels; plots have half, photographs twice
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(home|root|tmp|Users|mnt|var|opt|work|content)/")
REPORT = re.compile(r'"((?:reports|models/release)/[\w-]+\.json)"')
REMOVED = "Run this cell to see the photographs; they are not ours to publish."


def run(dataset: str, **settings: int) -> Path:
    """Run all notebooks on a data set, from the first to the last, one line each.

    Args:
        dataset: as in `facemask.datasets.download.download`.
        settings: image_size, epochs, batch_size, seed.

    Returns:
        models/<run>/notebooks, where the executed notebooks are.

    Raises:
        FacemaskError: a notebook stopped with an error; those before it are done, and what stood
            in its own place stays. Or the disk is full.
    """
    if Path(dataset).exists():
        dataset = str(Path(dataset).resolve())
    executed = ROOT / "models" / dataset_name(dataset) / "notebooks"
    with writing(executed):
        _run_all(dataset, settings, executed)
    run_folder = executed.parent
    for path in [*sorted(run_folder.glob("*/exports/*")), run_folder / "report.json"]:
        print(f"made {path.relative_to(ROOT)}")
    return executed


def _run_all(dataset: str, settings: dict, executed: Path) -> None:
    executed.mkdir(parents=True, exist_ok=True)
    values = {"DATASET": dataset, **{k.upper(): v for k, v in settings.items()}}
    sweep(executed)
    (executed / "log.txt").unlink(missing_ok=True)
    notebooks = sorted(FOLDER.glob("0*.ipynb"))
    for number, notebook in enumerate(notebooks, 1):
        start = time.monotonic()
        print(f"[{number}/{len(notebooks)}] {notebook.stem} ...", end=" ", flush=True)
        known = parameters(notebook)
        failed = executed / f"{notebook.stem}-failed.ipynb"
        arguments = [x for k, v in values.items() if k in known for x in ("-p", k, str(v))]
        with scratch_folder(executed / notebook.name) as folder:
            made = folder / notebook.name
            # A process of its own: what TensorFlow and the kernel say on the side goes to a log.
            with open(executed / "log.txt", "ab") as log:
                done = subprocess.run(
                    [sys.executable, "-m", "papermill", notebook, made, *arguments,
                     "--cwd", FOLDER, "--no-progress-bar", "--start-timeout", "300"],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                )  # fmt: skip
                log.write(done.stdout)
            error = _error(made, done.stdout) if done.returncode else ""
            if made.is_file():  # a kernel that could not start leaves none
                with write_whole(failed if error else executed / notebook.name) as partial:
                    made.rename(partial)
        if error:
            print("failed")
            raise FacemaskError(f"{notebook.name} stopped: {error}; see {failed}")
        failed.unlink(missing_ok=True)
        print(f"{time.monotonic() - start:.0f} s")


def _error(notebook: Path, said: bytes) -> str:
    """The last error in an executed notebook.

    Args:
        said: what papermill printed.

    Raises:
        OSError: it could not be written.
    """
    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except (OSError, ValueError, nbformat.reader.NotJSONError):
        cells = []
    errors = [o.evalue if o.ename == "FacemaskError" else f"{o.ename}: {o.evalue}"
              for c in cells for o in c.get("outputs", []) if o.output_type == "error"]
    if not errors and (refused := refusal(said.decode("utf-8", "replace"))):
        raise refused
    return errors[-1] if errors else "its kernel died or could not start"


def parameters(notebook: Path) -> set[str]:
    """The names in a notebook's parameters cell."""
    return set(papermill.inspect_notebook(str(notebook)))


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Make an executed notebook fit to commit: no photographs, no parameters of one run."""
    cells = []
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            continue
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
        if cell.cell_type == "code":
            cell.outputs = _clean_outputs(cell)
            if "setup" in tags:  # which has no output
                cell.source = SETUP
        cells.append(cell)
    notebook.cells = cells
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "facemask": {"code": _code_hash(notebook), "reads": _reports_read(notebook)},
    }
    return notebook


def _code_hash(notebook: nbformat.NotebookNode) -> str:
    """What the outputs were made from, so that a later change of the code shows."""
    return hashlib.sha256(_code(notebook).encode()).hexdigest()


def _reports_read(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """The committed reports that its code reads, and the SHA-256 of each."""
    return {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
            for name in sorted(set(REPORT.findall(_code(notebook))))}


def _code(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(c.source for c in notebook.cells if c.cell_type == "code")


def problems(notebook: nbformat.NotebookNode) -> list[str]:
    """What makes a notebook unfit to commit; empty if nothing does."""
    found = []
    if notebook.metadata.get("facemask", {}).get("code") != _code_hash(notebook):
        found.append("its code has changed since it was run; run `make notebooks`")
    if notebook.metadata.get("facemask", {}).get("reads") != _reports_read(notebook):
        found.append("a report that it shows has changed since it was run; run `make notebooks`")
    for number, cell in enumerate(c for c in notebook.cells if c.cell_type == "code"):
        tags = cell.metadata.get("tags", [])
        if "setup" in tags and cell.source != SETUP:
            found.append(f"code cell {number} is not facemask.notebooks.SETUP")
        for output in cell.outputs:
            text = str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", ""))
            if output.output_type == "error":
                found.append(f"code cell {number} holds an error")
            if MACHINE_PATH.search(text):
                found.append(f"code cell {number} shows a path of a machine")
            for kind, data in output.get("data", {}).items():
                if kind.startswith("image/") and (
                    PHOTOGRAPHS in tags or (DRAWN not in tags and _like_photograph(data))
                ):
                    found.append(f"code cell {number} holds what looks like a photograph")
    return found


def _like_photograph(data: str) -> bool:
    """Whether a PNG (base64) has the texture of a photograph; averages of many do not."""
    image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    pixels = np.asarray(image, dtype=int)
    # Neighbouring pixels of a photograph nearly all differ; a plot is flat nearly everywhere.
    # Lines and letters change in large steps, flat areas and averages in none or tiny ones;
    # skin, hair and cloth are full of steps between.
    steps = np.abs(np.diff(pixels, axis=1)).sum(axis=2)
    return float(np.mean((steps > 12) & (steps <= 48))) > MOST_TEXTURE


def _clean_outputs(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The outputs less photographs, with progress bars as they stood at the end."""
    if PHOTOGRAPHS in cell.metadata.get("tags", []):
        return [nbformat.v4.new_output("stream", name="stdout", text=REMOVED + "\n")]
    outputs: list[nbformat.NotebookNode] = []
    for output in cell.outputs:
        if output.output_type == "execute_result":
            output.execution_count = None  # the format asks for the field
        output.get("metadata", {}).clear()
        if output.output_type == "stream" and outputs and outputs[-1].get("name") == output.name:
            outputs[-1].text += output.text
        else:
            outputs.append(output)
    for output in outputs:
        if output.output_type == "stream":
            # Warnings and what TensorFlow says of the machine it is on are of no use to a reader.
            warning = r"[^\s\]]*site-packages\S+ \w*Warning: .*\n( .*\n)?"
            output.text = re.sub(warning, "", output.text)
            output.text = re.sub(
                r"^([IWEF]\d{4} |WARNING: All log messages|To enable the following|"
                r"INFO: Created TensorFlow|INFO:tensorflow:).*\n",
                "", output.text, flags=re.MULTILINE,
            )
            output.text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
            output.text = output.text.replace(f"{ROOT}/", "")
            output.text = re.sub(r"/\S+/\.cache/", "~/.cache/", output.text)
    return [o for o in outputs if o.output_type != "stream" or o.text.strip()]


def save(dataset: str) -> None:
    """Publish a data set's last run: its notebooks, cleaned, into `notebooks/`, see `report`."""
    executed = ROOT / "models" / dataset_name(dataset) / "notebooks"
    for path in sorted(FOLDER.glob("0*.ipynb")):
        if not (executed / path.name).is_file():
            raise FacemaskError(f"{executed / path.name} is missing; run the notebooks first")
        with write_whole(path) as partial:
            nbformat.write(clean(nbformat.read(executed / path.name, as_version=4)), partial)
    report(dataset)


def report(dataset: str) -> None:
    """Put the figures of a data set's last run into reports/<run>.json, for the README."""
    run_folder = ROOT / "models" / dataset_name(dataset)
    figures = read_json(run_folder / "report.json")
    figures["exports"] = {
        path.parent.parent.name: read_json(path)
        for path in sorted(run_folder.glob("*/exports/exports.json"))
    }
    write_json(ROOT / "reports" / f"{run_folder.name}.json", figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["save", "report"])
    parser.add_argument("--dataset", required=True)
    try:
        args = parser.parse_args()
        {"save": save, "report": report}[args.action](args.dataset)
    except FacemaskError as error:
        sys.exit(str(error))
