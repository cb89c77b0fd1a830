"""Downloads with Kaggle's own client from a local stand-in, and archives good and bad."""

import errno
import importlib.metadata
import io
import json
import os
import shutil
import stat
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kaggle_server import HANDLE, KaggleServer, pictures_zip

from facemask.datasets.download import dataset_name, download, install_credentials, unpack
from facemask.images.reading import find_images
from facemask.io import locks
from facemask.io.files import FacemaskError

KAGGLE = int(importlib.metadata.version("kaggle").split(".")[0])

def spoil(content: bytes) -> bytes:
    """The same zip with one byte of the first picture changed."""
    place = len(content) // 20
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


def everything(folder: Path) -> list[str]:
    """All below a folder, hidden files too: what a failure must not add to."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def fails(dataset: str, data: Path, match: str) -> None:
    """The download ends with this message, and leaves the data folder empty."""
    with pytest.raises(FacemaskError, match=match):
        download(dataset, data)
    assert everything(data) == ["raw"]


# Kaggle's own client


def test_public_set_needs_no_account_and_is_fetched_once(server, data, capfd, monkeypatch):
    monkeypatch.chdir(data.parent)
    folder = download(HANDLE)
    assert folder == Path("data/raw/someone-masks")
    assert len(find_images(folder)) == 6
    assert all(given is None for _, given, _ in server.requests)
    assert "100%" in capfd.readouterr().err  # progress was shown
    assert [p.name for p in (data / "raw").iterdir()] == ["someone-masks"]
    asked = len(server.requests)
    assert download(HANDLE) == folder
    assert len(server.requests) == asked


@pytest.mark.skipif(not locks.AVAILABLE, reason="no locks: both fetch it")
def test_two_at_once_fetch_it_once(server, data, capfd):
    server.delay = 0.5
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: download(HANDLE, data), range(2)))
    assert len(find_images(folders[0])) == 6 and folders[0] == folders[1]
    assert server.paths().count(f"/{HANDLE}") == 1
    assert capfd.readouterr().err.count("another run fetches") == 1
    assert [p.name for p in (data / "raw").iterdir()] == ["someone-masks"]


def test_incomplete_folder_is_fetched_again(server, data):
    folder = download(HANDLE, data)
    find_images(folder)[0].unlink()
    assert len(find_images(download(HANDLE, data))) == 6


def test_credentials_reach_kaggle_and_only_kaggle(server, data, capfd):
    server.private.add(HANDLE)
    username, key = server.account
    install_credentials(json.dumps({"username": username, "key": key}).encode())
    download(HANDLE, data)
    *calls, (storage, given, _) = server.requests
    assert len(calls) >= 2 and all(call[1] == server.basic for call in calls)
    assert storage == f"/{HANDLE}" and given is None
    out, err = capfd.readouterr()
    assert key not in out + err


def test_credentials_from_the_environment(server, data, monkeypatch):
    monkeypatch.setenv("KAGGLE_USERNAME", server.account[0])
    monkeypatch.setenv("KAGGLE_KEY", server.account[1])
    download(HANDLE, data)
    assert server.requests[0][1] == server.basic


def test_wrong_credentials(server, data):
    install_credentials(b'{"username": "tester", "key": "not-the-key"}')
    fails(HANDLE, data, "does not accept your credentials")


def test_missing_credentials(server, data):
    server.private.add(HANDLE)
    fails(HANDLE, data, "wants an account for someone/masks")


def test_unknown_data_set(server, data):
    fails("someone/nothing", data, "Kaggle has no data set someone/nothing")


def test_refused_data_set(server, data):
    fails("someone/secret", data, "Kaggle refuses someone/secret")


def test_cut_connection_ends_complete(server, data):
    server.cuts = 2
    assert len(find_images(download(HANDLE, data))) == 6
    transfers = [wanted for path, _, wanted in server.requests if path == f"/{HANDLE}"]
    assert len(transfers) == 3
    if KAGGLE >= 2:  # goes on where the cut was; before, it begins anew
        assert transfers[0] is None and all(transfers[1:])


def test_connection_cut_for_good(server, data):
    server.cuts = 1000
    fails(HANDLE, data, "connection broke while fetching someone/masks.*data set `sample`")
    assert server.paths().count(f"/{HANDLE}") >= 3


@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_no_network(home, data, monkeypatch, host):
    with KaggleServer({}) as gone:
        monkeypatch.setenv("http_proxy", f"http://{host}:{gone.server_port}")
    fails(HANDLE, data, "cannot reach Kaggle.*network.*data set `sample`")


@pytest.mark.parametrize("damage", [spoil, lambda content: content[: len(content) // 2]])
def test_damaged_download_is_refused_and_fetched_again(server, data, damage):
    good = server.archives[HANDLE]
    server.archives[HANDLE] = damage(good)
    fails(HANDLE, data, "damaged, cut short.*run again to fetch it")
    server.archives[HANDLE] = good
    assert len(find_images(download(HANDLE, data))) == 6


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
def test_disk_fills_while_downloading(server, data, monkeypatch):
    monkeypatch.setenv("FULL_DISK", "1")
    fails(HANDLE, data, "disk is full")
    assert server.paths().count(f"/{HANDLE}") == 1  # no use in trying again


def test_download_survives_a_disk_too_full_to_unpack(server, data, monkeypatch):
    usage = shutil.disk_usage(data)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
        with pytest.raises(FacemaskError, match="disk is too full"):
            download(HANDLE, data)
    assert everything(data) == ["raw", "raw/someone-masks.zip"]
    asked = len(server.requests)
    assert len(find_images(download(HANDLE, data))) == 6
    assert len(server.requests) == asked
    assert everything(data)[1:2] == ["raw/someone-masks"]


# Credentials


def test_install_credentials(home):
    target = install_credentials(b'{"username": "u", "key": "k"}')
    assert target == home / ".kaggle" / "kaggle.json"
    assert json.loads(target.read_text()) == {"username": "u", "key": "k"}
    if os.name == "posix":
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
    (home / "new.json").write_text('{"username": "v", "key": "w"}')
    os.chmod(home / "new.json", 0o644)
    install_credentials(home / "new.json")
    assert json.loads(target.read_text())["username"] == "v"
    if os.name == "posix":
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [p.name for p in target.parent.iterdir()] == ["kaggle.json"]


@pytest.mark.parametrize(
    "content",
    [b"", b"secret-key", b'["secret-key"]', b'{"key": "secret-key"}', b'\xff\xfe"secret-key"',
     b'{"username": "u", "key": ""}', b'{"username": 5, "key": "secret-key"}'],
)  # fmt: skip
def test_install_credentials_refuses_without_showing_them(home, content):
    install_credentials(b'{"username": "u", "key": "k"}')
    with pytest.raises(FacemaskError, match="username and key") as caught:
        install_credentials(content)
    assert "secret" not in str(caught.value) and caught.value.__cause__ is None
    assert json.loads((home / ".kaggle" / "kaggle.json").read_text())["key"] == "k"


def test_install_credentials_missing_file(home):
    with pytest.raises(FacemaskError, match="cannot read .*nothing.json"):
        install_credentials(home / "nothing.json")


# Folders, zips and names


def test_folder_is_returned_untouched(tmp_path, data):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "a.txt").write_text("x")
    assert download(str(folder), data) == folder
    assert everything(folder) == ["a.txt"] and everything(data) == ["raw"]


def test_zip_is_unpacked_once_and_again_when_it_changed(tmp_path, data):
    archive = tmp_path / "My Set.zip"
    archive.write_bytes(pictures_zip(6))
    folder = download(str(archive), data)
    assert folder == data / "raw" / "my-set" and len(find_images(folder)) == 6
    with zipfile.ZipFile(archive) as opened:
        assert (folder / "Set/with_mask/0.png").read_bytes() == opened.read("Set/with_mask/0.png")
    before = (folder / "Set").stat().st_mtime_ns
    time.sleep(0.01)
    archive.touch()
    download(str(archive), data)
    assert (folder / "Set").stat().st_mtime_ns == before  # same content: used again
    archive.write_bytes(pictures_zip(8, seed=1))
    assert len(find_images(download(str(archive), data))) == 8
    archive.write_bytes(pictures_zip(4, seed=2))
    assert len(find_images(download(str(archive), data))) == 4
    find_images(folder)[0].unlink()
    assert len(find_images(download(str(archive), data))) == 4
    assert [p.name for p in (data / "raw").iterdir()] == ["my-set"]
    assert archive.is_file()


def test_unknown_name(data):
    fails("nothing", data, "no data set or file called nothing; give sample, face-mask-12k")
    fails("./no/such.zip", data, "no data set or file called")


def test_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample").mkdir()
    (tmp_path / "fmd.zip").touch()
    assert dataset_name("sample") == "sample"
    assert dataset_name("./sample") == "sample-folder"
    assert dataset_name(str(tmp_path / "Sample")) == "sample-folder"
    # Runs are kept beside these in models/.
    assert dataset_name("./release") == "release-folder"
    assert dataset_name(str(tmp_path / "Finder")) == "finder-folder"
    assert dataset_name("predictions.zip") == "predictions-zip"
    assert dataset_name("fmd") == "fmd"
    assert dataset_name("fmd.zip") == "fmd-zip"
    assert dataset_name("shiekhburhan/face-mask-dataset") == "fmd"
    assert dataset_name("Some_One/a-b") == "some-one-a-b"
    assert dataset_name("../x/My Faces (2).zip") == "my-faces-2"
    assert dataset_name("..") == dataset_name(str(tmp_path.parent))
    assert dataset_name("/") == "data"


# Bad archives


def refuses(content: bytes, tmp_path: Path, match: str) -> None:
    """The archive is refused with this message and nothing is written anywhere."""
    archive = tmp_path / "bad.zip"
    archive.write_bytes(content)
    (tmp_path / "data" / "raw").mkdir(parents=True, exist_ok=True)
    before = everything(tmp_path)
    with pytest.raises(FacemaskError, match=match):
        download(str(archive), tmp_path / "data")
    assert everything(tmp_path) == before


def test_damaged_archive(tmp_path):
    refuses(spoil(pictures_zip()), tmp_path, "damaged, cut short")


def test_damaged_archive_leaves_the_good_folder_alone(tmp_path, data):
    archive = tmp_path / "a.zip"
    archive.write_bytes(pictures_zip())
    folder = unpack(archive, data / "raw" / "a")
    archive.write_bytes(spoil(pictures_zip(8, seed=1)))
    before = everything(tmp_path)
    with pytest.raises(FacemaskError, match="damaged"):
        unpack(archive, folder)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_truncated_archive(tmp_path, share):
    content = pictures_zip()
    refuses(content[: int(len(content) * share)], tmp_path, "damaged, cut short")


def test_wrong_archive(tmp_path):
    refuses(b"this is no zip\n" * 100, tmp_path, "is not a zip archive")
    refuses(b"", tmp_path, "is not a zip archive")


def test_archive_without_pictures(tmp_path):
    refuses(pictures_zip(0, extra={"a.txt": b"x", "b/c.csv": b"y"}), tmp_path, "no pictures")
    refuses(pictures_zip(0), tmp_path, "no pictures")


@pytest.mark.parametrize(
    "name",
    ["../evil.png", "a/../../evil.png", "/tmp/evil.png", "..\\evil.png", "a\\..\\..\\evil.png",
     "C:\\evil.png", "c:evil.png", "\\\\host\\share\\evil.png", "\\evil.png", "..", "a/.."],
)  # fmt: skip
def test_archive_that_leaves_its_folder(tmp_path, name):
    refuses(pictures_zip(extra={name: b"x"}), tmp_path, "is not safe")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_archive_with_a_link_or_device(tmp_path, kind):
    buffer = io.BytesIO(pictures_zip())
    with zipfile.ZipFile(buffer, "a") as archive:
        info = zipfile.ZipInfo("link.png")
        info.create_system = 3
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    refuses(buffer.getvalue(), tmp_path, "is not safe")


def test_archive_with_a_password(tmp_path):
    content = bytearray(pictures_zip(1))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    refuses(bytes(content), tmp_path, "locked .*password required")


def test_bomb(tmp_path):
    buffer = io.BytesIO(pictures_zip())
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.getinfo("Set/with_mask/0.png").file_size = 2 << 30  # what the directory will say
        archive.writestr("Set/more.png", b"x")
    refuses(buffer.getvalue(), tmp_path, "hundredfold")


def test_disk_too_full_is_seen_before_writing(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    refuses(pictures_zip(), tmp_path, "disk is too full")


def test_disk_fills_while_unpacking(tmp_path, monkeypatch):
    copied = []

    def fill(source, target, length):
        copied.append(target.write(source.read(100)))
        if len(copied) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", fill)
    refuses(pictures_zip(), tmp_path, "cannot write .*free some space")
    assert len(copied) == 3


def test_data_sets_come_as_their_publishers_pack_them(archives, data):
    folder = download(str(archives / "face-mask-scenes.zip"), data)
    assert len(find_images(folder)) == 426
