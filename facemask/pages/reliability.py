"""Tables of the page on reliability: faults that were tried, and licences."""

from collections.abc import Callable
from functools import partial

from facemask.io.files import read_json
from facemask.io.tables import REPORTS, table


def licences_table() -> str:
    """What is installed and what the page carries, by licence, from reports/licences.json."""
    rows = []
    for part, packages in read_json(REPORTS / "licences.json").items():
        by_licence: dict[str, list[str]] = {}
        for name, version, licence in packages:
            by_licence.setdefault(licence, []).append(f"{name} {version}")
        rows += [[part, licence, ", ".join(names)] for licence, names in sorted(by_licence.items())]
    return table(["part", "licence", "packages"], rows)


def measured(part: str, render: Callable[[dict], str]) -> str:
    """One part of reports/torture.json, as `render` shows it, if it has been measured."""
    figures = read_json(REPORTS / "torture.json").get(part)
    return render(figures) if figures else "Not measured yet: `make torture`."


def torture_files(figures: dict) -> str:
    """Spoilt files and what became of them."""
    rows = [
        [part, f"{row['inputs']:,}", f"{row['accepted']:,}", f"{row['refused with a message']:,}",
         f"{row['failures']:,}", f"{row['slowest, ms of processor time']:,.0f} ms",
         f"{row['peak MB']:,.0f} MB"]
        for part, row in sorted(figures.items())
    ]
    return table(["files", "tried", "accepted", "refused with a message", "failures", "slowest",
                  "memory at most"], rows)


def torture_counts(what: str, columns: tuple[str, ...], figures: dict) -> str:
    """Counts by stage."""
    return table([what, *columns], [
        [name, *(f"{row[key]:,}" for key in columns)] for name, row in figures.items()
    ])


def torture_page(figures: dict) -> str:
    """The web page under attack."""

    def pair(row: dict, what: str) -> str:
        early, late = (row.get(f"{what} MB, {when}") for when in ("early", "late"))
        return "-" if early is None else f"{early:,.0f} MB, {late:,.0f} MB"

    rows = [
        [name, f"{row['minutes']:.0f} minutes" if "minutes" in row else f"{row['tried']:,}",
         f"{row['failures']:,}", pair(row, "heap"), pair(row, "process")]
        for name, row in figures.items()
    ]
    return table(["the page", "tried", "failures", "JavaScript's heap after a tenth, at the end",
                  "process after a tenth, at the end"], rows)


def torture_facts(figures: dict) -> str:
    """Each row's figures in words."""
    def text(value: float) -> str:
        return f"{value:,}" if isinstance(value, int) or value >= 0.1 else f"{value:.1e}"

    rows = [[name, "; ".join(f"{key}: {text(value)}" for key, value in row.items()
                             if key != "failures"), f"{row['failures']:,}"]
            for name, row in figures.items()]  # fmt: skip
    return table(["what", "figures", "failures"], rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "licences": licences_table,
    "torture": lambda: measured("files", torture_files),
    "torture-kills": lambda: measured("kills", partial(
        torture_counts, "stage", ("kills", "restarts", "rounds", "left behind", "failures"))),
    "torture-disks": lambda: measured("disks", partial(
        torture_counts, "stage",
        ("full", "read-only", "no permission", "clock", "refused with a message", "failures"))),
    "torture-page": lambda: measured("page", torture_page),
    "torture-long": lambda: measured("long", torture_facts),
    "torture-same": lambda: measured("same", torture_facts),
}
