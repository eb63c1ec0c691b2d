"""`validate`: everything that is wrong with a task of a user's own; where nothing is, what it is and what is odd."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biasectomy.errors import DataError
from biasectomy.tasks import Split, Task, split
from biasectomy.tasks.base import Item
from biasectomy.tasks.metrics import named
from biasectomy.tasks.multiple_choice import PLACES
from biasectomy.tasks.option_order import FIXED, rotate_options, shows_order
from biasectomy.tasks.own_tasks import read_own_task

SHOWN = 20  # defects
QUESTION = "first question"
LONGER = 3  # times as many words in one option as in another: very different lengths


@dataclass(frozen=True)
class Validation:
    """What was found of a task's files: defects, or the task, and what is allowed but may not be meant."""

    file: str
    defects: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    task: Task | None = None

    def shown_defects(self) -> list[str]:
        """At most `SHOWN` of them, and how many more there are."""
        more = len(self.defects) - SHOWN
        return [*self.defects[:SHOWN], *([f"and {more:,} more"] if more > 0 else [])]

    def facts(self) -> dict[str, Any]:
        """What the task is, by what each fact is called; empty where there are defects."""
        if self.task is None:
            return {}
        task, told = self.task, self.task.sources[0]
        goal = named(task.metrics, task.goal().metric)
        return {
            "task": f"{task.name}, version {task.version}",
            "title": told["title"],
            "licence": told["licence"] or "not said",
            "citation": told["citation"] or "not said",
            "files": [source["file"] for source in task.sources],
            "items": len(task.items),
            "clusters": len({item.cluster for item in task.items}),
            "instructions": len(list(filter(None, task.instructions))),
            "goal": f"{next(iter(task.goals))} ({goal.name}, best {goal.best:g})",
            "metrics": [metric.name for metric in task.metrics],
            "answer rules": list(task.answer_rules),
            "labels": _labels(task.items),
            "split by template": _split_in_words(task),
            QUESTION: _question_in_words(task),
        }

    def lines(self) -> Iterator[str]:
        """The facts, one a line, but for the question."""
        for name, fact in self.facts().items():
            head = f"{name[0].upper()}{name[1:]}:"
            if name == QUESTION:
                yield from (head, *(f"  {line}".rstrip() for line in fact))
            else:
                yield f"{head} {_in_words(fact)}"

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "file": self.file,
            "usable": not self.defects,
            "defects": list(self.defects),
            "warnings": list(self.warnings),
            "sources": list(self.task.sources) if self.task is not None else [],
            **{name.replace(" ", "_"): fact for name, fact in self.facts().items()},
        }


def validate(file: Path | str) -> Validation:
    """Reads a task of a user's own, its description and all of its items.

    Args:
        file: the TOML file that describes it.

    Raises:
        SourceError: there is no such file.
    """
    task, defects = read_own_task(Path(file))
    if task is None:
        return Validation(str(file), defects)
    return Validation(str(file), (), tuple(_warnings(task)), task)


def _labels(items: Sequence[Item]) -> dict[str, dict[str, int]]:
    """How often each value of each label is there."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        for label, value in item.labels.items():
            counts[label][value] += 1
    return {label: dict(values.most_common()) for label, values in counts.items()}


def _in_words(fact: Any) -> str:
    if isinstance(fact, dict):
        counts = {label: ", ".join(f"{value} {count:,}" for value, count in of.items()) for label, of in fact.items()}
        return "; ".join(f"{label} ({count})" for label, count in counts.items()) or "none"
    if isinstance(fact, list):
        return ", ".join(fact)
    return f"{fact:,}" if isinstance(fact, int) else str(fact)


def _split_in_words(task: Task) -> str:
    sides = _sides(task)
    if sides is None:
        return "not possible"
    return ", ".join(f"{name} {_counted(side)}" for name, side in sides._asdict().items())


def _counted(side: Task) -> str:
    counts = {"item": len(side.items), "cluster": len({item.cluster for item in side.items})}
    return " of ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())


def _sides(task: Task) -> Split | None:
    try:
        return split(task)
    except DataError:
        return None


def _question_in_words(task: Task) -> list[str]:
    """The lines of the first item's question under the first instruction, and the options that are scored."""
    turned = rotate_options(task)
    question = turned.question(turned.instructions[0], turned.items[0])
    behind = "Scored as whole texts" if question.text is None else "Scored behind it"
    return [*(question.text or "").splitlines(), f"{behind}: {' | '.join(question.options)}"]


def _warnings(task: Task) -> Iterator[str]:
    clusters = {item.cluster for item in task.items}
    if len(clusters) == 1:
        yield (
            "All items are of one cluster: figures get no interval, and without --split random nothing can be fitted "
            "to some and tested on others."
        )
    elif _sides(task) is None:
        yield (
            f"There are {len(clusters)} clusters: intervals are wide, and fitting to some and testing on others takes "
            "3, or --split random."
        )
    yield from _one_place(task)
    yield from _repeated(task.items)
    if task.answer_rule == "sum":
        yield from _uneven_options(task)


def _one_place(task: Task) -> Iterator[str]:
    """Where a favoured place, or a favoured word, would look like knowledge."""
    golds = {item.gold for item in task.items}
    texts = {item.options[item.gold] for item in task.items if item.gold is not None}
    if len(task.items) < 2 or None in golds:
        return
    if len(texts) == 1:
        yield f"The right option of every item is the same text, '{next(iter(texts))}'."
    elif len(golds) == 1 and shows_order(task):
        place = next(iter(golds)) or 0
        stands = f"The right option of every item stands {PLACES[place] if place < len(PLACES) else f'at {place}'}"
        turned = "" if task.option_order == FIXED else ", and with --option-order file it stays there"
        yield f"{stands}{turned}; a model that favours that place would look as if it knew."


def _repeated(items: Sequence[Item]) -> Iterator[str]:
    asked: dict[tuple[Any, ...], list[Item]] = defaultdict(list)
    for item in items:
        asked[item.context, item.question, tuple(sorted(item.options))].append(item)
    same = [some for some in asked.values() if len(some) > 1]
    apart = [some for some in same if len({item.cluster for item in some}) > 1]
    if same:
        first, second, *_ = (apart or same)[0]
        yield (
            f"{sum(map(len, same)):,} items ask what another asks too, such as {first.identifier} and "
            f"{second.identifier}"
            + (", which are of two clusters: what is learned from one may be tested with the other." if apart else ".")
        )


def _uneven_options(task: Task) -> Iterator[str]:
    uneven = [item for item in task.items if _ratio(item.options) >= LONGER]
    if uneven:
        yield (
            f"In {len(uneven):,} of {len(task.items):,} items, such as {uneven[0].identifier}, one option has at least "
            f"{LONGER} times the words of another, and the rule 'sum' favours short ones; answer-rules = "
            '["mean", "sum"] would not.'
        )


def _ratio(options: Sequence[str]) -> float:
    words = [len(option.split()) for option in options]
    return max(words) / min(words)
