"""Tables about the face finder: beside others (reports/finder.json), and its exports."""

from collections.abc import Callable

from facemask.io.files import FINDER, read_json
from facemask.io.tables import REPORTS, percent, table
from facemask.metrics.detection import BANDS

FOLDER = FINDER.parent
RECALL = [f"{name}: 64 px and more / 32 to 63 / 16 to 31" for name in ("street", "scenes")]


def recall_table() -> str:
    """Recall by archive and size, false faces and cost of each finder, on the test photos."""
    report = read_json(REPORTS / "finder.json")["test"]
    rows = []
    for name, facts in report["finders"].items():
        rows.append([_named(name), *_recall(facts), f"{facts['false a photo']:.3f}",
                     f"{facts['CPU ms a photo']:.0f} ms"])
    faces = [
        " / ".join(f"{next(iter(report['finders'].values()))[archive][band]['faces']}"
                   for band in BANDS)
        for archive in ("street", "scenes")
    ]
    rows.append(["annotated faces", *faces, "", ""])
    return table(["finder", *RECALL, "false faces a photo", "CPU time a photo"], rows)


def _recall(facts: dict) -> list[str]:
    return [" / ".join(percent(facts[archive][band]["recall"]) for band in BANDS)
            for archive in ("street", "scenes")]  # fmt: skip


def portraits_table() -> str:
    """Pictures of one person each: none found, and faces beyond the first."""
    report = read_json(REPORTS / "finder.json")["test"]
    rows = [
        [_named(name), f"{facts['prajnasb']['pictures']:,}",
         percent(facts["prajnasb"]["none found"]), f"{facts['prajnasb']['extra a picture']:.3f}"]
        for name, facts in report["finders"].items()
    ]
    return table(["finder", "pictures", "no face found", "faces beyond the first, a picture"], rows)


def seeds_table() -> str:
    """The first part of the training by several random seeds, on the test photos and prajnasb."""
    report = read_json(REPORTS / "finder.json")["test, by seed"]
    rows = [
        [seed, *_recall(facts), f"{facts['false a photo']:.3f}",
         percent(facts["prajnasb"]["none found"]), f"{facts['prajnasb']['extra a picture']:.3f}"]
        for seed, facts in report["seeds"].items()
    ]
    head = ["seed", *RECALL, "false faces a photo", "portraits: no face found",
            "faces beyond the first, a picture"]  # fmt: skip
    return f"After {report['epochs']} epochs:\n\n{table(head, rows)}"


def large_table() -> str:
    """One look and two at street photos, nine in one picture."""
    report = read_json(REPORTS / "finder.json")["test"]["large"]
    rows = []
    for name in ("one look", "two looks"):
        facts = report[name]["street"]
        recall = " / ".join(percent(facts[band]["recall"]) for band in BANDS)
        false = facts["false a photo"] * facts["photos"] / report["photos"]
        rows.append([name, recall, f"{false:.3f}", f"{report[name]['CPU ms a photo']:.0f} ms"])
    faces = " / ".join(str(report["two looks"]["street"][band]["faces"]) for band in BANDS)
    head = ["", "found: 64 px and more / 32 to 63 / 16 to 31", "false faces a street photo",
            "CPU time a picture"]  # fmt: skip
    return table(head, [*rows, ["annotated faces", faces, "", ""]])


def whole_facts() -> str:
    """How often a crop, and a photo, is taken for one face, in a sentence."""
    found = read_json(REPORTS / "finder.json")["test"]["whole"]
    return (f"So {percent(found['12k']['judged whole'])} of 12k's {found['12k']['pictures']:,} "
            f"test crops are judged whole, and {percent(found['photos']['judged whole'])} of the "
            f"{found['photos']['pictures']} photos.")


def _named(name: str) -> str:
    return f"**{name}**" if name == "ours" else name


def exports_table() -> str:
    """Each form of the finder against Keras, from models/finder/exports.json."""
    rows = []
    for form, row in read_json(FOLDER / "exports.json").items():
        if form == "parameters" or "not_run" in row:
            continue
        rows.append([f"`{form}`", f"{row['bytes'] / 1e3:,.0f} kB",
                     f"{row['largest_difference']:.1e}", percent(row["same_faces"])])
    return table(["form", "size", "largest difference of a score", "same faces"], rows)


def training_facts() -> str:
    """What the training was, from models/finder."""
    settings, clock = (read_json(FOLDER / f"{name}.json") for name in ("settings", "clock"))
    parameters = read_json(FOLDER / "exports.json")["parameters"]
    courses = " and ".join(str(course["epochs"]) for course in settings["courses"])
    return (f"{parameters:,} parameters; {courses} epochs of {settings['steps']} "
            f"batches in {clock['seconds'] / 60:.0f} minutes of two cores, seed "
            f"{settings['seed']}.")


BLOCKS: dict[str, Callable[[], str]] = {
    "finders": recall_table,
    "finders-portraits": portraits_table,
    "finders-whole": whole_facts,
    "finders-large": large_table,
    "finders-seeds": seeds_table,
    "finder-exports": exports_table,
    "finder-training": training_facts,
}
