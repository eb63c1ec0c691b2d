"""What the families of tasks share that ask BBQ's items in another form: does a model weigh evidence, or form?

Items keep their clusters, so what is fitted to some templates of `bbq` can be measured on other ones here.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from biasectomy.errors import DataError
from biasectomy.tasks import bbq
from biasectomy.tasks.ambiguity import ambiguity_metrics
from biasectomy.tasks.base import TASKS, Item, Task, TaskFamily
from biasectomy.tasks.metrics import Metric
from biasectomy.tasks.variants import ADDITION


class Varied(NamedTuple):
    """The items of a family's task: to how many items of BBQ's its rule applies, and of how many that might be."""

    items: Sequence[Item]
    applies_to: int
    of: int


Rule = Callable[[Sequence[Item]], Varied]  # how all items of a task of BBQ's become those of the family's


def bbq_variant(
    name: str,
    title: str,
    rows: dict[str, int],
    rule: Rule,
    metrics: Sequence[Metric] = (),
    spread: Sequence[str] = (),
    adapted: Callable[[Task], Task] = lambda task: task,
) -> TaskFamily:
    """A family with the members of `bbq`, their items changed by a rule.

    The record of a task's first file says to how many items the rule applies, of how many.

    Args:
        rows: items by member.
        metrics: beside those of `bbq`.
        spread: labels that samples are spread evenly over, beside those of `bbq`.
        adapted: makes what else the rule asks for, such as other metrics in place of those of `bbq`.
    """

    def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
        """See `bbq.load`.

        Raises:
            DataError: or the rule applies to no item of these members.
        """
        found = [(task, rule(task.items)) for task in bbq.load(members, data_folder, instructions)]
        if not any(varied.applies_to for _, varied in found):
            raise DataError(
                f"The rule of {name} applies to no item of {', '.join(members)}, so nothing new would be asked; "
                "name further categories, or 'bbq' itself."
            )
        return [adapted(made(task, varied)) for task, varied in found]

    def made(task: Task, varied: Varied) -> Task:
        items = tuple(renamed(item, name) for item in varied.items)
        first, *others = task.sources
        return replace(
            task,
            name=_named(task.name, name),
            items=items,
            metrics=ambiguity_metrics(items) + tuple(metrics),
            version=f"1, {bbq.REVISION}",
            spread=(*task.spread, *spread),
            sources=({**first, "rule": name, "applies_to": varied.applies_to, "of": varied.of}, *others),
            variants={},
        )

    family = TASKS["bbq"]
    return replace(family, title=title, rows=rows, load=load)


def renamed(item: Item, family: str) -> Item:
    """An item of BBQ as one of another family's, in the same cluster."""
    extra = {name: value for name, value in item.extra.items() if name != ADDITION}
    return replace(item, identifier=_named(item.identifier, family), task=_named(item.task, family), extra=extra)


def _named(name: str, family: str) -> str:
    return f"{family}:{name.partition(':')[2]}"
