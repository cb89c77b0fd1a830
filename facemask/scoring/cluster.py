"""The stages by Ray Data: on this machine, or on the cluster that RAY_ADDRESS names.

Pictures go in blocks through two stages, each of as many actors as there are cores. `_Fetch` reads
their files; it waits more than it works and so takes no core, but is an actor, as Ray would begin a
process, and import all anew, for each block. `_Judge` decodes, finds and judges on a core of its
own, and loads the models once. Pixels never leave the actor that decoded them. The answers, small,
come back to the one process that writes. Blocks of a node that is lost are made again by Ray from
the names; whether an answer then comes twice is `parts`' concern, not ours.
"""

import contextlib
import json
import logging
import math
import os
import socket
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

# Before Ray is imported: it says nothing of itself and sends nothing home.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import cv2
import pyarrow as pa
import ray
import ray.data
import ray.exceptions

from facemask.io.files import RELEASE, FacemaskError
from facemask.io.threads import ahead
from facemask.photos import stages
from facemask.photos.batch import load_whole
from facemask.scoring.items import Item, without_secrets
from facemask.scoring.pipeline import fetch, look_at
from facemask.scoring.settings import settings_of

BLOCK = 128  # pictures that go through the stages together: seconds of work, lost with a node
SHARES = 8  # blocks per core at least, or some cores would have nothing to do in the end
SLICE = 8  # pictures read at a time, so that a block of large ones is cut
READERS = 8  # of them at once, as a store takes its time to answer
ANSWERS = 10  # seconds in which a cluster does
FILES = pa.schema([("name", pa.string()), ("file", pa.large_binary()), ("error", pa.string())])


def answers(items: Sequence[Item], model: Path | None, about: dict) -> Iterator[dict]:
    """Judge items on a cluster.

    Args:
        items: all of them.
        model: its path, the same on every node; None is the released one that each has.
        about: from `settings_of`; a node with another model is refused.

    Yields:
        What `stages.judge` says of each, in any order; after the loss of a node perhaps twice.

    Raises:
        FacemaskError: Ray cannot be started or reached, or gives up.
    """
    with connected() as cores:
        blocks = max(math.ceil(len(items) / BLOCK), min(len(items), SHARES * cores))
        size = math.ceil(len(items) / blocks)
        tables = [_table(items[k : k + size]) for k in range(0, len(items), size)]
        pool = ray.data.ActorPoolStrategy(min_size=1, initial_size=cores, max_size=cores)
        try:
            files = ray.data.from_arrow(tables).map_batches(
                _Fetch, batch_size=None, batch_format="pyarrow", num_cpus=0, compute=pool
            )
            judged = files.map_batches(
                _Judge, batch_size=None, batch_format="pyarrow", num_cpus=1,
                fn_constructor_args=(model, about), compute=pool,
            )  # fmt: skip
            for table in judged.iter_batches(batch_size=None, batch_format="pyarrow"):
                for answer in table["answer"].to_pylist():
                    yield json.loads(answer)
        except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
            raise given_up(error, {item.store for item in items}) from None


class _Fetch:
    """The first stage: from items to their files, a few at a time."""

    def __call__(self, table: pa.Table) -> Iterator[pa.Table]:
        items = [Item(**row) for row in table.to_pylist()]
        files = ahead(fetch, items, READERS)
        for start in range(0, len(items), SLICE):
            some = items[start : start + SLICE]
            rows = []
            for item in some:
                file = next(files)
                key = "error" if isinstance(file, str) else "file"
                rows.append({"name": item.name, key: file})
            yield pa.Table.from_pylist(rows, FILES)


class _Judge:
    """The other stages: from files to answers. One core each, as Ray is told."""

    def __init__(self, path: Path | None, about: dict):
        cv2.setNumThreads(1)
        model = path or RELEASE  # which may lie elsewhere than where the run was started
        self.model = load_whole(model, threads=1)
        if settings_of(model, self.model) != about:
            raise FacemaskError(
                f"a node has another model or face finder at {model} than this machine; install "
                "the same on all"
            )

    def __call__(self, table: pa.Table) -> pa.Table:
        said = []
        for row in table.to_batches(max_chunksize=1):
            (fields,) = row.to_pylist()  # one picture's file is copied at a time
            file = fields["error"] if fields["file"] is None else fields["file"]
            looked = look_at(fields["name"], file, self.model.image_size)
            said.append(json.dumps(stages.judge(looked, self.model)))
        return pa.table({"answer": pa.array(said, pa.string())})


def _table(items: Sequence[Item]) -> pa.Table:
    return pa.table({
        "name": pa.array([item.name for item in items], pa.string()),
        "store": pa.array([item.store for item in items], pa.string()),
        "key": pa.array([item.key for item in items], pa.binary()),
    })


@contextlib.contextmanager
def connected() -> Iterator[int]:
    """Ray, quiet, started or joined for the block unless it runs already; the number of cores.

    Raises:
        FacemaskError: it cannot be started or reached, or has no core.
    """
    for name in ("ray", "ray.data", "ray.tune"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # What befalls nodes and workers Ray would tell on the output, again and again; it mends it too.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    ours = not ray.is_initialized()
    if ours:
        _check_address(os.environ.get("RAY_ADDRESS", ""))
        try:
            # Only a cluster that is named is joined: another's, on this machine, may end any time.
            ray.init(os.environ.get("RAY_ADDRESS") or "local", logging_level=logging.CRITICAL,
                     log_to_driver=False, include_dashboard=False)
        except Exception as error:  # whatever keeps it from starting, or the address from answering
            raise FacemaskError(
                f"Ray cannot be started or reached ({_first_line(error)}); check RAY_ADDRESS"
            ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # the command has its own
    context.print_on_execution_start = False
    try:
        cores = int(ray.cluster_resources().get("CPU", 0))
        if cores < 1:
            raise FacemaskError("the Ray cluster has no core; start a node that has some")
        yield cores
    finally:
        if ours:
            ray.shutdown()


def given_up(error: Exception, stores: Collection[str] = ()) -> FacemaskError:
    """What to say when Ray ends the run: the words of our own error, if it was one.

    Args:
        stores: addresses whose secrets are left out.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, FacemaskError):
            return FacemaskError(str(cause))
        cause = getattr(cause, "cause", None) or cause.__cause__
    why = without_secrets(_first_line(error), *filter(None, stores))
    return FacemaskError(f"Ray gave up ({why}); give the same command again to go on")


def _check_address(address: str) -> None:
    """Ray itself tries a wrong address for a quarter of an hour."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return  # auto, local or none
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWERS).close()
    except (OSError, OverflowError) as error:
        raise FacemaskError(
            f"Ray cannot be started or reached (nothing answers at {address}: "
            f"{getattr(error, 'strerror', None) or error}); check RAY_ADDRESS"
        ) from error


def _first_line(error: BaseException) -> str:
    lines: list[Any] = [line for line in str(error).splitlines() if line.strip()]
    return str(lines[-1] if lines else type(error).__name__)
