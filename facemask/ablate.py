"""What each ingredient of the released model's recipe is worth, and what size buys.

`python -m facemask.ablate ARCHIVES` trains by the recipe with one ingredient left out at a time, by
two seeds, on a shortened schedule, and measures every training on every test set; then networks
of other sizes. It writes reports/ablation.json after each training, and goes on after the last.
The recipe was settled before these figures were read.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from facemask import classifier
from facemask.augment import augment, augment_lightly, degrade, move, relight
from facemask.bench import multiply_adds
from facemask.files import read_json, write_json
from facemask.measure import score, test_sets
from facemask.models import baseline, compact
from facemask.prepare import read_all
from facemask.recipe import Recipe, fit
from facemask.release import KINDS

SEEDS = (0, 1)
SHORT = Recipe(image_size=64, epochs=8, steps=200)  # a tenth of the released model's pictures


def kinds(*words: str) -> tuple[str, ...]:
    """The kinds of training pictures that have one of the words in their names."""
    return tuple(kind for kind in KINDS if any(word in kind for word in words))


def sharp(image: np.ndarray, rng: np.random.Generator, background: np.ndarray) -> np.ndarray:
    """`augment` without its changes of resolution, blur, noise, JPEG and covered patches."""
    return relight(move(image, rng, background), rng)


def as_lit(image: np.ndarray, rng: np.random.Generator, background: np.ndarray) -> np.ndarray:
    """`augment` without its changes of light and colour."""
    return degrade(move(image, rng, background), rng)


def filling(image: np.ndarray, rng: np.random.Generator, background: np.ndarray) -> np.ndarray:
    """`augment` with the field's small moves: the face fills the frame."""
    return degrade(relight(augment_lightly(image, rng), rng), rng)


def lightly(image: np.ndarray, rng: np.random.Generator, background: np.ndarray) -> np.ndarray:
    """The field's augmentation alone."""
    return augment_lightly(image, rng)


def no_surroundings(
    image: np.ndarray, rng: np.random.Generator, background: np.ndarray
) -> np.ndarray:
    """`augment` without parts of other pictures round the face."""
    return augment(image, rng)


def half(image_size: int, classes: int) -> keras.Model:
    return compact(image_size, classes, width=0.5)


def wide(image_size: int, classes: int) -> keras.Model:
    return compact(image_size, classes, width=1.5)


ROWS = {
    "the recipe": SHORT,
    "without drawn masks": SHORT._replace(leave_out=kinds("drawn")),
    "without moved masks": SHORT._replace(leave_out=kinds("moved")),
    "without drawn and moved masks": SHORT._replace(leave_out=kinds("drawn", "moved")),
    "without hands, scarves and other things": SHORT._replace(leave_out=kinds("with an", "neck")),
    "resolution, sharpness, noise as they are": SHORT._replace(change=sharp),
    "light and colour as they are": SHORT._replace(change=as_lit),
    "faces that fill the frame": SHORT._replace(change=filling),
    "nothing of other pictures round a face": SHORT._replace(change=no_surroundings),
    "every picture counts alike": SHORT._replace(balanced=False),
    "no weight averaging, no label smoothing": SHORT._replace(average=False, smoothing=0.0),
    "the field's way: baseline, light augmentation, photographs only": SHORT._replace(
        network=baseline, change=lightly, average=False, smoothing=0.0, balanced=False,
        leave_out=kinds("drawn", "moved", "bare with"),
    ),
}
SIZES = {
    "48 px": SHORT._replace(image_size=48),
    "64 px": SHORT,
    "96 px": SHORT._replace(image_size=96),
    "64 px, half the filters": SHORT._replace(network=half),
    "96 px, half the filters": SHORT._replace(image_size=96, network=half),
    "64 px, half as many filters again": SHORT._replace(network=wide),
}


class Sets:
    """The test sets' pictures, read once for each image size."""

    def __init__(self, archives: Path, data_dir: Path):
        self.pictures = test_sets(archives, data_dir)
        self.read: dict[int, dict[str, np.ndarray]] = {}

    def measure(self, model: classifier.Classifier) -> dict:
        """accuracy and macro_recall by test set."""
        size = model.image_size
        if size not in self.read:
            self.read[size] = {n: read_all(list(p), size) for n, p in self.pictures.items()}
        rows = {name: score(model, pictures, self.read[size][name])
                for name, pictures in self.pictures.items()}
        return {name: {k: row[k] for k in ("accuracy", "macro_recall")}
                for name, row in rows.items()}


def ablate(
    archives: Path, data_dir: Path, report: Path, seeds: Iterable[int] = SEEDS
) -> dict:
    """Train and measure every row by every seed, and every size by the first seed.

    Returns:
        schedule (epochs, steps, image_size); rows and sizes: name to seed to figures by test set;
        sizes also have `cost`: parameters, and multiply-adds for a face.
    """
    result = {"rows": {}, "sizes": {}}
    if report.is_file():
        result = read_json(report)
    result["schedule"] = {k: getattr(SHORT, k) for k in ("epochs", "steps", "image_size")}
    sets = Sets(archives, data_dir)
    first, *others = seeds
    jobs = [("rows", name, first) for name in ROWS] + [("sizes", name, first) for name in SIZES]
    jobs += [("rows", name, seed) for seed in others for name in ROWS]
    recipes = {**ROWS, **SIZES}
    for part, name, seed in tqdm(jobs, desc="Ablation", unit="training"):
        done = result[part].setdefault(name, {})
        if str(seed) in done:
            continue
        recipe = recipes[name]
        trained_as = next(n for n, r in recipes.items() if r == recipe)  # once, if two are alike
        folder = data_dir / "ablation" / f"{trained_as.replace(' ', '-')}-{seed}"
        model = fit(archives, folder, data_dir, recipe, seed)
        done[str(seed)] = sets.measure(classifier.load(folder / "model.keras"))
        if part == "sizes":
            done["cost"] = {"parameters": model.count_params(),
                            "multiply_adds": multiply_adds(model)}
        write_json(report, result)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", type=Path, help="folder of the data sets' zips")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--json", type=Path, default=Path("reports/ablation.json"))
    args = parser.parse_args()
    found = ablate(args.archives, args.data_dir, args.json)
    for part in ("rows", "sizes"):
        for name, runs in found[part].items():
            print(name)
            for test in next(iter(runs.values())):
                values = [run[test]["macro_recall"] for seed, run in runs.items() if seed != "cost"]
                print(f"  {test:46} {np.mean(values):.4f}  spread {np.ptp(values):.4f}")
