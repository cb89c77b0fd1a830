"""What there is to judge is listed whole, once, and without secrets."""

import os
import sys

import pytest

from facemask.images.reading import find_images
from facemask.io.files import FacemaskError
from facemask.scoring.items import Item, find_items, read_item, shown, without_secrets
from facemask.scoring.pipeline import fetch

SECRET = "s3://KEY:pass%2Fword@photos/a?token=query"


def paths(items: list[Item]) -> list[str]:
    return [os.fsdecode(item.key) for item in items]


def test_a_folder_is_what_predict_takes_of_it(photos):
    items = find_items(str(photos))
    assert paths(items) == [str(path) for path in find_images(photos)]
    assert len({item.name for item in items}) == len(items) == 13
    assert any(item.name.endswith(r"odd\udcff.png") for item in items)
    for item in items:
        item.name.encode()  # raises nothing: it is valid Unicode


def test_names_are_whole_paths_wherever_one_stands(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    assert find_items("photos") == find_items(str(photos))


def test_a_pattern_that_matches_folders_takes_what_is_in_them(photos, tmp_path):
    day = tmp_path / "2021-03-14"
    day.symlink_to(photos / "2021-03-14")
    (tmp_path / "2021-03-15.txt").write_text("no picture")
    found = find_items(f"{tmp_path}/2021-03-14*")
    assert paths(found) == [str(path) for path in find_images(day)] and len(found) == 8


def test_patterns_and_single_pictures(photos):
    assert len(find_items(f"{photos}/2021-03-14/**/*.jpg")) == 8
    assert paths(find_items(f"{photos}/face.png")) == [f"{photos}/face.png"]


def test_a_list_names_each_once_and_missing_ones_too(photos, tmp_path):
    (tmp_path / "list.txt").write_text(
        f"{photos}/face.png\n\n  {photos}/nobody.png \n{photos}/gone.jpg\n{photos}/face.png\n"
    )
    items = find_items(str(tmp_path / "list.txt"))
    assert [item.name for item in items] == [f"{photos}/{n}" for n in
                                             ("face.png", "nobody.png", "gone.jpg")]  # fmt: skip
    assert "does not exist" in str(fetch(items[2]))
    assert read_item(items[0]) == (photos / "face.png").read_bytes()


@pytest.mark.parametrize("source, words", [
    ("gone", "does not exist"), ("*.nothing", "holds no pictures"),
    (".", "holds no pictures"), ("film.mp4", "neither a picture nor a list"),
    ("nosuch://KEY:pass@host/a?token=query", "cannot be reached"),
])  # fmt: skip
def test_what_holds_nothing_is_refused(source, words, tmp_path, monkeypatch):
    if "://" in source:
        pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftyp\n")
    with pytest.raises(FacemaskError, match=words) as refused:
        find_items(source)
    assert not any(secret in str(refused.value) for secret in ("KEY", "pass", "query"))


def test_names_that_would_look_the_same_are_refused(photos, tmp_path):
    os.link(photos / "nobody.png", os.path.join(os.fsencode(tmp_path), b"a\xff.png"))
    os.link(photos / "nobody.png", tmp_path / r"a\udcff.png")
    with pytest.raises(FacemaskError, match="both be called"):
        find_items(str(tmp_path))


def test_a_list_from_windows_begins_with_its_first_line(photos, tmp_path):
    (tmp_path / "list.txt").write_text(f"{photos}/face.png\r\n", encoding="utf-8-sig")
    assert [item.name for item in find_items(str(tmp_path / "list.txt"))] == [f"{photos}/face.png"]


def test_azures_containers_are_told_apart():
    one, other = (f"abfs://{month}:key@account.dfs.core.windows.net/1.png?sig=secret"
                  for month in ("january", "february"))
    assert shown(one) == "abfs://january@account.dfs.core.windows.net/1.png" != shown(other)
    said = without_secrets(f"{one} in january: key, sig=secret", one)
    assert said == f"{shown(one)} in january: ***, ***"


def test_a_missing_package_for_a_store_is_named(monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(FacemaskError, match="not installed: pip install fsspec"):
        find_items("webhdfs2://host/photos")


def test_secrets_are_not_shown(monkeypatch):
    assert shown(SECRET) == "s3://photos/a"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-environment")
    text = without_secrets(f"{SECRET}: KEY pass%2Fword query of-the-environment", SECRET)
    assert text == "s3://photos/a: *** *** *** ***"


def test_a_store_is_read_like_a_folder(photos, tmp_path):
    pytest.importorskip("pyarrow")
    below = [item for item in find_items(f"{photos}/2021-03-14/gate-2/*.jpg")]
    items = find_items(f"file://{photos}/2021-03-14")
    assert [item.name for item in items] == [f"file://{item.name}" for item in below]
    assert [read_item(item) for item in items] == [read_item(item) for item in below]
    (tmp_path / "list.txt").write_text("\n".join(item.name for item in items))
    assert [fetch(i) for i in find_items(str(tmp_path / "list.txt"))] == list(map(fetch, items))
