"""Trainings by Ray Tune: on this machine, or on the cluster that RAY_ADDRESS names.

Each is a trial on one core, in a process of its own. One whose process or node is lost is started
again on what nodes there are. Trials write nothing but their checkpoints; their figures come back
to the one process that was called.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# Before Tune is imported: it writes no logs of its own, prints nothing (its newer way of printing
# does even when told not to), and Ctrl-C ends the run at once.
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")

from facemask.scoring.cluster import connected, given_up  # it tells Ray to be quiet

# isort: split
import ray.exceptions
from ray import tune

from facemask.experiments.studies import Trial
from facemask.io.files import PACKAGE, FacemaskError
from facemask.release.ablation import one_core

LOSSES = 10  # of a trial's process or node; more are its own doing, as by running out of memory

SAME = "install the same on all, with '.[train,ray]'"


def search(
    jobs: Mapping[Trial, Callable[[], dict]], done: Callable[[Trial, dict], None]
) -> None:
    """Do jobs on all cores there are.

    Args:
        jobs: see `studies.Study`.
        done: called here with the trial and the figures of each, in any order.

    Raises:
        FacemaskError: Ray cannot be started or reached, or gives up; or a training failed, once
            all others are done.
    """
    trials = list(jobs)
    told = _Told(trials, done)
    # Where Tune keeps its own account. No node needs it, and the table has the results.
    with connected(), tempfile.TemporaryDirectory() as account:
        trainable = tune.with_parameters(_trial, jobs=list(jobs.values()), version=version())
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"number": tune.grid_search(list(range(len(trials))))},
            run_config=tune.RunConfig(
                name="experiments", storage_path=account, verbose=0, callbacks=[told],
                failure_config=tune.FailureConfig(max_failures=LOSSES),
            ),
        )  # fmt: skip
        try:
            tuner.fit()
        except (ray.exceptions.RayError, tune.TuneError, OSError, RuntimeError) as error:
            raise given_up(error) from None
    if told.left:
        trial = min(told.left)
        why = told.failed.get(trial, f"its process was lost {LOSSES + 1} times")
        raise FacemaskError(
            f"{len(told.left)} of the trainings failed; {trial.name}, seed {trial.seed}: {why}"
        )


def version() -> str:
    """A digest of the package, by which nodes that have another one are told."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _trial(config: dict, jobs: Sequence[Callable[[], dict]], version: str) -> dict:
    """One job, on the node. What it raises it would raise again, so that is told, not tried."""
    own = globals()["version"]()
    if own != version:
        return {"error": f"a node has another version of the project; {SAME}"}
    one_core()
    try:
        return {"figures": jobs[config["number"]]()}
    except FacemaskError as error:
        return {"error": str(error)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


class _Told(tune.Callback):
    """Takes what trials report.

    Attributes:
        left: those without figures.
        failed: why some have none.
    """

    def __init__(self, trials: Sequence[Trial], done: Callable[[Trial, dict], None]):
        self.trials, self.done = trials, done
        self.left, self.failed = set(trials), dict[Trial, str]()

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Called by Tune, here, when a trial has ended by itself."""
        own, result = self.trials[trial.config["number"]], trial.last_result
        if "error" in result:
            self.failed[own] = result["error"]
        else:
            self.done(own, result["figures"])
            self.left.discard(own)

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """Called by Tune, here, when a trial is to be started again.

        Raises:
            FacemaskError: in vain, as a node lacks a module.
        """
        lacking = re.search(r"ModuleNotFoundError: (.+)", trial.get_error() or "")
        if lacking:
            raise FacemaskError(f"a node cannot run the project ({lacking[1]}); {SAME}")
