"""Tables of a released model's folder, for the README and the model card."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from facemask.io.files import RELEASE, read_json
from facemask.io.tables import REPORTS, between, percent, table

# The test sets of the ablation that are shown, and their columns.
SHORT_NAMES = {
    "12k Test, published": "12k Test",
    "prajnasb": "prajnasb",
    "scene faces, 48 px and more": "scenes, 48 px and more",
    "scene faces, 24 to 47 px": "scenes, 24 to 47 px",
    "street faces, 48 px and more": "street, 48 px and more",
    "street faces, 24 to 47 px": "street, 24 to 47 px",
    "3-class archive, held-out groups": "3-class, held out",
}


def release_table(release: Path = RELEASE) -> str:
    """Every test set, for the released model with all its answers open, and beside others.

    Beside it the mean recall of the likeliest of the classes that a set has, as those models of
    two classes have it that were trained on 12k.
    """
    models = read_json(release / "report.json")["models"]
    others = [name for name in models if not name.startswith("released")]
    rows = []
    for name, row in models["released"].items():
        given = row["open"]
        line = [name, str(row["images"]),
                *(between(given[key], *given[interval], strong=True) for key, interval in
                  (("accuracy", "interval"), ("macro_recall", "macro_interval"))),
                percent(models["released, int8"][name]["open"]["macro_recall"]),
                percent(row["macro_recall"])]
        for other in others:
            found = models[other].get(name)
            # A two-class model cannot be asked about three classes.
            same = found and len(found["recall"]) == len(row["recall"])
            line.append(percent(found["macro_recall"]) if same else "cannot")
        rows.append(line)
    return table(["test set", "pictures", "accuracy (95% interval)", "mean recall (95% interval)",
                  "int8", "of the set's classes alone", *others], rows)


def incorrect_table(release: Path = RELEASE) -> str:
    """How often the released model says incorrect_mask, rightly and wrongly, by test set."""
    rows = []
    for name, row in read_json(release / "report.json")["models"]["released"].items():
        given = row["open"]
        called = given["called_incorrect"]
        recall = row["recall"].get("incorrect_mask")
        precision = given["incorrect_precision"] if "incorrect_mask" in given["confusion"] else None
        if recall is not None:
            own = given["confusion"]["incorrect_mask"]
            recall = own["incorrect_mask"] / sum(own.values())
        rows.append([name, *("-" if value is None else percent(value) for value in
                             (called.get("with_mask"), called.get("without_mask"), recall,
                              precision))])
    return table(["test set", "rightly worn called incorrect", "bare called incorrect",
                  "incorrect: recall", "precision"], rows)


def sure_table(release: Path = RELEASE) -> str:
    """What the operating point does on each test set."""
    report = read_json(release / "report.json")
    rows = [[name, percent(row["open"]["accuracy"]), percent(row["sure"]["unsure"]),
             percent(row["sure"]["right"]), f"{row['calibration_error']:.3f}"]
            for name, row in report["models"]["released"].items()]
    text = table(["test set", "all answers: right", "unsure", "of the sure ones: right",
                  "calibration error"], rows)
    return f"Sure from a probability of {report['settled']['sure']:.2f}.\n\n{text}"


def behaviour_table(release: Path = RELEASE) -> str:
    """What must not change the answer, what must, and what is not a mask."""
    whole = read_json(release / "report.json")
    report = whole["behaviour"]
    rows = [[f"the answer stays when the picture is: {k}", percent(v)]
            for k, v in report["unchanged"].items()]
    ways = {"right": "worn right: with_mask", "nose_out": "below the nose: incorrect_mask",
            "chin_hang": "hanging at the chin: incorrect_mask",
            "chin_out": "above the chin: incorrect_mask"}
    rows += [[f"a mask drawn onto a bare face, {ways[k]}", percent(v)]
             for k, v in report["drawn"].items()]
    rows += [[f"not called with_mask: a bare face with {k.replace('_', ' at the ')}", percent(v)]
             for k, v in report["not_a_mask"].items()]
    rows += [[f"the answer stays when the face is cut from brow to chin: {k}", percent(v["all"])]
             for k, v in whole["tight"].items()]
    return table(["behaviour", "rate"], rows)


def mistakes_table(release: Path = RELEASE) -> str:
    """The released model's wrong answers on 12k Test, by file."""
    row = read_json(release / "report.json")["models"]["released"]["12k Test, published"]
    return table(["file", "label", "answer", "probability"], [
        [m["file"], m["label"], m["answer"], f"{m['probability']:.2f}"] for m in row["mistakes"]
    ])


def release_facts(release: Path = RELEASE) -> str:
    """Size and training cost of the released model, in a sentence."""
    report = read_json(release / "report.json")
    sizes = {name: (release / name).stat().st_size / 1e3
             for name in ("model.keras", "model.tflite", "model-int8.tflite")}
    minutes = report["training"]["seconds"] / 60
    collected = report["collected"]
    photos, cuts = (sum(n for kind, n in collected["pictures"].items() if kind.startswith(names))
                    for names in (("12k", "3class"), ("street",)))
    made = sum(collected["pictures"].values()) - photos - cuts
    training = report["training"]
    return (
        f"{photos:,} photographs of a face, {cuts:,} cuts of {collected['street_faces']:,} faces "
        f"on street photos, and {made:,} pictures with masks, hands and other things put on "
        f"them; {training['epochs']} epochs in {minutes:.0f} minutes on "
        f"{training['cores']} cores, at most {training['peak_memory_mb'] / 1e3:.1f} GB of memory "
        "while training. Sizes: "
        + ", ".join(f"{name} {size:.0f} kB" for name, size in sizes.items()) + "."
    )


def ablation_table(release: Path = RELEASE, part: str = "rows") -> str:
    """Mean recall of each row on each test set: the mean over seeds and, in brackets, the spread.

    Above the rows by the shortened schedule stands the released model.
    """
    report = read_json(REPORTS / "ablation.json")
    found = report[part]
    if part == "rows":
        released = read_json(release / "report.json")["models"]["released"]
        found = {"the released model; full schedule": {"0": released}} | found
    rows = []
    for name, runs in found.items():
        seeds = [run for key, run in runs.items() if key != "cost"]
        line = [name]
        if part == "sizes":
            cost = runs["cost"]
            line += [f"{cost['parameters']:,}", f"{cost['multiply_adds'] / 1e6:.1f} M"]
        else:
            line.append(str(len(seeds)))
        for test in SHORT_NAMES:
            values = 100 * np.array([run[test]["macro_recall"] for run in seeds])
            spread = f" (±{np.ptp(values) / 2:.1f})" if len(values) > 1 else ""
            line.append(f"{values.mean():.1f}{spread}")
        rows.append(line)
    first = ["network", "parameters", "multiply-adds"] if part == "sizes" else ["recipe", "seeds"]
    return table([*first, *SHORT_NAMES.values()], rows)


def ablation_schedule(release: Path = RELEASE) -> str:
    """What the ablation's shortened schedule is."""
    short = read_json(REPORTS / "ablation.json")["schedule"]
    full = read_json(release / "report.json")["recipe"]
    return (f"A shortened schedule: {short['epochs']} epochs of {short['steps'] * 64:,} pictures "
            f"at {short['image_size']} px. The full one has {full['epochs']} of "
            f"{full['steps'] * 64:,}, the first {full['early_epochs']} at {full['early_size']} px "
            f"and the others at {full['image_size']} px; the released model had "
            f"{full['last_epochs']} more after it, of pictures changed more mildly.")


BLOCKS: dict[str, Callable[[Path], str]] = {
    "release": release_table,
    "release-incorrect": incorrect_table,
    "release-sure": sure_table,
    "release-facts": release_facts,
    "release-behaviour": behaviour_table,
    "release-mistakes": mistakes_table,
    "ablation-schedule": ablation_schedule,
    "ablation": ablation_table,
    "sizes": lambda release: ablation_table(release, "sizes"),
}
