"""MMLU (Hendrycks et al. 2021): school and professional knowledge of 57 subjects, what a method should not unlearn.

Questions are shown with their options as lines "A. ...", and the letters are scored, as is usual; where options are
turned, the texts move and the letters stay. The items are the development questions, five of each subject, without
examples in front. Rows of question, A, B, C, D and answer, without a header, one file a subject.

White space at the edges of a field is dropped. A row that repeats an earlier one of its file, and one of which two
options are the same text, are left out, with a warning and a count in the record: of 285 rows one each.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from biasectomy.errors import DataError
from biasectomy.narration import warn
from biasectomy.reading.questions import Answer, Content, Question, written
from biasectomy.tasks import multiple_choice as choice
from biasectomy.tasks.base import TASKS, Item, Task, TaskFamily
from biasectomy.tasks.checks import wrong_with_texts
from biasectomy.tasks.data_files import DataFile, folder_file, headless_csv_rows
from biasectomy.tasks.wordings import load_instructions

NAME = "mmlu:dev"
FILE = "mmlu_dev/{}_dev.csv"
_SUBJECTS = """
abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology college_chemistry
college_computer_science college_mathematics college_medicine college_physics computer_security
conceptual_physics econometrics electrical_engineering elementary_mathematics formal_logic global_facts
high_school_biology high_school_chemistry high_school_computer_science high_school_european_history
high_school_geography high_school_government_and_politics high_school_macroeconomics high_school_mathematics
high_school_microeconomics high_school_physics high_school_psychology high_school_statistics
high_school_us_history high_school_world_history human_aging human_sexuality international_law jurisprudence
logical_fallacies machine_learning management marketing medical_genetics miscellaneous moral_disputes
moral_scenarios nutrition philosophy prehistory professional_accounting professional_law professional_medicine
professional_psychology public_relations security_studies sociology us_foreign_policy virology world_religions
"""
SUBJECTS = tuple(_SUBJECTS.split())
PUBLISHED = "0486e40c467623b4305e05524da5715f7c21c03203f2c2960e32a0b210225176"  # of all files (see `checksum_of`)
VERSION = "1, jonny-vr/LLMCBench@720be179"
ROWS = 283  # that are not left out
COLUMNS = ("question", "A", "B", "C", "D", "answer")
LETTERS = ("A", "B", "C", "D")
SUBJECT = "subject"  # a label

METRICS = (
    replace(choice.accuracy("accuracy_mmlu", "Accuracy, MMLU", "accuracy on MMLU"), role="guard"),
    *choice.over_instructions(),
    choice.unmatched(),
)


class LetteredTask(Task):
    """A task that is answered with the letters of its options."""

    def choice(self, item: Item, answer: Answer) -> int:
        """The option whose letter an answer stands for; -1 for none."""
        return super().choice(replace(item, options=LETTERS[: len(item.options)]), answer)


class Parsed(NamedTuple):
    """The items of a file, and how many of its rows are left out, by why."""

    items: tuple[Item, ...]
    repeated: int
    with_equal_options: int


def lettered(instruction: str, item: Item) -> Question:
    """Instruction, question and a line "A. ..." for each option in the item's order, whose letters are scored."""
    lines = [f"{letter}. {option}" for letter, option in zip(LETTERS, item.options, strict=False)]
    pieces = (instruction, "\n\n", "Question: ", Content(item.question), "\n", "\n".join(lines))
    text, content = written(*pieces)
    return Question(text, LETTERS[: len(lines)], content=content)


def parse(text: str, subject: str, name: str) -> Parsed:
    """Items in the order of a subject's file, named after their lines.

    Raises:
        DataError: there is no usable row, or one is broken; names file and line.
    """
    asked: dict[tuple[str, ...], tuple[int, str]] = {}
    items: list[Item] = []
    repeated = with_equal_options = 0
    for line, row in headless_csv_rows(text, name, COLUMNS):
        place = f"{name}, line {line}"
        question, *options, answer = _checked(row, place)
        key = (question, *sorted(options))
        first, right = asked.setdefault(key, (line, options[LETTERS.index(answer)]))
        if right != options[LETTERS.index(answer)]:
            raise DataError(f"{place}: the question of line {first} stands there again, with another answer.")
        if first != line:
            repeated += 1
        elif len(set(options)) < len(options):
            with_equal_options += 1
        else:
            identifier = f"{NAME}/{subject}/{line}"
            items.append(
                Item(
                    identifier,
                    cluster=identifier,
                    task=NAME,
                    question=question,
                    options=tuple(options),
                    gold=LETTERS.index(answer),
                    labels={SUBJECT: subject},
                )
            )
    if not items:
        raise DataError(f"{name} holds no usable question; expected rows of {', '.join(COLUMNS)}.")
    return Parsed(tuple(items), repeated, with_equal_options)


def _checked(row: Sequence[str], place: str) -> list[str]:
    """The fields of a row that has passed every check, without white space at their edges."""
    fields = [field.strip() for field in row]
    if (wrong := wrong_with_texts(zip(COLUMNS, fields, strict=True))) is not None:
        raise DataError(f"{place}: {wrong}.")
    if blank := [column for column, field in zip(COLUMNS, fields, strict=True) if not field]:
        raise DataError(f"{place}: '{blank[0]}' is blank.")
    if fields[-1] not in LETTERS:
        raise DataError(f"{place}: the answer '{fields[-1]}' must be {', '.join(LETTERS[:-1])} or {LETTERS[-1]}.")
    return fields


def checksum_of(files: Sequence[DataFile]) -> str:
    """SHA-256 of a list of files as `sha256sum` writes it: a line "checksum  name" each, line ends of files as LF."""
    lines = (f"{file.sha256}  {Path(file.name).name}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """The one task of all subjects, with options in the order of the files.

    The record has one entry for the 57 files, with a checksum over theirs.

    Raises:
        SourceError: a file is missing or damaged.
        DataError: its content cannot be used.
    """
    wordings = load_instructions(instructions or resources.files("biasectomy.tasks") / "instructions/mmlu.toml")
    files = []
    for subject in SUBJECTS:
        what = f"MMLU's development questions of {subject}, one of {len(SUBJECTS)} CSVs of {', '.join(COLUMNS)}"
        files.append(folder_file(FILE.format(subject), data_folder, f"{what} without a header,", ""))
    found = [parse(file.text, subject, file.name) for subject, file in zip(SUBJECTS, files, strict=True)]
    items = tuple(item for parsed in found for item in parsed.items)
    repeated, alike = sum(parsed.repeated for parsed in found), sum(parsed.with_equal_options for parsed in found)
    if repeated or alike:
        warn(f"Rows of {NAME} are left out: {repeated} that stand there twice, {alike} with two equal options.")
    checksum = checksum_of(files)
    source: dict[str, Any] = {
        "file": FILE.format("*"),
        "files": len(files),
        "sha256": checksum,
        "origin": str(Path(files[0].origin).with_name(Path(FILE.format("*")).name)),
        "verified": checksum == PUBLISHED or all(file.verified for file in files),
        "rows_repeated": repeated,
        "rows_with_equal_options": alike,
    }
    return [
        LetteredTask(
            NAME,
            items,
            wordings,
            METRICS + choice.accuracy_by_place(items),
            VERSION,
            lettered,
            answer_rules=("sum", "generation"),
            spread=(SUBJECT,),
            sources=(source,),
        )
    ]


TASKS.register("mmlu")(
    TaskFamily(
        title="MMLU: knowledge of 57 subjects, which no method should make a model unlearn",
        rows={"dev": ROWS},
        licence="MIT",
        citation="Hendrycks et al., Measuring Massive Multitask Language Understanding, ICLR 2021",
        source="the folder that BIASECTOMY_DATA names",
        load=load,
        bare=("dev",),
    )
)
