"""Fill the README's tables from `reports/`, so that no figure in it is typed by hand.

`python -m facemask.readme` rewrites what stands between `<!-- begin NAME -->` and
`<!-- end NAME -->`; a test fails when the README and the reports differ.
"""

import re
from collections.abc import Callable
from pathlib import Path

from facemask.files import read_json, write_whole

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "reports"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def run_table(name: str) -> str:
    """Accuracy of a run's models on each split, from reports/<name>.json."""
    report = read_json(REPORTS / f"{name}.json")
    rows = []
    for model, facts in report["models"].items():
        test = facts["splits"]["test"]
        low, high = test["interval"]
        rows.append([
            model, f"{facts['parameters']:,}", str(facts["epochs"]),
            *(percent(facts["splits"][split]["accuracy"]) for split in ("train", "validation")),
            f"**{percent(test['accuracy'])}** ({percent(low)} to {percent(high)})",
            f"{len(facts['mistakes'])} of {test['images']}",
        ])
    header = ["model", "parameters", "epochs", "train", "validation", "test (95% interval)",
              "test mistakes"]
    return table(header, rows)


def run_time(name: str) -> str:
    """How long the six notebooks of a run took."""
    seconds = read_json(REPORTS / f"{name}.json")["seconds"]
    return (f"All six notebooks took {sum(seconds.values()) / 60:.0f} minutes on two cores, "
            f"training {seconds['03-train'] / 60:.0f} of them.")


def export_table(name: str) -> str:
    """Largest difference from Keras and size of each export, from reports/<name>.json."""
    rows = []
    for model, forms in read_json(REPORTS / f"{name}.json")["exports"].items():
        for form, row in forms.items():
            rows.append([model, form, str(row["images"]), f"{row['largest_difference']:.1e}",
                         str(row["changed_answers"]), f"{row['bytes'] / 1e3:,.0f} kB"])
    return table(
        ["model", "export", "pictures", "largest difference", "changed answers", "size"], rows
    )


BLOCKS: dict[str, Callable[[], str]] = {
    "12k": lambda: run_table("face-mask-12k"),
    "12k-time": lambda: run_time("face-mask-12k"),
    "12k-exports": lambda: export_table("face-mask-12k"),
    "3class": lambda: run_table("face-mask-3class-zip"),
    "3class-time": lambda: run_time("face-mask-3class-zip"),
}


def render(text: str) -> str:
    """The text with every block filled anew.

    Raises:
        KeyError: a block's name is unknown.
    """

    def fill(match: re.Match) -> str:
        return f"{match[1]}\n{BLOCKS[match[2]]()}\n{match[4]}"

    pattern = r"(<!-- begin ([\w-]+) -->)\n(.*?)(<!-- end \2 -->)"
    return re.sub(pattern, fill, text, flags=re.DOTALL)


if __name__ == "__main__":
    with write_whole(ROOT / "README.md") as partial:
        partial.write_text(render((ROOT / "README.md").read_text("utf-8")), "utf-8")
