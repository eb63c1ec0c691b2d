"""MMLU: its files, row by row, and questions that are answered with letters."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.commands.evaluate import evaluate
from biasectomy.errors import BiasectomyError, DataError, SourceError
from biasectomy.reading.questions import Answer
from biasectomy.tasks import load_task
from biasectomy.tasks.checks import check_task, wrong_with
from biasectomy.tasks.metrics import Answers
from biasectomy.tasks.mmlu import FILE, LETTERS, METRICS, PUBLISHED, ROWS, SUBJECTS, parse
from biasectomy.tasks.option_order import rotate_options, shows_order

GOOD = (
    "What is 2 + 3?,4,5,6,7,B\n"
    '" Which, of these,\nis a gas? ",iron, air ,stone,wood,B\n'
    "What is wet?,sand,water,ice,dust,D\n"
)


def folder_with(folder: Path, text: str, **others: str) -> Path:
    """A folder with all files: those of some subjects have texts of their own."""
    (folder / "mmlu_dev").mkdir()
    for subject in SUBJECTS:
        own = others.get(subject, f"What of {subject}?,a,b,c,d,{LETTERS[len(subject) % 4]}\n")
        (folder / FILE.format(subject)).write_text(text if subject == "anatomy" else own)
    return folder


def test_rows_become_items_by_rule():
    items, repeated, with_equal_options = parse(GOOD, "anatomy", "some.csv")
    assert [(item.identifier, item.question, item.options, item.gold) for item in items] == [
        ("mmlu:dev/anatomy/1", "What is 2 + 3?", ("4", "5", "6", "7"), 1),
        ("mmlu:dev/anatomy/2", "Which, of these,\nis a gas?", ("iron", "air", "stone", "wood"), 1),
        ("mmlu:dev/anatomy/4", "What is wet?", ("sand", "water", "ice", "dust"), 3),
    ]
    assert (repeated, with_equal_options) == (0, 0) and {item.labels["subject"] for item in items} == {"anatomy"}
    assert [item.cluster for item in items] == [item.identifier for item in items]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("Where is the sun?,up,down,C", r"expected 6 fields \(question, A, B, C, D, answer\), found 4"),
        (" ,a,b,c,d,A", "'question' is blank"),
        ("Q?,a, ,c,d,A", "'B' is blank"),
        ("Q?,a,b,c,d,", "'answer' is blank"),
        ("Q?,a,b,c,d,E", "the answer 'E' must be A, B, C or D"),
        ("Q?,a,b,c,d,1", "the answer '1' must be A, B, C or D"),  # from 0 or from 1?
        ("Q?,a,b,c,d,a", "the answer 'a' must be"),
        ("Q?,a,b\0,c,d,A", "its B holds a NUL character"),
        ("What is 2 + 3?,7,6,5,4,B", "the question of line 1 stands there again, with another answer"),
    ],
)
def test_a_broken_row_is_named_by_file_and_line(row, said):
    with pytest.raises(DataError, match=f"^some.csv, line 5: .*{said}"):
        parse(f"{GOOD}{row}\n", "anatomy", "some.csv")


@pytest.mark.parametrize("text", ["", "\n\n", "Q?,a,a,b,c,B\n"])
def test_a_file_without_a_usable_question_says_so(text):
    with pytest.raises(DataError, match=r"^some\.csv holds no usable question; expected rows of question, A"):
        parse(text, "anatomy", "some.csv")


places = st.integers(0, len(GOOD))


@given(places, places, st.text(max_size=8))
@settings(max_examples=200, deadline=None)
def test_any_damage_gives_usable_items_or_names_the_file(start, end, put):
    text = GOOD[: min(start, end)] + put + GOOD[max(start, end) :]
    try:
        items = parse(text, "anatomy", "some.csv").items
    except BiasectomyError as error:
        assert str(error).startswith("some.csv")
    else:
        assert not [item for item in items if wrong_with(item) or len(item.options) != 4]


def test_without_its_files_it_says_what_to_put_where(tmp_path):
    said = (
        "^Put MMLU's development questions of {}, one of 57 CSVs of question, A, B, C, D, answer without a header, as "
        r"'mmlu_dev/{}_dev\.csv' into the folder that --data or BIASECTOMY_DATA names; '{}' does not have it"
    )
    with pytest.raises(SourceError, match=said.format("abstract_algebra", "abstract_algebra", tmp_path)):
        load_task("mmlu", data_folder=tmp_path)
    (folder_with(tmp_path, GOOD) / FILE.format("virology")).unlink()
    with pytest.raises(SourceError, match=said.format("virology", "virology", tmp_path)):
        load_task("mmlu", data_folder=tmp_path)


def test_what_is_left_out_is_told_and_one_entry_stands_for_all_files(tmp_path, caplog):
    again = f"{GOOD}What is 2 + 3?,5,4,6,7,A\nQ?,a,a,b,c,C\n"  # the same question with its options turned
    task = load_task("mmlu", data_folder=folder_with(tmp_path, again))
    check_task(task)
    assert len(task.items) == 3 + 56 and task.name == "mmlu:dev"
    assert "Rows of mmlu:dev are left out: 1 that stand there twice, 1 with two equal options." in caplog.text
    lines = "".join(
        f"{hashlib.sha256((tmp_path / FILE.format(subject)).read_bytes()).hexdigest()}  {subject}_dev.csv\n"
        for subject in SUBJECTS
    )
    assert task.sources == (
        {
            "file": "mmlu_dev/*_dev.csv",
            "files": 57,
            "sha256": hashlib.sha256(lines.encode()).hexdigest(),
            "origin": str(tmp_path / "mmlu_dev/*_dev.csv"),
            "verified": False,
            "rows_repeated": 1,
            "rows_with_equal_options": 1,
        },
    )


def test_texts_are_turned_and_letters_stay(tmp_path):
    task = load_task("mmlu", data_folder=folder_with(tmp_path, GOOD))
    assert shows_order(task) and task.answer_rules == ("sum", "generation")
    before = {item.identifier: item for item in task.items}
    turned = rotate_options(task, 5)
    assert type(turned) is type(task)
    for item in turned.items:
        question = turned.question("Say.", item)
        shown = "\n".join(f"{letter}. {text}" for letter, text in zip("ABCD", item.options, strict=True))
        assert question.text == f"Say.\n\nQuestion: {item.question}\n{shown}" and question.options == LETTERS
        old = before[item.identifier]
        assert item.options[item.gold] == old.options[old.gold]
    assert max(Counter(item.gold for item in turned.items).values()) <= 59 // 4 + 1


@pytest.mark.parametrize(
    ("text", "choice"),
    [("C", 2), (" (b)\nas it is", 1), ("D.", 3), ("E", -1), ("5", -1), ("B. 5", -1), ("", -1)],
)
def test_a_generated_answer_is_a_letter(tmp_path, text, choice):
    """Whatever the options are, one of them a letter itself."""
    rows = "Which blood group can give to all?,AB,A,O,B,C\nWhich letter is third?,D,A,C,B,C\n"
    task = load_task("mmlu", data_folder=folder_with(tmp_path, rows)).with_answer_rule("generation")
    for item in [item for item in task.items if "anatomy" in item.identifier]:
        assert task.choice(item, Answer(texts=(text,))) == choice
    assert task.question("Say.", task.items[0]).generation is not None


def test_a_model_is_asked_for_letters(tmp_path, tiny, caplog):
    data = folder_with(tmp_path, GOOD)
    outcome = evaluate(tiny, "mmlu", data=data, replicates=20, max_items=12, max_instructions=2)
    task = outcome.tasks[0]
    assert "is not read" not in caplog.text  # the one entry for all files says where they are
    items, given = task.items, outcome.answers[task.name]["original"]
    golds = np.array([item.gold for item in items])
    row = outcome.results.find("original", "accuracy_mmlu")
    assert row.value == (given.choices == golds).mean() and row.clusters == 12
    assert given.log_likelihoods.shape == (1, 2, 12, 4)
    assert (given.log_likelihoods.argmax(axis=-1) == given.choices).all()
    written = evaluate(tiny, task, replicates=20, max_instructions=1, answer_rule="generation")
    texts = written.answers[task.name]["original"].texts[0, 0]
    matched = [any(letter.lower() == text.strip(" .\n").lower() for letter in LETTERS) for text in texts]
    assert written.results.find("original", "unmatched").value == 1 - np.mean(matched)


def test_accuracy_by_hand():
    items = parse(GOOD, "anatomy", "some.csv").items  # golds 1, 1, 3
    sums = METRICS[0].columns(items, Answers(np.array([[[1, 1, -1], [0, 1, 3]]])))[0].sum(axis=2)
    assert METRICS[0].combine(sums) == pytest.approx(4 / 6) and METRICS[0].role == "guard"


def test_the_ten_instructions_name_no_subject(tmp_path):
    task = load_task("mmlu", data_folder=folder_with(tmp_path, GOOD))
    words = {word for subject in SUBJECTS for word in subject.split("_")} - {"high", "us", "and"}
    assert len(set(task.instructions)) == 10
    assert not [one for one in task.instructions if words & set(one.lower().rstrip(".?").split())]
    assert all("letter" in one or "A, B, C or D" in one for one in task.instructions)


def test_the_published_files(shared_data):
    task = load_task("mmlu", data_folder=shared_data)
    check_task(task)
    source = task.sources[0]
    assert len(task.items) == ROWS == 283 and (source["rows_repeated"], source["rows_with_equal_options"]) == (1, 1)
    assert source["verified"] and source["sha256"] == PUBLISHED
    assert {file.name for file in (shared_data / "mmlu_dev").glob("*.csv")} == {f"{name}_dev.csv" for name in SUBJECTS}
    by_subject = Counter(item.labels["subject"] for item in task.items)
    assert len(by_subject) == 57 and Counter(by_subject.values()) == {5: 55, 4: 2}
    places = Counter(item.gold for item in rotate_options(task).items)
    assert max(places.values()) - min(places.values()) <= 1
