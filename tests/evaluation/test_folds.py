"""Folds that keep copies together, the learning curve, and going on after a cut."""

import numpy as np
import pytest

from facemask.evaluation import folds
from facemask.evaluation.folds import group_kfold, learning_curve_by_size, pool
from facemask.evaluation.verdict import measure, verdict
from facemask.io.files import FacemaskError, read_json, write_json


def test_folds_keep_groups_apart_and_go_on_after_a_cut(trained, tmp_path, monkeypatch):
    files, classes = pool(trained.split)
    groups = np.arange(len(files)) // 2
    settings = {"group_ids": groups, "folds": 3, "steps": 8, "progress": False}
    real, calls = folds._Short._train, []

    def cut(self, fold, share):
        for held_out, other in ((b, a) for a, b in self.folds):
            assert not set(groups[held_out]) & set(groups[other])
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append((fold, share))
        return real(self, fold, share)

    monkeypatch.setattr(folds._Short, "_train", cut)
    with pytest.raises(KeyboardInterrupt):
        group_kfold(trained.split, tmp_path, "compact", **settings)
    stored = read_json(tmp_path / "compact" / "short_trainings.json")
    assert len(stored["trainings"]) == 2
    calls.clear()
    result = group_kfold(trained.split, tmp_path, "compact", **settings)
    assert calls == [(2, 1.0)]  # the two before the cut are not trained again
    assert sum(f["images"] for f in result["folds"]) == 2 * len(files)
    accuracies = [f["held_out"]["accuracy"] for f in result["folds"]]
    assert result["held_out"]["mean"] == pytest.approx(np.mean(accuracies))
    assert result["held_out"]["sd"] == pytest.approx(np.std(accuracies, ddof=1))
    low, high = result["gap"]["interval"]
    assert low < result["gap"]["value"] < high

    calls.clear()
    curve = learning_curve_by_size(
        trained.split, tmp_path, "compact", shares=(0.25, 1.0), **settings)
    assert calls == [(0, 0.25)]  # the whole is the first fold
    assert curve[1]["held_out"] == result["folds"][0]["held_out"]
    assert curve[0]["images"] == pytest.approx(curve[1]["images"] / 4, abs=2)
    sets = {name: (np.eye(2)[classes % 2], classes % 2) for name in ("train", "test")}
    figures = measure(sets, np.zeros(len(classes), bool), curve, result)
    assert "Over 3 group-aware folds" in verdict(figures)["text"]
    write_json(tmp_path / "figures.json", figures)


def test_other_settings_start_anew(trained, tmp_path):
    groups = np.arange(len(pool(trained.split)[0]))
    store = tmp_path / "compact" / "short_trainings.json"
    settings = {"folds": 2, "steps": 4, "shares": (0.1,), "progress": False}
    learning_curve_by_size(trained.split, tmp_path, "compact", groups, **settings)
    first = read_json(store)
    learning_curve_by_size(trained.split, tmp_path, "compact", groups, **settings)
    assert read_json(store) == first
    learning_curve_by_size(trained.split, tmp_path, "compact", groups // 2, **settings)
    assert read_json(store)["settings"]["dealt"] != first["settings"]["dealt"]


def test_copies_are_found_when_no_groups_are_given(trained, tmp_path):
    short = folds._Short(trained.split, tmp_path, "compact", None, 3, 1, 32, 0)
    assert len(short.folds) == 3 and not short.done["trainings"]


def test_trainings_refused_with_a_reason(trained, tmp_path):
    groups = np.zeros(len(pool(trained.split)[0]), int)
    with pytest.raises(FacemaskError, match="unknown model"):
        group_kfold(trained.split, tmp_path, "resnet")
    with pytest.raises(FacemaskError, match="rarest class \\(1\\)"):
        group_kfold(trained.split, tmp_path, "compact", groups)
    with pytest.raises(FacemaskError, match="1 group numbers"):
        group_kfold(trained.split, tmp_path, "compact", [1])
    with pytest.raises(FacemaskError, match="shares"):
        learning_curve_by_size(trained.split, tmp_path, "compact", shares=(0, 1))
