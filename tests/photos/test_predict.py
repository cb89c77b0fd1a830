"""The command line as people use it: predict, and what every command says when it refuses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask import CLASSES
from facemask.cli import main
from facemask.datasets.sample import draw_scene
from facemask.io.files import RELEASE, FacemaskError, read_json
from facemask.models import classifier
from facemask.photos import batch
from facemask.photos.figure import LONGEST, draw
from facemask.photos.predict import MARGIN, predict


@pytest.fixture(scope="module")
def pictures(sample, tmp_path_factory):
    """Four drawn faces in different formats, and two files that are no pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    faces = sorted(sample.rglob("*.*"))[::40][:4]
    forms = [("a.jpg", "CMYK"), ("b.webp", "RGB"), ("c.png", "L"), ("d.tif", "RGBA")]
    for path, (name, mode) in zip(faces, forms):
        Image.open(path).convert(mode).save(folder / name)
    (folder / "e.jpg").write_text("no picture")
    (folder / "f.png").touch()
    return folder


def test_answers_are_probabilities_in_the_models_order(trained, pictures):
    model = classifier.load(trained.run / "compact")
    answers, problems = predict([pictures], model)
    assert [a["file"][-5:] for a in answers] == ["a.jpg", ".webp", "c.png", "d.tif"]
    assert len(problems) == 2 and "e.jpg" in problems[0] and "f.png" in problems[1]
    for answer in answers:
        assert list(answer["probabilities"]) == model.labels
        assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert answer["probability"] == max(answer["probabilities"].values())
        assert answer["probabilities"][answer["label"]] == answer["probability"]


def test_command_draws_every_readable_picture(trained, pictures, tmp_path, capsys):
    out = tmp_path / "answer.png"
    model = str(trained.run / "compact")
    code = main(["predict", str(pictures), "--model", model, "--output", str(out)])
    printed = capsys.readouterr()
    assert code == 1  # done in part
    assert printed.out.count("_mask ") >= 4 and "e.jpg cannot be read" in printed.err
    drawn = np.asarray(Image.open(out).convert("RGB"))
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 1000  # the faces are in it


def test_one_picture(trained, pictures, tmp_path):
    out = tmp_path / "one.jpg"
    model = str(trained.run / "compact")
    assert main(["predict", str(pictures / "c.png"), "--model", model, "--output", str(out)]) == 0
    assert Image.open(out).format == "JPEG"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["predict", "none.jpg", "--model", "MODEL"], "none.jpg does not exist"),
        (["predict", "PICTURES", "--model", "nowhere"], "there is no model at nowhere"),
        (["predict", "PICTURES/a.jpg", "--model", "MODEL", "--output", "TMP/a.xyz"], "a.xyz"),
        (["download", "--dataset", "no-such-set"], "no-such-set"),
        (["evaluate", "--dataset", "sample", "--data-dir", "TMP"], "prepare.json is missing"),
    ],
)
def test_refusals(trained, pictures, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    real = {"MODEL": trained.run / "compact", "PICTURES": pictures, "TMP": tmp_path}
    filled = []
    for argument in arguments:
        for name, value in real.items():
            argument = argument.replace(name, str(value))
        filled.append(argument)
    assert main(filled) == 2
    assert message in capsys.readouterr().err
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_stages_one_after_the_other(sample, tmp_path, capsys):
    """download, prepare, train and evaluate by command on a folder of pictures."""
    common = ["--dataset", str(sample), "--data-dir", str(tmp_path / "d"),
              "--models-dir", str(tmp_path / "m")]
    small = ["--image-size", "32"]
    assert main(["download", *common]) == 0
    assert main(["prepare", *common, *small]) == 0
    assert main(["export", *common]) == 2 and "no trained model" in capsys.readouterr().err
    assert main(["train", *common, *small, "--epochs", "1", "--models", "compact"]) == 0
    assert main(["evaluate", *common]) == 0
    printed = capsys.readouterr().out
    assert "compact   test" in printed and printed.strip().endswith("report.json")


def test_released_model_judges_unless_another_is_named(tmp_path):
    """On drawn people, whom it was not trained on: their masks are seen."""
    assert classifier.load(RELEASE).labels == list(CLASSES)
    image, people = draw_scene(np.random.default_rng(0), 2, 480, 320)
    Image.fromarray(image).save(tmp_path / "people.png")
    assert main(["predict", str(tmp_path / "people.png"), "--json", str(tmp_path / "a.json")]) == 0
    (answer,) = read_json(tmp_path / "a.json")
    assert len(answer["faces"]) == len(people)
    assert list(answer["faces"][0]["probabilities"]) == list(CLASSES)


def test_released_model_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "RELEASE", tmp_path / "release")
    with pytest.raises(FacemaskError, match="released model is missing.*--model"):
        batch.load_whole(tmp_path / "release")


def test_faces_are_cut_as_in_training():
    from facemask.release.collect import FACE_MARGIN

    assert MARGIN == FACE_MARGIN


def test_a_grid_names_its_pictures(trained, pictures, tmp_path):
    answers, _ = predict([pictures], classifier.load(trained.run / "compact"))
    (tmp_path / ("x" * 60 + ".png")).write_bytes(Path(answers[0]["file"]).read_bytes())
    answers = [*answers[:2], answers[0] | {"file": str(tmp_path / ("x" * 60 + ".png"))}]
    titles = [axes.get_title() for axes in draw(answers).axes[:3]]
    names = [title.split("\n")[0] for title in titles]
    assert names[:2] == [Path(answer["file"]).name for answer in answers[:2]]
    assert len(names[2]) <= LONGEST and names[2].endswith(".png")
    assert "\n" not in draw(answers[:1]).axes[0].get_title()
