"""The items of a task of a user's own: JSON lines, and everything that is wrong with them.

One object a line with the fields of `Item` in a user's words. Which of them are needed follows from the form of the
task's questions and from its goal (see `own_tasks`); one that would never be shown is refused, as is one that is
misspelt, since either would change what is measured without a word.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from biasectomy.errors import DataError, UnknownNameError
from biasectomy.files import parse_jsonl
from biasectomy.tasks import ambiguity
from biasectomy.tasks.base import Item
from biasectomy.tasks.checks import wrong_with, wrong_with_texts

ROLES = ("gold", "target", "unknown")  # options, by their places from 0 or by their texts
FIELDS = ("id", "cluster", "context", "question", "options", *ROLES, "labels")
LISTED, UNLISTED, WHOLE_TEXTS, CONTINUED = "listed", "unlisted", "whole-texts", "continued"
SHOWN = {  # by form, the texts beside the options that a model is given; the last of them is needed
    LISTED: ("context", "question"),
    UNLISTED: ("question",),
    WHOLE_TEXTS: (),
    CONTINUED: ("context",),
}
ACCURACY, EVEN, BALANCED = "accuracy", "even", "balanced"
NEEDED = {ACCURACY: ("gold",), EVEN: ("target",), BALANCED: ("gold", "unknown")}  # roles, by goal
VALUES = {  # of labels, where the goal is "balanced"
    ambiguity.CONDITION: (ambiguity.AMBIGUOUS, ambiguity.DISAMBIGUATED),
    ambiguity.POLARITY: (ambiguity.NEGATIVE, ambiguity.NON_NEGATIVE),
    ambiguity.LABEL_TYPE: (ambiguity.GROUP_LABEL, ambiguity.PROPER_NAME),
}


class Kind(NamedTuple):
    """What is known of the task that items belong to; empty where the description of the task is wrong there."""

    name: str = ""
    form: str = ""
    goal: str = ""


def parse(text: str, name: str, kind: Kind) -> tuple[tuple[Item, ...], list[str]]:
    """The items of a file in their order, and what is wrong with it; with anything wrong the items are not all there.

    Args:
        name: of the file, for what is said of it.
    """
    items: list[Item] = []
    defects: list[str] = []
    lines: dict[str, int] = {}
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        found = _row(content)
        wrong = [found] if isinstance(found, str) else list(_wrong_with_row(found, kind))
        if not isinstance(found, str) and _is_name(number := found.get("id")):
            if (first := lines.setdefault(str(number), line)) != line:
                wrong.append(f"the id '{number}' stands there twice, first in line {first}")
            if not wrong:
                items.append(_item(found, kind))
        defects += [f"{name}, line {line}: {one}{'' if one.endswith(('.', '?')) else '.'}" for one in wrong]
    if not items and not defects:
        defects.append(f"{name} is empty; expected one JSON object a line.")
    if kind.goal == BALANCED and not defects:
        there = {item.labels[ambiguity.CONDITION] for item in items}
        lacking = [value for value in VALUES[ambiguity.CONDITION] if value not in there]
        defects += [
            f"{name}: no item is {value}, and the goal '{BALANCED}' needs items of both kinds." for value in lacking
        ]
    return tuple(items), defects


def _row(content: str) -> dict[str, Any] | str:
    """The object of a line, or what is wrong with it."""
    try:
        return parse_jsonl(content, "")[0][1]
    except DataError as error:
        return str(error).removeprefix(", line 1: ")


def _wrong_with_row(row: Mapping[str, Any], kind: Kind) -> Iterator[str]:
    """Everything that is wrong with a row by itself, in words that go on from its place."""
    for field in row:
        if field not in FIELDS:
            yield str(UnknownNameError("field of an item", field, FIELDS))
    for field in ("id", "cluster"):
        if (field == "id" or field in row) and not _is_name(row.get(field)):
            yield f"its '{field}' must be a text or a whole number that names it" if field in row else "it lacks 'id'"
    texts = [(f"'{field}'", row[field]) for field in ("context", "question") if field in row]
    wrong = [text for one in texts if (text := wrong_with_texts([one])) is not None]
    wrong += _wrong_with_labels(row.get("labels", {}))
    yield from wrong
    options = row.get("options")
    if not isinstance(options, list) or len(options) < 2:
        yield "its 'options' must be a list of two texts or more"
        return
    if (text := wrong_with(Item("", "", "", options=tuple(options)))) is not None:
        yield text
        return
    roles = [text for role in ROLES if role in row and (text := _wrong_with_role(role, row[role], options))]
    yield from roles
    if not wrong and not roles:
        yield from _wrong_with_form(row, kind.form)
        yield from _wrong_with_goal(row, kind.goal)


def _is_name(value: object) -> bool:
    if isinstance(value, str):
        return bool(value.strip()) and wrong_with_texts([("", value)]) is None
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong_with_labels(labels: object) -> Iterator[str]:
    if not isinstance(labels, dict):
        yield "its 'labels' must be an object of texts"
        return
    for label, value in labels.items():
        if not label.strip():
            yield "one of its labels has no name"
        elif (wrong := wrong_with_texts([(f"label '{label}'", value), (f"label '{label}'", label)])) is not None:
            yield wrong


def _wrong_with_role(role: str, value: object, options: Sequence[str]) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return f"its '{role}' must be an option's text, or its place counted from 0; without one leave the field out"
    if isinstance(value, int):
        return None if value in range(len(options)) else f"its '{role}' is {value}; places are 0 to {len(options) - 1}"
    if value in options:
        return None
    near = difflib.get_close_matches(value, options, n=1, cutoff=0.5)
    return f"its '{role}' '{value}' is none of its options" + (f"; did you mean '{near[0]}'?" if near else "")


def _wrong_with_form(row: Mapping[str, Any], form: str) -> Iterator[str]:
    if form not in SHOWN:
        return
    shown = SHOWN[form]
    for field in ("context", "question"):
        text = str(row.get(field, ""))
        if text and field not in shown:
            yield f"its '{field}' would never be shown: the form is '{form}'; leave it out"
        elif not text.strip() and field in shown[-1:]:
            yield f"it lacks '{field}', which the form '{form}' shows"
    if form != WHOLE_TEXTS:
        for number, option in enumerate(row["options"]):
            if option != option.strip():
                yield f"its option {number} begins or ends with white space, which a model would see; take it away"
    if form == CONTINUED and (context := str(row.get("context", ""))) != context.rstrip():
        yield "its 'context' ends with white space, and a space comes before each option anyway; take it away"


def _wrong_with_goal(row: Mapping[str, Any], goal: str) -> Iterator[str]:
    if lacking := [role for role in NEEDED.get(goal, ()) if role not in row]:
        yield from (f"it lacks '{role}', which the goal '{goal}' needs" for role in lacking)
        return
    gold, target, unknown = (_place(row, role) for role in ROLES)
    if goal == EVEN:
        if len(row["options"]) != 2:
            yield f"it has {len(row['options'])} options, and where the goal is '{EVEN}' there must be two"
        elif gold == target:
            yield "its 'gold' and its 'target' are the same option; they must be the two sides of a pair"
    if goal == BALANCED:
        yield from _wrong_with_condition(row.get("labels", {}), gold, target, unknown)


def _wrong_with_condition(
    labels: Mapping[str, Any], gold: int | None, target: int | None, unknown: int | None
) -> Iterator[str]:
    """What an item in the manner of BBQ must be besides (see `ambiguity`)."""
    for label, values in VALUES.items():
        if labels.get(label, values[0] if label == ambiguity.LABEL_TYPE else None) not in values:
            yield f"its label '{label}' must be '{values[0]}' or '{values[1]}', for the goal '{BALANCED}'"
    if ambiguity.TRUTH in labels:
        yield f"its label '{ambiguity.TRUTH}' follows from 'gold' and 'target'; leave it out"
    if target is not None and target == unknown:
        yield "its 'target' and its 'unknown' are the same option"
    ambiguous, disambiguated = VALUES[ambiguity.CONDITION]
    if labels.get(ambiguity.CONDITION) == ambiguous and gold != unknown:
        yield f"it is {ambiguous}, so its 'gold' must be the 'unknown' option"
    if labels.get(ambiguity.CONDITION) == disambiguated and gold == unknown:
        yield f"it is {disambiguated}, so its 'gold' cannot be the 'unknown' option"


def _place(row: Mapping[str, Any], role: str) -> int | None:
    value = row.get(role)
    return row["options"].index(value) if isinstance(value, str) else value


def _item(row: Mapping[str, Any], kind: Kind) -> Item:
    """The item of a row without a defect.

    A pair whose order is not shown has the target second, as `pairs` counts.
    """
    options, labels = tuple(row["options"]), dict(row.get("labels", {}))
    gold, target, unknown = (_place(row, role) for role in ROLES)
    if kind.goal == EVEN and target is not None:
        gold = 1 - target
        if kind.form != LISTED and target == 0:
            options, gold, target = options[::-1], 0, 1
            unknown = None if unknown is None else 1 - unknown
    if kind.goal == BALANCED:
        told = (labels[ambiguity.CONDITION], labels[ambiguity.POLARITY])
        label_type = labels.get(ambiguity.LABEL_TYPE, ambiguity.GROUP_LABEL)
        labels |= ambiguity.labels(*told, label_type, gold=gold, target=target)
    return Item(
        f"{kind.name}/{row['id']}",
        cluster=f"{kind.name}/{row.get('cluster', row['id'])}",
        task=kind.name,
        context=row.get("context", ""),
        question=row.get("question", ""),
        options=options,
        gold=gold,
        target=target,
        unknown=unknown,
        labels=labels,
    )
