"""BoolQ: its file, row by row, what a model is asked, and the accuracy of always the same answer."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.commands.evaluate import evaluate
from biasectomy.errors import BiasectomyError, DataError, SourceError
from biasectomy.tasks import load_task
from biasectomy.tasks.boolq import FIELDS, FILE, METRICS, ROWS, parse
from biasectomy.tasks.checks import check_task, wrong_with
from biasectomy.tasks.metrics import Answers
from biasectomy.tasks.option_order import rotate_options

ROW = {"question": "is ice cold", "title": "Ice", "answer": "True", "passage": "Ice is frozen water, and cold."}
OTHERS = (
    {"question": "is ice a gas?", "title": "Ice", "answer": "False", "passage": "Ice is frozen water, and cold."},
    {"question": "do boats fly", "title": "Boat", "answer": "False", "passage": "A boat swims."},
    {"question": "do birds fly", "title": "Bird", "answer": "False", "passage": "The ostrich does not."},
)


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def folder_with(folder: Path, text: str) -> Path:
    (folder / FILE).parent.mkdir(parents=True)
    (folder / FILE).write_bytes(text.encode())
    return folder


def test_rows_become_items_by_rule():
    items = parse(lines(ROW) + "\n" + lines(*OTHERS), "some.jsonl")
    assert [(item.identifier, item.cluster, item.question, item.gold) for item in items] == [
        ("boolq:dev/1", "boolq:dev/Ice", "is ice cold?", 0),
        ("boolq:dev/3", "boolq:dev/Ice", "is ice a gas?", 1),  # the same title is the same cluster
        ("boolq:dev/4", "boolq:dev/Boat", "do boats fly?", 1),
        ("boolq:dev/5", "boolq:dev/Bird", "do birds fly?", 1),
    ]
    assert {item.options for item in items} == {("Yes", "No")} and items[2].context == "A boat swims."


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"answer": "true"}, "the answer 'true' must be True or False"),
        ({"answer": True}, "its answer is not text but bool"),
        ({"passage": " "}, "'passage' is blank"),
        ({"title": None}, "its title is not text but NoneType"),
        ({"question": "a\0b"}, "its question holds a NUL character"),
        ({"question": "\ud800"}, "its question is no Unicode text"),
        ({}, "the question stands there twice, first in line 1"),
    ],
)
def test_a_broken_row_is_named_by_file_and_line(changes, said):
    with pytest.raises(DataError, match=f"^some.jsonl, line 2: {said}"):
        parse(lines(ROW, ROW | changes), "some.jsonl")


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_named(field):
    with pytest.raises(DataError, match=f"^some.jsonl, line 1: the field '{field}' is missing"):
        parse(lines({name: value for name, value in ROW.items() if name != field}), "some.jsonl")


def test_an_empty_file_says_so():
    with pytest.raises(DataError, match=r"some\.jsonl is empty"):
        parse("\n", "some.jsonl")


GOOD = lines(ROW, *OTHERS)
places = st.integers(0, len(GOOD))


@given(places, places, st.text(max_size=8))
@settings(max_examples=200, deadline=None)
def test_any_damage_gives_usable_items_or_names_the_file(start, end, put):
    text = GOOD[: min(start, end)] + put + GOOD[max(start, end) :]
    try:
        items = parse(text, "some.jsonl")
    except BiasectomyError as error:
        assert str(error).startswith("some.jsonl")
    else:
        assert not [item for item in items if wrong_with(item)]


def test_without_its_file_it_says_what_to_put_where(tmp_path):
    said = f"Put BoolQ's .* as 'boolq/dev.jsonl' into the folder .*; '{tmp_path}' does not have it"
    with pytest.raises(SourceError, match=said):
        load_task("boolq", data_folder=tmp_path)


def value(index: int, items, choices) -> float:
    metric = METRICS[index]
    return float(metric.combine(metric.columns(items, Answers(np.array(choices)))[0].sum(axis=2)))


def test_accuracy_and_the_more_frequent_answer_by_hand():
    """One yes and three noes, of which saying no always gets three quarters right; in whatever order they stand."""
    items = parse(GOOD)
    turned = rotate_options(load_items(items)).items
    choices = [[[0, 1, 0, -1]], [[1, 1, 1, 1]]]
    assert value(0, items, choices) == pytest.approx((2 + 3) / 8)
    assert value(1, items, choices) == 0.75 == value(1, turned, choices)
    assert value(1, items[:1], [[[1]]]) == 1 and value(1, items[:2], [[[1, 1]]]) == 0.5
    assert METRICS[0].role == "guard" and METRICS[1].role is None


def load_items(items):
    """A task of some items, to turn their options."""
    from biasectomy.tasks import Task
    from biasectomy.tasks.multiple_choice import listed

    return Task("boolq:dev", items, ("Answer.",), METRICS, "1", listed)


def test_it_is_asked_as_other_multiple_choice(tmp_path, tiny):
    task = load_task("boolq", data_folder=folder_with(tmp_path, GOOD))
    check_task(task)
    assert len(set(task.instructions)) == 10
    assert task.question("Say.", task.items[0]).text == (
        "Say.\n\nContext: Ice is frozen water, and cold.\nQuestion: is ice cold?\nOptions: Yes, No"
    )
    results = evaluate(tiny, task, replicates=20, max_instructions=2).results
    assert results.find("original", "accuracy_boolq").clusters == 3
    assert results.find("original", "majority_boolq").value == 0.75


def test_the_published_file(shared_data):
    task = load_task("boolq", data_folder=shared_data)
    check_task(task)
    assert len(task.items) == ROWS == 3270 and len({item.cluster for item in task.items}) == 2651
    assert Counter(item.gold for item in task.items) == {0: 2033, 1: 1237} and task.sources[0]["verified"]
    assert Counter(item.gold for item in rotate_options(task).items) == {0: 1635, 1: 1635}
    assert value(1, task.items, np.zeros((1, 1, ROWS), dtype=int)) == pytest.approx(2033 / 3270)
