"""Make the released model again: `python -m facemask.release.publish ARCHIVES` (`make release`).

Gathers the training pictures, trains in two parts, settles, exports, measures, fills the model
card, prints how the new figures differ from those in models/release, and then replaces it.
"""

if __name__ == "__main__":  # before TensorFlow is imported
    from facemask.io.quiet import hush

    hush()

import argparse
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from facemask import CLASSES
from facemask.datasets.prepare import read_all
from facemask.exports.export import export_model
from facemask.io.files import RELEASE, ROOT, FacemaskError, read_json, write_json, write_whole
from facemask.models import keras_file
from facemask.models.classifier import OPERATING_POINT
from facemask.pages.fill import render
from facemask.release.collect import IMAGE_SIZE, KINDS, collect, read_collected
from facemask.release.measure import measure, plot_curve, test_sets
from facemask.release.recipe import FINISH, Recipe, fit_both
from facemask.release.settle import settle, validation_sets

PEERS = ROOT / "models" / "face-mask-12k"  # measured beside the released model, if trained here


def calibration(folder: Path, each: int = 67, seed: int = 0) -> np.ndarray:
    """Training pictures of every class, uint8 RGB (3 * each, 96, 96, 3), by the kinds' shares.

    Args:
        folder: written by `collect.collect`.
    """
    pictures, kinds = read_collected(folder)
    rng = np.random.default_rng(seed)
    chosen = []
    for label in CLASSES:
        shares = np.zeros(len(kinds))
        for kind, (of, share) in KINDS.items():
            if of == label:
                shares[kinds == kind] = share / max(np.sum(kinds == kind), 1)
        chosen += sorted(rng.choice(len(kinds), each, replace=False, p=shares / shares.sum()))
    return np.stack([pictures[i] for i in chosen])


def folders(data_dir: Path, start: str) -> tuple[Path, Path, Path]:
    """Where the first part of a training, its last epochs and the settled model are kept."""
    first, last, settled = (data_dir / f"{start}-{n}" for n in ("model", "finished", "settled"))
    return first, last, settled


def train(
    archives: Path, data_dir: Path, recipes: tuple[Recipe, Recipe], seed: int, start: str
) -> tuple[Path, dict]:
    """Train in two parts and settle; a part that is done is not trained again.

    Args:
        start: how the names of `folders` begin.

    Returns:
        The folder of the settled model, and what `settle` found.

    Raises:
        FacemaskError: an archive is missing.
    """
    first, last, settled = folders(data_dir, start)
    model = fit_both(archives, first, last, data_dir, recipes, seed)
    found = settle(model, validation_sets(archives, data_dir))
    with write_whole(settled) as partial:
        partial.mkdir()
        keras_file.save(model, partial / "model.keras")
        shutil.copy(last / "labels.txt", partial / "labels.txt")
        write_json(partial / OPERATING_POINT, {"sure": found["sure"]})
    return settled, found


def publish(
    archives: Path, data_dir: Path, recipes: tuple[Recipe, Recipe], seed: int, out: Path = RELEASE
) -> dict:
    """Train, settle, export and measure; replaces `out` as a whole once all of it is made.

    The card (README.md in `out`) is kept, its figures filled anew.

    Args:
        recipes: of the training, and of its last epochs.

    Returns:
        The report, which is also written to report.json in `out`.

    Raises:
        FacemaskError: an archive is missing, or an export does not equal Keras.
    """
    first, last, _ = folders(data_dir, "release")
    settled, found = train(archives, data_dir, recipes, seed, "release")
    collected = collect(archives, data_dir)
    sets = test_sets(archives, data_dir)
    published = sets["12k Test, published"]
    images = read_all(list(published), IMAGE_SIZE, "Reading test pictures")
    answers = np.array([CLASSES.index(label) for label in published.values()])
    made = data_dir / "release-made"
    export_model(settled, calibration(collected), images, answers, made)
    for form in ("model-float16.tflite", "model-dynamic.tflite"):  # any run's export has them
        (made / form).unlink()
    shutil.copy(settled / OPERATING_POINT, made)
    models = {"released": made / "model.keras", "released, int8": made / "model-int8.tflite"}
    for name in ("baseline", "compact"):
        if (PEERS / name / "model.keras").is_file():
            models[f"{name}, 12k alone"] = PEERS / name / "model.keras"
    report = {
        "recipe": {
            **{key: getattr(recipes[0], key) for key in
               ("epochs", "steps", "image_size", "early_epochs", "early_size")},
            "last_epochs": recipes[1].epochs,
            "seed": seed,
        },
        "training": cost(first, last),
        "settled": found,
        "collected": read_json(collected / "collected.json"),
        **measure(sets, models),
    }
    write_json(made / "report.json", report)
    join_histories(first, last, made / "history.csv")
    if (out / "report.json").is_file():
        compare(read_json(out / "report.json"), report)
    draw_curve(report["incorrect_curve"], made / "incorrect-mask.png")
    with write_whole(out) as partial:
        shutil.copytree(made, partial)
        if (out / "README.md").is_file():
            text = render((out / "README.md").read_text("utf-8"), partial)
            (partial / "README.md").write_text(text, "utf-8")
    return report


def draw_curve(curve: dict, path: Path) -> None:
    """Draw `measure.incorrect_curve` into a file, for the card."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    plot_curve(curve, figure.subplots())
    with write_whole(path) as partial:
        figure.savefig(partial, dpi=100, format="png", metadata={"Software": None})


def cost(*trainings: Path) -> dict:
    """Seconds of trainings one after the other, their epochs, the most memory, and the cores."""
    costs = [read_json(folder / "training.json") for folder in trainings]
    return {
        "epochs": sum(row["epochs"] for row in costs),
        "seconds": round(sum(row["seconds"] for row in costs), 1),
        "peak_memory_mb": max(row["peak_memory_mb"] for row in costs),
        "cores": os.cpu_count(),
    }


def join_histories(first: Path, last: Path, joined: Path) -> None:
    """The epochs of two trainings in one history.csv, numbered through."""
    header, *rows = (first / "history.csv").read_text().splitlines()
    for number, row in enumerate((last / "history.csv").read_text().splitlines()[1:], len(rows)):
        rows.append(",".join([str(number), *row.split(",")[1:]]))
    with write_whole(joined) as partial:
        partial.write_text("\n".join([header, *rows]) + "\n")


def compare(old: dict, new: dict) -> None:
    """Print the differences between the macro recalls of two reports, in points."""
    for model, rows in new["models"].items():
        for name, row in rows.items():
            before = old["models"].get(model, {}).get(name)
            if before:
                change = 100 * (row["macro_recall"] - before["macro_recall"])
                tqdm.write(f"{model:20} {name:46} {row['macro_recall']:.4f}  {change:+.2f} points")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", type=Path, help="folder of the data sets' zips")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, help="another folder than models/release")
    parser.add_argument("--epochs", type=int, default=Recipe().epochs,
                        help="before the last ones; fewer, for a trial")
    parser.add_argument("--steps", type=int, default=Recipe().steps, help="in an epoch")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    full = (args.epochs, args.steps) == (Recipe().epochs, Recipe().steps)
    if args.out is None and not full:
        parser.error("a trial must not replace models/release; name another folder by --out")
    share = args.epochs / Recipe().epochs
    recipes = (
        Recipe(epochs=args.epochs, steps=args.steps,
               early_epochs=int(Recipe().early_epochs * share)),
        FINISH._replace(epochs=max(1, round(FINISH.epochs * share)), steps=args.steps),
    )
    try:
        report = publish(args.archives, args.data_dir, recipes, args.seed, args.out or RELEASE)
    except FacemaskError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        return 130
    for name, row in report["models"]["released"].items():
        low, high = row["interval"]
        print(f"{name:46} {row['accuracy']:.4f}  95% {low:.4f} to {high:.4f}")
    print(report["training"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
