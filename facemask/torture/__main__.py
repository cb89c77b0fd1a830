"""`python -m facemask.torture` (`make torture`): every part, or those named, anew.

Each part's counts replace its own in reports/torture.json; the other parts stay.
"""

import argparse
import sys
from collections.abc import Callable

from facemask.io.files import FacemaskError, read_json, write_json
from facemask.io.tables import REPORTS
from facemask.torture import files, long, same
from facemask.torture.faults import disks
from facemask.torture.webpage import page

REPORT = REPORTS / "torture.json"


def _kills() -> dict[str, dict]:
    from facemask.torture.faults import kills  # imports TensorFlow

    return kills.measure()


# Each gives counts by what was tried, among them "failures".
PARTS: dict[str, Callable[[], dict[str, dict]]] = {
    "files": files.measure,
    "long": long.measure,
    "same": same.measure,
    "kills": _kills,
    "disks": disks.measure,
    "page": page.measure,
}


def main() -> int:
    """See the module's text.

    Returns:
        0 if nothing failed, 1 if something did, 2 if a part cannot be run here.
    """
    parser = argparse.ArgumentParser(
        prog="facemask.torture", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART",
                        help=f"of {', '.join(PARTS)}")  # fmt: skip
    args = parser.parse_args()
    failures = 0
    for part in args.only:
        try:
            counts = PARTS[part]()
        except FacemaskError as error:
            print(f"facemask.torture: {part}: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("stopped; parts that were done are in the report", file=sys.stderr)
            return 130
        report = read_json(REPORT) if REPORT.is_file() else {}
        write_json(REPORT, report | {part: counts})
        for name, row in counts.items():
            print(f"{part}, {name}: {row}")
            failures += row["failures"]
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
