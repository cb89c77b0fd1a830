"""What each ingredient of the released model's recipe is worth, and what size buys.

`python -m facemask.release.ablation ARCHIVES` trains by the recipe with one ingredient left out at
a time, by every seed of SEEDS, on a shortened schedule, and measures every training on every test
set; then networks of other sizes; a quarter of an hour on two cores for a seed. It writes
reports/ablation.json after each training, and goes on after the last.
"""

if __name__ == "__main__":  # before TensorFlow is imported
    from facemask.io.quiet import hush

    hush()

import argparse
import ast
import hashlib
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from facemask.datasets.prepare import read_all
from facemask.images.augment import augment, augment_lightly, degrade, move, relight
from facemask.io.files import PACKAGE, FacemaskError, read_json, write_json
from facemask.models import classifier
from facemask.models.networks import baseline, compact, multiply_adds
from facemask.release.collect import KINDS, collect
from facemask.release.measure import score, test_sets
from facemask.release.recipe import FINISH, Recipe, fit, fit_both

SEEDS = (0, 1)
SHORT = Recipe(image_size=64, epochs=5, steps=120, early_epochs=0)


def kinds(*words: str) -> tuple[str, ...]:
    """The kinds of training pictures that have one of the words in their names."""
    return tuple(kind for kind in KINDS if any(word in kind for word in words))


def sharp(image: np.ndarray, rng: np.random.Generator, background: np.ndarray) -> np.ndarray:
    """`augment` without its changes of resolution, blur, noise, JPEG and covered patches."""
    return relight(move(image, rng, background, far=True), rng)


def as_lit(image: np.ndarray, rng: np.random.Generator, background: np.ndarray) -> np.ndarray:
    """`augment` without its changes of light and colour."""
    return degrade(move(image, rng, background, far=True), rng)


def filling(image: np.ndarray, rng: np.random.Generator, background: np.ndarray) -> np.ndarray:
    """`augment` with the field's small moves: the face fills the frame."""
    return degrade(relight(augment_lightly(image, rng), rng), rng)


def lightly(image: np.ndarray, rng: np.random.Generator, background: np.ndarray) -> np.ndarray:
    """The field's augmentation alone."""
    return augment_lightly(image, rng)


def wide(image_size: int | None, classes: int) -> keras.Model:
    """The released network with half as many filters again."""
    return compact(image_size, classes, width=1.5, depth=2)


ROWS = {
    "the recipe": SHORT,
    "without street photos": SHORT._replace(leave_out=kinds("street")),
    "without narrower cuts": SHORT._replace(tight=0.0),
    "without drawn and moved masks": SHORT._replace(leave_out=kinds("drawn", "moved")),
    "without the archives' own incorrect masks": SHORT._replace(
        leave_out=("3class incorrect", "street incorrect")),
    "without hands, scarves and other things": SHORT._replace(leave_out=kinds("with an", "neck")),
    "resolution, sharpness, noise as they are": SHORT._replace(change=sharp),
    "light and colour as they are": SHORT._replace(change=as_lit),
    "faces that fill the frame": SHORT._replace(change=filling),
    "the field's way: baseline, light augmentation, photographs only": SHORT._replace(
        network=baseline, change=lightly, average=False, smoothing=0.0, tight=0.0,
        balanced=False, leave_out=kinds("drawn", "moved", "bare with"),
    ),
}
# The released model's two trainings in small: what its last epochs are worth, and what in them.
LAST = FINISH._replace(image_size=64, epochs=2, steps=120)
LASTS = {
    "last epochs, street photos as before": LAST._replace(street=1.0),
    "last epochs, changes as before": LAST._replace(change=augment),
    "the recipe and its last epochs": LAST,
}
RECIPES = (*ROWS, *LASTS)
SIZES = {
    "48 px": SHORT._replace(image_size=48),
    "64 px": SHORT,
    "96 px": SHORT._replace(image_size=96),
    "64 px, two convolutions less": SHORT._replace(network=compact),
    "64 px, half as many filters again": SHORT._replace(network=wide),
}


@cache
def code() -> str:
    """A digest of the code that a training depends on; imports, texts and comments do not count."""
    names = (
        "copies/duplicates", "drawing/fabrics", "drawing/landmarks", "drawing/masks",
        "drawing/props", "drawing/shapes", "drawing/transplant", "images/augment", "images/crops",
        "models/networks", "release/collect", "release/photos", "release/recipe",
    )  # fmt: skip
    digest = hashlib.sha256()
    node: Any  # only some have a body
    for name in names:
        tree = ast.parse((PACKAGE / f"{name}.py").read_bytes())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [part for part in body if not _says_nothing(part)]
        digest.update(ast.unparse(tree).encode())
    return digest.hexdigest()[:16]


def _says_nothing(node: ast.stmt) -> bool:
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text or isinstance(node, ast.Import | ast.ImportFrom)


@cache
def _read_sets(archives: Path, data_dir: Path, size: int) -> dict[str, tuple]:
    """The test sets, and their pictures at a size, read once by each process."""
    sets = test_sets(archives, data_dir)
    return {name: (pictures, read_all(list(pictures), size)) for name, pictures in sets.items()}


def train_and_measure(job: tuple[str, int, Path, Path]) -> tuple[dict, dict]:
    """One training by a recipe (name, seed, archives, data folder), measured on every test set.

    Returns:
        accuracy and macro_recall by test set; parameters, and multiply-adds for a face.
    """
    name, seed, archives, data_dir = job
    folder = data_dir / f"ablation-{code()}" / f"{name.replace(' ', '-')}-{seed}"
    if name in LASTS:
        both = SHORT, LASTS[name]
        model = fit_both(archives, folder / "first", folder, data_dir, both, seed)
    else:
        model = fit(archives, folder, data_dir, (ROWS | SIZES)[name], seed)
    figures = on_test_sets(folder / "model.keras", archives, data_dir)
    return figures, {"parameters": model.count_params(), "multiply_adds": multiply_adds(model)}


def on_test_sets(model: Path, archives: Path, data_dir: Path) -> dict[str, dict[str, float]]:
    """accuracy and macro_recall of a model.keras by test set."""
    judge = classifier.load(model)
    figures = {}
    for test, (pictures, images) in _read_sets(archives, data_dir, judge.image_size).items():
        row = score(judge, pictures, images)
        figures[test] = {k: row[k] for k in ("accuracy", "macro_recall")}
    return figures


def one_core() -> None:
    """Two trainings side by side, each on its core, are done sooner than one after the other."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    cv2.setNumThreads(1)


def made_from() -> dict:
    """What all figures depend on: schedule (epochs, steps, image_size), and `code`."""
    return {
        "schedule": {k: getattr(SHORT, k) for k in ("epochs", "steps", "image_size")},
        "code": code(),
    }


def all_jobs(seeds: Iterable[int]) -> list[tuple[str, str, int]]:
    """Every training (rows or sizes, name, seed): rows by every seed, sizes by the first."""
    first, *others = seeds
    jobs = [("rows", name, first) for name in RECIPES]
    jobs += [("sizes", name, first) for name in SIZES if SIZES[name] != SHORT]
    return jobs + [("rows", name, seed) for seed in others for name in RECIPES]


def ablate(
    archives: Path, data_dir: Path, report: Path, seeds: Iterable[int] = SEEDS
) -> dict:
    """Train and measure every row by every seed, every size by the first.

    Returns:
        schedule (epochs, steps, image_size); code, see `code`; rows and sizes: name to seed to
        figures by test set, and to `cost`: parameters, and multiply-adds for a face.

    Raises:
        FacemaskError: the report holds figures of another schedule or recipe.
    """
    result: dict[str, Any] = {**made_from(), "rows": {}, "sizes": {}}
    if report.is_file():
        found = read_json(report)
        if any(found.get(key) != result[key] for key in ("schedule", "code")):
            raise FacemaskError(f"{report} has figures of another recipe; delete or move it")
        result |= found
    collect(archives, data_dir)  # once, before two trainings want it
    test_sets(archives, data_dir)
    jobs = all_jobs(seeds)
    first = jobs[0][2]
    jobs = [(p, n, seed) for p, n, seed in jobs if str(seed) not in result[p].get(n, {})]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), one_core) as pool:
        waiting = {pool.submit(train_and_measure, (n, seed, archives, data_dir)): (p, n, seed)
                   for p, n, seed in jobs}
        done = as_completed(waiting)
        for future in tqdm(done, desc="Ablation", total=len(jobs), unit="training"):
            part, name, seed = waiting[future]
            figures, cost = future.result()
            row = result[part].setdefault(name, {})
            row[str(seed)], row["cost"] = figures, cost
            write_json(report, result)
    # What is alike is trained once; and the order is the tables', whatever was done first.
    recipe = result["rows"]["the recipe"]
    result["sizes"]["64 px"] = {key: recipe[key] for key in (str(first), "cost")}
    for part, names in (("rows", RECIPES), ("sizes", SIZES)):
        result[part] = {name: result[part][name] for name in names}
    write_json(report, result)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", type=Path, help="folder of the data sets' zips")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--json", type=Path, default=Path("reports/ablation.json"))
    args = parser.parse_args()
    try:
        found = ablate(args.archives, args.data_dir, args.json)
    except FacemaskError as error:
        sys.exit(f"facemask.release.ablation: {error}")
    for part in ("rows", "sizes"):
        for name, runs in found[part].items():
            print(name)
            for test in next(iter(runs.values())):
                values = [run[test]["macro_recall"] for seed, run in runs.items() if seed != "cost"]
                print(f"  {test:46} {np.mean(values):.4f}  spread {np.ptp(values):.4f}")
