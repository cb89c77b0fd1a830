"""Train a study's models and measure them, by Ray Tune: `python -m facemask.experiments STUDY`.

`ablation`, `finder` and `release` take the folder of the data sets' zips, `folds` a split folder.
Figures go into reports/experiments.json as soon as a training is done; the same command, given
again, trains what is left. RAY_ADDRESS names a cluster; else Ray is started on this machine.
"""

if __name__ == "__main__":  # before TensorFlow is imported
    from facemask.io.quiet import hush

    hush()

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from facemask.io.files import FacemaskError, not_installed
from facemask.io.settings import check_numbers
from facemask.io.tables import REPORTS

SOURCES = {
    "ablation": "folder of the data sets' zips", "folds": "split folder, made by prepare",
    "finder": "folder of the data sets' zips", "release": "folder of the data sets' zips",
}  # fmt: skip


def run(args: argparse.Namespace) -> list[dict]:
    """Do what the command's arguments say.

    Returns:
        The study's rows; see `table.fill`.

    Raises:
        FacemaskError: something is not installed or missing; or see `table.fill`.
    """
    try:
        from facemask.experiments import search, studies, table
    except ImportError as error:
        missing = error.name or getattr(error.__cause__, "name", None)  # Tune raises another
        if missing is None or missing.startswith("facemask"):
            raise
        raise not_installed(missing, "train,ray") from error
    for seed in args.seeds:
        check_numbers(seed=seed)
    study = getattr(studies, args.study)(
        args.source, args.data_dir, args.seeds, *([args.model] if args.study == "folds" else [])
    )
    return table.fill(args.json, study, search.search)


def main(argv: Sequence[str] | None = None) -> int:
    """See the module's text.

    Returns:
        0 if all was done, 2 if something keeps it from being done, 130 if stopped by Ctrl-C.
    """
    parser = argparse.ArgumentParser(
        prog="facemask.experiments", description=(__doc__ or "").splitlines()[0]
    )
    commands = parser.add_subparsers(dest="study", required=True, metavar="STUDY")
    for name, source in SOURCES.items():
        command = commands.add_parser(name)
        command.add_argument("source", type=Path, help=source)
        command.add_argument("--seeds", type=int, nargs="+", default=[0], help="default: 0")
        command.add_argument("--data-dir", type=Path, default=Path("data"))
        command.add_argument("--json", type=Path, default=REPORTS / "experiments.json",
                             help="the table; default: reports/experiments.json")  # fmt: skip
        if name == "folds":
            command.add_argument("--model", default="compact", help="baseline or compact")
    args = parser.parse_args(argv)
    try:
        rows = run(args)
    except FacemaskError as error:
        tqdm.write(f"facemask.experiments: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        tqdm.write("stopped; give the same command again to go on", file=sys.stderr)
        return 130
    from facemask.experiments.table import flat

    for row in rows:
        print(f"{row['trial']}, seed {row['seed']}")
        for name, value in flat(row["figures"]).items():
            print(f"  {name:60} {value:,.4f}".rstrip("0").rstrip("."))
    print(args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
