"""What every command says when it is stopped, or when an earlier one has not been given."""

import pytest

from facemask import cli
from facemask.io.files import FacemaskError, read_json


def test_ctrl_c_is_one_line(monkeypatch, capsys):
    def _copies(args: object) -> int:  # the command is called as its function is
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_copies", _copies)
    assert cli.main(["copies", "--dataset", "sample"]) == 130
    said = capsys.readouterr().err.strip()
    assert said == "facemask copies: stopped; the same command goes on where it was"


def test_what_evaluate_would_pass_over_is_refused(tmp_path, capsys):
    assert cli.main(["evaluate", "--dataset", "sample", "--json", str(tmp_path / "a.json")]) == 2
    assert "--training and --json go with --model and --data" in capsys.readouterr().err


@pytest.mark.parametrize("name, step", [("prepare.json", "`facemask prepare`"),
                                        ("tfjs/labels.json", "`facemask export`"),
                                        ("other.json", "the step that writes it")])  # fmt: skip
def test_what_is_missing_names_the_command_that_writes_it(name, step, tmp_path):
    with pytest.raises(FacemaskError, match=f"{name} is missing; run {step} first"):
        read_json(tmp_path / name)
