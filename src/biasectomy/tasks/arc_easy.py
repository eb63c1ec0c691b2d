"""ARC-Easy (Clark et al. 2018): easy science questions of school, what a method should not make a model forget.

Options are scored as answers to the question and are not shown, as the field's leaderboards have it: small models know
more of the answers than they can pick from a list, where they score what chance does.

The file is the development split, under the name that a mirror gave it: rows of question, A, B, C, D and answer without
a header, the answer a letter or, in some rows, the number of its place. Of 570 rows 21 lost their options there; rows
without any are left out, with a warning and a count in the record. A row may have fewer than four options.
"""

from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from biasectomy.errors import DataError
from biasectomy.narration import warn
from biasectomy.tasks import multiple_choice as choice
from biasectomy.tasks.base import TASKS, Item, Task, TaskFamily
from biasectomy.tasks.checks import wrong_with_texts
from biasectomy.tasks.data_files import folder_file, headless_csv_rows
from biasectomy.tasks.wordings import load_instructions

NAME = "arc_easy:dev"
FILE = "arc_easy/arc_easy_test.csv"
PUBLISHED = "1565285e1b8b0a63989c3b6bc1b2ed39bbad9871a1aaabb870b846c555aee8a6"
VERSION = "2, jonny-vr/LLMCBench@720be179"
ROWS = 549  # that have options
COLUMNS = ("question", "A", "B", "C", "D", "answer")
KEYS = dict(zip("ABCD1234", (*range(4), *range(4)), strict=True))

METRICS = (
    replace(choice.accuracy("accuracy_arc_easy", "Accuracy, ARC-Easy", "accuracy on ARC-Easy"), role="guard"),
    *choice.over_instructions(),
)


class Parsed(NamedTuple):
    """The items of the file, and how many of its rows have no options."""

    items: tuple[Item, ...]
    left_out: int


def parse(text: str, name: str = FILE) -> Parsed:
    """Items in the order of the file, named after their lines.

    Raises:
        DataError: there is no row with options, or one cannot be used; names file and line.
    """
    asked: dict[tuple[str, ...], int] = {}
    items: list[Item] = []
    left_out = 0
    for line, row in headless_csv_rows(text, name, COLUMNS):
        place = f"{name}, line {line}"
        if not any(cell.strip() for cell in row[1:5]):
            left_out += 1
            continue
        options, gold = _checked(row, place)
        if (first := asked.setdefault((row[0], *sorted(options)), line)) != line:
            raise DataError(f"{place}: the question stands there twice, first in line {first}.")
        identifier = f"{NAME}/{line}"
        items.append(Item(identifier, identifier, NAME, question=row[0], options=options, gold=gold))
    if not items:
        raise DataError(f"{name} holds no question with options; expected rows of {', '.join(COLUMNS)}.")
    return Parsed(tuple(items), left_out)


def _checked(row: Sequence[str], place: str) -> tuple[tuple[str, ...], int]:
    """The options of a row that has passed every check, and which is right."""
    if (wrong := wrong_with_texts(zip(COLUMNS, row, strict=True))) is not None:
        raise DataError(f"{place}: {wrong}.")
    if not row[0].strip():
        raise DataError(f"{place}: the question is blank.")
    there = [bool(cell.strip()) for cell in row[1:5]]
    count = sum(there)
    if not all(there[:count]):
        raise DataError(f"{place}: option {COLUMNS[1 + there.index(False)]} is blank, and one behind it is not.")
    if count < 2:
        raise DataError(f"{place}: there is one option; at least two are needed.")
    options = tuple(row[1 : 1 + count])
    if len(set(options)) < count:
        raise DataError(f"{place}: two of its options are the same text.")
    gold = KEYS.get(row[5].strip())
    if gold is None or gold >= count:
        raise DataError(
            f"{place}: the answer '{row[5]}' is none of its options A to {COLUMNS[count]} (or 1 to {count})."
        )
    return options, gold


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """The one task, with options in the order of the file.

    Raises:
        SourceError: the file is missing or damaged.
        DataError: its content cannot be used.
    """
    wordings = load_instructions(instructions or resources.files("biasectomy.tasks") / "instructions/arc_easy.toml")
    what = f"ARC-Easy's development questions, a CSV of {', '.join(COLUMNS)} without a header,"
    file = folder_file(FILE, data_folder, what, PUBLISHED)
    items, left_out = parse(file.text, file.name)
    if left_out:
        warn(f"Rows of {file.name} that have no options are left out: {left_out}.")
    return [
        Task(
            NAME,
            items,
            wordings,
            METRICS,
            VERSION,
            choice.unlisted,
            answer_rules=("sum", "mean"),
            sources=(file.source() | {"rows_without_options": left_out},),
        )
    ]


TASKS.register("arc_easy")(
    TaskFamily(
        title="ARC-Easy: science questions of school, which no method should make a model forget",
        rows={"dev": ROWS},
        licence="CC-BY-SA-4.0",
        citation="Clark et al., Think you have Solved Question Answering? Try ARC, the AI2 Reasoning Challenge, 2018",
        source="the folder that BIASECTOMY_DATA names",
        load=load,
        bare=("dev",),
    )
)
