"""The table of results: a JSON list with a row a trial, written whole whenever a trial is done.

A row has study, trial, seed, made_from (what else the figures depend on) and figures. The table
alone says what is done: the same command, given again, reads it and trains what is not in it. Ray
Tune can go on with a search by itself (`Tuner.restore`), but from a folder of its own that must
outlive the run, only with the very same trials, and without a look at whether the recipe is still
the same. What a training has come to by half is in its own checkpoint, not here.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from tqdm import tqdm

from facemask.experiments.studies import Study, Trial
from facemask.io.files import FacemaskError, one_at_a_time, read_json, write_json

Jobs = Mapping[Trial, Callable[[], dict]]
Search = Callable[[Jobs, Callable[[Trial, dict], None]], None]


def fill(path: Path, study: Study, search: Search) -> list[dict]:
    """Do the trials of a study that the table lacks; rows of others are kept.

    A second run that writes to the same table waits until the first is done.

    Args:
        path: of the table, which need not exist.
        search: does jobs in any order and calls its second argument with the trial and the figures
            of each that is done.

    Returns:
        The rows of the study's trials, in the study's order.

    Raises:
        FacemaskError: the table has figures of another recipe or is none, or `search` failed.
    """
    made_from = json.loads(json.dumps(study.made_from))
    with one_at_a_time(path, "adds to"):
        rows = _read(path)
        names = {trial.name for trial in study.jobs}
        for row in rows:
            # Of any seed: figures of two recipes side by side would be taken for the seeds' doing.
            same = row["study"] == study.name and row["trial"] in names
            if same and row["made_from"] != made_from:
                raise FacemaskError(
                    f"{path} has figures of another recipe or other data for {row['trial']}; "
                    "delete or move it, or name another"
                )
        done = {Trial(row["trial"], row["seed"]): row for row in rows if row["study"] == study.name}
        left = {trial: job for trial, job in study.jobs.items() if trial not in done}

        def add(trial: Trial, figures: dict) -> None:
            done[trial] = {"study": study.name, "trial": trial.name, "seed": trial.seed,
                           "made_from": made_from, "figures": figures}  # fmt: skip
            rows.append(done[trial])
            # Whatever was done first.
            rows.sort(key=lambda row: (row["study"], row["trial"], row["seed"]))
            write_json(path, rows)
            bar.update()

        with tqdm(total=len(study.jobs), initial=len(study.jobs) - len(left), unit="training",
                  desc=study.name.capitalize()) as bar:  # fmt: skip
            if left:
                search(left, add)
    return [done[trial] for trial in study.jobs]


def flat(figures: dict, start: str = "") -> dict[str, float]:
    """The numbers among figures by their whole names, such as "12k Test, clean, accuracy"."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            found |= flat(value, f"{start}{name}, ")
        elif isinstance(value, int | float):
            found[start + name] = value
    return found


def _read(path: Path) -> list[dict]:
    rows = read_json(path) if path.is_file() else []
    columns = {"study", "trial", "seed", "made_from", "figures"}
    whole = isinstance(rows, list) and all(isinstance(r, dict) and columns <= set(r) for r in rows)
    if not whole:
        raise FacemaskError(f"{path} is not a table of experiments; name another by --json")
    return rows
