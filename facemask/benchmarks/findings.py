"""The findings on leaks, shortcuts and overfitting, each measured anew by a command.

`python -m facemask.benchmarks.findings NAME ...` writes reports/NAME.json, from which the README
and notebook 4 take their tables.
"""

if __name__ == "__main__":  # before TensorFlow is imported
    from facemask.io.quiet import hush

    hush()

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tqdm import tqdm

from facemask import CLASSES
from facemask.io.files import FacemaskError, write_json, write_whole

MODELS = ("baseline", "compact")
LEAST_SIDE = 48  # pixels of a scene's face, where small ones are left out


def leak(
    dataset: str, data_dir: Path = Path("data"), models_dir: Path = Path("models")
) -> dict:
    """The same models by a simple and by a group-aware split of one data set.

    Both must have been trained before: `python -m facemask train`, with and without
    --simple-split.
    """
    from facemask.datasets.download import dataset_name
    from facemask.evaluation.evaluate import evaluate

    result: dict[str, Any] = {"dataset": dataset_name(dataset), "splits": {}}
    for kind, end in (("simple", "-simple"), ("grouped", "")):
        name = result["dataset"] + end
        report = evaluate(data_dir / "split" / name, models_dir / name, trainings=False)
        result["splits"][kind] = {
            "copies_of_training": report["copies"]["of_training"]["test"],
            "models": {
                name: {
                    "epochs": model["epochs"],
                    "train": model["splits"]["train"]["accuracy"],
                    "test": model["published"],
                    "clean": model["clean"],
                    "verdict": model["verdict"],
                }
                for name, model in report["models"].items()
            },
        }
    return result


def elsewhere(run: Path, training: Path, archives: Path, data_dir: Path = Path("data")) -> dict:
    """The models of a run on the other archives, copies of its training pictures left out."""
    from facemask.datasets.prepare import find_labelled
    from facemask.evaluation.cross_dataset import evaluate_folder, training_copies
    from facemask.release.collect import fetch, scene_faces

    raw = fetch(archives, data_dir)
    faces = scene_faces(raw["scenes"], data_dir / "release" / "scene-faces")
    sets = {
        "3-class archive": raw["3class"],
        "prajnasb": raw["prajnasb"],
        "scene faces of 48 px and more": _large(faces, faces.with_name("scene-faces-48")),
        "scene faces, all sizes": faces,
    }
    result: dict[str, Any] = {"run": run.name, "sets": {}}
    for name, folder in sets.items():
        # All of these archives can be read, so the copies are looked for once for both models.
        two = [p for p, (_, label) in find_labelled(folder).items() if label in CLASSES[:2]]
        copied = training_copies(two, training)
        result["sets"][name] = {}
        for model in MODELS:
            report = evaluate_folder(run / model, folder, copied=copied)
            for machine in ("model", "data", "training"):
                report.pop(machine)
            result["sets"][name][model] = report
    return result


def _large(faces: Path, folder: Path) -> Path:
    """The scene faces of 48 pixels and more, in a folder of their own."""
    from facemask.release.collect import side_of

    if not folder.is_dir():
        with write_whole(folder) as partial:
            for path in faces.rglob("*.png"):
                if side_of(path) >= LEAST_SIDE:
                    target = partial / path.parent.name / path.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(path.read_bytes())
    return folder


def verdicts(seeds: int = 5) -> dict:
    """What the verdict says of runs built to overfit and of healthy ones, by number of seeds."""
    from facemask.benchmarks.trials import KINDS, draw_faces, trial

    faces = draw_faces()
    says = {kind: [trial(kind, seed, faces)["says"] for seed in range(seeds)]
            for kind in tqdm(KINDS, desc="Trials")}
    return {
        "seeds": seeds,
        "trials": {kind: {"settings": KINDS[kind], "says": dict(Counter(said))}
                   for kind, said in says.items()},
    }


def shortcut_tables(
    datasets: list[str], data_dir: Path = Path("data"), models_dir: Path = Path("models")
) -> dict:
    """How well the class can be told without a look at the mask, for each data set."""
    from facemask.datasets.download import dataset_name, download
    from facemask.datasets.prepare import prepare
    from facemask.evaluation.audit import shortcuts_of_run

    result = {}
    for dataset in datasets:
        name, raw = dataset_name(dataset), download(dataset, data_dir)
        found = shortcuts_of_run(raw, prepare(raw, name, data_dir), models_dir / name)
        result[name] = {k: found[k] for k in ("images", "chance", "cross_validated", "on_test")}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    names = parser.add_subparsers(dest="name", required=True)
    names.add_parser("leak").add_argument("--dataset", required=True)
    sub = names.add_parser("elsewhere")
    sub.add_argument("--run", type=Path, required=True, help="such as models/face-mask-12k")
    sub.add_argument("--training", type=Path, required=True, help="its folder below data/split")
    sub.add_argument("--archives", type=Path, required=True, help="folder with the four zips")
    names.add_parser("verdict").add_argument("--seeds", type=int, default=5)
    names.add_parser("shortcuts").add_argument("--datasets", nargs="+", required=True)
    args = parser.parse_args()
    found = {
        "leak": lambda: leak(args.dataset),
        "elsewhere": lambda: elsewhere(args.run, args.training, args.archives),
        "verdict": lambda: verdicts(args.seeds),
        "shortcuts": lambda: shortcut_tables(args.datasets),
    }[args.name]()
    write_json(args.reports / f"{args.name}.json", found)
    print(args.reports / f"{args.name}.json")


if __name__ == "__main__":
    try:
        main()
    except FacemaskError as error:
        sys.exit(str(error))
