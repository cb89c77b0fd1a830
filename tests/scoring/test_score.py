"""The command `score` by the local engine: its rows, restarts, kills and refusals."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from facemask import cli
from facemask.io.files import RELEASE, ROOT, FacemaskError, read_json
from facemask.models.classifier import load
from facemask.photos.batch import digest, stream
from facemask.photos.sources import Source
from facemask.scoring import command

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install '.[score]'")

from facemask.scoring import parts  # noqa: E402

# As the command, but with parts of three pictures.
SMALL_PARTS = """
import sys
from facemask import cli
from facemask.scoring import parts
parts.PICTURES = 3
sys.exit(cli.main(sys.argv[1:]))
"""


def rows(out: Path) -> list[dict]:
    found = [row for path in out.glob("part-*.parquet") for row in parts.read(path).to_pylist()]
    return sorted(found, key=lambda row: (row["path"], row["face"] or 0))


@pytest.fixture(scope="module")
def scored(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("scored") / "out"
    return out, command.score(str(photos), out)


def test_the_rows_are_what_predict_answers(photos, scored):
    out, counts = scored
    paths = sorted({row["path"] for row in rows(out)} - {f"{photos}/odd\\udcff.png"})
    model = load(RELEASE)
    answers = {answer["file"]: answer for answer in stream(map(Source, paths), model)}
    assert len(answers) == 12
    for path, answer in answers.items():
        mine = [row for row in rows(out) if row["path"] == path]
        assert {row["model"] for row in mine} == {digest(RELEASE)}
        if "error" in answer:
            assert [row["error"] for row in mine] == [answer["error"]]
            assert mine[0]["label"] is None and mine[0]["face"] is None
            continue
        said = answer["faces"] or [answer["whole"]]
        assert len(mine) == len(said)
        for row, verdict in zip(mine, said):
            for key in ("label", "probability", "sure", "probabilities"):
                assert row[key] == verdict[key]
            for key in ("width", "height", "judged"):
                assert row[key] == answer[key]
            box = [row[key] for key in ("x", "y", "box_width", "box_height")]
            assert box == verdict.get("box", [None] * 4)
            assert row["score"] == verdict.get("score")
    assert counts["pictures"] == 13 and counts["unreadable"] == 2
    faces = [row for row in rows(out) if row["face"]]
    assert counts["faces"] == len(faces) == counts["unsure"] + sum(counts["labels"].values())


def test_a_second_run_adds_nothing_and_new_pictures_are_added(photos, tmp_path):
    few = tmp_path / "few"
    shutil.copytree(photos / "2021-03-14", few)
    command.score(str(few), tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    command.score(str(few), tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    shutil.copy(photos / "face.png", few)
    assert command.score(str(few), tmp_path / "out")["pictures"] == 9
    assert before.items() <= {p: p.read_bytes() for p in (tmp_path / "out").iterdir()}.items()


def test_what_did_not_come_is_tried_again(photos, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text(f"{photos}/face.png\n{tmp_path}/late.png\n")
    arguments = ["score", str(names), "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 1
    said = capsys.readouterr()
    assert "1 pictures: " in said.out and "0 unreadable" in said.out
    assert f"1 pictures did not come, such as: {tmp_path}/late.png does not exist" in said.err
    shutil.copy(photos / "face.png", tmp_path / "late.png")
    assert cli.main(arguments) == 0
    assert [row["path"] for row in rows(tmp_path / "out")] == [
        f"{photos}/face.png", f"{tmp_path}/late.png"]  # fmt: skip


def test_killed_again_and_again_it_loses_and_doubles_nothing(photos, scored, tmp_path):
    out = tmp_path / "out"
    arguments = ["score", str(photos), "--out", str(out)]
    for wanted in (1, 2, 3):
        process = subprocess.Popen(
            [sys.executable, "-c", SMALL_PARTS, *arguments], cwd=ROOT, stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + 60
        while len(list(out.glob("part-*"))) < wanted and time.monotonic() < end:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(list(out.glob("part-*"))) >= wanted
    assert subprocess.run([sys.executable, "-c", SMALL_PARTS, *arguments], cwd=ROOT,
                          capture_output=True).returncode == 1  # fmt: skip
    assert rows(out) == rows(scored[0])
    assert max(len(set(parts.read(p)["path"].to_pylist())) for p in out.glob("part-*")) == 3
    left = {path.name for path in out.iterdir() if not path.name.startswith("part-")}
    assert left == {"_settings.json"}


def test_another_model_is_refused(photos, scored, tmp_path):
    shutil.copytree(RELEASE, tmp_path / "model")
    shutil.copy(RELEASE / "model-int8.tflite", tmp_path / "model" / "model.tflite")
    with pytest.raises(FacemaskError, match="another model or other settings"):
        command.score(str(photos), scored[0], model=tmp_path / "model")
    shutil.copytree(scored[0], tmp_path / "out")
    (tmp_path / "out" / "_settings.json").unlink()
    with pytest.raises(FacemaskError, match="settings.json is missing"):
        command.score(str(photos), tmp_path / "out")


def test_a_damaged_part_is_named(photos, scored, tmp_path):
    shutil.copytree(scored[0], tmp_path / "out")
    (part,) = (tmp_path / "out").glob("part-*")
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(FacemaskError, match=f"{part.name} is damaged.*delete it"):
        command.score(str(photos), tmp_path / "out")


def test_an_answer_that_comes_twice_is_kept_once(scored, tmp_path):
    about = read_json(scored[0] / "_settings.json")
    answer = {"file": "a.jpg", "error": "broken"}
    with parts.opened(tmp_path / "out", about, about["labels"]) as results:
        assert [results.add(answer), results.add(answer)] == [True, False]
        results.flush()
        assert results.add(answer) is False
    with parts.opened(tmp_path / "out", about, about["labels"]) as results:
        assert results.add(answer) is False
    assert [row["path"] for row in rows(tmp_path / "out")] == ["a.jpg"]


def test_nothing_is_written_of_what_is_no_number(scored, tmp_path):
    about = read_json(scored[0] / "_settings.json")
    verdict = {"label": "with_mask", "probability": 0.5, "sure": False,
               "probabilities": dict.fromkeys(about["labels"], float("nan"))}  # fmt: skip
    answer = {"file": "a.jpg", "width": 1, "height": 1, "judged": "no face", "faces": [],
              "whole": verdict}  # fmt: skip
    with pytest.raises(FacemaskError, match="no number for a.jpg"):
        with parts.opened(tmp_path / "out", about, about["labels"]) as results:
            results.add(answer)
    assert rows(tmp_path / "out") == []


def test_the_command_says_what_it_did(photos, tmp_path, capsys):
    assert cli.main(["score", str(photos), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("13 pictures: ") and said.out.endswith(f"{tmp_path}/out\n")
    assert "13/13" in said.err
    assert cli.main(["score", "gone", "--out", str(tmp_path / "out")]) == 2


@pytest.mark.parametrize("engine, missing, extra", [
    ("local", "pyarrow", "score"), ("ray", "pyarrow", "ray"), ("ray", "ray", "ray"),
])  # fmt: skip
def test_without_the_extra_it_says_what_to_install(
    engine, missing, extra, photos, tmp_path, monkeypatch, capsys
):
    there = command.importlib.util.find_spec
    monkeypatch.setattr(command.importlib.util, "find_spec",
                        lambda name: None if name == missing else there(name) or name)
    assert cli.main(["score", str(photos), "--out", str(tmp_path), "--engine", engine]) == 2
    expected = (f"facemask score: {missing} is not installed; in the project's folder run: "
                f"pip install '.[{extra}]'")
    assert capsys.readouterr().err.strip() == expected


def test_the_page_reads_the_results_back(scored, tmp_path, monkeypatch, capsys):
    """Its Python, run one after the other where the results are called `scores`."""
    pytest.importorskip("duckdb", reason="duckdb is not installed: requirements-ray.txt")
    pytest.importorskip("pandas")
    (tmp_path / "scores").symlink_to(scored[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    page = (ROOT / "docs" / "scale.md").read_text("utf-8")
    by_duckdb, by_pandas, chart, _ = re.findall(r"(?ms)^```python\n(.*?)^```", page)
    counts = Counter(row["label"] for row in rows(scored[0]) if row["sure"] and row["face"])
    for code in (by_duckdb, by_pandas):
        exec(code, {})
        said = capsys.readouterr().out
        found = re.findall(r"(\w+_mask)\W+(\d+)", said)
        assert counts and {label: int(number) for label, number in found} == counts
    drawn: dict = {}
    exec(chart, drawn)
    assert (tmp_path / "compliance.png").stat().st_size > 1000
    (day,) = drawn["days"].to_dict("records")
    faces = [row for row in rows(scored[0]) if row["sure"] and "gate-2" in row["path"]]
    share = sum(row["label"] == "with_mask" for row in faces) / len(faces)
    assert (str(day["day"])[:10], day["place"]) == ("2021-03-14", "gate-2")
    assert day["share"] == pytest.approx(share)
