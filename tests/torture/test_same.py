"""The same answer: what differs between two runs, or two ways to compute, is seen."""

from facemask.io.files import write_json
from facemask.torture import same


def test_what_differs_is_seen(tmp_path):
    for name, accuracy, row in (("one", 0.5, b"0,1\n"), ("two", 0.6, b"0,2\n")):
        write_json(tmp_path / name / "report.json", {"a": [accuracy, 1], "seconds": accuracy})
        (tmp_path / name / "history.csv").write_bytes(row)
    one, two = tmp_path / "one", tmp_path / "two"
    assert same.compare(one, one) == {"figures compared": 3, "different": 0, "failures": 0}
    assert same.compare(one, two) == {"figures compared": 3, "different": 2, "failures": 2}
    write_json(one / "exports.json", {"saved_model": {"bytes": 5, "largest": 0.5}})
    write_json(two / "exports.json", {"saved_model": {"bytes": 6, "largest": 0.5}})
    assert same.compare(one, two) == {"figures compared": 4, "different": 2, "failures": 2}
    write_json(two / "more.json", {"b": None})
    assert same.compare(one, two)["figures compared"] == 5


def test_with_and_without_xnnpack(monkeypatch):
    monkeypatch.setattr(same, "FACES", 10)
    monkeypatch.setattr(same, "SCENES", 1)
    rows = {name: measure() for name, measure in same.without_xnnpack().items()}
    assert len(rows) == 5 and not any(row["failures"] for row in rows.values())
    # The two are not one: 8 bits differ a little somewhere.
    assert any(row["largest difference"] > 1e-4 for row in rows.values())
    monkeypatch.setattr(same, "BOUNDS", {"model-int8.tflite": 0.0, "model.tflite": 0.0})
    assert any(measure()["failures"] for measure in same.without_xnnpack().values())
