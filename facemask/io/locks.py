"""Locks between processes, which end with the process that holds them, however it ends.

They are the system's own (flock), not process ids, which mean nothing in another container. On
Windows there are none: AVAILABLE is False.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl

    AVAILABLE = True
except ImportError:
    AVAILABLE = False


def take(path: Path) -> int | None:
    """Lock a file that exists for this alone, and is made if need be.

    Returns:
        What `give_back` wants; None if another run, or another thread, holds the lock.

    Raises:
        OSError: it cannot be made, or the file system knows no locks.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before may have removed it since it was opened here.
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except BlockingIOError:
            os.close(file)
            return None
        except FileNotFoundError:
            pass
        except OSError:
            os.close(file)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        os.close(file)


def give_back(path: Path, file: int) -> None:
    """Remove the file of a lock that `take` gave, and end the lock."""
    with contextlib.suppress(OSError):
        path.unlink()
    os.close(file)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other run is within such a block for this folder; for moments only."""
    with contextlib.ExitStack() as stack:
        if AVAILABLE:
            with contextlib.suppress(OSError):  # network drives that do not know it
                file = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, file)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield
