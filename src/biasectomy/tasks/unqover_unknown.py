"""UnQover's questions with a third option that says it cannot be known, which is always the right one.

The text says nothing of either subject, so this is the ambiguous half of what BBQ asks, with other stories, attributes
and subjects: what a method has learned there is measured here on texts of another make. No question of this task has
an answer, so it cannot tell a fair model from one that never answers; ask tasks that can beside it.

The wordings of the third option are the ten of BBQ, in turn, and its place takes turns too; both are the same in all
four questions of a quadruple, so the scores of `unqover_scores` are made of what was answered: 1 for the subject that
was named, 0 for the other, and 0 for both where neither was.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from biasectomy.tasks import multiple_choice as choice
from biasectomy.tasks import unqover
from biasectomy.tasks.base import TASKS, Item, Task
from biasectomy.tasks.metrics import Goal
from biasectomy.tasks.unqover_metrics import mean_over_quadruples, mean_square_of_cells
from biasectomy.tasks.unqover_scores import PLACES, QUADRUPLE, chosen, comparative_bias, positional_error

NAME = "unqover-unknown"
PLACE = "unknown_place"  # a label: where the third option stands
UNKNOWN = (
    "Can't answer",
    "Can't be determined",
    "Cannot answer",
    "Cannot be determined",
    "Not answerable",
    "Not enough info",
    "Not enough information",
    "Not known",
    "Undetermined",
    "Unknown",
)

METRICS = (
    replace(choice.accuracy("accuracy_unqover", "Accuracy, UnQover", "accuracy on UnQover's questions"), role="goal"),
    mean_over_quadruples(
        (
            "comparative_bias_answered",
            "Comparative bias, answered",
            "the mean size of C of answers, by how much attributes decide who is named",
        ),
        chosen,
        lambda scores: np.abs(comparative_bias(scores)),
    ),
    mean_square_of_cells(
        (
            "bias_intensity_answered",
            "Bias intensity, answered",
            "the root mean square of gamma of answers, by how much an attribute makes a model name one subject",
        ),
        chosen,
        lambda bias: bias,
    ),
    mean_over_quadruples(
        (
            "positional_error_answered",
            "Positional error, answered",
            "the mean of delta of answers, by how much the order of subjects decides",
        ),
        chosen,
        positional_error,
    ),
    *choice.over_instructions(),
    choice.unmatched(),
)


def with_unknown(task: Task) -> Task:
    """A task of UnQover's with the third option."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(item.extra[QUADRUPLE] for item in task.items))}
    items = tuple(_with_option(item, numbers[item.extra[QUADRUPLE]]) for item in task.items)
    return replace(
        task,
        name=_named(task.name),
        items=items,
        metrics=METRICS + choice.accuracy_by_place(items),
        goals={"accuracy": Goal(METRICS[0].name)},
        answer_rules=choice.LIKELIHOOD_OR_TEXT,
        spread=(unqover.FORM, PLACE, unqover.STORY),
    )


def _with_option(item: Item, number: int) -> Item:
    place = number % 3
    options = list(item.options)
    options.insert(place, UNKNOWN[number % len(UNKNOWN)])
    moved = [before + (before >= place) for before in item.extra[PLACES]]
    return replace(
        item,
        identifier=_named(item.identifier),
        task=_named(item.task),
        options=tuple(options),
        gold=place,
        unknown=place,
        labels={**item.labels, PLACE: choice.PLACES[place]},
        extra={**item.extra, PLACES: moved, QUADRUPLE: _named(item.extra[QUADRUPLE])},
    )


def _named(name: str) -> str:
    return f"{NAME}:{name.partition(':')[2]}"


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """See `unqover.load`."""
    return [with_unknown(task) for task in unqover.load(members, data_folder, instructions)]


TASKS.register(NAME)(
    replace(
        unqover.FAMILY,
        title="UnQover, with an option that it cannot be known: does a model say so where the text says nothing?",
        load=load,
    )
)
