"""Fetch a data set with Kaggle's own client, or unpack an archive, into data/raw/<name>/."""

import errno
import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import cast

from facemask.datasets.archive import BadArchive, is_complete, unpack
from facemask.io.files import (
    FacemaskError,
    not_installed,
    one_at_a_time,
    scratch_folder,
    sweep,
    write_whole,
)

# Short name -> Kaggle handle: https://www.kaggle.com/datasets/<handle>
DATASETS = {
    "face-mask-12k": "ashishjangra27/face-mask-12k-images-dataset",
    "fmd": "shiekhburhan/face-mask-dataset",
    "face-mask-3class": "vijaykumar1799/face-mask-detection",
}
OWN = {"sample", "release", "finder", "predictions"}  # folders of the project's in models/
TRIES = 3  # runs of the client after a cut; kaggle 2 also resumes five times within a run
LONGEST = 200  # bytes of a name; what is half made has a longer name, and 255 is the most


def dataset_name(dataset: str) -> str:
    """The name of a data set's folders and runs.

    `sample`, a short name of `DATASETS`, or a slug of the Kaggle handle or of the folder's or
    zip's name. A zip that has the name it has on Kaggle is that data set. Another one that would
    take a built-in name gets `-folder` or `-zip` appended.

    Raises:
        FacemaskError: it can be no file's name.
    """
    if not _can_name(dataset):
        raise FacemaskError(
            f"{str(dataset)[:40]!r} cannot name a data set; give sample, {', '.join(DATASETS)}, a "
            f"Kaggle handle (owner/name), or a folder or zip whose name has up to {LONGEST} letters"
        )
    dataset = str(dataset)
    if dataset == "sample" or dataset in DATASETS:
        return dataset
    for name, handle in DATASETS.items():
        if dataset == handle and not Path(dataset).exists():
            return name
        if Path(dataset).name.lower() == handle.split("/")[1] + ".zip":
            return name
    path = Path(dataset).expanduser().resolve()
    is_zip = path.suffix.lower() == ".zip"
    text = dataset if _is_handle(dataset) else path.stem if is_zip else path.name
    slug = re.sub(r"[\W_]+", "-", text.lower()).strip("-") or "data"
    if slug in OWN or slug in DATASETS:
        slug += "-zip" if is_zip else "-folder"
    return slug


def _can_name(dataset: object) -> bool:
    """Whether it can be the name of a file at all."""
    if not isinstance(dataset, str | Path) or not str(dataset).strip():
        return False
    try:
        parts = os.fsencode(dataset).split(b"/")
        Path(dataset).expanduser()
    except (UnicodeEncodeError, RuntimeError):  # the latter: ~ and no such user
        return False
    return max(map(len, parts)) <= LONGEST and b"\0" not in b"".join(parts)


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
    folder = Path(data_dir) / "raw" / dataset_name(dataset)
    dataset = str(dataset)
    sweep(folder.parent)
    if dataset == "sample":
        from facemask.datasets.sample import make_sample

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
    if is_complete(folder):
        return folder
    with one_at_a_time(folder, "fetches"):
        if not is_complete(folder):  # by the run that was waited for
            _fetch_and_unpack(handle, folder)
    return folder


def _fetch_and_unpack(handle: str, folder: Path) -> None:
    archive = folder.with_name(f"{folder.name}.zip")
    if not archive.is_file():
        _fetch(handle, archive)
    try:
        unpack(archive, folder)
    except BadArchive as error:
        archive.unlink()
        raise FacemaskError(f"Kaggle's {error}; it was removed, run again to fetch it") from error
    archive.unlink()  # the folder is complete: a second copy only takes room


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
    if isinstance(source, bytes):
        content = source
    else:
        try:
            content = Path(source).expanduser().read_bytes()
        except OSError as error:
            raise FacemaskError(
                f"cannot read {source}: {error.strerror}; check the path"
            ) from error
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


def _is_handle(text: str) -> bool:
    return bool(re.fullmatch(r"[\w-]+/[\w-]+", text)) and not Path(text).exists()


def _fetch(handle: str, archive: Path) -> None:
    """Download a Kaggle data set to `archive`, whole or not at all."""
    for path in _credential_files():
        # The client says it of kaggle.json itself.
        if os.name == "posix" and path.name != "kaggle.json" and path.stat().st_mode & 0o077:
            print(f"Warning: others can read {path}; run chmod 600 {path}", file=sys.stderr)
    with (
        write_whole(archive) as partial,
        scratch_folder(archive.with_suffix(".download")) as temp,
    ):
        for left in reversed(range(TRIES)):
            code, output = _run_client(handle, temp)
            fetched = temp / f"{handle.split('/')[1]}.zip"
            if code == 0 and fetched.is_file():
                os.replace(fetched, partial)
                return
            if not (left and _was_cut(output)):
                raise FacemaskError(_explain(handle, output))
            print("The connection was cut; trying again.", file=sys.stderr)


def _run_client(handle: str, folder: Path) -> tuple[int, str]:
    """Run `kaggle datasets download` in `folder`, showing its progress.

    Returns:
        Its exit code (0: done) and what it printed.
    """
    # Not "-m kaggle": kaggle 1.7 has no __main__, and 2.2 then prints that an account is needed.
    start = "import sys; sys.argv[0] = 'kaggle'; from kaggle.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "datasets", "download", handle, "-p", "."]
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    try:
        version = importlib.metadata.version("kaggle")
    except importlib.metadata.PackageNotFoundError as error:
        raise not_installed("kaggle", "train") from error
    if version.startswith("1."):  # what Python 3.10 gets
        command.append("--force")  # its resuming fails; a whole new try works
        if not any(path.name == "kaggle.json" for path in _credential_files()):
            # It needs both to be set; empty ones make it ask without an account.
            env = {"KAGGLE_USERNAME": "", "KAGGLE_KEY": "", **env}
    output = ""
    # In the empty folder, so that no module in the working directory is taken for kaggle.
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    pipe = cast(io.BufferedReader, process.stdout)
    try:
        while chunk := pipe.read1(4096):
            text = chunk.decode("utf-8", "replace")
            sys.stderr.write(text)
            sys.stderr.flush()
            output = (output + text)[-20000:]
            if re.search(DISK_FULL, output):  # kaggle 2 would go on trying for a minute
                process.kill()
                break
    except BaseException:
        process.kill()
        raise
    finally:
        pipe.close()
        code = process.wait()
    return code, output


DISK_FULL = rf"Errno {errno.ENOSPC}\b|No space left|Disk quota exceeded"
NETWORK = (
    r"Max retries exceeded|Connection ?([Ee]rror|broken|aborted|reset)|IncompleteRead|ProxyError|"
    r"[Tt]imed? ?out|SSLError|RemoteDisconnected|does not match expected size|\b50[0234] Server"
)


def _was_cut(output: str) -> bool:
    """Whether the network failed after the transfer had begun."""
    if re.search(DISK_FULL, output):  # kaggle 2 calls that a connection error too
        return False
    return bool(re.search(NETWORK, output) and re.search("Downloading|IncompleteRead", output))


def _explain(handle: str, output: str) -> str:
    """What went wrong and what to do, from the client's output."""
    last = (output.strip().splitlines() or ["no message"])[-1].strip()
    offline = "; the data set `sample` works without a network"
    if os.environ.get("KAGGLE_KEY") or os.environ.get("KAGGLE_API_TOKEN") or _credential_files():
        account = "Kaggle does not accept your credentials; make a new"
    else:
        account = f"Kaggle wants an account for {handle}; make a"
    account += " kaggle.json on Kaggle under Settings, API, and put it in place"
    absent = f"Kaggle has no data set {handle}; check the name (nor is there such a folder here)"
    refused = (
        f"Kaggle refuses {handle}: the name is wrong, the data set is private or its terms are not "
        f"accepted; look at https://www.kaggle.com/datasets/{handle}"
    )
    cut = f"the connection broke while fetching {handle}; run again" + offline
    unreached = f"cannot reach Kaggle to fetch {handle}; check the network" + offline
    # The first that is found. Kaggle 1.7 prints the code, 2.2 the words of Kaggle's answer.
    causes = {
        DISK_FULL: "the disk is full; free some space or choose another data folder, run again",
        r"Authentication required|401 Client|Unauth": account,
        r"404 Client|[Nn]ot [Ff]ound": absent,
        r"403 Client|[Ff]orbidden|was denied": refused,
        r"429 Client|Too [Mm]any": "Kaggle had too many requests; run again later" + offline,
        NETWORK: cut if _was_cut(output) else unreached,
        "": f"Kaggle's client could not fetch {handle} ({last}); run again later",
    }
    return next(message for pattern, message in causes.items() if re.search(pattern, output))


def _credential_files() -> list[Path]:
    """The files that exist of those in which Kaggle's client looks for credentials."""
    home = Path.home() / ".kaggle"
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
    folders = dict.fromkeys((Path(os.environ.get("KAGGLE_CONFIG_DIR") or home), home, config))
    names = ("kaggle.json", "access_token", "access_token.txt", "credentials.json")
    return [folder / name for folder in folders for name in names if (folder / name).is_file()]
