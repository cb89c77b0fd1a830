"""A small file system of its own, to be filled, made read-only and spoilt by `disks`."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from facemask.io.files import FacemaskError

BLOCK = 4096  # bytes
MEGABYTES = 200
BALLAST = "ballast"


class Disk:
    """A mounted file system; `work` is the folder on it that is written to.

    Args:
        folder: new, holds the mount and, for ext4, the file that the file system lies in.
        kind: "ext4", in a file, which only root may mount; or "tmpfs", in memory, which anybody
            may within `unshare -rm`. An ext4 can break while it is written to, as disks do.
    """

    def __init__(self, folder: Path, kind: str = "ext4"):
        self.kind, self.image, self.top = kind, folder / "image", folder / "disk"
        self.work = self.top / "work"

    def __enter__(self) -> "Disk":
        self.top.mkdir(parents=True)
        if self.kind == "ext4":
            with open(self.image, "wb") as file:
                file.truncate(MEGABYTES << 20)
            run("mkfs.ext4", "-q", "-F", "-b", str(BLOCK), "-m", "0", "-N", "20000", self.image)
            self.device = run("losetup", "--find", "--show", self.image).strip()
        self._mount()
        return self

    def __exit__(self, *error: object) -> None:
        subprocess.run(["umount", "--lazy", self.top], check=False)
        if self.kind == "ext4":
            subprocess.run(["losetup", "--detach", self.device], check=False)

    def _mount(self) -> None:
        if self.kind == "ext4":
            run("mount", "-o", "errors=remount-ro", self.device, self.top)
        else:
            run("mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", self.top)

    def lay(self, before: Path) -> None:
        """Have a copy of the folder `before`, and nothing else, as `work`; all space is free."""
        if self.work.exists():
            run("chmod", "-R", "u+rwX", self.work)
            shutil.rmtree(self.work)
        self.leave_all()
        shutil.copytree(before, self.work, symlinks=True)
        os.sync()  # what an ext4 breaks on later is on it

    def free(self) -> int:
        """Free blocks."""
        found = os.statvfs(self.top)
        return found.f_bavail * found.f_frsize // BLOCK

    def leave(self, blocks: int) -> None:
        """Fill it until so many blocks are free."""
        os.sync()  # what was removed is free only then
        with open(self.top / BALLAST, "ab") as file:
            size = 0
            # What the file system notes of a large file takes blocks too, so in steps.
            while (more := self.free() - blocks) > 0:
                try:
                    os.posix_fallocate(file.fileno(), size, more * BLOCK)
                except OSError:  # no block is left for such notes
                    break
                size += more * BLOCK
            while self.free() < blocks and size:
                size -= BLOCK
                file.truncate(size)

    def leave_all(self) -> None:
        (self.top / BALLAST).unlink(missing_ok=True)

    def read_only(self) -> None:
        run("mount", "-o", "remount,ro", self.top)

    def spoil(self) -> None:
        """What a fault does to a disk in use: from here on it refuses every write; ext4 only."""
        with contextlib.suppress(OSError):  # the write is answered by the fault itself
            Path("/sys/fs/ext4", Path(self.device).name, "trigger_fs_error").write_text("1")

    def mend(self) -> None:
        """Have it writable again, after `read_only` or `spoil`."""
        if self.kind == "ext4":
            run("umount", self.top)
            # 1: it found something to mend, as it should
            subprocess.run(["e2fsck", "-f", "-p", self.device], capture_output=True, check=False)
            self._mount()
        else:
            run("mount", "-o", "remount,rw", self.top)

    @contextlib.contextmanager
    def most_used(self) -> Iterator[list[int]]:
        """In the end the list holds the most blocks that were taken at once within the block."""
        start, result, done = self.free(), [0], threading.Event()

        def watch() -> None:
            while not done.is_set():
                result[0] = max(result[0], start - self.free())
                time.sleep(0.002)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield result
        finally:
            done.set()
            thread.join()


def run(*command: str | Path) -> str:
    """Run a tool; its output.

    Raises:
        FacemaskError: it is missing or fails.
    """
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                              check=True)  # fmt: skip
    except FileNotFoundError as error:
        raise FacemaskError(f"{command[0]} is missing; install it") from error
    except subprocess.CalledProcessError as error:
        raise FacemaskError(
            f"{' '.join(map(str, command))}: {error.stderr.strip()}; small file systems are "
            "mounted by root alone, and not in every container"
        ) from error
    return done.stdout


@contextlib.contextmanager
def disk(kind: str = "ext4") -> Iterator[Disk]:
    """A small disk for a while."""
    with tempfile.TemporaryDirectory() as folder, Disk(Path(folder) / "small", kind) as small:
        yield small
