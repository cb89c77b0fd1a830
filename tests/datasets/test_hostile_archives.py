"""Archives that are damaged or made to harm: unpacked into their folder or refused."""

import bz2
import io
import zipfile

import pytest
from hostile import CASES, SHORT, holds
from hypothesis import given

from facemask.datasets import archive
from facemask.datasets.archive import BadArchive, unpack
from facemask.images.reading import find_images
from facemask.torture import corpus, files

IMAGE = corpus.pictures()[1]
GOOD = [("with_mask/a.png", IMAGE, 0o100644), ("without_mask/b.png", IMAGE, 0o100644)]


@given(CASES)
@SHORT
def test_spoilt_archives(case):
    holds("archives", case)


def test_the_archives_that_are_made_to_harm(tmp_path):
    for number, content in enumerate(corpus.archives()):
        (tmp_path / f"{number}").mkdir()
        try:
            files.check_archive(content, tmp_path / f"{number}")
        except BadArchive as error:
            assert str(error).count(";") >= 1  # says what to do


@pytest.fixture
def refuses(tmp_path):
    def check(content: bytes, match: str) -> None:
        (tmp_path / "in.zip").write_bytes(content)
        with pytest.raises(BadArchive, match=match):
            unpack(tmp_path / "in.zip", tmp_path / "out" / "in")
        left = {path.name for path in tmp_path.rglob("*")}
        assert left <= {"in.zip", "out"}, left

    return check


def test_packed_in_a_way_that_zipfile_unpacks_by_the_gigabyte(refuses):
    """A directory that says 1 kB, and content that would have been 10 GB in memory."""
    zeros = bz2.compress(bytes(100 << 20))
    content = corpus.make_zip([*GOOD, ("c.png", b"x" * len(zeros), 0)], zipfile.ZIP_STORED)
    content = content.replace(b"x" * len(zeros), zeros)
    at = content.rindex(b"PK\x01\x02")
    refuses(content[: at + 10] + b"\x0c\0" + content[at + 12 :], "rare way .*by deflate")


def test_entries_that_share_their_content(refuses):
    """Python 3.11.7's zipfile unpacks such bombs; later ones do not."""
    refuses(corpus.overlapping(IMAGE, 500), "entries overlap")


def test_growth_is_seen_below_a_gigabyte(refuses):
    refuses(corpus.make_zip([*GOOD, ("c.bmp", bytes(80 << 20), 0)]), "grow a hundredfold")


def test_a_name_that_is_not_the_utf8_it_claims_to_be(refuses):
    content = corpus.make_zip([*GOOD, ("ü.png", IMAGE, 0)])
    refuses(content.replace("ü".encode(), b"\xff\xff"), "damaged, cut short")


@pytest.mark.parametrize("names", [
    ("a/b.png", "a//b.png"), ("b.png", "./b.png"), ("x.png", "x.png/y.png"),
    ("x.png/y.png", "x.png"), (".archive.json/a.png", "b.png"),
])  # fmt: skip
def test_two_entries_for_one_place(refuses, names):
    refuses(corpus.make_zip([(name, IMAGE, 0) for name in names]), "; rename")


def test_names_that_differ_in_case_are_both_kept_or_the_archive_is_refused(tmp_path):
    content = corpus.make_zip([("A.jpg", IMAGE, 0), ("a.jpg", IMAGE, 0)])
    (tmp_path / "in.zip").write_bytes(content)
    try:
        assert len(find_images(unpack(tmp_path / "in.zip", tmp_path / "out"))) == 2
    except BadArchive as error:
        assert "two entries for one place" in str(error)


@pytest.mark.parametrize("name", [
    "CON.jpg", "a/nul", "aux.tar.gz", "Com1.png", "lpt9/a.png", "a.jpg.", "a.jpg ", "b /a.jpg",
    "a.jpg:hidden", "what?.png", "con .txt", "a\n.png",
])  # fmt: skip
def test_names_that_windows_cannot_hold(refuses, monkeypatch, name):
    monkeypatch.setattr(archive, "WINDOWS", True)
    refuses(corpus.make_zip([*GOOD, (name, IMAGE, 0)]), "Windows cannot hold; rename")


def test_usual_names_are_fine_on_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "WINDOWS", True)
    names = ("With Mask/console.png", "a.b/.c.png", "kölner dom (2).jpg", "com/auxiliary.png")
    file = io.BytesIO(corpus.make_zip([(name, IMAGE, 0) for name in names]))
    (tmp_path / "in.zip").write_bytes(file.getvalue())
    assert unpack(tmp_path / "in.zip", tmp_path / "out").is_dir()


def test_too_long_a_name(refuses):
    refuses(corpus.make_zip([*GOOD, ("x" * 300 + ".png", IMAGE, 0)]), "too long a name; pack")
    refuses(corpus.make_zip([*GOOD, ("d/" * 1500 + "a.png", IMAGE, 0)]), "too long a name; pack")


@pytest.mark.parametrize("stamp", ["[]", "{}", '{"images": "x"}', "5"])
def test_a_foreign_stamp_does_not_count(tmp_path, stamp):
    (tmp_path / ".archive.json").write_text(stamp)
    assert not archive.is_complete(tmp_path)
