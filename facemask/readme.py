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


def interval(figures: dict) -> str:
    """An accuracy with its 95% interval."""
    low, high = figures["interval"]
    return f"{percent(figures['accuracy'])} ({percent(low)} to {percent(high)})"


def clean_table(name: str) -> str:
    """Test accuracy published and less copies, from reports/<name>.json."""
    models = read_json(REPORTS / f"{name}.json")["models"]
    titles = {"published": "as published", "clean_same": "less the same pictures",
              "clean_near": "less near copies", "clean": "less all copies"}
    rows = []
    for kind, title in titles.items():
        left = next(iter(models.values()))[kind]["per_class"]
        counts = [f"{figures['images']:,}" for figures in left.values()]
        rows.append([title, *counts, *(interval(model[kind]) for model in models.values())])
    return table(["test pictures", *(f"`{label}`" for label in left), *models], rows)


def copies_table(name: str) -> str:
    """Copies of training pictures in validation and test, from reports/<name>.json."""
    rows = [
        [split, f"`{label}`", *(f"{row[k]:,}" for k in ("images", "same", "near", "all"))]
        for split, classes in read_json(REPORTS / f"{name}.json")["copies"]["of_training"].items()
        for label, row in classes.items()
    ]
    return table(["split", "class", "pictures", "same", "near", "all copies"], rows)


def verdict_texts(name: str) -> str:
    """The verdict's paragraph on each model, from reports/<name>.json."""
    models = read_json(REPORTS / f"{name}.json")["models"]
    return "\n".join(f"- {model}: {facts['verdict']['text']}" for model, facts in models.items())


def leak_table() -> str:
    """The same models by a simple and by a group-aware split, from reports/leak.json."""
    splits = read_json(REPORTS / "leak.json")["splits"]
    rows = []
    for model in splits["simple"]["models"]:
        both = [splits[kind]["models"][model] for kind in ("simple", "grouped")]
        points = 100 * (both[0]["test"]["accuracy"] - both[1]["test"]["accuracy"])
        recall = [f"{percent(b['test']['per_class']['incorrect_mask']['recall'])}" for b in both]
        rows.append([model, *(interval(b["test"]) for b in both), f"{points:.1f} points",
                     " / ".join(recall)])
    return table(["model", "simple split", "group-aware split", "the leak",
                  "recall of `incorrect_mask`, simple / group-aware"], rows)


def elsewhere_table() -> str:
    """The 12k models on the other archives, from reports/elsewhere.json."""
    rows = []
    for title, by_model in read_json(REPORTS / "elsewhere.json")["sets"].items():
        first = next(iter(by_model.values()))
        rows.append([title, f"{first['images']:,}", f"{first['copies_left_out']:,}",
                     *(interval(figures) for figures in by_model.values())])
    return table(["tested on", "pictures", "copies left out", *by_model], rows)


def verdict_table() -> str:
    """What the verdict said of trainings built to overfit, from reports/verdict.json."""
    says = ("overfits", "cannot tell", "does not overfit")
    trials = read_json(REPORTS / "verdict.json")["trials"]
    return table(["training", *says], [
        [kind, *(str(trial["says"].get(answer, 0)) for answer in says)]
        for kind, trial in trials.items()
    ])


def shortcuts_table() -> str:
    """Accuracy without a look at the mask, from reports/shortcuts.json."""
    found = read_json(REPORTS / "shortcuts.json")
    families = list(next(iter(found.values()))["cross_validated"])
    return table(["data set", "chance", *families], [
        [name, f"{100 * row['chance']:.0f}%",
         *(f"{100 * row['cross_validated'][family]['accuracy']:.0f}%" for family in families)]
        for name, row in found.items()
    ])


def finder_table() -> str:
    """What the copy finder finds of copies made for the purpose, from reports/copies.json."""
    changes = read_json(REPORTS / "copies.json")["changes"]
    return table(["change", "recall", "precision"], [
        [name, f"{row['recall']:.3f}", f"{row['precision']:.3f}"] for name, row in changes.items()
    ])


def finder_cost() -> str:
    """Time and memory of the copy finder, from reports/copies.json."""
    return table(["pictures", "seconds", "peak memory", "how"], [
        [f"{row['images']:,}", f"{row['seconds']:,.0f}", f"{row['peak_MiB']:,} MiB", row["how"]]
        for row in read_json(REPORTS / "copies.json")["cost"].values()
    ])


BLOCKS: dict[str, Callable[[], str]] = {
    "12k": lambda: run_table("face-mask-12k"),
    "12k-time": lambda: run_time("face-mask-12k"),
    "12k-exports": lambda: export_table("face-mask-12k"),
    "3class": lambda: run_table("face-mask-3class-zip"),
    "3class-time": lambda: run_time("face-mask-3class-zip"),
    "copy-finder": finder_table,
    "copy-finder-cost": finder_cost,
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
