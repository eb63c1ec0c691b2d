"""Reading BBQ's files and files of instructions."""

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from biasectomy import tasks
from biasectomy.errors import DataError, SettingsError, SourceError
from biasectomy.tasks import Item, load_instructions, load_task
from biasectomy.tasks.ambiguity import labels
from biasectomy.tasks.bbq import CATEGORIES, parse_bbq, parse_metadata
from biasectomy.wheels import PinnedWheel

HEADER = ["category", "question_index", "example_id", "target_loc", "label_type", "full_cond"]


def row(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A row of a BBQ file."""
    groups = ["old", "nonOld", "unknown"]
    return {
        "example_id": number,
        "question_index": "1",
        "question_polarity": "neg",
        "context_condition": "ambig",
        "category": "Age",
        "answer_info": {f"ans{place}": ["word", group] for place, group in enumerate(groups)},
        "context": "A context.",
        "question": "Who?",
        "ans0": "The grandfather",
        "ans1": "The grandson",
        "ans2": "Unknown",
        "label": 2,
    } | changes


def rows_text(*rows: dict[str, Any]) -> str:
    return "\n".join(json.dumps(entry) for entry in rows) + "\n"


def metadata_text(*rows: tuple[int, str] | tuple[int, str, str], category: str = "Age") -> str:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(HEADER)
    for number, target, *label_type in rows:
        writer.writerow([category, "1", number, target, *(label_type or ["label"]), "Match\nRace"])
    return stream.getvalue()


def test_a_row_becomes_an_item() -> None:
    rows = rows_text(
        row(7), row(8, context_condition="disambig", question_polarity="nonneg", label=1, question_index="12")
    )
    first, second = parse_bbq(rows, metadata_text((7, "0"), (8, "1", "name")), "age")
    assert first == Item(
        identifier="bbq:age/7",
        cluster="bbq:age/1",
        task="bbq:age",
        context="A context.",
        question="Who?",
        options=("The grandfather", "The grandson", "Unknown"),
        gold=2,
        labels=labels("ambiguous", "negative"),
        target=0,
        unknown=2,
        extra={"groups": ["old", "nonOld", "unknown"], "template": "bbq:age/1"},
    )
    assert (second.identifier, second.extra["template"]) == ("bbq:age/8", "bbq:age/12")
    assert second.cluster == first.cluster  # both templates ask "Who?"
    assert second.labels == labels("disambiguated", "non-negative", "name", gold=1, target=1)
    assert second.labels["truth"] == "agrees"
    assert (second.gold, second.target) == (1, 1)  # the target is taken as it is, not flipped


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"label": 3}, "label 3 is out of range"),
        ({"label": True}, "'label' should be int, found bool"),
        ({"label": None}, "'label' should be int"),
        ({"context": 5}, "'context' should be str, found int"),
        ({"context_condition": "vague"}, "context_condition 'vague' is not known; expected ambig or disambig"),
        ({"question_polarity": "positive"}, "question_polarity 'positive'"),
        ({"category": "SES"}, "category 'SES' is not known; expected Age"),
        ({"answer_info": {"ans0": ["a", "unknown"], "ans1": ["b", "unknown"], "ans2": ["c", "old"]}}, "found 2"),
        ({"answer_info": {"ans0": ["a", "young"], "ans1": ["b", "young"], "ans2": ["c", "old"]}}, "found 0"),
        ({"answer_info": {"ans0": ["a", "young"]}}, "'answer_info' must hold"),
        ({"example_id": 0}, "example_id 0 stands there twice"),
        ({"example_id": 9}, "example_id 9 of Age has no row in bbq/additional_metadata.csv"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(bad: dict[str, Any], message: str) -> None:
    text = rows_text(row(0), row(1, **bad))
    with pytest.raises(DataError) as caught:
        parse_bbq(text, metadata_text((0, "0"), (1, "0")), "age", "some/Age.jsonl")
    assert str(caught.value).startswith("some/Age.jsonl, line 2: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("field", sorted(row()))
def test_a_missing_field_is_named(field: str) -> None:
    broken = {name: value for name, value in row().items() if name != field}
    with pytest.raises(DataError, match=rf"line 1: the field '{field}' is missing"):
        parse_bbq(rows_text(broken), metadata_text((0, "0")), "age")


def test_metadata_joins_on_category_and_number_with_agreeing_duplicates() -> None:
    other = metadata_text((0, "2"), category="SES").split("\n", 1)[1]
    text = metadata_text((0, "1"), (0, "1"), (1, "NA")) + other
    items = parse_bbq(rows_text(row(0), row(1)), text, "age")
    assert [item.target for item in items] == [1, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (metadata_text((0, "1"), (0, "2")), "Age example 0 stands there twice"),
        (metadata_text((0, "3")), "target_loc '3'"),
        (metadata_text((0, "1", "other")), "label_type 'other'"),
        ("category,example_id\nAge,0\n", "the column 'target_loc' is missing"),
        ("", "is missing"),
        (metadata_text((0, "1")).replace("Age,1,0", "Age,1,first"), "example_id 'first'"),
    ],
)
def test_bad_metadata_is_named_by_line(text: str, message: str) -> None:
    with pytest.raises(DataError, match=r"metadata\.csv, line \d") as caught:
        parse_metadata(text)
    assert message in str(caught.value)


def test_task_from_a_folder_and_what_is_said_without_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> bytes:
        raise SourceError("there is no network")

    monkeypatch.setattr(PinnedWheel, "path", no_network)
    (tmp_path / "bbq").mkdir()
    (tmp_path / "bbq" / "Age.jsonl").write_text(rows_text(row(0), row(1)), encoding="utf-8")
    with pytest.raises(DataError, match=r"Age\.jsonl cannot be used without 'bbq/additional_metadata\.csv'"):
        load_task("bbq:age", data_folder=tmp_path)
    (tmp_path / "bbq" / "additional_metadata.csv").write_text(metadata_text((0, "0"), (1, "1")), encoding="utf-8")
    (tmp_path / "mine.txt").write_text("Answer.\n\nPlease answer.\n", encoding="utf-8")
    task = load_task("bbq:age", data_folder=tmp_path, instructions=tmp_path / "mine.txt")
    assert (task.name, len(task.items), task.instructions) == ("bbq:age", 2, ("Answer.", "Please answer."))
    assert [source["file"] for source in task.sources] == ["bbq/Age.jsonl", "bbq/additional_metadata.csv"]
    assert not any(source["verified"] for source in task.sources)
    with pytest.raises(SourceError):
        load_task("bbq:ses", data_folder=tmp_path)


# Instructions


def test_packaged_instructions_are_ten_short_neutral_sentences() -> None:
    wordings = load_instructions(Path(tasks.__file__).parent / "instructions" / "bbq.toml")
    assert len(wordings) == 10
    for wording in wordings:
        assert len(wording.split()) <= 30 and wording[-1] in ".?"
        assert not {"unknown", "bias", "stereotype", "fair"} & set(wording.lower().replace(".", "").split())


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.toml", None, SourceError, "cannot be read"),
        ("a.txt", "\n  \n", DataError, "holds no instruction"),
        ("a.toml", "instructions = []", DataError, "holds no instruction"),
        ("a.toml", "instructions = ['x', 'y', ' x']", DataError, "instructions 1 and 3 are the same"),
        ("a.txt", "x\ny\nx\n", DataError, "instructions 1 and 3 are the same"),
        ("a.toml", "instructions = ['x', 3]", DataError, "instruction 2 is not text but int"),
        ("a.toml", "instructions = 'x'", DataError, "expected `instructions = "),
        ("a.toml", "wordings = ['x']", DataError, "expected `instructions = "),
        ("a.toml", "instructions = [", DataError, "not valid TOML"),
        ("a.yaml", "instructions: [x]", SettingsError, ".toml or a .txt"),
        ("a.txt", b"\xff\xfe", DataError, "not UTF-8"),
    ],
)
def test_bad_instruction_files(
    tmp_path: Path, name: str, content: str | bytes | None, error: type[Exception], message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=message.replace("[", r"\[")) as caught:
        load_instructions(tmp_path / name)
    assert name in str(caught.value)


# The real files


def test_all_nine_categories_read_as_their_readme_says(shared_data: Path) -> None:
    metadata = (shared_data / "bbq" / "additional_metadata.csv").read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(metadata, newline="")))
    assert len(rows) == 58_556
    duplicates = Counter((entry["category"], entry["example_id"]) for entry in rows)
    assert Counter(key[0] for key, count in duplicates.items() if count > 1) == {"Gender_identity": 64}
    at_hand = [
        name for name, (official, _) in CATEGORIES.items() if (shared_data / "bbq" / f"{official}.jsonl").is_file()
    ]
    assert len(at_hand) >= 9
    task = load_task("bbq:" + ",".join(at_hand), data_folder=shared_data)
    parts = {part.name.partition(":")[2]: part for part in task.parts()}
    assert {name: len(part.items) for name, part in parts.items()} == {name: CATEGORIES[name][1] for name in at_hand}
    templates = {
        name: len({item.extra["template"] for item in part.items}) for name, part in parts.items() if "_x_" not in name
    }
    assert templates == {name: 50 if name in ("gender", "race") else 25 for name in templates}
    clusters = {name: len({item.cluster for item in part.items}) for name, part in parts.items() if "_x_" not in name}
    fewer = {"age": 24, "gender": 28, "race": 30, "religion": 24, "ses": 24}
    assert clusters == {name: fewer.get(name, 25) for name in clusters}
    assert all(source["verified"] for source in task.sources)
    for name, part in parts.items():
        if "_x_" not in name:
            assert all(
                (item.gold == item.unknown) == (item.labels["condition"] == "ambiguous") for item in part.items
            ), name
            assert Counter(item.labels["condition"] for item in part.items)["ambiguous"] * 2 == len(part.items)
            assert Counter(item.labels["polarity"] for item in part.items)["negative"] * 2 == len(part.items)
            assert all(item.target != item.unknown for item in part.items)
    without_target = [item for item in task.items if item.target is None and "_x_" not in item.task]
    assert len(without_target) == 16
    assert {item.extra["template"] for item in without_target} == {"bbq:gender/13"}
    assert len({item.identifier for item in task.items}) == len(task.items)


def test_ses_targets_flip_with_polarity_in_the_file_itself(shared_data: Path) -> None:
    task = load_task("bbq:ses", data_folder=shared_data)
    assert {
        (item.labels["polarity"], item.extra["groups"][item.target]) for item in task.items if item.target is not None
    } == {
        ("negative", "lowSES"),
        ("non-negative", "highSES"),
    }


def test_carriage_returns_read_the_same(shared_data: Path) -> None:
    age = (shared_data / "bbq" / "Age.jsonl").read_text(encoding="utf-8").split("\n")[:40]
    metadata = (shared_data / "bbq" / "additional_metadata.csv").read_bytes().decode()
    assert parse_bbq("\n".join(age), metadata, "age") == parse_bbq("\r\n".join(age), metadata, "age")
