"""Tables of the page on scale, from reports/scale.json."""

from collections.abc import Callable

from facemask.io.files import read_json
from facemask.io.tables import REPORTS, percent, table

REPORT = REPORTS / "scale.json"
CORES = 100  # of the cluster in the cost model
NUMBERS = {"1 million": 10**6, "100 million": 10**8, "10 billion": 10**10}


def measured(part: str, render: Callable[[dict], str]) -> str:
    """One part of reports/scale.json, as `render` shows it, if it has been measured."""
    figures = read_json(REPORT).get(part) if REPORT.is_file() else None
    command = f"`python -m facemask.benchmarks.scale ARCHIVES --only {part}`"
    return render(figures) if figures else f"Not measured yet: {command}."


def engines_table(row: dict) -> str:
    """Both engines on the same photos."""
    text = table(
        ["pictures", "of them broken", "rows", "rows lost", "rows doubled", "rows that differ"],
        [[f"{row[key]:,}" for key in ("pictures", "unreadable", "rows", "rows lost", "rows doubled",
                                      "rows that differ")]],
    )
    return (f"{text}\n\nThe largest worker held {row['MB of a worker, first tenth']:,} MB in the "
            f"first tenth of the run and {row['MB of a worker, later']:,} MB at most later.")


def kills_table(row: dict) -> str:
    """The same in spite of kills."""
    keys = ("pictures", "nodes killed", "drivers killed", "rows", "rows lost", "rows doubled",
            "rows that differ")
    return table(list(keys), [[f"{row[key]:,}" for key in keys]])


def throughput_table(row: dict) -> str:
    """Photos a second of each engine."""
    rates = row["photos a second"]
    text = table(["engine", "photos a second"], [[n, f"{r:.1f}"] for n, r in rates.items()])
    return (f"{text}\n\nRay over local {row['ray over local']:.2f}, two workers over one "
            f"{row['two workers over one']:.2f}; {row['photos']:,} photos on {row['cores']} cores, "
            f"at a load of the machine of {row['load of the machine afterwards']:.1f}.")


def store_table(figures: dict) -> str:
    """Rows from an object store beside those from disk."""
    keys = ("rows", "rows lost", "rows doubled", "rows that differ", "credentials found")
    rows = [[name, f"{figures['photos']:,}", *(f"{row[key]:,}" for key in keys)]
            for name, row in figures.items() if isinstance(row, dict)]
    return table(["engine", "photos", *keys], rows)


def stages_table(row: dict) -> str:
    """What a core does of each stage in a second."""
    rates = row["photos per core-second"]
    total = sum(1 / rate for rate in rates.values())
    rows = [[stage, f"{rate:,.0f}", percent(1 / rate / total)] for stage, rate in rates.items()]
    rows.append(["all", f"{row['photos per core-second, all stages']:,.1f}", percent(1.0)])
    return table(["stage", "photos per core-second", "share of the time"], rows)


def cost_table(row: dict) -> str:
    """The arithmetic for many photos, and what is the first to be short."""
    rate, rates = row["photos per core-second, all stages"], row["photos per core-second"]
    rows = []
    for name, number in NUMBERS.items():
        hours = number / rate / 3600
        rows.append([
            name, f"{hours:,.0f}", _time(hours / CORES),
            f"{number * row['bytes a photo'] / 1e12:,.2f} TB",
            f"{number * row['bytes of results a photo'] / 1e9:,.1f} GB",
            f"{number * row['bytes of memory a name'] / 1e9:,.1f} GB",
        ])  # fmt: skip
    text = table(["photos", "core-hours", f"on {CORES} cores", "read", "results",
                  "memory of the names"], rows)
    slowest = min(rates, key=rates.__getitem__)
    share = 1 / rates[slowest] / sum(1 / each for each in rates.values())
    line = CORES * rate * row["bytes a photo"] * 8 / 1e9
    return (
        f"{text}\n\nSo the first to be short is the core: {percent(share)} of its time goes into "
        f"the stage “{slowest}”. {CORES} cores read {line:.1f} Gbit a second, at "
        f"{row['bytes a photo'] / 1e3:,.0f} kB a photo; on one network card of 10 Gbit the network "
        f"is short from {10 / line * CORES:,.0f} cores on, and the one process that writes from "
        f"{rates['write'] / rate:,.0f} cores on."
    )


def _time(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.0f} minutes"
    return f"{hours:,.1f} hours" if hours < 48 else f"{hours / 24:,.0f} days"


BLOCKS: dict[str, Callable[[], str]] = {
    "scale-engines": lambda: measured("engines", engines_table),
    "scale-kills": lambda: measured("kills", kills_table),
    "scale-throughput": lambda: measured("throughput", throughput_table),
    "scale-store": lambda: measured("store", store_table),
    "scale-stages": lambda: measured("stages", stages_table),
    "scale-cost": lambda: measured("stages", cost_table),
}
