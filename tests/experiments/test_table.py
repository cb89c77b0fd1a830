"""The table of results, what the studies have to train, and the command without Ray."""

import importlib.util
import re
import subprocess
import sys

import pytest

from facemask.experiments import studies
from facemask.experiments.studies import Study, Trial
from facemask.experiments.table import fill, flat
from facemask.io.files import ROOT, FacemaskError, read_json, write_json
from facemask.release import ablation


def study(done: list, number: int = 3, recipe: int = 1) -> Study:
    """Jobs that only note that they were done, in place of trainings."""

    def job(trial: Trial) -> dict:
        done.append(trial)
        return {"accuracy": 1 / (1 + trial.seed)}

    trials = [Trial("b", 0), Trial("a", 1), Trial("a", 0), Trial("c", 0)][:number]
    return Study("drawn", {"steps": [recipe]}, {t: lambda t=t: job(t) for t in trials})


def in_order(jobs, add):
    """One job after the other, as a search is on one core."""
    for trial, job in jobs.items():
        add(trial, job())


def cut_off(jobs, add):
    """A search that ends after its first job."""
    in_order(dict(list(jobs.items())[:1]), add)
    raise KeyboardInterrupt


def test_what_the_table_has_is_not_done_again(tmp_path):
    path, done = tmp_path / "reports" / "table.json", []
    with pytest.raises(KeyboardInterrupt):
        fill(path, study(done), cut_off)
    assert done == [Trial("b", 0)] and len(read_json(path)) == 1
    rows = fill(path, study(done), in_order)
    assert done == [Trial("b", 0), Trial("a", 1), Trial("a", 0)]
    assert [(row["trial"], row["seed"]) for row in rows] == done  # the study's order
    assert rows[1] == {"study": "drawn", "trial": "a", "seed": 1, "made_from": {"steps": [1]},
                       "figures": {"accuracy": 0.5}}  # fmt: skip
    stored = path.read_bytes()
    assert [(row["trial"], row["seed"]) for row in read_json(path)] == sorted(done)
    assert fill(path, study(done), cut_off) == rows  # which is not called
    assert path.read_bytes() == stored
    fill(path, study(done, 4), in_order)
    assert done[3:] == [Trial("c", 0)]


def test_rows_of_other_studies_stay(tmp_path):
    path = tmp_path / "table.json"
    fill(path, study([]), in_order)
    fill(path, study([], recipe=2)._replace(name="other"), in_order)
    assert [row["study"] for row in read_json(path)] == ["drawn"] * 3 + ["other"] * 3


def test_a_table_of_another_recipe_or_none_at_all_is_refused(tmp_path):
    path, done = tmp_path / "table.json", []
    fill(path, study([], 2), in_order)
    stored = path.read_bytes()
    other = study(done, recipe=2)
    one_more_seed = other._replace(jobs={Trial("a", 7): other.jobs[Trial("a", 0)]})
    for wanted in (other, one_more_seed):
        with pytest.raises(FacemaskError, match="another recipe or other data for [ab]; delete"):
            fill(path, wanted, in_order)
    assert path.read_bytes() == stored and not done
    for value in ({"rows": {}}, [1], [{"study": "drawn"}]):
        write_json(path, value)
        with pytest.raises(FacemaskError, match="not a table of experiments"):
            fill(path, study([]), in_order)


def test_figures_by_their_whole_names():
    figures = {"12k Test": {"accuracy": 0.5, "interval": [0.4, 0.6]}, "images": 3}
    assert flat(figures) == {"12k Test, accuracy": 0.5, "images": 3}


def test_the_ablation_has_its_rows_by_every_seed_and_sizes_by_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "_gather", lambda *_: None)  # which wants the archives
    archive = tmp_path / "prajnasb-observations.zip"
    archive.write_bytes(b"1234")
    found = studies.ablation(tmp_path, tmp_path, [3, 4])
    names = {seed: {t.name for t in found.jobs if t.seed == seed} for seed in (3, 4)}
    assert names == {3: set(ablation.RECIPES) | set(ablation.SIZES) - {"64 px"},
                     4: set(ablation.RECIPES)}  # fmt: skip
    report = read_json(ROOT / "reports" / "ablation.json")
    own = {key: report[key] for key in ("schedule", "code")}
    assert found.made_from == own | {"archives": {archive.name: 4}}
    archive.write_bytes(b"other data")
    assert studies.ablation(tmp_path, tmp_path, [3]).made_from != found.made_from


def test_the_release_and_its_folders_are_apart_by_seed(tmp_path, monkeypatch):
    for name in ("_gather", "validation_sets"):
        monkeypatch.setattr(studies, name, lambda *_: None)
    found = studies.release(tmp_path, tmp_path, [0, 1])
    assert list(found.jobs) == [Trial("the release", 0), Trial("the release", 1)]
    starts = []
    monkeypatch.setattr(studies, "train", lambda *args: (starts.append(args[-1]), 1 / 0))
    for job in found.jobs.values():
        with pytest.raises(ZeroDivisionError):
            job()
    assert len(set(starts)) == 2


def test_folds_are_dealt_by_each_seed_and_trained_as_by_the_command(split, tmp_path):
    found = studies.folds(split, tmp_path, [0, 1], "compact")
    names = [f"compact on drawn, fold {fold}" for fold in range(3)]
    assert list(found.jobs) == [Trial(name, seed) for seed in (0, 1) for name in names]
    assert found.made_from["steps"] == 40 and found.made_from["folds"] == 3
    assert studies.folds(split, tmp_path, [1], "compact").made_from == found.made_from
    assert studies.folds(split, tmp_path, [0], "baseline").made_from != found.made_from
    with pytest.raises(FacemaskError, match="unknown model"):
        studies.folds(split, tmp_path, [0], "resnet")


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_the_command_says_what_to_install(tmp_path):
    command = [sys.executable, "-m", "facemask.experiments", "folds", "nowhere"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    first = "pyarrow" if importlib.util.find_spec("pyarrow") is None else "ray"
    assert (done.returncode, done.stdout, done.stderr) == (
        2, "", f"facemask.experiments: {first} is not installed; in the project's folder run: "
        "pip install '.[train,ray]'\n",
    )  # fmt: skip


def test_the_finder_is_told_by_all_that_its_training_is(tmp_path, monkeypatch):
    monkeypatch.setattr(studies.teachers, "check", lambda: None)
    monkeypatch.setattr(studies.photos, "collect", lambda *_: None)
    found = studies.finder(tmp_path, tmp_path, [5])
    assert list(found.jobs) == [Trial("the finder", 5)]
    assert found.made_from | {"seed": 0} == {
        **read_json(ROOT / "models" / "finder" / "settings.json"),
        "threshold": studies.THRESHOLD, "archives": {},
    }  # fmt: skip


def test_the_page_reads_the_table(tmp_path, monkeypatch, capsys):
    pytest.importorskip("pandas")
    rows = [{"study": "folds", "trial": "fold 0", "seed": seed, "made_from": {},
             "figures": {"held_out": {"accuracy": 0.5 + seed / 4}}} for seed in (0, 1)]  # fmt: skip
    write_json(tmp_path / "reports" / "experiments.json", rows)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "scale.md").read_text("utf-8")
    *_, code = re.findall(r"(?ms)^```python\n(.*?)^```", page)
    exec(code, {})
    assert re.search(r"folds\s+fold 0\s+0.5\s+0.625", capsys.readouterr().out)
