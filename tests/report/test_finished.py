"""What a folder holds, if it is no finished run."""

import json
from pathlib import Path

import pytest

from biasectomy.errors import RunError
from biasectomy.report.finished import FinishedRun


def refused(folder: Path) -> str:
    with pytest.raises(RunError) as error:
        FinishedRun.read(folder)
    return str(error.value)


def test_what_is_no_finished_run_is_said_plainly(tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == f"There is no folder '{tmp_path / 'none'}'; give that of a finished run."
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "is empty" in refused(empty)
    (empty / "thesis.tex").touch()
    assert refused(empty).endswith("is no finished run: it has no record.json.")
    assert "is a file" in refused(empty / "thesis.tex") and "would be right" not in refused(empty / "thesis.tex")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    assert f"is a model, not a run; 'biasectomy evaluate {model}'" in refused(model)
    for name in "abcdefg":
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "results.json").write_text("{}")
    assert "holds some: a, b, c, d, e and 2 more; give one of them." in refused(tmp_path / "runs")
    (tmp_path / "runs" / "a" / "neurons.json").write_text("{}")
    assert f"'{tmp_path / 'runs' / 'a'}' would be right" in refused(tmp_path / "runs" / "a" / "neurons.json")


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            {"status": "interrupted", "seconds": {"prepare": 1, "fit a": 2}, "command": "biasectomy mitigate m"},
            "it was interrupted (done: prepare, fit a). Go on with: biasectomy mitigate m --resume",
        ),
        ({"status": "running"}, "it is at work, or was ended from outside (done: nothing)."),
        ([], "has not finished"),
    ],
)
def test_a_run_that_has_not_finished_says_how_to_go_on(tmp_path: Path, record: object, said: str) -> None:
    (tmp_path / "record.json").write_text(json.dumps(record))
    assert refused(tmp_path).endswith(said) or said in refused(tmp_path)
