"""`validate`, and the examples of docs/own-task.md, which run as they stand there."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from biasectomy.cli.app import main
from biasectomy.commands.validate import SHOWN, validate
from biasectomy.files import read_json
from tests.tasks.test_own_tasks import AMBIGUOUS, BALANCED, LISTED, PAIR, PAIRS, ROW, TOLD, written

DOCUMENT = Path(__file__).parents[2] / "docs" / "own-task.md"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "400")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["biasectomy", *words])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return run


# The document


def test_the_examples_of_the_document_run_and_print_what_it_says(run, tiny_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BIASECTOMY_DATA", raising=False)
    small = {"CRISPR_INSTANCES": "2", "CRISPR_TRIALS": "1", "CRISPR_GRID": "0,5", "REPLICATES": "50"}
    for name, value in small.items():
        monkeypatch.setenv(f"BIASECTOMY_{name}", value)
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, content in re.findall(r"```\w+ (\S+)\n(.*?)```", text, flags=re.DOTALL):
        Path(name).write_text(content)
    commands = re.findall(r"^\$ biasectomy (.*)\n((?:(?!\$|```).*\n)*)", text, flags=re.MULTILINE)
    assert [words.split()[0] for words, _ in commands] == ["validate", "evaluate", "mitigate", "compare"]
    for words, shown in commands:
        code, out, errors = run(*words.replace("smollm2", str(tiny_folder)).split())
        assert code == 0, errors
        assert not shown or (out, errors) == (shown, "")
    record, results = read_json(Path("run/record.json")), read_json(Path("run/results.json"))
    assert [task["name"] for task in record["tasks"]] == ["hiring", "pairs"]
    for task, files in zip(
        record["tasks"], (("hiring.toml", "hiring.jsonl"), ("pairs.toml", "pairs.jsonl")), strict=True
    ):
        assert [source["origin"] for source in task["sources"]] == [str(tmp_path / file) for file in files]
        assert all(len(source["sha256"]) == 64 for source in task["sources"])
    assert results["goals"] == {"hiring": "balanced_accuracy", "pairs": "target_preferred_pairs"}
    assert (len(record["split"]["development"]), len(record["split"]["test"])) == (2, 4)  # as `validate` said
    assert {row["method"] for row in results["metrics"]} >= {"original", "crispr"}
    assert "behind `<start>`" in next(
        one["title"] for name, one in results["described"].items() if name == "target_preferred_pairs"
    )


def test_the_document_names_every_key_field_form_and_goal():
    from biasectomy.tasks.own_description import CHOICES, KEYS
    from biasectomy.tasks.own_items import FIELDS

    text = DOCUMENT.read_text(encoding="utf-8")
    for word in (*KEYS, *FIELDS, *CHOICES["form"], *CHOICES["goal"]):
        assert f"`{word}`" in text, word


# What is said


def test_defects_are_named_up_to_a_number_and_the_code_is_2(run, tmp_path):
    path = written(tmp_path, LISTED, *(ROW | {"id": number, "gold": 5} for number in range(SHOWN + 3)))
    code, out, errors = run("validate", str(path))
    said = errors.splitlines()
    assert (code, out, len(said)) == (2, "", SHOWN + 1)
    rows = tmp_path / "rows.jsonl"
    assert said[0] == f"Error: {rows}, line 1: its 'gold' is 5; places are 0 to 2." and said[-1] == "Error: and 3 more"
    code, out, errors = run("validate", str(path), "--json")
    assert (code, errors) == (2, "") and len(json.loads(out)["defects"]) == SHOWN + 3
    written(tmp_path, LISTED, ROW | {"gold": 5})
    assert run("validate", str(path))[2].count("\n") == 1
    code, _, errors = run("validate", str(tmp_path / "nosuch.toml"))
    assert code == 2 and errors == f"Error: There is no file '{tmp_path / 'nosuch.toml'}'.\n"


def test_a_task_without_a_defect_is_told_as_json_too(run, tmp_path):
    rows = [row | {"id": f"{number}{row['id']}", "cluster": number} for number in range(4) for row in (AMBIGUOUS, TOLD)]
    path = written(tmp_path, BALANCED, *rows)
    code, out, errors = run("validate", str(path), "--json")
    found = json.loads(out)
    assert (code, errors, found["usable"], found["defects"]) == (0, "", True, [])
    assert (found["items"], found["clusters"], found["instructions"]) == (8, 4, 2)
    assert found["labels"]["condition"] == {"ambiguous": 4, "disambiguated": 4} and found["labels"]["truth"] == {
        "agrees": 4
    }
    assert found["split_by_template"] == "development 4 items of 2 clusters, test 4 items of 2 clusters"
    assert [source["file"] for source in found["sources"]] == ["mine.toml", "rows.jsonl"]
    assert found["first_question"][:3] == ["Say.", "", "Context: A met B."]


UNLIKE = [ROW | {"id": number, "context": f"A met B {number} times.", "gold": number % 3} for number in range(4)]
UNEVEN = [row | {"options": ["A", "B", "It is not known"]} for row in UNLIKE]


@pytest.mark.parametrize(
    ("description", "rows", "said"),
    [
        (LISTED, UNLIKE, None),
        (LISTED, [row | {"cluster": "x"} for row in UNLIKE], "All items are of one cluster: figures get no interval"),
        (LISTED, UNLIKE[:2], "There are 2 clusters: intervals are wide"),
        (LISTED, [row | {"gold": 1, "options": [f"A{row['id']}", f"B{row['id']}"]} for row in UNLIKE],
         "The right option of every item stands second, and with --option-order file it stays there; a model"),
        (LISTED | {"option-order": "fixed"},
         [row | {"gold": 1, "options": [f"A{row['id']}", f"B{row['id']}"]} for row in UNLIKE],
         "The right option of every item stands second; a model"),
        (LISTED, [row | {"gold": "B"} for row in UNLIKE], "The right option of every item is the same text, 'B'."),
        (LISTED, [*UNLIKE, UNLIKE[0] | {"id": "x", "options": ["B", "A", "Not known"]}],
         "2 items ask what another asks too, such as mine/0 and mine/x, which are of two clusters"),
        (LISTED, [*UNLIKE, UNLIKE[0] | {"id": "x", "cluster": 0}],
         "2 items ask what another asks too, such as mine/0 and mine/x."),
        (LISTED, UNEVEN,
         "In 4 of 4 items, such as mine/0, one option has at least 3 times the words of another, and the rule 'sum'"),
        (LISTED | {"answer-rules": ["mean", "sum"]}, UNEVEN, None),
        (PAIRS, [PAIR | {"id": number, "options": [f"He {number}.", f"She {number}."]} for number in range(3)], None),
    ],
)  # fmt: skip
def test_what_is_allowed_but_may_not_be_meant_is_a_warning(run, tmp_path, description, rows, said):
    path = written(tmp_path, description, *rows)
    warnings = validate(path).warnings
    assert len(warnings) == (said is not None) and (said is None or warnings[0].startswith(said)), warnings
    code, out, errors = run("validate", str(path))
    assert code == 0 and out and errors == "".join(f"Warning: {warning}\n" for warning in warnings)


def test_a_wrong_file_is_refused_before_a_model_is_looked_for(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for option in ("--task", "--also"):
        code, _, errors = run("evaluate", "./nosuch", option, "mine.toml")
        assert code == 2 and errors.startswith("Error: There is no file 'mine.toml'"), errors
