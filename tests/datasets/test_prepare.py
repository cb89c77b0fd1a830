"""From any folder of pictures to a split folder: what is read, how it is split, what is refused."""

import csv
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask.datasets.prepare import (
    find_labelled,
    label_of,
    load_split,
    prepare,
    read_exclusions,
    read_sources,
    unlabelled,
)
from facemask.images.crops import resize
from facemask.images.reading import read_image
from facemask.io.files import ROOT, FacemaskError, read_json

RED, SIZE = (200, 30, 40), 48


def picture(folder: Path, name: str, mode: str = "RGB", **options) -> Path:
    """A red picture with a blue upper left quarter, in the given mode and format."""
    image = Image.new("RGB", (40, 60), RED)
    image.paste((20, 40, 220), (0, 0, 20, 30))
    folder.mkdir(parents=True, exist_ok=True)
    (image.quantize() if mode == "P" else image.convert(mode)).save(folder / name, **options)
    return folder / name


def fill(folder: Path, count: int = 12) -> None:
    rng = np.random.default_rng(len(str(folder)))
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(folder / f"{i}.png")


@pytest.mark.parametrize(
    "name, mode, options",
    [("a.jpg", "CMYK", {}), ("a.jpg", "L", {}), ("a.png", "P", {}), ("a.png", "RGBA", {}),
     ("a.png", "LA", {}), ("a.webp", "RGB", {"lossless": True}), ("a.bmp", "RGB", {}),
     ("a.tif", "RGB", {}), ("a.gif", "RGB", {})],
)
def test_every_kind_of_picture_becomes_rgb(tmp_path, name, mode, options):
    image = read_image(picture(tmp_path, name, mode, **options))
    assert image.shape == (60, 40, 3) and image.dtype == np.uint8
    grey = np.dot(RED, [0.299, 0.587, 0.114])
    expected = [grey] * 3 if mode in ("L", "LA") else RED
    assert np.abs(image[50, 30].astype(float) - expected).max() < 12


def test_16_bit_grey_keeps_its_range(tmp_path):
    values = np.full((20, 20), 40_000, np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.abs(read_image(tmp_path / "deep.png").astype(int) - 156).max() <= 1


def test_transparency_lies_on_white(tmp_path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").min() == 255


def test_exif_rotation_is_applied(tmp_path):
    path = picture(tmp_path, "turned.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise to see it
    Image.open(path).save(path, exif=exif, quality=95)
    image = read_image(path)
    assert image.shape == (40, 60, 3)
    assert image[5, 55, 2] > 150 > image[5, 55, 0]  # the blue quarter is now at the upper right


def test_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (10, 10), c) for c in ("lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert tuple(read_image(tmp_path / "a.gif")[5, 5]) == (0, 255, 0)


@pytest.mark.parametrize("fault", ["empty", "text", "cut"])
def test_unreadable_file_says_so(tmp_path, fault):
    path = picture(tmp_path, "bad.jpg")
    whole = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"this is no picture", "cut": whole[:300]}[fault])
    with pytest.raises(FacemaskError, match="bad.jpg cannot be read as a picture"):
        read_image(path)


def test_class_table():
    def check(path):
        return label_of(Path(path))

    assert check("FMD_DATASET/with_mask/simple/1.jpg") == ("", "with_mask")
    assert check("FMD_DATASET/incorrect_mask/mmc/1.jpg") == ("", "incorrect_mask")
    assert check("Dataset/mask_weared_incorrect/1.jpg") == ("", "incorrect_mask")
    assert check("Face Mask Dataset/Validation/WithoutMask/1.png") == ("validation", "without_mask")
    assert check("holiday/1.jpg") is None
    assert check("mask/correct/1.jpg") == ("", "with_mask")
    assert check("mask/incorrect/1.jpg") == ("", "incorrect_mask")
    assert check("Mask/train/without_mask/1.jpg") == ("train", "without_mask")


def test_pictures_in_folders_that_name_no_class_are_counted(tmp_path, capsys):
    source = tmp_path / "in"
    for label in ("mask", "no mask", "chin/left", "nose"):
        fill(source / label, 8)
    picture(source, "cover.jpg")
    assert unlabelled(source) == {"chin/": 8, "nose/": 8, ".": 1}
    prepare(source, "x", tmp_path, SIZE)
    said = capsys.readouterr().err
    assert "8 of the pictures in chin/ are of no known class and left out" in said


def test_another_data_set_of_the_same_name_is_refused(tmp_path):
    for name in ("one", "two"):
        for label in ("mask", "no mask"):
            fill(tmp_path / name / "faces" / label, 9 if name == "one" else 10)
    folder = prepare(tmp_path / "one" / "faces", "faces", tmp_path, SIZE)
    made = (folder / "files.csv").read_bytes()
    with pytest.raises(FacemaskError, match="another data set of the same name; rename one"):
        prepare(tmp_path / "two" / "faces", "faces", tmp_path, SIZE)
    assert (folder / "files.csv").read_bytes() == made
    (tmp_path / "one").rename(tmp_path / "moved")  # the same pictures elsewhere are no other set
    assert prepare(tmp_path / "moved" / "faces", "faces", tmp_path, SIZE) == folder


def test_publisher_splits_are_kept(tmp_path):
    for split in ("Train", "Validation", "Test"):
        for label in ("WithMask", "WithoutMask"):
            fill(tmp_path / "in" / split / label, {"Train": 9, "Validation": 3, "Test": 4}[split])
    folder = prepare(tmp_path / "in", "x", tmp_path, SIZE)
    facts = read_json(folder / "prepare.json")
    assert facts["split_by"] == "publisher"
    assert facts["counts"]["test"] == {"with_mask": 4, "without_mask": 4}
    with open(folder / "files.csv") as file:
        for row in csv.DictReader(file):
            assert row["file"].split("/")[0] == row["source"].split("/")[0].lower()
            original = resize(read_image(tmp_path / "in" / row["source"]), SIZE)
            assert np.array_equal(read_image(folder / row["file"]), original)


def test_missing_validation_is_taken_from_train(tmp_path):
    for split in ("train", "test"):
        for label in ("with_mask", "without_mask"):
            fill(tmp_path / "in" / split / label, 20)
    counts = read_json(prepare(tmp_path / "in", "x", tmp_path, SIZE) / "prepare.json")["counts"]
    assert counts["train"] == {"with_mask": 17, "without_mask": 17}
    assert counts["validation"] == {"with_mask": 3, "without_mask": 3}
    assert counts["test"] == {"with_mask": 20, "without_mask": 20}


def test_own_split_is_seeded_and_whole(tmp_path):
    for label in ("with_mask/simple", "with_mask/complex", "without_mask", "incorrect_mask/mc"):
        fill(tmp_path / "in" / label, 40)

    def sources(name, seed):
        with open(prepare(tmp_path / "in", name, tmp_path, SIZE, seed) / "files.csv") as file:
            return {row["file"]: row["source"] for row in csv.DictReader(file)}

    first, again, other = sources("a", 0), sources("b", 0), sources("c", 1)
    assert first == again and first != other
    assert len(set(first.values())) == 160
    counts = read_json(tmp_path / "split/a/prepare.json")["counts"]
    assert counts["train"] == {"incorrect_mask": 28, "with_mask": 56, "without_mask": 28}
    assert counts["test"] == {"incorrect_mask": 6, "with_mask": 12, "without_mask": 6}


def test_same_settings_are_not_made_again_and_others_are(tmp_path):
    fill(tmp_path / "in/with_mask"), fill(tmp_path / "in/without_mask")
    folder = prepare(tmp_path / "in", "x", tmp_path, SIZE)
    (folder / "kept").touch()
    assert (prepare(tmp_path / "in", "x", tmp_path, SIZE) / "kept").exists()
    assert not (prepare(tmp_path / "in", "x", tmp_path, SIZE + 1) / "kept").exists()


def test_unreadable_files_are_listed_and_left_out(tmp_path):
    fill(tmp_path / "in/with_mask"), fill(tmp_path / "in/without_mask")
    (tmp_path / "in/with_mask/notes.jpg").write_text("not a picture")
    (tmp_path / "in/without_mask/zero.png").touch()
    facts = read_json(prepare(tmp_path / "in", "x", tmp_path, SIZE) / "prepare.json")
    listed = [file for file, _ in facts["unreadable"]]
    assert listed == ["with_mask/notes.jpg", "without_mask/zero.png"]
    assert sum(sum(c.values()) for c in facts["counts"].values()) == 24
    assert (tmp_path / "in/with_mask/notes.jpg").exists()


def test_what_macos_adds_to_a_zip_is_passed_over(tmp_path):
    for label in ("with_mask", "without_mask"):
        fill(tmp_path / "in" / label, 2)
        added = tmp_path / "in/__MACOSX" / label
        added.mkdir(parents=True)
        (added / "._0.png").write_bytes(b"not a picture")
    found = find_labelled(tmp_path / "in")
    assert len(found) == 4 and not any("__MACOSX" in path.parts for path in found)


def test_refused_folders(tmp_path):
    def refuse(match):
        with pytest.raises(FacemaskError, match=match):
            prepare(tmp_path / "in", "x", tmp_path / "out", SIZE)
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.*"))

    refuse("is not a folder")
    (tmp_path / "in").mkdir()
    refuse("holds no pictures")
    fill(tmp_path / "in/with_mask")
    refuse("pictures for 1 of the classes")
    (tmp_path / "in/without_mask").mkdir()
    refuse("pictures for 1 of the classes")
    fill(tmp_path / "in/incorrect_mask")
    refuse("without_mask holds no pictures")
    (tmp_path / "in/without_mask/only.png").write_bytes(b"broken")
    refuse("no readable picture of without_mask")
    fill(tmp_path / "in/without_mask", 2)
    refuse("no readable picture of without_mask")


def test_disk_that_fills_leaves_nothing(tmp_path):
    """Files of more than 1 kB cannot be written: what a full disk does, without filling one."""
    fill(tmp_path / "in/with_mask"), fill(tmp_path / "in/without_mask")
    code = f"""
        import resource, signal, sys
        from facemask.io.files import FacemaskError
        from facemask.datasets.prepare import prepare
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            prepare({str(tmp_path / 'in')!r}, "x", {str(tmp_path / 'out')!r}, {SIZE})
        except FacemaskError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT,
                          capture_output=True, text=True)
    assert "cannot write" in done.stdout and "free some space" in done.stdout, done
    assert list((tmp_path / "out").rglob("*")) == [tmp_path / "out/split"]


def test_load_split_gives_raw_pixels_and_class_numbers(tmp_path):
    fill(tmp_path / "in/with_mask", 20), fill(tmp_path / "in/without_mask", 20)
    folder = prepare(tmp_path / "in", "x", tmp_path, SIZE)
    images, classes = next(iter(load_split(folder, "train", batch_size=28)))
    assert images.shape == (28, SIZE, SIZE, 3)
    assert 200 < images.numpy().max() <= 255
    assert sorted(classes.numpy()) == [0] * 14 + [1] * 14


def test_copies_stay_in_one_split_unless_the_simple_split_is_asked_for(tmp_path):
    """Ten pictures, eight times each, in either class."""
    rng = np.random.default_rng(3)
    for label in ("with_mask", "without_mask"):
        (tmp_path / "in" / label).mkdir(parents=True)
        for number in range(10):
            image = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).resize((48, 48))
            for copy in range(8):
                image.save(tmp_path / "in" / label / f"{number}-{copy}.jpg", quality=60 + 4 * copy)

    def straddling(grouped: bool) -> int:
        folder = prepare(tmp_path / "in", f"x{grouped}", tmp_path, SIZE, grouped=grouped)
        splits = {}
        for file, source in read_sources(folder).items():
            splits.setdefault(source.split("-")[0], set()).add(file.split("/")[0])
        facts = read_json(folder / "prepare.json")
        assert facts["settings"]["grouped"] == grouped
        assert sum(sum(n.values()) for n in facts["counts"].values()) == 160
        return sum(len(s) > 1 for s in splits.values())

    assert straddling(grouped=True) == 0
    assert straddling(grouped=False) > 10


def test_exclusion_file(tmp_path):
    path = tmp_path / "exclude.txt"
    path.write_text("# doubtful\r\nTrain/mask/1 a.png\r\n\r\n.\\Test\\mask\\2.png  \n",
                    encoding="utf-8-sig")
    assert read_exclusions(path) == {"Train/mask/1 a.png", "Test/mask/2.png"}
    for bad in ("/etc/a.png", "C:/a.png", "a/../../b.png"):
        path.write_text(bad)
        with pytest.raises(FacemaskError, match="not a path inside"):
            read_exclusions(path)
    with pytest.raises(FacemaskError, match="cannot read the exclusion file"):
        read_exclusions(tmp_path / "none.txt")


def test_excluded_pictures_stay_out_of_every_later_step(tmp_path):
    for label in ("with_mask", "without_mask"):
        fill(tmp_path / "in" / label, 20)
    whole = read_json(prepare(tmp_path / "in", "x", tmp_path, SIZE) / "prepare.json")
    file = tmp_path / "exclude.txt"
    file.write_text("with_mask/3.png\n# a note\nwith_mask/gone.png\n")
    folder = prepare(tmp_path / "in", "x", tmp_path, SIZE, exclude=file)
    facts = read_json(folder / "prepare.json")
    assert facts["excluded"] == ["with_mask/3.png"]
    assert facts["exclude_unknown"] == ["with_mask/gone.png"]
    assert len(read_sources(folder)) == 39
    assert "with_mask/3.png" not in read_sources(folder).values()
    assert (tmp_path / "in/with_mask/3.png").exists()
    # A later step that names no file keeps to it, at another size as well; an empty one lifts it.
    prepare(tmp_path / "in", "x", tmp_path, SIZE)
    assert read_json(folder / "prepare.json") == facts
    prepare(tmp_path / "in", "x", tmp_path, SIZE + 2)
    assert len(read_sources(folder)) == 39
    file.write_text("# nothing\n")
    prepare(tmp_path / "in", "x", tmp_path, SIZE, exclude=file)
    assert read_json(folder / "prepare.json")["settings"] == whole["settings"]
    assert len(read_sources(folder)) == 40


@pytest.mark.skipif(sys.platform != "linux", reason="names must be Unicode here")
def test_names_that_are_not_unicode(tmp_path):
    """As they come out of an old zip; one of them unreadable, and one left out later."""
    for label in ("Mask", "NoMask"):
        fill(tmp_path / "raw" / label, 12)
        name = os.fsdecode(b"caf\xe9.png")
        picture(tmp_path / "raw" / label, name)
        (tmp_path / "raw" / label / os.fsdecode(b"caf\xe9.jpg")).write_text("no picture")
    folder = prepare(tmp_path / "raw", "names", tmp_path, SIZE)
    assert os.fsdecode(b"Mask/caf\xe9.png") in read_sources(folder).values()
    unreadable = [name for name, _ in read_json(folder / "prepare.json")["unreadable"]]
    assert unreadable == [os.fsdecode(f"{label}/".encode() + b"caf\xe9.jpg")
                          for label in ("Mask", "NoMask")]  # fmt: skip
    assert prepare(tmp_path / "raw", "names", tmp_path, SIZE) == folder
