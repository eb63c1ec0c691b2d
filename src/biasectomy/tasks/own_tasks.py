"""Tasks of a user's own, without a line of Python: a TOML file that describes one, and its items beside it.

What is measured follows from the goal and from what the items have. All that is wrong with the two files (see
`own_description` and `own_items`) is found at once; docs/own-task.md shows the format.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from biasectomy.errors import DataError, SourceError, UnknownNameError
from biasectomy.files import expanded
from biasectomy.reading.questions import Question
from biasectomy.tasks import multiple_choice as choice
from biasectomy.tasks import own_description, own_items
from biasectomy.tasks.ambiguity import GOALS, LABEL_TYPE, SPREAD, ambiguity_metrics
from biasectomy.tasks.base import Form, Item, Task
from biasectomy.tasks.metrics import Answers, Booleans, Floats, Goal, Integers, Metric
from biasectomy.tasks.option_order import FIXED
from biasectomy.tasks.own_description import INSTRUCTED, RULES
from biasectomy.tasks.own_items import BALANCED, CONTINUED, EVEN, LISTED, UNLISTED, WHOLE_TEXTS, Kind
from biasectomy.tasks.pairs import likelihood_difference, preference, whole_texts
from biasectomy.tasks.wordings import load_instructions

SUFFIX = ".toml"


def continued(instruction: str, item: Item) -> Question:
    """The context as it is; the options are how it may go on."""
    return Question(item.context, item.options, plain=True)


FORMS: Mapping[str, Form] = {
    LISTED: choice.listed,
    UNLISTED: choice.unlisted,
    WHOLE_TEXTS: whole_texts,
    CONTINUED: continued,
}


class OwnTask(NamedTuple):
    """A task of a user's own, None where something is wrong, and all that is, each with its file and line."""

    task: Task | None
    defects: tuple[str, ...]


def is_task_file(name: str) -> bool:
    """Whether a task is named by its file."""
    return name.lower().endswith(SUFFIX)


def load_own_task(path: Path, instructions: Path | None = None) -> Task:
    """The task that a file describes.

    Args:
        path: of the TOML file.
        instructions: a file of other wordings; not read where the questions of the task have none.

    Raises:
        SourceError: there is no such file.
        DataError: the file or its items cannot be used, or are not there; names file and line of the first defect.
    """
    task, defects = read_own_task(path)
    if task is None:
        others = len(defects) - 1
        more = f" There are {others:,} more; 'biasectomy validate {path}' names them." if others else ""
        raise DataError(defects[0] + more)
    if instructions is not None and any(task.instructions):
        return replace(task, instructions=load_instructions(instructions))
    return task


def read_own_task(path: Path) -> OwnTask:
    """The task that a file describes, or all that is wrong with it and with its items.

    Raises:
        SourceError: there is no such file.
    """
    path = expanded(path)
    try:
        text, source = _read(path)
    except DataError as error:
        return OwnTask(None, (str(error),))
    values, defects = own_description.parse(text, str(path))
    if "items" not in values:
        return OwnTask(None, defects)
    try:
        beside = path.parent / expanded(values["items"])
        rows, source_of_items = _read(beside)
    except (SourceError, DataError) as error:
        return OwnTask(None, (*defects, f"{own_description.place(str(path), text, 'items')}: {error}"))
    kind = Kind(*(values.get(key, "") for key in ("name", "form", "goal")))
    items, wrong = own_items.parse(rows, str(beside), kind)
    defects = (*defects, *wrong)
    if not defects:
        place = own_description.place(str(path), text, "spread")
        defects = tuple(f"{place}: {one}" for one in _wrong_with_spread(values.get("spread", ()), items))
    if defects:
        return OwnTask(None, defects)
    told = {"title": values.get("title", kind.name)} | {key: values.get(key, "") for key in ("licence", "citation")}
    return OwnTask(_task(values, items, kind, (source | told, source_of_items)), ())


def _wrong_with_spread(labels: Sequence[str], items: Sequence[Item]) -> Iterator[str]:
    known = {label for item in items for label in item.labels}
    if labels and not known:
        yield "'spread' names labels, and no item has any."
    elif known:
        yield from (str(UnknownNameError("label of the items", one, known)) for one in labels if one not in known)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """A file's text, and what a record says of it; `verified` is None: no checksum of it was ever published.

    Raises:
        SourceError: it is not there or cannot be read.
        DataError: it is not UTF-8 text.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise SourceError(f"There is no file '{path}'.") from None
    except OSError as error:
        raise SourceError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text (byte {error.start}).") from None
    checksum = hashlib.sha256(raw).hexdigest()
    return text, {"file": path.name, "sha256": checksum, "origin": str(path.absolute()), "verified": None}


def _task(values: Mapping[str, Any], items: tuple[Item, ...], kind: Kind, sources: tuple[dict[str, Any], ...]) -> Task:
    balanced = kind.goal == BALANCED
    metrics = ambiguity_metrics(items) if balanced else _metrics(kind, items)
    return Task(
        kind.name,
        items,
        tuple(wording.strip() for wording in values.get("instructions", [""])),
        metrics,
        values.get("version", "1"),
        FORMS[kind.form],
        GOALS if balanced else {kind.goal: Goal(metrics[0].name)},
        tuple(values.get("answer-rules", RULES[kind.form])),
        spread=tuple(values.get("spread", SPREAD if balanced else ())),
        alike=LABEL_TYPE if balanced else "",
        option_order=FIXED if values.get("option-order") == FIXED else "file",
        sources=sources,
    )


def _metrics(kind: Kind, items: Sequence[Item]) -> tuple[Metric, ...]:
    """What is made of the answers, that of the goal first; what only this task has is named after it."""
    found = _of_pairs(kind) if kind.goal == EVEN else _of_right_answers(kind.name, items)
    if kind.form in INSTRUCTED:
        found += choice.over_instructions(found[0] if kind.goal == EVEN else None)
    if kind.form == LISTED:
        found += [choice.unmatched(), *(() if kind.goal == EVEN else choice.accuracy_by_place(items))]
    return tuple(found)


def _of_right_answers(name: str, items: Sequence[Item]) -> list[Metric]:
    accuracy = choice.accuracy(f"accuracy_{name}", f"Accuracy, {name}", f"accuracy on {name}")
    found = [replace(accuracy, role="goal")]
    if any(item.target is not None for item in items):
        title, description = f"Target, {name}", f"the share of answers on {name} that are the target"
        found.append(
            choice.share(f"target_{name}", title, description, _is_target, lambda item: item.target is not None, None)
        )
    if any(item.unknown is not None for item in items):
        title, description = f'"Unknown", {name}', f'the share of "unknown" answers on {name}'
        found.append(
            choice.share(
                f"unknown_{name}", title, description, choice.is_unknown, lambda item: item.unknown is not None, None
            )
        )
    return found


def _of_pairs(kind: Kind) -> list[Metric]:
    title, description = (
        f"Target preferred, {kind.name}",
        f"the share of pairs of {kind.name} whose target is preferred",
    )
    preferred = preference((f"target_preferred_{kind.name}", title, description), role="goal")
    if kind.form == LISTED:  # the target may stand in either place
        return [replace(preferred, columns=_target_of_answered)]
    difference = (
        f"log_likelihood_difference_{kind.name}",
        f"Log-likelihood, target minus the other, {kind.name}",
        f"the mean log-likelihood of the target minus that of the other option on {kind.name}",
    )
    return [preferred, likelihood_difference(difference)]


def _is_target(items: Sequence[Item], choices: Integers) -> Booleans:
    return np.asarray(choices == choice.indices(items, lambda item: item.target))


def _target_of_answered(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
    choices = answers.choices
    return choice.columns_of(choice.where(items, choice.every_item), _is_target(items, choices), choices >= 0)
