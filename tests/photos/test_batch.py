"""Many photos: every kind of input and output, and runs that are cut off."""

import argparse
import csv
import errno
import io
import json
import os
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from light import light_model
from PIL import Image

from facemask import CLASSES
from facemask.datasets.sample import draw_scene
from facemask.images.crops import crop_faces
from facemask.images.reading import read_image
from facemask.io.files import FacemaskError
from facemask.io.threads import WORKERS, ahead
from facemask.photos import batch, finder
from facemask.photos.annotate import _text, annotate, place_labels
from facemask.photos.figure import draw, save
from facemask.photos.journal import Journal, read_journal
from facemask.photos.predict import MARGIN, predict, summarise
from facemask.photos.predict import judge as judge_picture
from facemask.photos.sources import Source, expand, place


@pytest.fixture(scope="module")
def scene():
    return draw_scene(np.random.default_rng(0), 2, 480, 320)[0]


@pytest.fixture
def folder(scene, tmp_path):
    """A photo turned by its EXIF, a photo without a face, a tight crop, a file that is broken."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(scene)))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned.save(folder / "a.jpg", exif=exif, quality=95)
    Image.new("RGB", (400, 300), (90, 120, 150)).save(folder / "b.png")
    one, (person,) = draw_scene(np.random.default_rng(3), 1, 384, 384)
    (face,) = crop_faces(one, np.array([person["box"]]), 96, MARGIN)
    Image.fromarray(face).save(folder / "sub" / "c.gif")
    (folder / "sub" / "d.jpg").write_text("no picture")
    return folder


@pytest.fixture
def command(monkeypatch):
    """The command `predict` with a model that needs no TensorFlow."""
    monkeypatch.setattr(batch, "load_whole", lambda path: light_model())

    def run(*arguments):
        parser = argparse.ArgumentParser()
        batch.add_arguments(parser)
        return batch.run(parser.parse_args([*map(str, arguments), "--model", __file__]))

    return run


def test_all_faces_of_a_photo_are_one_batch_in_the_finders_order(scene):
    model, batches = light_model(), []

    def predict(crops):
        batches.append(crops)
        return light_model().predict(crops)

    answer = judge_picture(scene, model._replace(predict=predict))
    (crops,) = batches
    found = finder.find_faces(scene)
    np.testing.assert_array_equal(crops, crop_faces(scene, found, 32, MARGIN))
    for face, box, row in zip(answer["faces"], found, light_model().predict(crops), strict=True):
        np.testing.assert_allclose(face["box"], box[:4], atol=0.051)
        np.testing.assert_allclose(list(face["probabilities"].values()), row, atol=1e-6)
        assert face["label"] == CLASSES[row.argmax()]
        assert face["probability"] == max(face["probabilities"].values())


def test_in_python_each_answer_has_one_label_for_a_grid(folder, tmp_path):
    answers, problems = predict([folder], light_model())
    assert len(answers) == 3 and len(problems) == 1 and "d.jpg" in problems[0]
    largest = max(answers[0]["faces"], key=lambda f: f["box"][2] * f["box"][3])
    assert answers[0]["label"] == largest["label"]
    assert answers[2]["probabilities"] == answers[2]["whole"]["probabilities"]
    save(draw(answers), tmp_path / "grid.png")
    assert len(np.unique(np.asarray(Image.open(tmp_path / "grid.png")))) > 100


def test_folder_to_pictures_json_and_csv(command, folder, tmp_path, capsys):
    out, table = tmp_path / "out", tmp_path / "answers.csv"
    assert command(folder, "--output", out, "--csv", table) == 1
    printed = capsys.readouterr()
    assert "d.jpg cannot be read" in printed.err and "1 unreadable" in printed.out
    answers = json.loads((out / "answers.json").read_text())
    assert [Path(a["file"]).name for a in answers] == ["a.jpg", "b.png", "c.gif", "d.jpg"]
    photo, bare, crop, broken = answers
    assert (photo["width"], photo["height"], photo["judged"]) == (480, 320, "faces")
    assert len(photo["faces"]) == 2 and photo["whole"] is None
    for face in photo["faces"]:
        assert list(face) == ["box", "label", "probability", "sure", "probabilities", "score"]
        x, y, width, height = face["box"]
        assert 0 <= x < x + width <= 480 and 0 <= y < y + height <= 320
        assert list(face["probabilities"]) == list(CLASSES)
    assert bare["judged"] == "no face" and bare["faces"] == [] and bare["whole"]["label"]
    assert crop["judged"] == "whole picture" and crop["whole"]["label"] == "with_mask"
    assert set(broken) == {"file", "error"}

    rows = list(csv.DictReader(table.open()))
    assert [Path(r["file"]).name for r in rows] == ["a.jpg", "a.jpg", "b.png", "c.gif", "d.jpg"]
    assert [r["face"] for r in rows] == ["1", "2", "", "1", ""]
    assert float(rows[1]["x"]) == photo["faces"][1]["box"][0] and rows[4]["error"]
    assert float(rows[3]["probability_with_mask"]) == crop["whole"]["probability"]

    drawn = {p.relative_to(out).as_posix() for p in out.rglob("*.*")}
    assert drawn == {"answers.json", "a.jpg", "b.png", "sub/c.gif.png"}
    assert Image.open(out / "a.jpg").size == (480, 320)
    counts = summarise(answers, CLASSES)
    assert (counts["pictures"], counts["faces"], counts["no_face"]) == (3, 3, 1)
    assert counts["masked"] == counts["labels"]["with_mask"] / 3 and counts["unsure"] == 0


def test_below_the_operating_point_an_answer_is_unsure(folder, tmp_path, capsys):
    model = light_model()._replace(sure=0.6)
    picture = folder / "a.jpg"
    (answer,) = batch.stream(expand([picture]), model)
    for face in answer["faces"]:
        assert face["sure"] == (face["probability"] >= 0.6)
    (never,) = batch.stream(expand([picture]), model._replace(sure=1.0))
    counts = summarise([answer, never], CLASSES)
    faces = len(answer["faces"])
    surely = sum(face["sure"] for face in answer["faces"])
    assert counts["faces"] == 2 * faces and counts["unsure"] == 2 * faces - surely
    assert sum(counts["labels"].values()) == surely
    assert summarise([never], CLASSES)["masked"] is None
    image = np.full((answer["height"], answer["width"], 3), 127, np.uint8)
    grey = annotate(image, never)
    assert np.ptp(grey.astype(int), axis=2).max() == 0, "nothing is drawn in a class's colour"
    batch.judge_few(expand([picture]), model._replace(sure=1.0), tmp_path / "a.png", None, None)
    assert capsys.readouterr().out.count("unsure (") == faces


def test_all_inputs_at_once_each_picture_once(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = f"{folder}/b.png\n\n  {folder}/a.jpg\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(names.encode())))
    found = expand(["photos/**/*.gif", folder / "sub", "-", "photos/*.png", "none.jpg"])
    assert [s.name for s in found] == [
        "photos/sub/c.gif", str(folder / "sub/d.jpg"), str(folder / "b.png"),
        str(folder / "a.jpg"), "none.jpg",
    ]  # fmt: skip
    assert len(expand([folder, folder, folder / "a.jpg"])) == 4


@pytest.mark.parametrize("name", ["x" * 5000, "x" * 5000 + "*", "x" * 5000 + ".mp4", "a\0*.jpg"])
def test_names_that_no_file_can_have(command, name):
    with pytest.raises(FacemaskError, match="no file matches|cannot be read|does not exist"):
        command(name)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_one_picture_by_standard_input(form, command, scene, monkeypatch, tmp_path, capsys):
    data = io.BytesIO()
    Image.fromarray(scene).save(data, form)  # six formats, six signatures
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.getvalue())))
    assert command("-", "--output", tmp_path / "out.tif") == 0
    assert capsys.readouterr().out.startswith("-: ")
    assert Image.open(tmp_path / "out.tif").size == (480, 320)


def test_pictures_of_iphones(command, scene, monkeypatch, tmp_path, capsys):
    heic = Path(__file__).with_name("drawn.heic")  # `scene`, written by pillow-heif
    assert np.abs(read_image(heic).astype(int) - scene).mean() < 3
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(heic.read_bytes())))
    assert command(heic, "-", "--json", tmp_path / "answers.json") == 0
    from_file, from_input = json.loads((tmp_path / "answers.json").read_text())
    assert len(from_file["faces"]) == 2 and from_file["faces"] == from_input["faces"]
    (tmp_path / "cut.HEIC").write_bytes(heic.read_bytes()[:5000])
    with pytest.raises(FacemaskError, match="cut.HEIC cannot be read"):
        read_image(tmp_path / "cut.HEIC")


def test_several_pictures_in_one(command, folder, tmp_path, capsys):
    assert command(folder, "--output", tmp_path / "grid.jpg") == 1
    lines = capsys.readouterr().out.splitlines()
    assert "2 faces: " in lines[0] and "b.png: no face found" in lines[1]
    assert "c.gif: whole picture: with_mask" in lines[2]
    assert Image.open(tmp_path / "grid.jpg").size[0] > 600


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "name files, folders or --camera"),
        (["nothing*.jpg"], "no file matches"),
        (["EMPTY"], "holds no pictures"),
        (["none.jpg"], "none.jpg does not exist"),
        (["https://example.org/a.jpg"], "is an address; download it first"),
        (["PHOTOS", "--output", "PHOTOS"], "is where the pictures lie"),
        (["PHOTOS/a.jpg", "--output", "PHOTOS/a.jpg"], "is one of the pictures"),
        (["PHOTOS", "--output", "out.xyz"], "use .png or .jpg"),
        (["PHOTOS", "--output", "out.bmp"], "use .png or .jpg"),
        (["clip.mp4", "--output", "out.png"], "does not end in .mp4"),
        (["clip.mp4", "PHOTOS", "--output", "out.png"], "give a folder"),
        (["PHOTOS/a.jpg", "--camera", "0"], "not both"),
        (["PHOTOS/b.png", "--csv", "PHOTOS/a.jpg"], "is the name of a picture or video; after"),
        (["--camera", "0", "--json", "new.mp4"], "is the name of a picture or video; after"),
        (["PHOTOS/sub/d.jpg", "LIST", "--csv", "LIST"], "is the name of a picture"),
        (["PHOTOS", "--json", "out", "--csv", "./out"], "both name out; choose two files"),
    ],
)
def test_refusals(command, folder, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EMPTY").mkdir()
    (tmp_path / "LIST").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FacemaskError, match=message):
        command(*[a.replace("PHOTOS", "photos") for a in arguments])
    assert sorted(tmp_path.rglob("*")) == before


def test_again_in_the_same_folder(command, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder / "sub")
    (folder / "sub" / "d.jpg").unlink()
    for _ in range(2):  # prediction.png of the first time is not judged the second time
        assert command(".") == 0
        assert capsys.readouterr().out.splitlines()[1:] == ["prediction.png"]
    with pytest.raises(FacemaskError, match="is one of the pictures"):
        command("prediction.png")


@pytest.mark.parametrize("sure", [0.4, 0.99])
def test_of_many_faces_it_is_printed_how_many_of_each(sure, capsys):
    verdict = {"label": "with_mask", "probability": 0.9, "sure": 0.9 >= sure}
    few = {"file": "a.jpg", "judged": "faces", "faces": [verdict] * batch.TOLD, "whole": None}
    assert batch._sentence(few).count("with_mask 0.900") == batch.TOLD
    many = few | {"faces": [verdict] * 7 + [verdict | {"label": "without_mask"}]}
    said = "8 faces: 7 with_mask, 1 without_mask" if sure < 0.9 else "8 faces: 8 unsure"
    assert batch._sentence(many) == f"a.jpg: {said}"


def test_too_many_for_one_picture(command, tmp_path):
    for number in range(batch.GRID + 1):
        (tmp_path / f"{number}.jpg").touch()
    with pytest.raises(FacemaskError, match="too many for one; give a folder"):
        command(tmp_path)


def test_output_folder_inside_the_input_folder(command, folder):
    out = folder / "annotated"
    command(folder, "--output", out)
    first = json.loads((out / "answers.json").read_text())
    command(folder, "--output", out)  # does not judge what it wrote itself
    assert json.loads((out / "answers.json").read_text()) == first


def test_names_in_the_output_folder_do_not_collide(tmp_path):
    names = ["x/1.jpg", "y/1.jpg", "y/2.gif", "y/2.gif.png", "v.mov", "v.mov.mp4"]
    targets = place([Source(str(tmp_path / n)) for n in names], tmp_path / "out")
    assert len(set(targets.values())) == len(names)
    assert targets[str(tmp_path / "x/1.jpg")] == tmp_path / "out" / "x" / "1.jpg"


def test_a_half_written_line_is_dropped(tmp_path):
    path, about = tmp_path / "j", {"model": "m"}
    a, b, c = ({"file": name, "error": "none"} for name in "abc")
    journal = Journal(path, about)
    journal.add(a)
    journal.add(b)
    journal.close()
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        journal = Journal(path, about)
        assert journal.done == ({"a"} if end >= len(whole) - len(json.dumps(b) + "\n") else set())
        journal.add(c)
        journal.close()
        assert [answer["file"] for answer in read_journal(path)] == sorted(journal.done)


def test_a_journal_of_another_run_is_refused(tmp_path):
    Journal(tmp_path / "j", {"model": "old"}).close()
    with pytest.raises(FacemaskError, match="begun with another model"):
        Journal(tmp_path / "j", {"model": "new"})
    if sys.platform != "win32":
        first = Journal(tmp_path / "j", {"model": "old"})
        with pytest.raises(FacemaskError, match="another run"):
            Journal(tmp_path / "j", {"model": "old"})
        first.close()


def test_answers_of_other_pictures_are_not_added_to(command, folder, scene, tmp_path, monkeypatch):
    """A run that was cut off goes on with its own pictures, and with more, but not with others."""
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(scene).save(other / "a.jpg")
    table = tmp_path / "all.json"
    real = Journal.add

    def cut(journal, answer):
        real(journal, answer)
        raise KeyboardInterrupt

    monkeypatch.chdir(folder)
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", cut)
        assert command("a.jpg", "b.png", "--json", table) == 130
    with pytest.raises(FacemaskError, match=r"holds answers of other pictures, such as a\.jpg"):
        command("b.png", "--json", table)
    monkeypatch.chdir(other)  # where a.jpg is another picture
    with pytest.raises(FacemaskError, match="begun with another model or other settings"):
        command("a.jpg", "--json", table)
    monkeypatch.chdir(folder)
    assert command("a.jpg", "b.png", "sub/c.gif", "--json", table) == 0
    names = [answer["file"] for answer in json.loads(table.read_text())]
    assert names == ["a.jpg", "b.png", "sub/c.gif"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_a_drive_without_locks_can_be_written_to(tmp_path, monkeypatch):
    import fcntl

    def none(file, how):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    Journal(tmp_path / "j", {"model": "m"}).close()
    assert (tmp_path / "j").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="names must be Unicode here")
def test_names_that_are_not_unicode(command, scene, tmp_path, capsys):
    name = os.fsdecode(str(tmp_path).encode() + b"/caf\xe9 \xc3\xbc.png")
    Image.fromarray(scene[:100, :100]).save(name)
    code = command(name, "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv")
    assert code == 0
    (answer,) = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert answer["file"] == name
    assert "caf\\udce9 ü" in (tmp_path / "a.csv").read_text(encoding="utf-8")


def test_memory_does_not_grow_with_the_number_of_photos(tmp_path):
    """Large pictures, so that a few kept too many would show."""
    path = tmp_path / "large.png"
    Image.new("RGB", (3000, 2000), (20, 60, 90)).save(path)  # 18 MB each
    sources = [Source(str(path))] * 12 * WORKERS  # 432 MB or more
    tracemalloc.start()
    for answer in batch.stream(sources, light_model(), lambda *_: None):
        assert answer["judged"] == "no face"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # At most 2 * WORKERS being read or waiting, two being written, and what reading takes.
    assert peak < (3 * WORKERS + 4) * 18e6


def test_ahead_keeps_order_and_few_under_way():
    taken = []

    def items():
        for number in range(50):
            taken.append(number)
            yield number

    def slow(number):
        time.sleep(0.001 * (number % 3))
        return number

    for number in (results := ahead(slow, items(), workers=3)):
        assert len(taken) - number <= 6
        if number == 20:
            break
    results.close()
    assert len(taken) < 30
    assert list(ahead(slow, range(50))) == list(range(50))
    with pytest.raises(ZeroDivisionError):
        list(ahead(lambda n: 1 / (3 - n), range(9)))


def test_labels_do_not_overlap_and_lie_in_the_picture():
    rng = np.random.default_rng(0)
    for count, side in ((3, 200), (25, 600), (60, 300)):
        boxes = np.column_stack(
            [rng.uniform(0, side - 40, (count, 2)), rng.uniform(10, 40, (count, 2))]
        )
        named = [{"label": "incorrect_mask", "probability": 0.876, "sure": k % 4 > 0}
                 for k in range(count)]
        labels = place_labels(named, boxes, (side, side), 12, 2)
        assert len(labels) >= min(3, count)
        canvas = np.zeros((side, side), int)
        for _, text, (x, y) in labels:
            height, width = _text(text, 12).shape
            assert 0 <= x <= side - width and 0 <= y <= side - height
            canvas[y : y + height, x : x + width] += 1
        assert canvas.max() == 1


@pytest.mark.parametrize(("height", "width"), [(1000, 10000), (12000, 1080)])
def test_labels_of_a_strip_are_no_larger_than_its_shorter_side_bears(height, width):
    image = np.full((height, width, 3), 90, np.uint8)
    face = {"label": "with_mask", "probability": 0.9, "sure": True, "box": [300, 400, 200, 250]}
    drawn = annotate(image, {"judged": "faces", "faces": [face]})
    changed = np.argwhere((drawn != image).any(axis=2))
    assert np.ptp(changed[:, 0]) < 330 and np.ptp(changed[:, 1]) < 450


@pytest.mark.parametrize("shape", [(1, 1), (24, 40), (300, 20), (320, 480), (3000, 2000)])
def test_annotates_pictures_of_any_size(shape):
    image = np.full((*shape, 3), 127, np.uint8)
    verdict = {"label": "with_mask", "probability": 0.9, "sure": True}
    face = {**verdict, "box": [0.2 * shape[1], 0.2 * shape[0], 0.6 * shape[1], 0.6 * shape[0]]}
    for answer in (
        {"judged": "faces", "faces": [face], "whole": None},
        {"judged": "whole picture", "faces": [], "whole": verdict},
        {"judged": "no face", "faces": [], "whole": verdict},
    ):
        drawn = annotate(image, answer)
        assert drawn.shape[0] % shape[0] == 0 and drawn.shape[1] % shape[1] == 0
        assert max(drawn.shape) >= 480 and (drawn != 127).any() and (image == 127).all()
