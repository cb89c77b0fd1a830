"""Fill the tables of README, docs and model card from reports: no figure is typed by hand.

`python -m facemask.pages.fill` rewrites what stands between `<!-- begin NAME -->` and
`<!-- end NAME -->`; a test fails when a page and the reports differ.
"""

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from facemask.io.files import RELEASE, ROOT, FacemaskError, read_json, write_whole
from facemask.io.tables import REPORTS, between, percent, table
from facemask.pages import card, finders, reliability, scale


def run_table(name: str) -> str:
    """Accuracy of a run's models on each split, from reports/<name>.json."""
    report = read_json(REPORTS / f"{name}.json")
    rows = []
    for model, facts in report["models"].items():
        test = facts["splits"]["test"]
        rows.append([
            model, f"{facts['parameters']:,}", str(facts["epochs"]),
            *(percent(facts["splits"][split]["accuracy"]) for split in ("train", "validation")),
            between(test["accuracy"], *test["interval"], strong=True),
            f"{len(facts['mistakes'])} of {test['images']}",
        ])
    header = ["model", "parameters", "epochs", "train", "validation", "test (95% interval)",
              "test mistakes"]
    return table(header, rows)


def export_table(name: str) -> str:
    """Each export against Keras, and its size, from reports/<name>.json."""
    rows = []
    for model, forms in read_json(REPORTS / f"{name}.json")["exports"].items():
        for form, row in forms.items():
            if form == "keras" or "not_run" in row:
                continue
            rows.append([model, form, str(row["images"]), f"{row['largest_difference']:.1e}",
                         f"{row['mean_difference']:.1e}", str(row["changed_answers"]),
                         f"{row['bytes'] / 1e3:,.0f} kB"])
    return table(["model", "export", "pictures", "largest difference", "mean", "changed answers",
                  "size"], rows)


def bench(part: str, render: Callable[[dict], str]) -> str:
    """One part of reports/bench.json, as `render` shows it, if it has been measured."""
    figures = read_json(REPORTS / "bench.json").get(part)
    return render(figures) if figures else "Not measured yet: `make bench`."


def latency_table(figures: dict) -> str:
    """One face by LiteRT on one core."""
    rows = [
        [name, f"{row['bytes'] / 1e3:,.0f} kB", f"{row['milliseconds']:.2f} ms",
         f"{row['milliseconds_in_32']:.2f} ms", f"{row['times_faster']:.1f}",
         f"{100 * row['share_of_peak']:.0f}%"]
        for name, row in figures["models"].items()
    ]
    return table(["model", "file", "one face", "each of 32", "times MobileNetV2's speed",
                  "of the core's float32 peak"], rows)


def browser_table(figures: dict) -> str:
    """The TF.js export in headless Chromium."""
    rows = []
    for name, row in figures.items():
        if "not_run" in row:
            rows.append([name, "-", "-", "-", "not there: no graphics card"])
        else:
            rows.append([name, f"{row['milliseconds']:.1f} ms", f"{row['faces_per_second']:.0f}",
                         f"{row['largest_difference']:.1e}",
                         f"{row['changed_answers']} of {row['images']}"])
    return table(["backend", "one face", "faces a second", "largest difference from Keras",
                  "changed answers"], rows)


def start_table(figures: dict) -> str:
    """From nothing to the first answer."""
    rows = [
        [name, f"{row['processor_seconds']:.1f} s", f"{row['megabytes']:,.0f} MB"]
        for name, row in figures.items()
    ]
    return table(["runtime", "processor time to the first answer", "memory"], rows)


def growth_table(figures: dict) -> str:
    """Training as the pictures grow in number."""
    rows = [
        [f"{row['pictures']:,}", f"{row['processor_milliseconds_a_picture']:.1f} ms",
         f"{row['megabytes']:,.0f} MB"]
        for row in figures.values()
    ]
    return table(["training pictures", "processor time a picture", "peak memory"], rows)


def training_table(report: dict) -> str:
    """Training against the field's pipeline."""
    names = {"ours": "compact CNN at 64 px, pictures in memory",
             "field": "the field's: CNN at 224 px from files"}
    rows = []
    for key, name in names.items():
        row = report[key]
        least = "" if row["reached"] else "more than "
        rows.append([
            name, f"{row['images_per_second']:.0f}", f"{least}{row['epochs']:.2f}",
            f"{least}{row['seconds']:.0f} s", percent(row["accuracy"]),
        ])  # fmt: skip
    return table(["training", "pictures a second", "epochs to 98.8% on 12k Test",
                  "that is", "best seen"], rows)


def interval(figures: dict) -> str:
    """An accuracy with its 95% interval."""
    return between(figures["accuracy"], *figures["interval"])


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
                     *(f"{interval(figures)}, {percent(figures['balanced_accuracy'])}"
                       for figures in by_model.values())])
    header = (f"{model}: accuracy, mean recall" for model in by_model)
    return table(["tested on", "pictures", "copies left out", *header], rows)


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


def _share(row: dict) -> str:
    if not row["faces"]:
        return "none there"
    return between(row["share"], row["low"], row["high"])


def photos_table() -> str:
    """Faces found, and found and judged right, by archive and size, from reports/photos.json."""
    report = read_json(REPORTS / "photos.json")
    rows = []
    for archive in ("street", "scenes"):
        before = report[archive]["finder before"]
        for band, row in report[archive]["by size"].items():
            if band == "48 px and more":
                continue
            old = before[band]
            rows.append([
                f"{archive}, {band}", str(row["unseen"]["found"]["faces"]),
                *(_share(row["unseen"][what]) for what in ("found", "found and judged right")),
                percent(old["unseen"]["found and judged right"]["share"]),
                f"{row['false faces a photo']:.2f}", f"{old['false faces a photo']:.2f}",
            ])
    return table(["faces", "number", "found (95% interval)", "found and judged right",
                  "by the finder before", "not annotated, a photo", "by the finder before"], rows)


def photos_portraits() -> str:
    """Portraits judged by `predict`, in a sentence."""
    row = read_json(REPORTS / "photos.json")["portraits"]
    right = row["judged right"]
    return (f"Of prajnasb's {right['faces']:,} portraits, one person each, {_share(right)} are "
            f"judged right by their likeliest face; in {percent(row['no face found'])} no face is "
            f"found, and there are {row['faces beyond the first, a picture']:.3f} faces beyond the "
            "first a picture.")


def photos_classes() -> str:
    """The same by class, with average precision."""
    bands = ("64 px and more", "32 to 63 px")
    rows = []
    for archive in ("street", "scenes"):
        part = read_json(REPORTS / "photos.json")[archive]
        precision = part["average precision at IoU 0.5"]
        for label in ("with_mask", "without_mask", "incorrect_mask"):
            star = "*" if label == part["not unseen"] else ""
            rows.append([f"{archive}, {label}{star}",
                         *(_share(part["by size"][band][label]["found and judged right"])
                           for band in bands),
                         *(f"{precision[band][label]:.3f}" for band in (*bands, "all sizes"))])
        rows.append([f"{archive}, mean", "", "", *(f"{precision[band]['mean']:.3f}"
                                                   for band in (*bands, "all sizes"))])
    return table(["class", *(f"{band}: found and judged right" for band in bands),
                  *(f"AP, {band}" for band in (*bands, "all sizes"))], rows)


def photos_speed() -> str:
    """Time per stage, throughput and memory of `predict`."""
    report = read_json(REPORTS / "photos.json")
    speed, memory = report["speed"], report.get("memory")
    stages = speed["CPU ms a photo, one stage after the other"]
    rows = [[*(f"{ms:.1f} ms" for ms in stages.values()),
             f"{speed['CPU ms a photo, sum of the stages']:.0f} ms",
             f"{speed['photos a second']:.1f} photos/s"]]
    text = table([*(f"{stage}, CPU" for stage in stages), "sum", "all at once"], rows)
    most = 1000 * speed["cores"] / speed["CPU ms a photo, together"]
    text += (f"\n\nThe machine was shared, so that this run had {speed['cores it got']:.2f} of its "
             f"{speed['cores']} cores; by its CPU time both would give at most "
             f"{most:.1f} photos/s.")
    if not memory:
        return text
    first, second = (memory[f"MB, median of the {half} half"] for half in ("first", "second"))
    return (f"{text}\n\nMemory over {memory['photos']:,} photos: {first:.0f} MB in the first half "
            f"of the run, {second:.0f} MB in the second, {memory['MB, most']:.0f} MB at most.")


def page_facts() -> str:
    """The web page's speed in headless Chromium, in a sentence."""
    row = read_json(REPORTS / "photos.json")["page"]
    return (f"In headless Chromium on a processor (WASM), finding the faces of a 640 x 480 photo "
            f"takes {row['ms to find the faces of 640 x 480, median']:.0f} ms and judging four "
            f"{row['ms to judge four of them, median']:.0f} ms; the webcam runs at "
            f"{row['webcam frames a second']:.1f} frames a second. The first load is "
            f"{row['bytes of the first load'] / 1e6:.2f} MB.")


def commands_table() -> str:
    """What the first commands take, from reports/commands.json."""
    report = read_json(REPORTS / "commands.json")

    def amount(value: float, unit: str) -> str:
        return f"{value:,.{0 if value >= 10 else 1}f} {unit}"

    rows = [
        [f"`{name}`", amount(row["seconds"], "s"), amount(row["peak_megabytes"], "MB")]
        for name, row in report["commands"].items()
    ]
    sizes = report["installed_megabytes"]
    loads = [row["load_beforehand"] for row in report["commands"].values()]
    text = table(["command", "time", "memory of its largest process"], rows)
    return (f"{text}\n\nInstalled, the base takes {amount(sizes['base'], 'MB')}, what `make run` "
            f"installs {amount(sizes['full'], 'MB')} (`python -m facemask.benchmarks.commands`; "
            f"{report['hardware']}, at a load of {min(loads):.1f} to {max(loads):.1f} before).")


def front_table() -> str:
    """The release beside others on faces from elsewhere, from reports/peers.json.

    Until that file is there: the release's table, see `card.release_table`.
    """
    if not (REPORTS / "peers.json").is_file():
        return card.release_table()
    report = read_json(REPORTS / "peers.json")
    rows = []
    for name, pictures in report["sets"].items():
        line = [name, f"{pictures:,}"]
        for model in report["models"].values():
            row = model.get(name)
            line.append(f"{percent(row['accuracy'])}, {percent(row['macro_recall'])}"
                        if row else "cannot")
        rows.append(line)
    return table(["test set", "pictures", *(f"{name}: accuracy, mean recall"
                                            for name in report["models"])], rows)


NOTEBOOKS = {
    "01-download": ("1. Download", "the archive, fetched by Kaggle's client, checked and unpacked"),
    "02-prepare": ("2. Prepare", "class balance, sizes, unreadable files, copies, what gives a "
                   "class away; the split"),
    "03-train": ("3. Train", "two CNNs side by side, what augmentation does, learning curves"),
    "04-evaluate": ("4. Evaluate", "accuracy with and without copies, calibration, mistakes, "
                    "likely label errors, overfitting, faces from elsewhere"),
    "05-export": ("5. Export", "SavedModel, TFLite and TF.js, each compared with Keras before it "
                  "counts"),
    "06-predict": ("6. Predict", "every face in your photos, its label and its probability; where "
                   "the model looks"),
}
COLAB = "https://colab.research.google.com/github"


def repository() -> str:
    """The project's address as it stands in facemask/notebooks.py; empty until published."""
    text = (ROOT / "facemask" / "notebooks.py").read_text("utf-8")
    found = re.search(r'^REPOSITORY = "(.*)"$', text, re.MULTILINE)
    return found[1] if found else ""


def notebooks_table() -> str:
    """The notebooks, a line each, with links into Colab once the project has an address."""
    address = repository().removesuffix("/").removesuffix(".git")
    rows = []
    for file, (title, shows) in NOTEBOOKS.items():
        line = [f"[{title}](notebooks/{file}.ipynb)", shows]
        if address:
            project = address.removeprefix("https://github.com/")
            line.append(f"[Open in Colab]({COLAB}/{project}/blob/HEAD/notebooks/{file}.ipynb)")
        rows.append(line)
    text = table(["notebook", "what you see", *(["in Colab"] if address else [])], rows)
    if not address:
        text += ("\n\nIn Colab: File, Upload notebook; its first cell asks for the project's "
                 "address, as for `git clone`.")
    return text


BLOCKS: dict[str, Callable[[], str]] = {
    "commands": commands_table,
    "front": front_table,
    "notebooks": notebooks_table,
    "12k": lambda: run_table("face-mask-12k"),
    "12k-exports": lambda: export_table("face-mask-12k"),
    "bench-latency": lambda: bench("latency", latency_table),
    "bench-browser": lambda: bench("browser", browser_table),
    "bench-start": lambda: bench("start", start_table),
    "bench-growth": lambda: bench("growth", growth_table),
    "bench-training": lambda: bench("training", training_table),
    "photos": photos_table,
    "photos-portraits": photos_portraits,
    "photos-classes": photos_classes,
    "photos-speed": photos_speed,
    "page": page_facts,
    **{name: partial(make, RELEASE) for name, make in card.BLOCKS.items()},
    **finders.BLOCKS,
    **reliability.BLOCKS,
    **scale.BLOCKS,
    "12k-copies": lambda: copies_table("face-mask-12k"),
    "12k-clean": lambda: clean_table("face-mask-12k"),
    "12k-verdict": lambda: verdict_texts("face-mask-12k"),
    "leak": leak_table,
    "elsewhere": elsewhere_table,
    "shortcuts": shortcuts_table,
    "verdict": verdict_table,
    "copy-finder": finder_table,
    "copy-finder-cost": finder_cost,
}
FILES = ("README.md", "CONTRIBUTING.md", "models/finder/README.md", "models/release/README.md",
         *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))


def render(text: str, release: Path = RELEASE) -> str:
    """The text with every block filled anew.

    Args:
        release: folder of the released model that the text speaks of.

    Raises:
        KeyError: a block's name is unknown.
    """

    def fill(match: re.Match) -> str:
        return f"{match[1]}\n{blocks[match[2]]()}\n{match[4]}"

    blocks = BLOCKS | {name: partial(make, release) for name, make in card.BLOCKS.items()}
    pattern = r"(<!-- begin ([\w-]+) -->)\n(.*?)(<!-- end \2 -->)"
    return re.sub(pattern, fill, text, flags=re.DOTALL)


if __name__ == "__main__":
    try:
        for name in FILES:
            with write_whole(ROOT / name) as unfinished:
                unfinished.write_text(render((ROOT / name).read_text("utf-8")), "utf-8")
    except FacemaskError as error:
        sys.exit(f"facemask.pages.fill: {error}")
