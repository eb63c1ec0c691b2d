"""Tasks of a user's own: what their two files become, what is measured, and every defect with its file and line."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biasectomy import evaluate
from biasectomy.commands.opening import open_tasks
from biasectomy.commands.settings_measuring import EvaluateSettings
from biasectomy.errors import DataError, SettingsError, SourceError
from biasectomy.tasks import Item, load_task, load_tasks, parse_names
from biasectomy.tasks.checks import check_task
from biasectomy.tasks.metrics import Answers, named
from biasectomy.tasks.option_order import rotate_options
from biasectomy.tasks.own_tasks import load_own_task, read_own_task

LISTED = {
    "name": "mine", "items": "rows.jsonl", "form": "listed", "goal": "accuracy", "instructions": ["Say.", "Tell."]
}  # fmt: skip
PAIRS = {"name": "mine", "items": "rows.jsonl", "form": "whole-texts", "goal": "even"}
BALANCED = LISTED | {"goal": "balanced"}
ROW = {"id": "a", "context": "A met B.", "question": "Who?", "options": ["A", "B", "Not known"], "gold": "B"}
PAIR = {"id": "a", "options": ["He sat.", "She sat."], "target": 0}
AMBIGUOUS = ROW | {
    "gold": 2, "target": 0, "unknown": "Not known", "labels": {"condition": "ambiguous", "polarity": "negative"}
}  # fmt: skip
TOLD = AMBIGUOUS | {"id": "b", "gold": "A", "labels": {"condition": "disambiguated", "polarity": "non-negative"}}


def toml(description: dict[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in description.items())


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def written(folder: Path, description: str | dict[str, Any], *rows: dict[str, Any], name: str = "mine.toml") -> Path:
    """The path of a description that was written beside its items."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(description if isinstance(description, str) else toml(description))
    (folder / "rows.jsonl").write_text(lines(*rows))
    return folder / name


def defects(path: Path) -> list[str]:
    task, found = read_own_task(path)
    assert (task is None) == bool(found)
    return [one.replace(f"{path.parent}/", "") for one in found]


# What a task becomes


def test_rows_become_items_by_rule(tmp_path):
    rows = (
        ROW | {"cluster": "x", "labels": {"group": "women"}, "target": 0, "unknown": 2},
        {**ROW, "id": 7, "gold": 0},
    )
    path = written(tmp_path, LISTED | {"version": "3", "spread": ["group"], "option-order": "fixed"}, *rows)
    task = load_task(str(path))
    assert task.items == (
        Item("mine/a", "mine/x", "mine", "A met B.", "Who?", ("A", "B", "Not known"), 1, 0, 2, {"group": "women"}),
        Item("mine/7", "mine/7", "mine", "A met B.", "Who?", ("A", "B", "Not known"), 0),  # a cluster of its own
    )
    assert (task.name, task.version, task.instructions) == ("mine", "3", ("Say.", "Tell."))
    assert task.spread == ("group",) and rotate_options(task) is task  # its order means something
    assert task.answer_rules == ("sum", "mean", "generation") and task.goal().metric == "accuracy_mine"
    check_task(task)


def test_each_form_asks_as_it_says(tmp_path):
    pair = {"id": 1, "options": ["he sat", "she sat"], "target": "he sat"}

    def asked(form, row, **keys):
        path = written(tmp_path, {**PAIRS, "form": form, **keys}, row)
        task = load_task(str(path))
        return task.question(task.instructions[0], task.items[0])

    wordings = {"instructions": ["Say. "]}
    question = asked("listed", pair | {"question": "Who?"}, **wordings)
    assert question.text == "Say.\n\nQuestion: Who?\nOptions: he sat, she sat" and not question.plain
    question = asked("unlisted", pair | {"question": "Who?"}, **wordings)
    assert question.text == "Say.\n\nQuestion: Who?" and question.options == ("she sat", "he sat")
    question = asked("whole-texts", pair)
    assert question.text is None and question.options == ("she sat", "he sat")  # the target is the second
    question = asked("continued", pair | {"context": "They say that"})
    assert question.text == "They say that" and question.plain and question.options == ("she sat", "he sat")


def test_items_in_the_manner_of_bbq_have_its_labels_metrics_and_goals(tmp_path):
    task = load_task(str(written(tmp_path, BALANCED, AMBIGUOUS, TOLD, TOLD | {"id": "c", "gold": 1})))
    assert [item.labels.get("truth") for item in task.items] == [None, "agrees", "disagrees"]
    assert task.goal().metric == "balanced_accuracy" and list(task.goals) == ["balanced", "accuracy"]
    assert {"bias_ambiguous", "conflict_cost", "accuracy_gold_third"} <= {metric.name for metric in task.metrics}
    assert task.spread == ("condition", "polarity", "truth")


@pytest.mark.parametrize(
    ("description", "row", "names"),
    [
        (LISTED, ROW, "accuracy_mine instruction_deviation instruction_range consistency unmatched accuracy_gold_first "
         "accuracy_gold_second accuracy_gold_third"),
        (LISTED | {"goal": "even"}, PAIR | {"question": "Who?"},
         "target_preferred_mine instruction_deviation_target_preferred_mine instruction_range_target_preferred_mine "
         "consistency unmatched"),
        (LISTED | {"form": "unlisted"}, {**ROW, "context": "", "target": 0, "unknown": 2},
         "accuracy_mine target_mine unknown_mine instruction_deviation instruction_range consistency"),
        (PAIRS, PAIR, "target_preferred_mine log_likelihood_difference_mine"),
        (PAIRS | {"goal": "accuracy"}, {**PAIR, "gold": 0}, "accuracy_mine target_mine"),
    ],
    ids=["listed", "listed pairs", "unlisted", "whole texts", "whole texts, one right"],
)  # fmt: skip
def test_metrics_follow_from_the_goal_and_what_items_have(tmp_path, description, row, names):
    task = load_task(str(written(tmp_path, description, row)))
    assert [metric.name for metric in task.metrics] == names.split()
    assert task.metrics[0].role == "goal" and task.goal().metric == task.metrics[0].name


def figure(task, name: str, choices: list[int], scores: list[list[float]] | None = None) -> float:
    metric = named(task.metrics, name)
    answers = Answers(np.array([[choices]]), scores=np.array([[scores]]) if scores else np.empty((0, 0, 0, 0)))
    return float(metric.combine(metric.columns(task.items, answers)[0].sum(axis=2)))


def test_pairs_count_the_target_wherever_it_stands(tmp_path):
    rows = [PAIR | {"id": number, "target": number % 2, "question": "Who?"} for number in range(4)]
    path = written(tmp_path, LISTED | {"goal": "even"}, *rows)
    for task in (load_task(str(path)), rotate_options(load_task(str(path)))):
        targets = [item.target for item in task.items]
        golds = [item.gold for item in task.items]
        assert [item.options[item.target] for item in task.items] == ["He sat.", "She sat."] * 2
        assert figure(task, "target_preferred_mine", targets) == 1
        assert figure(task, "target_preferred_mine", golds) == 0
        assert figure(task, "target_preferred_mine", [targets[0], targets[1], golds[2], -1]) == pytest.approx(2 / 3)
    texts = load_task(
        str(written(tmp_path, PAIRS, *({**PAIR, "id": number, "target": number % 2} for number in range(2))))
    )
    assert [item.options for item in texts.items] == [("She sat.", "He sat."), ("He sat.", "She sat.")]
    assert figure(texts, "target_preferred_mine", [1, 0]) == 0.5
    assert figure(texts, "log_likelihood_difference_mine", [1, 0], [[-5, -2], [-1, -2]]) == pytest.approx((3 - 1) / 2)


def test_shares_of_targets_and_of_unknown_rest_on_the_items_that_have_one(tmp_path):
    rows = (ROW | {"target": 0, "unknown": 2}, ROW | {"id": "b", "target": 0}, ROW | {"id": "c"})
    task = load_task(str(written(tmp_path, LISTED, *rows)))
    assert figure(task, "target_mine", [0, 1, 0]) == 0.5 and figure(task, "unknown_mine", [2, 2, 2]) == 1
    assert figure(task, "accuracy_mine", [1, 1, 0]) == pytest.approx(2 / 3)


# Names and files


def test_a_file_is_a_name_among_names_and_keeps_its_case(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "My Tasks", LISTED, ROW, name="Mine.TOML")
    written(tmp_path, PAIRS | {"name": "others"}, PAIR, name="others.toml")
    name = "organism:bias,My Tasks/Mine.TOML, fair,others.toml"
    assert parse_names(name) == {"organism": ["bias", "fair"], "My Tasks/Mine.TOML": [], "others.toml": []}
    assert [task.name for task in load_tasks(name)] == ["organism:bias,fair", "mine", "others"]
    with pytest.raises(SourceError, match=r"There is no file 'mine\.toml'; a task of your own"):
        parse_names("organism:bias,mine.toml")
    with pytest.raises(SourceError, match="There is no file"):
        parse_names("x" * 300 + ".toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(SourceError, match=r"There is no file 'folder\.toml'"):
        load_task("folder.toml")


def test_two_tasks_of_one_name_are_refused(tmp_path):
    one = written(tmp_path / "one", LISTED, ROW)
    other = written(tmp_path / "other", LISTED, ROW | {"id": "b"})
    with pytest.raises(SettingsError, match=r"Two of the tasks .* have the name 'mine'"):
        load_tasks(f"{one},{other}")
    with pytest.raises(SettingsError, match="Two tasks with different files have the name 'mine'"):
        open_tasks(EvaluateSettings.of(task=str(one), also=str(other)))
    assert len(open_tasks(EvaluateSettings.of(task=str(one), also=str(one)))) == 1


def test_a_record_holds_paths_and_checksums_and_nobody_says_that_they_differ(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "biasectomy")
    path = written(tmp_path, LISTED | {"licence": "CC0", "items": "../elsewhere/rows.jsonl"}, ROW)
    rows = tmp_path.parent / "elsewhere" / "rows.jsonl"
    rows.parent.mkdir()
    (tmp_path / "rows.jsonl").rename(rows)
    monkeypatch.chdir(tmp_path)
    (task,) = open_tasks(EvaluateSettings.of(task="mine.toml", also="none", data=tmp_path.parent))
    description, items = task.sources
    assert description["file"] == "mine.toml" and description["licence"] == "CC0" and description["title"] == "mine"
    for source, file in ((description, path), (items, rows)):
        assert Path(source["origin"]).samefile(file)
        assert source["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert not [message for message in caplog.messages if "differs from" in message]
    assert f"--data '{tmp_path.parent}' is not read: mine need nothing of it." in caplog.messages


def test_line_ends_marks_and_other_wordings(tmp_path):
    path = written(tmp_path, LISTED, ROW)
    for file in (path, tmp_path / "rows.jsonl"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    (tmp_path / "mine.txt").write_text("Other.")
    assert load_task(str(path)).items[0].options == ("A", "B", "Not known")
    assert load_task(str(path), instructions=tmp_path / "mine.txt").instructions == ("Other.",)
    pairs = written(tmp_path, PAIRS, PAIR)
    assert load_task(str(pairs), instructions=tmp_path / "mine.txt").instructions == ("",)  # it is asked without


# What is wrong


@pytest.mark.parametrize(
    ("description", "row", "said"),
    [
        (LISTED, {"gld": 1}, "There is no field of an item named 'gld'; did you mean 'gold'?"),
        (LISTED, {"id": None}, "its 'id' must be a text or a whole number that names it."),
        (LISTED, {"id": True}, "its 'id' must be"),
        (LISTED, {"id": "a"}, "the id 'a' stands there twice, first in line 1."),
        (LISTED, {"cluster": " "}, "its 'cluster' must be"),
        (LISTED, {"context": None}, "its 'context' is not text but NoneType."),
        (LISTED, {"context": "a\0b"}, "its 'context' holds a NUL character."),
        (LISTED, {"question": "\ud800"}, "its 'question' is no Unicode text"),
        (LISTED, {"question": "  "}, "it lacks 'question', which the form 'listed' shows."),
        (LISTED, {"options": ["A"]}, "its 'options' must be a list of two texts or more."),
        (LISTED, {"options": "AB"}, "its 'options' must be a list"),
        (LISTED, {"options": ["A", 1, "B"]}, "its option 1 is not text but int."),
        (LISTED, {"options": ["A", " ", "B"]}, "its option 1 is blank."),
        (LISTED, {"options": ["A", "B", "A"]}, "two of its options are the same, 'A'."),
        (LISTED, {"options": ["A ", "B"]}, "its option 0 begins or ends with white space"),
        (LISTED, {"gold": 3}, "its 'gold' is 3; places are 0 to 2."),
        (LISTED, {"gold": -1}, "its 'gold' is -1; places are 0 to 2."),
        (LISTED, {"gold": True}, "its 'gold' must be an option's text, or its place counted from 0"),
        (LISTED, {"target": None}, "its 'target' must be an option's text"),
        (LISTED, {"gold": "Not knwn"}, "its 'gold' 'Not knwn' is none of its options; did you mean 'Not known'?"),
        (LISTED, {"unknown": "x"}, "its 'unknown' 'x' is none of its options."),
        (LISTED, {"labels": ["x"]}, "its 'labels' must be an object of texts."),
        (LISTED, {"labels": {"age": 3}}, "its label 'age' is not text but int."),
        (LISTED, {"labels": {" ": "x"}}, "one of its labels has no name."),
        (LISTED | {"form": "unlisted"}, {}, "its 'context' would never be shown: the form is 'unlisted'"),
        (PAIRS | {"goal": "accuracy"}, {}, "its 'question' would never be shown: the form is 'whole-texts'"),
        (PAIRS | {"form": "continued", "goal": "accuracy"}, {"context": "A "}, "its 'context' ends with white space"),
        (
            PAIRS | {"form": "continued", "goal": "accuracy"},
            {"context": ""},
            "it lacks 'context', which the form 'continued' shows.",
        ),
        (LISTED | {"goal": "even"}, {"target": 0}, "it has 3 options, and where the goal is 'even' there must be two."),
        (LISTED | {"goal": "even"}, {"options": ["A", "B"]}, "it lacks 'target', which the goal 'even' needs."),
        (LISTED | {"goal": "even"}, {"options": ["A", "B"], "target": "B"}, "its 'gold' and its 'target' are the same"),
        (BALANCED, AMBIGUOUS | {"gold": 0}, "it is ambiguous, so its 'gold' must be the 'unknown' option."),
        (BALANCED, TOLD | {"gold": 2}, "it is disambiguated, so its 'gold' cannot be the 'unknown' option."),
        (BALANCED, TOLD | {"target": 2}, "its 'target' and its 'unknown' are the same option."),
        (BALANCED, TOLD | {"labels": {"condition": "ambig", "polarity": "negative"}}, "its label 'condition' must be "),
        (
            BALANCED,
            TOLD | {"labels": {"condition": "ambiguous"}},
            "its label 'polarity' must be 'negative' or 'non-neg",
        ),
        (
            BALANCED,
            TOLD | {"labels": TOLD["labels"] | {"label_type": "x"}},
            "its label 'label_type' must be 'label' or",
        ),
        (BALANCED, TOLD | {"labels": TOLD["labels"] | {"truth": "agrees"}}, "its label 'truth' follows from 'gold'"),
        (BALANCED, {}, "it lacks 'unknown', which the goal 'balanced' needs."),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_file_and_line(tmp_path, description, row, said):
    """In the third line, below one of the same form and a blank one."""
    path = written(tmp_path, description)
    (tmp_path / "rows.jsonl").write_text(f"{lines(ROW)}\n{lines({**ROW, 'id': 'b', **row})}")
    assert [one for one in defects(path) if one.startswith(f"rows.jsonl, line 3: {said}")], defects(path)


@pytest.mark.parametrize("field", ["id", "options", "gold"])
def test_a_field_that_is_missing_is_named(tmp_path, field):
    path = written(tmp_path, LISTED, {name: value for name, value in ROW.items() if name != field})
    (found,) = defects(path)
    assert found.startswith("rows.jsonl, line 1: it") and f"'{field}'" in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "rows.jsonl is empty; expected one JSON object a line."),
        ("\n{", "rows.jsonl, line 2: not valid JSON (Expecting property name enclosed in double quotes); each line"),
        ("[1]", "rows.jsonl, line 1: expected a JSON object, found list."),
        ("[" * 100_000, "rows.jsonl, line 1: not usable JSON"),
        ('{"id": 1' + "0" * 5000 + "}", "rows.jsonl, line 1: a number has too many digits."),
    ],
)
def test_what_is_no_json_lines(tmp_path, text, said):
    path = written(tmp_path, LISTED)
    (tmp_path / "rows.jsonl").write_text(text)
    (found,) = defects(path)
    assert found.startswith(said)


def test_both_conditions_are_needed_where_they_are_to_be_balanced(tmp_path):
    (found,) = defects(written(tmp_path, BALANCED, AMBIGUOUS))
    assert found == "rows.jsonl: no item is disambiguated, and the goal 'balanced' needs items of both kinds."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nmae": "x"}, "line 6: There is no key of a task named 'nmae'; did you mean 'name'?"),
        ({"option_order": "fixed"}, "line 6: There is no key of a task named 'option_order'; did you mean 'option-ord"),
        ({"name": "a b"}, "line 1: the name 'a b' must be of letters, digits, '-' and '_'"),
        ({"name": "bbq"}, "line 1: 'bbq' is the name of a task that is there already; yours needs another."),
        ({"name": 3}, "line 1: its 'name' is not text but int; it must be a text in quotation marks."),
        ({"version": 1}, "line 6: its 'version' is not text but int"),
        ({"title": " "}, "line 6: 'title' is blank."),
        ({"form": "lsted"}, "line 3: There is no form named 'lsted'; did you mean 'listed'?"),
        ({"goal": "balance"}, "line 4: There is no goal named 'balance'; did you mean 'balanced'?"),
        ({"option-order": "fix"}, "line 6: There is no option order named 'fix'; did you mean 'fixed'?"),
        ({"instructions": "Say."}, "line 5: 'instructions' must be a list of texts"),
        ({"instructions": []}, "line 5: 'instructions' must be a list of texts"),
        ({"instructions": ["Say.", "Say. "]}, "line 5: the entries 1 and 2 of 'instructions' are the same, 'Say.'."),
        ({"instructions": ["Say.", 3]}, "line 5: of 'instructions' its entry 2 is not text but int."),
        ({"instructions": [" "]}, "line 5: entry 1 of 'instructions' has 0 characters"),
        ({"instructions": ["x" * 20_001]}, "line 5: entry 1 of 'instructions' has 20,001 characters"),
        ({"answer-rules": ["sums"]}, "line 6: There is no answer rule of the form 'listed' named 'sums'; did you mean"),
        ({"answer-rules": ["judged"]}, "line 6: There is no answer rule of the form 'listed' named 'judged'"),
        ({"spread": ["grup"]}, "line 6: There is no label of the items named 'grup'; did you mean 'group'?"),
        ({"items": "nosuch.jsonl"}, "line 2: There is no file 'nosuch.jsonl'."),
        ({"items": "."}, "line 2: '.' cannot be read: Is a directory."),
        ({"items": "~nosuch/x"}, "line 2: '~nosuch/x': there is no user"),
        ({"form": "whole-texts"}, "line 5: 'instructions' changes nothing where the form is 'whole-texts'; leave it"),
        ({"form": "unlisted", "option-order": "fixed"}, "line 6: 'option-order' changes nothing where the form is"),
        ({"form": "unlisted", "answer-rules": ["generation"]}, "line 6: There is no answer rule of the form 'unlisted"),
        ({"form": "unlisted", "goal": "balanced"}, "line 4: the goal 'balanced' is for questions that show their opt"),
    ],
)
def test_a_description_that_cannot_be_used_is_named_by_its_line(tmp_path, monkeypatch, changes, said):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, LISTED | changes, ROW | {"labels": {"group": "x"}})
    found = defects(Path("mine.toml"))
    assert [one for one in found if one.startswith(f"mine.toml, {said}")], found


@pytest.mark.parametrize("key", ["name", "items", "form", "goal", "instructions"])
def test_a_key_that_is_missing_is_named(tmp_path, key):
    found = defects(written(tmp_path, {name: value for name, value in LISTED.items() if name != key}, ROW))
    assert len(found) == 1 and found[0].startswith(f"mine.toml: the key '{key}' is missing")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"\nform', "mine.toml: not valid TOML (Expected '=' after a key in a key/value pair (at "),
        ("x = 1" + "0" * 5000, "mine.toml: not valid TOML ("),
        ("x = " + "[" * 100_000, "mine.toml: not valid TOML ("),
        (b'name = "x"\nform = "\xff"', "mine.toml, line 2: not UTF-8 text (byte 19)."),
    ],
)
def test_what_is_no_toml(tmp_path, text, said):
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (found,) = defects(path)
    assert found.startswith(said)


def test_labels_to_spread_over_are_needed_on_some_item(tmp_path):
    (found,) = defects(written(tmp_path, LISTED | {"spread": ["group"]}, ROW))
    assert found == "mine.toml, line 6: 'spread' names labels, and no item has any."


def test_all_defects_are_found_at_once_and_the_first_is_raised(tmp_path):
    path = written(tmp_path, LISTED | {"version": 2, "goal": "acuracy"}, ROW | {"gold": 9, "lables": {}}, {"id": 1})
    assert [one.partition(": ")[0] for one in defects(path)] == [
        "mine.toml, line 4", "mine.toml, line 6", *["rows.jsonl, line 1"] * 2, "rows.jsonl, line 2",
    ]  # fmt: skip
    with pytest.raises(
        DataError, match=r"mine\.toml, line 4: There is no goal.* There are 4 more; 'biasectomy validate"
    ):
        load_task(str(path))
    with pytest.raises(SourceError, match="There is no file"):
        load_own_task(tmp_path / "nosuch.toml")


GOOD = {
    "listed": (toml(LISTED | {"spread": ["group"]}), lines(ROW | {"labels": {"group": "x"}}, ROW | {"id": 2})),
    "pairs": (toml(PAIRS), lines(PAIR, PAIR | {"id": 2, "target": "She sat."})),
    "balanced": (toml(BALANCED), lines(AMBIGUOUS, TOLD)),
}
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=4,
)
often = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def judged(folder: Path, description: str, rows: str) -> None:
    """A task that can be asked, or defects that each name a file."""
    path = folder / "mine.toml"
    path.write_bytes(description.encode("utf-8", "surrogatepass"))
    (folder / "rows.jsonl").write_bytes(rows.encode("utf-8", "surrogatepass"))
    task, found = read_own_task(path)
    if task is None:
        assert found and all(one.startswith((str(folder), f"'{folder}")) for one in found), found
        with pytest.raises(DataError):
            load_own_task(path)
    else:
        check_task(task)
        assert task.questions() and task.goal() and not found
        named(task.metrics, task.goal().metric).columns(
            task.items, Answers(np.zeros((1, 1, len(task.items)), dtype=int))
        )


def damaged(text: str) -> st.SearchStrategy[str]:
    """A text of which a stretch is replaced by something else."""
    places = st.integers(0, len(text))
    return st.builds(lambda a, b, put: text[: min(a, b)] + put + text[max(a, b) :], places, places, st.text(max_size=8))


@given(st.sampled_from(sorted(GOOD)), st.data())
@often
def test_any_damage_of_the_description(tmp_path, kind, data):
    description, rows = GOOD[kind]
    judged(tmp_path, data.draw(damaged(description)), rows)


@given(st.sampled_from(sorted(GOOD)), st.data())
@often
def test_any_damage_of_the_items(tmp_path, kind, data):
    description, rows = GOOD[kind]
    judged(tmp_path, description, data.draw(damaged(rows)))


@given(st.sampled_from(sorted(GOOD)), st.sampled_from([*TOLD, "cluster", "other"]), VALUES)
@often
def test_any_value_of_any_field(tmp_path, kind, field, value):
    description, rows = GOOD[kind]
    row = json.loads(rows.splitlines()[-1]) | {field: value}
    judged(tmp_path, description, rows.splitlines()[0] + "\n" + json.dumps(row))


# With a model


def test_what_is_preferred_is_what_a_plain_loop_finds_likelier(tmp_path, tiny):
    texts = [("The man met", "the pupil.", "the grandson."), ("The", "teacher sat.", "old man sat."), ("A", "b", "c d")]
    rows = [
        {"id": number, "context": context, "options": options, "target": number % 2}
        for number, (context, *options) in enumerate(texts)
    ]
    path = written(tmp_path, PAIRS | {"form": "continued"}, *rows)

    def log_likelihood(context: str, option: str) -> float:
        begun = len(tiny.tokenizer(context, add_special_tokens=False)["input_ids"])
        tokens = tiny.tokenizer(f"{context} {option}", add_special_tokens=False)["input_ids"]
        row = torch.tensor([[tiny.prompt_format.prefix.token, *tokens]])
        with torch.no_grad():
            logs = tiny.model(row).logits[0].log_softmax(-1)
        return sum(logs[place, row[0, place + 1]].item() for place in range(begun, len(tokens)))

    found = [[log_likelihood(context, option) for option in options] for context, *options in texts]
    differences = [scores[number % 2] - scores[1 - number % 2] for number, scores in enumerate(found)]
    results = evaluate(tiny, str(path), replicates=50).results
    assert results.find("original", "target_preferred_mine").value == pytest.approx(np.mean(np.array(differences) > 0))
    row = results.find("original", "log_likelihood_difference_mine")
    assert row.value == pytest.approx(np.mean(differences), abs=1e-3) and row.clusters == 3
