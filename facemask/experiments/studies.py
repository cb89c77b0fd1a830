"""The studies: what each has to train, every training a function of the project as it is.

A job runs in a process of its own, perhaps on another machine. It finds its data under the same
absolute paths there, and goes on at the checkpoint in its own folder, <data>/experiments/..., if
one was cut off.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facemask.evaluation.folds import fold_count, fold_settings, pool, train_fold
from facemask.evaluation.leaks import group_ids, split_copies
from facemask.finder import collect as photos
from facemask.finder import teachers
from facemask.finder import train as finders
from facemask.photos.finder import THRESHOLD
from facemask.release import ablation as recipes
from facemask.release.collect import ARCHIVES, collect
from facemask.release.measure import test_sets
from facemask.release.publish import train
from facemask.release.recipe import FINISH, Recipe
from facemask.release.settle import validation_sets

OWN = "experiments"  # folder in the data folder


class Trial(NamedTuple):
    """The name of a training within its study, and its random seed."""

    name: str
    seed: int


class Study(NamedTuple):
    """What there is to train.

    Attributes:
        name: of the study.
        made_from: what the figures depend on beside trial and seed, as JSON can hold it.
        jobs: by trial a function that trains, measures and returns the figures: numbers, or
            dictionaries of them, by name.
    """

    name: str
    made_from: dict
    jobs: dict[Trial, Callable[[], dict]]


def ablation(archives: Path, data_dir: Path, seeds: Iterable[int]) -> Study:
    """Rows and sizes of `release.ablation`, measured as there.

    Raises:
        FacemaskError: an archive is missing.
    """
    archives, data_dir = archives.resolve(), data_dir.resolve()
    _gather(archives, data_dir)
    jobs = recipes.all_jobs(seeds)
    return Study("ablation", {**recipes.made_from(), "archives": _data(archives)}, {
        Trial(name, seed): partial(_ablated, (name, seed, archives, data_dir))
        for _, name, seed in jobs
    })  # fmt: skip


def folds(split_folder: Path, data_dir: Path, seeds: Iterable[int], model: str) -> Study:
    """The folds of `facemask evaluate`, dealt by each seed anew; a training a fold.

    Raises:
        FacemaskError: as `evaluation.folds.group_kfold`.
    """
    split = split_folder.resolve()
    files, _ = pool(split)
    groups = group_ids(split_copies(split, data_dir / OWN / split.name), files)
    count = fold_count(len(files))
    settings = fold_settings(split, model, groups, count)
    del settings["seed"]  # by which folds were dealt: a digest that tells this pool from others
    return Study("folds", settings, {
        Trial(f"{model} on {split.name}, fold {fold}", seed):
            partial(_fold, split, model, fold, groups, count, seed)
        for seed in seeds for fold in range(count)
    })  # fmt: skip


def finder(archives: Path, data_dir: Path, seeds: Iterable[int]) -> Study:
    """The face finder by each seed, measured on the validation photos.

    Raises:
        FacemaskError: an archive or a teacher is missing.
    """
    archives, data_dir = archives.resolve(), data_dir.resolve()
    teachers.check()
    photos.collect(archives, data_dir)
    made_from = {
        **finders.settings_of(finders.RELEASED, finders.WIDTH), "threshold": THRESHOLD,
        "archives": _data(archives),
    }  # fmt: skip
    return Study("finder", made_from, {
        Trial("the finder", seed): partial(_found, archives, data_dir, seed) for seed in seeds
    })  # fmt: skip


def release(archives: Path, data_dir: Path, seeds: Iterable[int]) -> Study:
    """The released model's whole training by each seed, settled; measured as the ablation.

    Raises:
        FacemaskError: an archive is missing.
    """
    archives, data_dir = archives.resolve(), data_dir.resolve()
    _gather(archives, data_dir)
    validation_sets(archives, data_dir)
    made_from = {
        "epochs": Recipe().epochs, "last_epochs": FINISH.epochs, "steps": Recipe().steps,
        "code": recipes.code(), "archives": _data(archives),
    }  # fmt: skip
    return Study("release", made_from, {
        Trial("the release", seed): partial(_released, archives, data_dir, seed) for seed in seeds
    })  # fmt: skip


def _data(archives: Path) -> dict[str, int]:
    """The data sets' zips that are there, and their bytes: other data give other figures."""
    return {path.name: path.stat().st_size for name in sorted(ARCHIVES.values())
            if (path := archives / name).is_file()}  # fmt: skip


def _gather(archives: Path, data_dir: Path) -> None:
    """Once, before several trainings want it at the same time."""
    collect(archives, data_dir)
    test_sets(archives, data_dir)


def _ablated(job: tuple[str, int, Path, Path]) -> dict:
    figures, cost = recipes.train_and_measure(job)
    return {**figures, "cost": cost}


def _fold(split: Path, model: str, fold: int, groups: np.ndarray, count: int, seed: int) -> dict:
    figures = train_fold(split, model, fold, groups, count, seed)
    del figures["seconds"]  # which are not the same twice
    return figures


def _found(archives: Path, data_dir: Path, seed: int) -> dict:
    folder = data_dir / OWN / f"finder-{seed}"
    model = finders.train(archives, folder, data_dir, seed=seed)
    seen = [row for row in photos.read(photos.collect(archives, data_dir))
            if row[1].part == "validation"]  # fmt: skip
    (figures,) = finders.recall(finders.in_keras(model, 0.15), seen, [THRESHOLD])
    return figures


def _released(archives: Path, data_dir: Path, seed: int) -> dict:
    start = f"{OWN}/release-{recipes.code()}-{seed}"
    settled, _ = train(archives, data_dir, (Recipe(), FINISH), seed, start)
    return recipes.on_test_sets(settled / "model.keras", archives, data_dir)
