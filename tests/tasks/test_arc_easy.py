"""ARC-Easy: its file, row by row, and what a model is asked."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.commands.evaluate import evaluate
from biasectomy.errors import BiasectomyError, DataError, SourceError
from biasectomy.tasks import load_task
from biasectomy.tasks.arc_easy import FILE, METRICS, ROWS, parse
from biasectomy.tasks.checks import check_task, wrong_with
from biasectomy.tasks.metrics import Answers

TEXT = (
    "Which is newest?,a telephone,a television,a refrigerator,an airplane,A\n"
    '"Which, of these, is a gas?",iron,"air, warm",stone,wood,2\n'
    "Which row lost its options?,,,,,3\n"
    '"What is\nwet?",sand,water,ice,,B\n'
    "Where is the sun?,up,down,C\n"
)
GOOD = "".join(TEXT.splitlines(keepends=True)[:-1])


def folder_with(folder: Path, text: str) -> Path:
    (folder / FILE).parent.mkdir(parents=True)
    (folder / FILE).write_bytes(text.encode())
    return folder


def test_rows_become_items_by_rule():
    items, left_out = parse(GOOD, "some.csv")
    assert [(item.identifier, item.question, item.options, item.gold) for item in items] == [
        ("arc_easy:dev/1", "Which is newest?", ("a telephone", "a television", "a refrigerator", "an airplane"), 0),
        ("arc_easy:dev/2", "Which, of these, is a gas?", ("iron", "air, warm", "stone", "wood"), 1),
        ("arc_easy:dev/4", "What is\nwet?", ("sand", "water", "ice"), 1),  # three options
    ]
    assert left_out == 1 and len({item.cluster for item in items}) == 3


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("Where is the sun?,up,down,C", r"expected 6 fields \(question, A, B, C, D, answer\), found 4"),
        (" ,a,b,c,d,A", "the question is blank"),
        ("Q?,a, ,c,d,A", "option B is blank, and one behind it is not"),
        ("Q?,a,,,,A", "there is one option; at least two are needed"),
        ("Q?,a,b,a,d,A", "two of its options are the same text"),
        ("Q?,a,b,c,d,E", r"the answer 'E' is none of its options A to D \(or 1 to 4\)"),
        ("Q?,a,b,c,,D", r"the answer 'D' is none of its options A to C \(or 1 to 3\)"),
        ("Q?,a,b,c,d,", "the answer '' is none of"),
        ("Q?,a,b\0,c,d,A", "its B holds a NUL character"),
        ("Which is newest?,an airplane,a television,a refrigerator,a telephone,D", "stands there twice, first in"),
    ],
)  # fmt: skip
def test_a_broken_row_is_named_by_file_and_line(row, said):
    with pytest.raises(DataError, match=f"^some.csv, line 6: .*{said}"):
        parse(f"{GOOD}{row}\n", "some.csv")


@pytest.mark.parametrize("text", ["", "\n\n", "Q?,,,,,1\n"])
def test_a_file_without_a_question_says_so(text):
    with pytest.raises(DataError, match=r"some\.csv holds no question with options; expected rows of question, A"):
        parse(text, "some.csv")


places = st.integers(0, len(GOOD))


@given(places, places, st.text(max_size=8))
@settings(max_examples=200, deadline=None)
def test_any_damage_gives_usable_items_or_names_the_file(start, end, put):
    text = GOOD[: min(start, end)] + put + GOOD[max(start, end) :]
    try:
        items = parse(text, "some.csv").items
    except BiasectomyError as error:
        assert str(error).startswith("some.csv")
    else:
        assert not [item for item in items if wrong_with(item)]


def test_without_its_file_it_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.delenv("BIASECTOMY_DATA", raising=False)
    said = r"^Put ARC-Easy's .* as 'arc_easy/arc_easy_test\.csv' into the folder that --data or BIASECTOMY_DATA names; "
    with pytest.raises(SourceError, match=f"{said}none is named"):
        load_task("arc_easy")
    with pytest.raises(SourceError, match=f"{said}'{tmp_path}' does not have it"):
        load_task("arc_easy", data_folder=tmp_path)


def test_options_are_scored_without_being_shown_and_what_is_left_out_is_told(tmp_path, tiny, caplog):
    task = load_task("arc_easy", data_folder=folder_with(tmp_path, GOOD))
    check_task(task)
    assert "Rows of arc_easy/arc_easy_test.csv that have no options are left out: 1." in caplog.text
    assert task.sources[0]["rows_without_options"] == 1 and not task.sources[0]["verified"]
    question = task.question("Answer.", task.items[1])
    assert question.text == "Answer.\n\nQuestion: Which, of these, is a gas?"
    assert question.options == task.items[1].options
    outcome = evaluate(tiny, task, replicates=20)
    row = outcome.results.find("original", "accuracy_arc_easy")
    given = outcome.answers[task.name]["original"].choices
    golds = np.array([item.gold for item in outcome.tasks[0].items])
    assert row.value == (given == golds).mean() and given.shape == (1, 10, 3)


def test_accuracy_by_hand():
    items = parse(GOOD).items  # golds 0, 1, 1
    choices = np.array([[[0, 1, -1], [0, 0, 1]]])
    sums = METRICS[0].columns(items, Answers(choices))[0].sum(axis=2)
    assert METRICS[0].combine(sums) == pytest.approx(4 / 6) and METRICS[0].role == "guard"


def test_the_ten_instructions_are_of_one_kind(tmp_path):
    wordings = load_task("arc_easy", data_folder=folder_with(tmp_path, GOOD)).instructions
    assert len(set(wordings)) == 10 and max(map(len, wordings)) < 100
    assert not [one for one in wordings for word in ("context", "passage", "option") if word in one]  # there are none


def test_the_published_file(shared_data):
    task = load_task("arc_easy", data_folder=shared_data)
    check_task(task)
    assert len(task.items) == ROWS == 549 and task.sources[0]["rows_without_options"] == 21
    assert task.sources[0]["verified"]
    assert Counter(len(item.options) for item in task.items) == {4: 548, 3: 1}
    assert Counter(item.gold for item in task.items) == {0: 152, 1: 145, 2: 137, 3: 115}
    assert task.items[0].options[task.items[0].gold] == "cellular telephone"
