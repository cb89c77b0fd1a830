"""Tools from outside that cannot live beside the rest: each installed once, on first use.

They go below the user's cache folder.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from facemask.io.files import FacemaskError


class ToolMissing(FacemaskError):
    """A tool from outside the project is not there and could not be installed."""


def install_once(name: str, version: bytes, install: Callable[[Path], None], what: str) -> Path:
    """Install something below the cache folder, whole or not at all, one process at a time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "facemask"
    folder = cache / f"{name}-{hashlib.sha256(version).hexdigest()[:12]}"
    # Environments hold their own path, so one cannot be made elsewhere and moved into place:
    # this file, written last, tells a whole one from what an interruption left.
    complete = folder / "complete"
    if complete.exists():
        return folder
    try:
        import fcntl  # not there on Windows, and neither is the converter
    except ImportError:
        raise ToolMissing(f"{what} cannot be installed on Windows; use WSL or Colab") from None
    try:
        cache.mkdir(parents=True, exist_ok=True)
        opened = folder.with_suffix(".lock").open("w")
    except OSError as error:
        raise ToolMissing(
            f"{what} cannot be installed in {cache} ({error.strerror}); name another folder by "
            "XDG_CACHE_HOME"
        ) from error
    with opened as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed by the system even if this process is killed
        if complete.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        print(f"First use: installing {what} in {folder}", file=sys.stderr, flush=True)
        try:
            install(folder)
            complete.touch()
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        print(f"Installed in {folder}", file=sys.stderr, flush=True)
    return folder


def run_install(command: list, folder: Path, cwd: Path | None = None) -> None:
    """Run an installer and pass its progress on; its last words explain a failure."""
    # On a terminal the installer draws its own progress bars; elsewhere it prints lines.
    live = sys.stderr.isatty()
    lines = []
    with subprocess.Popen(
        [str(part) for part in command], env=own_environment(), cwd=cwd, text=True,
        stdout=subprocess.DEVNULL, stderr=sys.stderr if live else subprocess.PIPE,
    ) as process:  # fmt: skip
        for line in process.stderr or ():
            lines.append(line)
            if line.strip().startswith(("Downloading", "Downloaded", "Installed")):
                print(" ", line.strip(), file=sys.stderr, flush=True)
    if process.returncode:
        errors = [line.strip() for line in lines if "error" in line.lower() or "cause" in line]
        reason = "see above" if live else "; ".join(errors[:4]) or "no reason given"
        raise ToolMissing(
            f"{folder.name} cannot be installed: {reason}. Check the network and the free space "
            "and run the same command again (a mirror is named by UV_DEFAULT_INDEX for Python and "
            "by npm's own settings for TF.js)"
        )


def own_environment() -> dict[str, str]:
    """This process' environment less what would lead another Python to our packages."""
    unwanted = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MPLBACKEND"}
    return {name: value for name, value in os.environ.items() if name not in unwanted}
