"""`python -m facemask.torture` (`make torture`): every row of every part, or those named, anew.

Each row's counts replace its own in reports/torture.json as soon as it is done; the others stay.
"""

import argparse
import contextlib
import importlib
import sys
from collections.abc import Callable

from facemask.io.files import FacemaskError, read_json, write_json
from facemask.io.tables import REPORTS

REPORT = REPORTS / "torture.json"
Rows = dict[str, Callable[[], dict]]  # each gives counts, among them "failures"

# Modules with a function `rows`; imported one by one, as some bring TensorFlow.
PARTS = {"files": "files", "long": "long", "same": "same", "kills": "faults.kills",
         "disks": "faults.disks", "page": "webpage.page"}  # fmt: skip


def chosen(name: str, rows: Rows) -> Rows:
    """The rows of a part that are asked for by "part" or "part, row".

    Raises:
        FacemaskError: the part has no such row.
    """
    part, _, row = name.partition(", ")
    if row and row not in rows:
        raise FacemaskError(f"there is no row {row}; there are: {'; '.join(rows)}")
    return {row: rows[row]} if row else rows


def put(part: str, row: str, counts: dict) -> None:
    """Into the report, in the place of the row's own counts of before."""
    report = read_json(REPORT) if REPORT.is_file() else {}
    write_json(REPORT, report | {part: report.get(part, {}) | {row: counts}})


def main() -> int:
    """See the module's text.

    Returns:
        0 if nothing failed, 1 if something did, 2 if a part cannot be run here.
    """
    parser = argparse.ArgumentParser(
        prog="facemask.torture", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", nargs="+", default=list(PARTS), metavar="PART",
                        help=f'of {", ".join(PARTS)}, or rows of one: "kills, train"')  # fmt: skip
    args = parser.parse_args()
    failures = 0
    for name in args.only:
        part = name.partition(", ")[0]
        if part not in PARTS:
            parser.error(f"there is no part {part}; there are: {', '.join(PARTS)}")
        module = importlib.import_module(f"facemask.torture.{PARTS[part]}")
        try:
            with contextlib.ExitStack() as stack:
                for row, measure in chosen(name, module.rows(stack)).items():
                    counts = measure()
                    put(part, row, counts)
                    print(f"{part}, {row}: {counts}", flush=True)
                    failures += counts["failures"]
        except FacemaskError as error:
            print(f"facemask.torture: {name}: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("stopped; rows that were done are in the report", file=sys.stderr)
            return 130
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
