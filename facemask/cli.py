"""The stages as commands, for people who script: `facemask --help`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from facemask.io.files import IN_CLONE, FacemaskError, not_installed
from facemask.io.quiet import hush

# What a command needs beyond the base install, which judges.
EXTRAS = dict.fromkeys(
    ("download", "prepare", "train", "evaluate", "copies", "audit", "export"), "train"
) | {"run": "notebooks"}


def _download(args: argparse.Namespace) -> int:
    from facemask.datasets.download import download

    print(download(args.dataset, args.data_dir))
    return 0


def _prepare(args: argparse.Namespace) -> int:
    from facemask.datasets.prepare import prepare
    from facemask.io.files import read_json

    folder = prepare(*_source(args), **_preparation(args))
    facts = read_json(folder / "prepare.json")
    for split, counts in facts["counts"].items():
        print(f"{split:10}", "  ".join(f"{label} {n}" for label, n in counts.items()))
    for file, reason in facts["unreadable"]:
        print(f"unreadable: {file}: {reason}", file=sys.stderr)
    for file in facts.get("exclude_unknown", ()):
        print(f"excluded, but there is no such picture: {file}", file=sys.stderr)
    if facts.get("excluded"):
        print(f"pictures excluded: {len(facts['excluded'])}")
    print(folder)
    return 0


def _train(args: argparse.Namespace) -> int:
    from facemask.datasets.prepare import prepare
    from facemask.models.train import train

    split = prepare(*_source(args), **_preparation(args))
    for name in args.models:
        train(split, _run_folder(args), name, args.epochs, args.batch_size, args.seed)
        print(_run_folder(args) / name)
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from facemask.evaluation.cross_dataset import evaluate_folder, summary
    from facemask.evaluation.evaluate import CLEAN, evaluate
    from facemask.io.files import read_json

    if args.model or args.data:
        if not (args.model and args.data):
            raise FacemaskError("--model and --data go together; give both")
        print(summary(evaluate_folder(args.model, args.data, args.training, args.json)))
        return 0
    if args.training or args.json:
        raise FacemaskError(
            "--training and --json go with --model and --data; a run has its own report.json"
        )
    read_json(_split_folder(args) / "prepare.json")  # refuse before anything is fetched
    report = evaluate(_split_folder(args), _run_folder(args), _source(args)[0])
    for name, model in report["models"].items():
        rows = {**model["splits"], **{k: model[k] for k in ("published", *CLEAN)}}
        for row, figures in rows.items():
            if figures["images"]:
                low, high = figures["interval"]
                print(f"{name:9} {row:10} {figures['accuracy']:.4f}  95% {low:.4f} to {high:.4f}  "
                      f"of {figures['images']}")
        print(f"{name:9} {model['verdict']['text']}")
    print(_run_folder(args) / "report.json")
    return 0


def _copies(args: argparse.Namespace) -> int:
    from facemask.evaluation.leaks import split_copies, summary

    print(summary(split_copies(_split_folder(args), _run_folder(args))))
    print(_run_folder(args) / "copies.json")
    return 0


def _audit(args: argparse.Namespace) -> int:
    from facemask.evaluation.audit import label_errors_of_run, shortcuts_of_run
    from facemask.io.files import read_json

    split, run = _split_folder(args), _run_folder(args)
    read_json(split / "prepare.json")  # refuse before anything is fetched
    found = shortcuts_of_run(_source(args)[0], split, run)
    print(f"accuracy without a look at the mask (chance {found['chance']:.3f}):")
    for family, figures in found["cross_validated"].items():
        print(f"  {family:12} {figures['accuracy']:.3f}")
    print(run / "shortcuts.json")
    for model in sorted(path.parent for path in run.glob("*/model.keras")):
        suspects = label_errors_of_run(model, split)["suspects"]
        called = sum(suspect["called"] for suspect in suspects)
        print(f"{called} pictures are called mislabelled by {model.name}; those it doubts most:")
        for suspect in suspects[:20]:
            print(f"  {suspect['source']}  (perhaps {suspect['suggested']})")
        print(model / "label_errors.json")
    return 0


def _export(args: argparse.Namespace) -> int:
    from facemask.exports.export import export

    run = _run_folder(args)
    models = sorted(path.parent for path in run.glob("*/model.keras"))
    if not models:
        raise FacemaskError(f"{run} holds no trained model; run `facemask train` first")
    for model in models:
        for form, figures in export(_split_folder(args), model).items():
            print(f"{model.name:9} {form:12}", figures)
        print(model / "exports")
    return 0


def _predict(args: argparse.Namespace) -> int:
    from facemask.photos import batch

    return batch.run(args)


def _score(args: argparse.Namespace) -> int:
    from facemask.scoring import command

    return command.run(args)


def _run(args: argparse.Namespace) -> int:
    from facemask.notebooks import run

    if not IN_CLONE:
        raise FacemaskError("the notebooks are not where facemask is installed; in the project's "
                            "folder, a clone, run: python -m facemask run")
    settings = {name: getattr(args, name) for name in ("image_size", "epochs", "batch_size",
                                                       "seed")}
    if args.exclude:
        settings["exclude"] = args.exclude.resolve()
    run(args.dataset, **settings)
    return 0


def _source(args: argparse.Namespace) -> tuple[Path, str]:
    from facemask.datasets.download import download

    return download(args.dataset, args.data_dir), _name(args)


def _name(args: argparse.Namespace) -> str:
    """The run's name; a simple split stands beside the usual one, not in its place."""
    from facemask.datasets.download import dataset_name

    return dataset_name(args.dataset) + ("-simple" if args.simple_split else "")


def _preparation(args: argparse.Namespace) -> dict:
    return {
        "data_dir": args.data_dir, "image_size": args.image_size, "seed": args.seed,
        "grouped": not args.simple_split, "exclude": args.exclude,
    }


def _split_folder(args: argparse.Namespace) -> Path:
    return args.data_dir / "split" / _name(args)


def _run_folder(args: argparse.Namespace) -> Path:
    return args.models_dir / _name(args)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 done in part, 2 refused."""
    from facemask.photos import batch
    from facemask.scoring import command as scoring

    parser = argparse.ArgumentParser(prog="facemask", description="Face-mask classifier.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    def command(
        function: Callable[[argparse.Namespace], int], text: str, training: bool = False
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(function.__name__[1:], help=text, description=text)
        sub.set_defaults(function=function)
        sub.add_argument("--verbose", action="store_true",
                         help="show what TensorFlow and other libraries say of themselves")
        if function not in (_predict, _score):
            sub.add_argument(
                "--dataset", default="face-mask-12k",
                help="sample, face-mask-12k, fmd, a Kaggle owner/name, a folder or a zip",
            )
        if function not in (_predict, _score, _run):  # notebooks write where the project is
            sub.add_argument("--data-dir", type=Path, default=Path("data"),
                             help="where data sets are kept (default: %(default)s)")
            sub.add_argument("--models-dir", type=Path, default=Path("models"),
                             help="where what is trained is kept (default: %(default)s)")
        if function not in (_download, _predict, _score, _run):
            sub.add_argument(
                "--simple-split", action="store_true",
                help="split picture by picture, copies or not; folders are named ...-simple",
            )
        if training:
            sub.add_argument("--image-size", type=int, default=96,
                             help="pixels a side (default: %(default)s)")
            sub.add_argument("--seed", type=int, default=0,
                             help="of all chance (default: %(default)s)")
            if function is not _prepare:
                sub.add_argument("--epochs", type=int, default=30,
                                 help="at most; training stops early (default: %(default)s)")
                sub.add_argument("--batch-size", type=int, default=32,
                                 help="(default: %(default)s)")
            sub.add_argument(
                "--exclude", type=Path,
                help="file that names pictures to leave out, here and in every later step; an "
                "empty one lifts that",
            )
        return sub

    batch.add_arguments(command(_predict, "Find and judge the faces in pictures and videos."))
    scoring.add_arguments(command(
        _score, "Judge any number of pictures, here or on a cluster, into Parquet files."))
    command(_download, "Fetch a data set and unpack it below data/raw.")
    command(_prepare, "Split a data set and bring its pictures to one size, below data/split.",
            training=True)
    command(_train, "Train the baseline and the compact CNN.", training=True).add_argument(
        "--models", nargs="+", default=["baseline", "compact"], choices=["baseline", "compact"]
    )
    sub = command(_evaluate, "Measure a run's models; or, with --model and --data, one model on a "
                             "folder of pictures.")
    sub.add_argument(
        "--model", type=Path, help="a model's folder, or a .keras, SavedModel or .tflite model"
    )
    sub.add_argument("--data", type=Path, help="pictures to measure it on, a folder per class")
    sub.add_argument("--training", type=Path, help="split folder whose copies are left out")
    sub.add_argument("--json", type=Path, help="write all figures there")
    command(_copies, "Count the copies within and across the splits.")
    command(_audit, "List shortcuts and pictures that may be mislabelled; nothing is deleted.")
    command(_export, "Export the models of a run and compare each export with Keras.")
    command(_run, "Run notebooks 01 to 06 from the first to the last.", training=True)

    args = parser.parse_args(argv)
    if argv is None and not args.verbose:
        hush()
    try:
        return args.function(args)
    except FacemaskError as error:
        # On a line of its own, also where a progress bar was cut off.
        tqdm.write(f"facemask {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        tqdm.write(f"facemask {args.command}: stopped; the same command goes on where it was",
                   file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(args.command)
        if extra is None or (error.name or "").startswith("facemask"):
            raise
        print(f"facemask {args.command}: {not_installed(str(error.name), extra)}", file=sys.stderr)
        return 2
