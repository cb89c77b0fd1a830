"""Fetch a data set with Kaggle's own client, or unpack an archive, into data/raw/<name>/."""

import contextlib
import errno
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from .files import (
    IMAGE_SUFFIXES,
    FacemaskError,
    find_images,
    read_json,
    write_json,
    write_whole,
)

# Short name -> Kaggle handle: https://www.kaggle.com/datasets/<handle>
DATASETS = {
    "face-mask-12k": "ashishjangra27/face-mask-12k-images-dataset",
    "fmd": "shiekhburhan/face-mask-dataset",
    "face-mask-3class": "vijaykumar1799/face-mask-detection",
}
TRIES = 3  # runs of the client after a cut; kaggle 2 also resumes five times within a run
STAMP = ".archive.json"  # in an unpacked folder: which archive it came from
OFFLINE = "; DATASET=sample works without a network"


class BadArchive(FacemaskError):
    """The archive itself is at fault, so a fresh copy of it is needed."""


def dataset_name(dataset: str) -> str:
    """The name of a data set's folders and runs.

    `sample`, a short name of `DATASETS`, or a slug of the Kaggle handle or of the folder's or
    zip's name. One that would take a built-in name gets `-folder` or `-zip` appended.
    """
    dataset = str(dataset)
    if dataset == "sample" or dataset in DATASETS:
        return dataset
    for name, handle in DATASETS.items():
        if dataset == handle and not Path(dataset).exists():
            return name
    path = Path(dataset).expanduser().resolve()
    is_zip = path.suffix.lower() == ".zip"
    text = dataset if _is_handle(dataset) else path.stem if is_zip else path.name
    slug = re.sub(r"[\W_]+", "-", text.lower()).strip("-") or "data"
    if slug == "sample" or slug in DATASETS:
        slug += "-zip" if is_zip else "-folder"
    return slug


def download(dataset: str, data_dir: str | Path = "data") -> Path:
    """Bring a data set to disk, unless it is there already.

    Args:
        dataset: `sample`, a short name of `DATASETS`, a Kaggle handle `owner/name`, or a folder
            or zip archive on disk.
        data_dir: what is fetched, unpacked or drawn goes to `data_dir/raw/<name>/`.

    Returns:
        The folder with the pictures; a folder given as `dataset` is returned as it is.

    Raises:
        FacemaskError: the data set is unknown, cannot be fetched, or its archive is refused.
    """
    dataset = str(dataset)
    folder = Path(data_dir) / "raw" / dataset_name(dataset)
    if dataset == "sample":
        from .sample import make_sample

        if not folder.is_dir():
            make_sample(folder)
        return folder
    path = Path(dataset).expanduser()
    if dataset not in DATASETS and path.is_dir():
        return path
    if dataset not in DATASETS and path.is_file():
        return unpack(path, folder)
    handle = DATASETS.get(dataset, dataset)
    if not _is_handle(handle):
        raise FacemaskError(
            f"no data set or file called {dataset}; give sample, {', '.join(DATASETS)}, a Kaggle "
            "handle (owner/name), or the path of a folder or zip that exists"
        )
    if _is_complete(folder):
        return folder
    archive = folder.with_name(f"{folder.name}.zip")
    if not archive.is_file():
        _fetch(handle, archive)
    try:
        unpack(archive, folder)
    except BadArchive as error:
        archive.unlink()
        raise FacemaskError(f"Kaggle's {error}; it was removed, run again to fetch it") from error
    archive.unlink()  # the folder is complete: a second copy only takes room
    return folder


def install_credentials(source: bytes | str | Path) -> Path:
    """Put a `kaggle.json` where Kaggle's client looks for it, readable by its owner alone.

    Args:
        source: the file's path, or its content as bytes (an upload in Colab).

    Returns:
        The path it was written to, `~/.kaggle/kaggle.json` unless KAGGLE_CONFIG_DIR is set.

    Raises:
        FacemaskError: it is not a JSON object with `username` and `key`. The message never
            shows the content.
    """
    try:
        content = source if isinstance(source, bytes) else Path(source).expanduser().read_bytes()
    except OSError as error:
        raise FacemaskError(f"cannot read {source}: {error.strerror}; check the path") from error
    try:
        value = json.loads(content)
        valid = all(isinstance(value[k], str) and value[k].strip() for k in ("username", "key"))
    except (ValueError, KeyError, TypeError):
        valid = False
    if not valid:
        # No "from error": a JSON error carries the text, and with it the key.
        raise FacemaskError(
            "this is not a kaggle.json with username and key; make a new one on Kaggle under "
            "Settings, API, Create Legacy API Key"
        ) from None
    target = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle") / "kaggle.json"
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with write_whole(target) as partial:
        # Made with its mode, so that the key is at no moment readable by others.
        with open(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
    return target


def unpack(archive: str | Path, folder: str | Path) -> Path:
    """Check a zip archive and unpack it to `folder`, whole or not at all.

    A folder that already holds this archive's content is used again; one from another archive is
    replaced. Every file's CRC-32 is compared while unpacking, before the folder is in place.

    Returns:
        `folder`.

    Raises:
        BadArchive: no zip, damaged, cut short, without pictures, or with entries that would
            leave the folder (absolute paths, `..`, links). Nothing is written.
        FacemaskError: the disk is too full.
    """
    archive, folder = Path(archive), Path(folder)
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _checked_entries(opened, archive)
            mark = _fingerprint(opened)
            if _is_complete(folder, mark):
                return folder
            _check_space(entries, folder)
            with write_whole(folder) as partial:
                size = sum(info.file_size for info in entries.values())
                with tqdm(total=size, unit="B", unit_scale=True, desc=f"unpack {archive.name}") as bar:
                    for name, info in entries.items():
                        target = partial / name
                        target.parent.mkdir(parents=True, exist_ok=True)
                        with opened.open(info) as source, open(target, "wb") as file:
                            shutil.copyfileobj(source, file, 1 << 20)
                        bar.update(info.file_size)
                write_json(partial / STAMP, {"archive": mark, "images": len(find_images(partial))})
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        with open(archive, "rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
        problem = f"is damaged or cut short ({error})" if is_zip else "is not a zip archive"
        raise BadArchive(f"archive {archive} {problem}; get it again") from error
    except OSError as error:  # write_whole has already turned errors of writing into a message
        raise FacemaskError(f"cannot read {archive}: {error.strerror}; check it") from error
    return folder


def _checked_entries(opened: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """Relative path with `/` -> entry, for the files of an archive that is safe to unpack."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in opened.infolist():
        # orig_filename: zipfile has cut `filename` at a zero byte and changed separators.
        name = info.orig_filename.replace("\\", "/")
        kind = stat.S_IFMT(info.external_attr >> 16)
        outside = name.startswith("/") or re.match(r"[A-Za-z]:", name) or "\0" in name
        if outside or ".." in name.split("/") or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BadArchive(
                f"archive {archive} is not safe: its entry {name!r} is a link or would be written "
                "outside its folder; get it from a source you trust"
            )
        if info.flag_bits & 1:
            raise BadArchive(f"archive {archive} has a password; unpack it and give the folder")
        if not name.endswith("/"):
            if name in entries:
                raise BadArchive(f"archive {archive} holds {name!r} twice; get it again")
            entries[name] = info
    if any(str(parent) in entries for name in entries for parent in PurePosixPath(name).parents):
        raise BadArchive(f"archive {archive} uses a file's name for a folder too; get it again")
    if not any(PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES for name in entries):
        raise BadArchive(f"archive {archive} holds no pictures; give one that does")
    size = sum(info.file_size for info in entries.values())
    # Pictures are compressed already: a zip of them hardly grows when unpacked.
    if size > 1 << 30 and size > 100 * archive.stat().st_size:
        raise BadArchive(f"archive {archive} would grow a hundredfold; it is no picture archive")
    return entries


def _check_space(entries: dict[str, zipfile.ZipInfo], folder: Path) -> None:
    """Refuse to begin what cannot end: unpacking onto a disk with too little room."""
    needed = sum(info.file_size + 4096 for info in entries.values())  # a file fills whole blocks
    place = next(p for p in folder.absolute().parents if p.is_dir())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise FacemaskError(
            f"the disk is too full: {folder} needs {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB "
            "are free; free some space or choose another data folder, then run again"
        )


def _fingerprint(opened: zipfile.ZipFile) -> str:
    """A hash of every entry's name, size and CRC-32: changes when the content does."""
    lines = (f"{i.orig_filename}\n{i.file_size} {i.CRC}\n" for i in opened.infolist())
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _is_complete(folder: Path, fingerprint: str | None = None) -> bool:
    """Whether `folder` was unpacked from this archive (or any) and still has its pictures."""
    if not (folder / STAMP).is_file():
        return False
    stamp = read_json(folder / STAMP)
    same = fingerprint in (None, stamp["archive"])
    return same and len(find_images(folder)) >= stamp["images"]


def _is_handle(text: str) -> bool:
    return bool(re.fullmatch(r"[\w-]+/[\w-]+", text)) and not Path(text).exists()


def _fetch(handle: str, archive: Path) -> None:
    """Download a Kaggle data set to `archive`, whole or not at all."""
    try:
        version = importlib.metadata.version("kaggle")
    except importlib.metadata.PackageNotFoundError as error:
        raise FacemaskError("kaggle is missing; pip install -r requirements.txt") from error
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=archive.parent) as folder:
        for left in reversed(range(TRIES)):
            code, output = _run_client(handle, Path(folder), version)
            fetched = Path(folder) / f"{handle.split('/')[1]}.zip"
            if code == 0 and fetched.is_file():
                os.replace(fetched, archive)
                return
            cut = re.search(r"Downloading|IncompleteRead|Connection broken", output)
            if not (left and cut and re.search(NETWORK, output)):
                raise FacemaskError(_explain(handle, output))
            print("The connection was cut; trying again.", file=sys.stderr)


def _run_client(handle: str, folder: Path, version: str) -> tuple[int, str]:
    """Run `kaggle datasets download`, showing its progress; return exit code and output."""
    # Not "-m kaggle": kaggle 1.7 has no __main__, and 2.2 then prints that an account is needed.
    start = "import sys; sys.argv[0] = 'kaggle'; from kaggle.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "datasets", "download", handle, "-p", str(folder)]
    env = {k: v for k, v in os.environ.items() if k not in ("VERBOSE", "VERBOSE_OUTPUT")}
    env |= {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    if int(version.split(".")[0]) < 2:  # what Python 3.10 gets
        command.append("--force")  # its resuming fails; a whole new try works
        if not any(path.name == "kaggle.json" for path in _credential_files()):
            # It needs both to be set; empty ones make it ask without an account.
            env = {"KAGGLE_USERNAME": "", "KAGGLE_KEY": ""} | env
    output = ""
    # In the empty folder, so that no module in the working directory is taken for kaggle.
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        while chunk := process.stdout.read1(4096):
            text = chunk.decode("utf-8", "replace")
            sys.stderr.write(text)
            sys.stderr.flush()
            output = (output + text)[-20000:]
            if re.search(DISK_FULL, output):  # kaggle 2 would go on trying for a minute
                break
    finally:
        process.kill()
        process.stdout.close()
        code = process.wait()
    return code, output


DISK_FULL = rf"Errno {errno.ENOSPC}\b|No space left|Errno {getattr(errno, 'EDQUOT', 122)}\b"
NETWORK = (
    r"Max retries exceeded|Connection ?(Error|broken|aborted|reset|refused)|IncompleteRead|"
    r"NameResolution|Failed to (resolve|establish)|Timeout|timed out|ProxyError|SSLError|"
    r"RemoteDisconnected|does not match expected size|50[0234] Server Error"
)


def _explain(handle: str, output: str) -> str:
    """One sentence on what went wrong and one on what to do, from the client's output."""
    asks_account = "Authentication required" in output
    if re.search(DISK_FULL, output):
        return "the disk is full; free some space or choose another data folder, then run again"
    if asks_account or re.search(r"\b401\b|Unauthorized|Unauthenticated", output):
        if _has_credentials():
            return (
                "Kaggle does not accept your credentials; make a new kaggle.json on Kaggle under "
                "Settings, API, and put it in place"
            )
        return f"Kaggle wants an account for {handle}; put your kaggle.json in place"
    if re.search(r"\b404\b|not found", output, re.IGNORECASE):
        return f"Kaggle has no data set {handle}; check the name (nor is there such a folder here)"
    if re.search(r"\b403\b|forbidden|denied|permission", output, re.IGNORECASE):
        return (
            f"Kaggle refuses {handle}: the name is wrong, the data set is private, or its terms "
            f"are not accepted; look at https://www.kaggle.com/datasets/{handle}"
        )
    if re.search(r"\b429\b|Too Many Requests", output):
        return "Kaggle asks to wait (too many requests); run again in some minutes" + OFFLINE
    if re.search(NETWORK, output):
        if "Downloading" in output or "IncompleteRead" in output:
            return f"the connection broke while fetching {handle}; run again" + OFFLINE
        return f"cannot reach Kaggle to fetch {handle}; check the network" + OFFLINE
    last = output.strip().splitlines()[-1:] or ["no message"]
    return f"Kaggle's client could not fetch {handle} ({last[0].strip()}); run again later"


def _credential_files() -> list[Path]:
    """The files that exist of those in which Kaggle's client looks for credentials."""
    home = Path.home() / ".kaggle"
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
    folders = [Path(os.environ.get("KAGGLE_CONFIG_DIR") or home), home, config]
    paths = [folder / "kaggle.json" for folder in folders]
    paths += [home / name for name in ("access_token", "access_token.txt", "credentials.json")]
    return [path for path in paths if path.is_file()]


def _has_credentials() -> bool:
    given = os.environ.get("KAGGLE_KEY") or os.environ.get("KAGGLE_API_TOKEN")
    return bool(given or _credential_files())
