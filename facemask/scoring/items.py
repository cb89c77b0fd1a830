"""What there is to judge: a folder, a pattern, a list or an object store, as items; reading them.

An item's name goes into the results. It is a whole path, so that a run started elsewhere knows it
again, or an address without what may be a secret in it: what stands before an @ and after a ?. (In
an address of Azure's, what stands before an @ is the container, and no secret.) Where and how to
read it is known beside it and goes nowhere else.
"""

import codecs
import contextlib
import functools
import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from facemask.images.reading import IMAGE_SUFFIXES, find_images
from facemask.io.files import FacemaskError, printable

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
LARGEST = 1 << 30  # bytes; no picture that is read at all is larger
AZURE = {"abfs", "abfss"}  # schemes
AGAIN = "the same command tries it again"  # ends what is said of a picture that did not come


class Item(NamedTuple):
    """A picture to judge.

    Attributes:
        name: for the results; valid Unicode and no secret in it.
        store: address of the store that it lies in, with credentials if the user gave any there;
            empty for a file.
        key: what the store, or the file system, calls it. Bytes, as a file's name may be any.
    """

    name: str
    store: str
    key: bytes


def find_items(source: str) -> list[Item]:
    """All pictures of a source, each once, in a fixed order.

    Args:
        source: a folder (the pictures in it), a picture, a pattern such as 'photos/*.jpg', an
            address such as s3://bucket/prefix (the pictures below it), or another file: a list of
            paths and addresses of pictures, one a line.

    Raises:
        FacemaskError: it holds nothing, cannot be listed, or two of its names look the same.
    """
    found: dict[str, Item] = {}
    for item in _named(source):
        if found.setdefault(item.name, item) != item:
            raise FacemaskError(
                f"two pictures would both be called {item.name}, as what follows a ? and bytes "
                "that are not UTF-8 are not kept; rename one"
            )
    if not found:
        raise FacemaskError(f"{shown(source)} holds no pictures; check the name")
    return list(found.values())


def shown(address: str) -> str:
    """A path or address as it may be seen: no user, password or query, and valid Unicode."""
    if ADDRESS.match(address):
        parts = urlsplit(address, allow_fragments=False)  # a # is a letter like any
        user, _, host = parts.netloc.rpartition("@")
        container = user.partition(":")[0] if parts.scheme in AZURE else ""
        address = f"{parts.scheme}://{container and container + '@'}{host}{parts.path}"
    return printable(address)


def read_item(item: Item) -> bytes:
    """The picture's file, whole.

    Raises:
        FacemaskError: it is larger than LARGEST; or, its text ending in AGAIN, it is missing or
            cannot be read now.
    """
    too_large = FacemaskError(f"{item.name} is too large to open safely; make it smaller")
    try:
        if not item.store:
            if os.path.getsize(item.key) > LARGEST:
                raise too_large
            with open(item.key, "rb") as local:
                return local.read()
        with _opened(item.store)[0].open_input_file(os.fsdecode(item.key)) as remote:
            if remote.size() > LARGEST:
                raise too_large
            return remote.read()
    except FileNotFoundError as error:
        raise FacemaskError(f"{item.name} does not exist; {AGAIN}") from error
    except FacemaskError:
        raise
    except Exception as error:  # each store has its own
        why = without_secrets(getattr(error, "strerror", None) or str(error), item.store)
        raise FacemaskError(f"{item.name} cannot be read ({why}); {AGAIN}") from error


def without_secrets(text: str, *stores: str) -> str:
    """A message less what was given before an @ or after a ? in addresses, or by Amazon's names."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    secrets = {os.environ.get(name, "") for name in names}
    for store in stores:
        parts = urlsplit(store, allow_fragments=False)
        user = "" if parts.scheme in AZURE else parts.username or ""
        secrets |= {user, parts.password or "", parts.query}
        secrets |= {value for _, value in parse_qsl(parts.query)}
        text = text.replace(store, shown(store))
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _named(source: str) -> Iterator[Item]:
    if ADDRESS.match(source):
        yield from _in_store(source)
    elif os.path.isdir(source):
        yield from map(_file, map(str, find_images(source)))
    elif os.path.isfile(source):
        if Path(source).suffix.lower() in IMAGE_SUFFIXES:
            yield _file(source)
        else:
            yield from _listed(source)
    elif glob.has_magic(source):
        for name in sorted(glob.glob(source, recursive=True)):
            inside = map(str, find_images(name)) if os.path.isdir(name) else [name]
            yield from map(_file, filter(os.path.isfile, inside))
    else:
        raise FacemaskError(f"{shown(source)} does not exist; check the name")


def _file(path: str) -> Item:
    whole = os.path.abspath(path)
    return Item(shown(whole), "", os.fsencode(whole))


def _listed(path: str) -> Iterator[Item]:
    """The items of a list; what a line names is found missing only when it is its turn."""
    try:
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if b"\0" in line:
                    raise FacemaskError(
                        f"{path} is neither a picture nor a list of names, one a line (line "
                        f"{number}); name a folder, a pattern, a list or an address"
                    )
                if number == 1:  # as Windows' editors begin a file
                    line = line.removeprefix(codecs.BOM_UTF8)
                text = os.fsdecode(line.strip())
                if text:
                    yield _addressed(text) if ADDRESS.match(text) else _file(text)
    except OSError as error:
        raise FacemaskError(f"{path} cannot be read ({error.strerror})") from error


def _addressed(address: str) -> Item:
    store, path = _split(address)
    root = _opened(store)[1].rstrip("/")
    return Item(shown(address), store, os.fsencode(root + path))


def _split(address: str) -> tuple[str, str]:
    """The address of the store, with all that is needed to open it, and the path in it."""
    parts = urlsplit(address, allow_fragments=False)
    top = parts.netloc or "/"  # file:/// is the top of the file system
    return f"{parts.scheme}://{top}{parts.query and '?' + parts.query}", parts.path


def _in_store(address: str) -> Iterator[Item]:
    """The pictures below an address, or the one that it names."""
    from pyarrow import fs

    store, path = _split(address)
    system, root = _opened(store)
    root = root.rstrip("/")
    start = root + path.rstrip("/")

    def look() -> Iterable[Any]:
        (info,) = system.get_file_info([start])
        if info.type == fs.FileType.File:
            return [info]
        return system.get_file_info(fs.FileSelector(start, recursive=True))

    found = _asked(look, address, "listed")
    base = shown(address).removesuffix(path)
    for info in sorted(found, key=lambda info: info.path):
        inner = info.path.removeprefix(start)
        hidden = any(part.startswith((".", "__MACOSX")) for part in inner.split("/"))
        suffix = os.path.splitext(info.path)[1].lower()
        if info.type == fs.FileType.File and suffix in IMAGE_SUFFIXES and not hidden:
            yield Item(base + shown(info.path.removeprefix(root)), store, os.fsencode(info.path))


@functools.lru_cache(maxsize=64)
def _opened(store: str) -> tuple[Any, str]:
    """A store's file system, by pyarrow or else fsspec, and what it calls the store's top."""
    try:
        import pyarrow as pa
        from pyarrow import fs
    except ModuleNotFoundError as error:
        raise FacemaskError(
            "an address needs pyarrow, which is not installed; in the project's folder run: "
            "pip install '.[score]'"
        ) from error

    def connect() -> tuple[Any, str]:
        with contextlib.suppress(pa.ArrowInvalid):  # not one of pyarrow's own
            return fs.FileSystem.from_uri(store)
        try:
            import fsspec

            system, path = fsspec.core.url_to_fs(store)
        except ImportError as error:  # fsspec, or what it needs for such a store
            what = f"pip install {error.name}" if error.name else str(error)
            raise FacemaskError(
                f"{shown(store)} cannot be reached, as a package is not installed: {what}"
            ) from None
        return fs.PyFileSystem(fs.FSSpecHandler(system)), path

    return _asked(connect, store, "reached")


def _asked(ask: Callable[[], Any], address: str, what: str) -> Any:
    try:
        return ask()
    except FacemaskError:
        raise
    except Exception as error:  # each store has its own
        why = without_secrets(str(error), address).splitlines()
        raise FacemaskError(
            f"{shown(address)} cannot be {what} ({why[0] if why else type(error).__name__}); check "
            "the address and the credentials"
        ) from None
