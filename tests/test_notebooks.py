"""The committed notebooks are fresh and hold no photograph; each runs alone on a fresh clone."""

import base64
import copy
import io
import os
import shutil
import subprocess
import sys
import types

import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure

from facemask import notebooks
from facemask.datasets.sample import draw_face
from facemask.io.files import ROOT, FacemaskError

PATHS = sorted(notebooks.FOLDER.glob("*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_committed_notebook_is_fit_to_publish(path):
    assert notebooks.problems(read(path)) == []


def test_a_notebook_that_stops_leaves_the_one_before(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "notebooks")
    executed = tmp_path / "models" / "sample" / "notebooks"
    executed.mkdir(parents=True)
    (executed / "01-a.ipynb").write_text("before")
    (tmp_path / "notebooks").mkdir()

    def run(code: str) -> set[str]:
        cell = nbformat.v4.new_code_cell(code)
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        notebook = nbformat.v4.new_notebook(cells=[cell], metadata=kernel)
        nbformat.write(notebook, tmp_path / "notebooks" / "01-a.ipynb")
        try:
            notebooks.run("sample")
        finally:
            names = {path.name for path in executed.iterdir()}
        return names

    with pytest.raises(FacemaskError, match=r"stopped: ValueError: no; see .*01-a-failed.ipynb"):
        run("raise ValueError('no')")
    assert (executed / "01-a.ipynb").read_text() == "before"
    assert "ValueError" in str(read(executed / "01-a-failed.ipynb").cells)
    assert run("print(1)") == {"01-a.ipynb", "log.txt"}
    assert read(executed / "01-a.ipynb").cells[-1].outputs[0].text == "1\n"


def png(draw) -> str:
    figure = Figure()
    draw(figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer)
    return base64.b64encode(buffer.getvalue()).decode()


def test_what_is_unfit_is_found():
    face = draw_face(np.random.default_rng(0), 128)[0]
    fit = notebooks.clean(read(PATHS[3]))
    assert notebooks.problems(fit) == []
    cell = next(c for c in fit.cells if c.cell_type == "code" and not c.metadata.get("tags"))

    def problems(**output):
        changed = copy.deepcopy(fit)
        target = next(c for c in changed.cells if c.id == cell.id)
        target.outputs = [nbformat.v4.new_output(**output)]
        return " ".join(notebooks.problems(changed))

    assert "an error" in problems(output_type="error", ename="E", evalue="v", traceback=[])
    photograph = {"image/png": png(lambda ax: ax.imshow(face))}
    plot = {"image/png": png(lambda ax: ax.plot(range(9)))}
    assert "like a photograph" in problems(output_type="display_data", data=photograph)
    assert problems(output_type="display_data", data=plot) == ""
    assert "path of a machine" in problems(
        output_type="stream", name="stdout", text="/home/me/x"
    )
    stale = copy.deepcopy(fit)
    next(c for c in stale.cells if c.id == cell.id).source += "\nprint(1)"
    assert "changed since" in " ".join(notebooks.problems(stale))
    assert fit.metadata["facemask"]["reads"].keys() >= {"reports/leak.json"}
    stale = copy.deepcopy(fit)
    stale.metadata["facemask"]["reads"]["reports/leak.json"] = "another"
    assert "a report that it shows" in " ".join(notebooks.problems(stale))


def test_clean_takes_photographs_and_progress_bars_away():
    shown = nbformat.v4.new_code_cell("show()", metadata={"tags": ["photographs"]})
    shown.outputs = [nbformat.v4.new_output("display_data", data={"image/png": "AAAA"})]
    busy = nbformat.v4.new_code_cell("work()")
    busy.outputs = [nbformat.v4.new_output("stream", name="stderr", text=t)
                    for t in ("\r 10%", "\r100%\n", "done\n")]
    kept = notebooks.clean(nbformat.v4.new_notebook(cells=[shown, busy]))
    assert kept.cells[0].outputs[0].text == notebooks.REMOVED + "\n"
    assert [o.text for o in kept.cells[1].outputs] == ["100%\ndone\n"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The project's own files, and nothing that a run has made."""
    folder = tmp_path_factory.mktemp("clone") / "project"
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    assert files.stdout
    for name in files.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_each_notebook_alone(path, clone, tmp_path):
    """From the top, on the sample, with one short epoch; nothing from another notebook is there."""
    for made in [*(clone / "models").glob("*/"), *(clone / "data").glob("*/")]:
        if made.name not in ("finder", "release"):  # which come with the project
            shutil.rmtree(made)
    values = {"DATASET": "sample", "IMAGE_SIZE": 32, "EPOCHS": 1}
    known = notebooks.parameters(path)
    arguments = [x for k, v in values.items() if k in known for x in ("-p", k, str(v))]
    done = subprocess.run(
        [sys.executable, "-m", "papermill", str(clone / "notebooks" / path.name),
         str(tmp_path / "out.ipynb"), *arguments, "--cwd", str(clone / "notebooks"),
         "--no-progress-bar", "--start-timeout", "300"],
        cwd=clone, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    errors = [o for c in read(tmp_path / "out.ipynb").cells for o in c.get("outputs", [])
              if o.output_type == "error"]
    assert errors == []


def test_colab_setup_brings_the_project_in_and_keeps_results(tmp_path, monkeypatch):
    """The first cell, with Colab's module and its shell commands replaced by records of them."""
    commands = []
    asked = []
    lines = []
    for line in notebooks.SETUP.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        if line.strip().startswith(("!", "%")):
            line = f"{indent}shell({line.strip()!r})"
        line = line.replace("DRIVE = False", "DRIVE = True")
        lines.append(line.replace("/content", str(tmp_path)))

    def shell(command):
        commands.append(command)
        if "clone" in command:
            for name in ("data", "models"):
                (tmp_path / "project" / name).mkdir(parents=True)
                (tmp_path / "project" / name / "shipped.txt").touch()
            (tmp_path / "project/pyproject.toml").touch()

    drive = types.SimpleNamespace(mount=lambda place: commands.append(f"mount {place}"))
    monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(drive=drive))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "an address")
    monkeypatch.setattr("facemask.io.quiet.hush", lambda: None)  # it would last
    exec("\n".join(lines), {"shell": shell})
    assert bool(asked) != bool(notebooks.REPOSITORY)  # while it has no address, it asks for one
    assert any("clone" in c for c in commands) and any("pip install" in c for c in commands)
    assert os.getcwd() == str(tmp_path / "project")
    (tmp_path / "project/models/kept.txt").touch()
    assert (tmp_path / "project/models/shipped.txt").exists()  # such as the released model
    assert (tmp_path / "drive/MyDrive/face-mask/models/kept.txt").exists()
