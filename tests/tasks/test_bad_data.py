"""Damaged data: each damage gives items that can be asked and judged, or one sentence that names the file."""

import copy
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.commands.opening import open_tasks
from biasectomy.commands.settings_measuring import EvaluateSettings
from biasectomy.errors import BiasectomyError, DataError
from biasectomy.tasks import crows_pairs
from biasectomy.tasks.bbq import parse_bbq, parse_metadata
from biasectomy.tasks.checks import check_task, wrong_with
from biasectomy.tasks.wordings import LONGEST, load_instructions

ROW: dict[str, Any] = {
    "example_id": 0, "question_index": "1", "question_polarity": "neg", "context_condition": "ambig",
    "category": "Age", "context": "A man met a boy.", "question": "Who forgot?", "ans0": "The man", "ans1": "The boy",
    "ans2": "Unknown", "label": 2,
    "answer_info": {"ans0": ["man", "old"], "ans1": ["boy", "nonOld"], "ans2": ["Unknown", "unknown"]},
}  # fmt: skip
METADATA = "category,question_index,example_id,target_loc,label_type\nAge,1,0,0,label\nAge,1,1,NA,name\n"
PAIRS = (
    ",sent_more,sent_less,stereo_antistereo,bias_type\n"
    '0,"The old man, he forgot.",The young man forgot.,stereo,age\n1,A forgets.,B forgets.,antistereo,age\n'
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=4,
)
often = settings(max_examples=200, deadline=None)


def parsed(row: dict[str, Any]) -> tuple[Any, ...]:
    return parse_bbq(json.dumps(ROW | {"example_id": 1}) + "\n" + json.dumps(row), METADATA, "age", "some/Age.jsonl")


def judged(make: Any, name: str) -> None:
    """Items that can be used, or an error that names the file."""
    try:
        items = make()
    except BiasectomyError as error:
        assert str(error).startswith((name, f"'{name}")), error
    else:
        assert not [wrong_with(item) for item in items if wrong_with(item)]


@given(st.sampled_from(sorted(ROW)), VALUES)
@often
def test_any_value_in_any_field(field: str, value: Any) -> None:
    judged(lambda: parsed(ROW | {field: value}), "some/Age.jsonl")


@given(st.sampled_from(["ans0", "ans1", "ans2"]), VALUES)
@often
def test_any_value_for_what_an_option_is_about(option: str, value: Any) -> None:
    row = copy.deepcopy(ROW)
    row["answer_info"][option] = value
    judged(lambda: parsed(row), "some/Age.jsonl")


def damaged(text: str) -> st.SearchStrategy[str]:
    """A text of which a stretch is replaced by something else."""
    places = st.integers(0, len(text))
    return st.builds(lambda a, b, put: text[: min(a, b)] + put + text[max(a, b) :], places, places, st.text(max_size=8))


@given(damaged(json.dumps(ROW) + "\n" + json.dumps(ROW | {"example_id": 1}) + "\n"))
@often
def test_any_damage_to_rows(text: str) -> None:
    judged(lambda: parse_bbq(text, METADATA, "age", "some/Age.jsonl"), "some/Age.jsonl")


@given(damaged(METADATA))
@often
def test_any_damage_to_metadata(text: str) -> None:
    try:
        parse_metadata(text, "some/metadata.csv")
    except DataError as error:
        assert str(error).startswith("some/metadata.csv, line ")


@given(damaged(PAIRS))
@often
def test_any_damage_to_pairs(text: str) -> None:
    judged(
        lambda: [item for items in crows_pairs.parse(text, "some/pairs.csv").values() for item in items],
        "some/pairs.csv",
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ans1": "  "}, "line 2: 'ans1' is blank"),
        ({"question": ""}, "line 2: 'question' is blank"),
        ({"ans1": "The man"}, "line 2: two of ans0, ans1, ans2 are the same text"),
        ({"ans0": "\ud800"}, "line 2: its 'ans0' is no Unicode text"),
        ({"context": "a\0b"}, "line 2: its 'context' holds a NUL character"),
        ({"label": True}, "line 2: 'label' should be int, found bool"),
        ({"label": 7}, "line 2: label 7 is out of range"),
        ({"question_index": "\udfff"}, "line 2: its 'question_index' is no Unicode text"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        parsed(ROW | changed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"example_id": 1' + "0" * 5000 + "}", "line 1: a number has too many digits"),
        ("[" * 100_000, "line 1: not usable JSON"),
        ("{" * 10_000_000, "line 1: not "),
        ("7", "line 1: expected a JSON object, found int"),
    ],
)
def test_json_that_is_too_much(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        parse_bbq(text, METADATA, "age", "some/Age.jsonl")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (METADATA + "Age,1\n", r"metadata\.csv, line 4: the row is cut short, before the column 'example_id'"),
        (METADATA + '"' + "x" * 200_000 + '",1,2,0,label', r"metadata\.csv, line 4: not valid CSV \(field larger"),
        (METADATA + "Age,1," + "9" * 5000 + ",0,label", r"line 4: example_id '9{40}' is not a whole number"),
    ],
)
def test_csv_that_is_no_table(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        parse_metadata(text)


def test_an_instruction_that_is_none(tmp_path) -> None:
    for text, said in (("x" * (LONGEST + 1), "instruction 1 has 20,001 characters"), ("a\0b", "holds a NUL character")):
        path = tmp_path / "wordings.txt"
        path.write_text(text)
        with pytest.raises(DataError, match=said):
            load_instructions(path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gold": 3}, "Item toy:age/5: its gold option is number 3, and it has 3"),
        ({"unknown": -1}, "its unknown option is number -1"),
        ({"target": True}, "its target option is number True"),
        ({"options": ("a", " ", "b")}, "its option 1 is blank"),
        ({"options": ("a", "b", "a")}, "two of its options are the same, 'a'"),
        ({"question": None}, "its question is not text but NoneType"),
        ({"context": "\ud800"}, "its context is no Unicode text"),
        ({"identifier": "toy:age/4"}, "Item toy:age/4 of 'toy:age' stands there twice"),
    ],
)
def test_items_from_anywhere_are_checked_when_a_task_is_opened(toy_task, changed: dict[str, Any], said: str) -> None:
    task = toy_task()
    check_task(task)
    items = [dataclasses.replace(item, **changed) if item.identifier == "toy:age/5" else item for item in task.items]
    with pytest.raises(DataError, match=said):
        open_tasks(EvaluateSettings.of(also="none"), given=dataclasses.replace(task, items=tuple(items)))


@pytest.mark.parametrize(
    ("changed", "said"), [({"items": ()}, "has no item"), ({"instructions": ()}, "no instruction")]
)
def test_a_task_with_nothing_to_ask(toy_task, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        check_task(dataclasses.replace(toy_task(), **changed))
