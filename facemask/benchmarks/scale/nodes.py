"""For `scale`: a Ray cluster of several nodes on this machine, and the command `score`, watched."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from facemask.io.files import ROOT, FacemaskError

STORE = 200 << 20  # bytes of a node's object store
STARTS = 3  # tries to start a node
# A node waits for these helpers to say their ports, and on a busy machine gives them up too soon.
PORTS = ("dashboard_agent_listen_port", "metrics_agent_port", "metrics_export_port",
         "runtime_env_agent_port")  # fmt: skip
BAR = re.compile(r"(\d+)/(\d+) \[")
WORKER = b"ray::MapWorker"  # how Ray names the process of an actor


class Look(NamedTuple):
    """What was seen of a run at one moment: seconds since its start, photos done, and the memory of
    its largest worker in MB."""

    seconds: float
    done: int
    megabytes: float


class Run:
    """The command `score` in a process of its own.

    Args:
        arguments: of the command.
        said: file for what it prints, its bar included.
        environment: what is set for it beside this process' own.
    """

    def __init__(self, arguments: list, said: Path, environment: dict[str, str] | None = None):
        command = [sys.executable, "-m", "facemask", "score", *map(str, arguments)]
        self.said, self.looks = said, [Look(0.0, 0, 0.0)]
        with open(said, "wb") as stream:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=stream, stderr=stream, start_new_session=True,
                env={**os.environ, **(environment or {})},
            )  # fmt: skip
        self._start = time.monotonic()

    def look(self) -> Look:
        """What is to be seen now."""
        with open(self.said, "rb") as file:
            file.seek(max(0, self.said.stat().st_size - 2000))
            shown = BAR.findall(file.read().decode(errors="replace"))
        done = int(shown[-1][0]) if shown else self.looks[-1].done
        look = Look(time.monotonic() - self._start, done, _largest_worker())
        self.looks.append(look)
        return look

    def until(self, done: float = float("inf")) -> bool:
        """Wait until so many photos are done; False once the run has ended."""
        try:
            while self.process.poll() is None:
                if self.look().done >= done:
                    return True
                time.sleep(0.5)
        except BaseException:  # Ctrl+C among them, of which a session of its own hears nothing
            self.kill()
            raise
        self.look()
        return False

    def finish(self) -> "Run":
        """Wait for the end.

        Raises:
            FacemaskError: it ended with neither 0 nor 1, which says that some are unreadable.
        """
        self.until()
        if self.process.returncode not in (0, 1):
            last = self.said.read_text(errors="replace").strip().splitlines()[-1:]
            raise FacemaskError(f"score ended with {self.process.returncode}: {last}")
        return self

    def kill(self) -> None:
        """End it by SIGKILL, with what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def rate(self) -> float:
        """Photos a second from the first that was seen done to the last."""
        looks = [look for look in self.looks if look.done]
        first = looks[0]
        last = next(look for look in looks if look.done == looks[-1].done)
        return (last.done - first.done) / max(last.seconds - first.seconds, 1e-9)

    def memory(self, total: int) -> tuple[float, float]:
        """MB of the largest worker up to the first tenth of so many photos, and from then on.

        If the second look with a photo done is later than that, the first is that look.
        """
        looks = [look for look in self.looks if look.done]
        tenth = max(total / 10, looks[0].done)
        early = max(look.megabytes for look in looks if look.done <= tenth)
        return early, max((look.megabytes for look in looks if look.done > tenth), default=early)


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[tuple[dict[str, str], Callable[[], None]]]:
    """A head that does no work, and so many nodes of one core and an object store each.

    Yields:
        What to set in the environment of a command that is to join it, and a function that kills
        one of the working nodes, with all its processes, and starts another in its place.
    """
    from ray.cluster_utils import Cluster

    from facemask.scoring import cluster as _  # noqa: F401  Ray is told to be quiet before

    def start(cores: int) -> None:
        nodes.add_node(num_cpus=cores, object_store_memory=STORE, include_dashboard=False,
                       include_log_monitor=False,
                       **dict(zip(PORTS, _free_ports(len(PORTS)))))  # fmt: skip

    nodes = Cluster()
    _patiently(lambda: start(0))

    def kill_one() -> None:
        nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)
        _patiently(lambda: start(1))

    try:
        for _number in range(workers):
            _patiently(lambda: start(1))
        yield {"RAY_ADDRESS": nodes.address}, kill_one
    finally:
        nodes.shutdown()


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _patiently(start: Callable[[], Any]) -> Any:
    """Start a node, anew if need be: on a busy machine Ray gives it up after half a minute."""
    for _ in range(STARTS - 1):
        try:
            return start()
        except Exception as error:  # Ray raises that very class
            print(f"starting a node again: {error}", file=sys.stderr)
    return start()


def _largest_worker() -> float:
    """MB that the largest of all workers holds."""
    most = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "cmdline").read_bytes().startswith(WORKER):
                text = (folder / "status").read_text()
                # What it shares with others, the object store, is not its own.
                own = re.findall(r"Rss(?:Anon|File):\s*(\d+) kB", text)
                most = max(most, sum(map(int, own)) / 1024)
    return most
