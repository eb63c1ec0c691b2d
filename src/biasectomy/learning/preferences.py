"""Pairs of a right and a biased answer, and the loss that prefers one over the other (see `dpo`)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from biasectomy.learning.objectives import Loss
from biasectomy.learning.within_budget import Prepared
from biasectomy.measuring.session import Session, naming_items
from biasectomy.models.language_model import LanguageModel
from biasectomy.reading.questions import Answer
from biasectomy.tasks.base import Item, Task

Rejected = Literal["every", "biased"]
REFERENCE, REJECTED = "reference", "rejected"  # in what an item of a step has beside


def preference(beta: float) -> Loss:
    """-log sigmoid(beta ((log pi(y_w) - log ref(y_w)) - (log pi(y_l) - log ref(y_l)))), of sums over tokens.

    Of an item with several rejected answers y_l, the mean over them.
    """

    def loss(item: Item, sums: Tensor, tokens: Tensor) -> Tensor:
        gains = sums - sums.new_tensor(item.extra[REFERENCE])
        return F.softplus(-beta * (gains[item.gold] - gains[list(item.extra[REJECTED])])).mean()

    return loss


def can_be_preferred(item: Item) -> bool:
    """Whether an item has a right answer and another."""
    return item.gold is not None and len(item.options) > 1


def rejected(item: Item, reference: Sequence[float], which: Rejected) -> tuple[int, ...]:
    """The answers that the right one is preferred over: every other, or the biased one.

    Where the biased one is itself right, it is the other person or group; where no answer is marked as biased, the
    wrong one that the reference finds likeliest.
    """
    wrong = [place for place in range(len(item.options)) if place != item.gold]
    if which == "every":
        return tuple(wrong)
    if item.target in wrong:
        return (int(item.target),)
    if item.target is not None:
        wrong = [place for place in wrong if place != item.unknown] or wrong
    return (max(wrong, key=lambda place: reference[place]),)


def referenced(
    model: LanguageModel, task: Task, steps: Sequence[tuple[str, list[Item]]], session: Session, which: Rejected
) -> Prepared:
    """Steps whose items have beside them what the model answers as it is now, and the answers that are rejected.

    Every question is asked once, through the session's answerer.
    """
    asked = [(instruction, item) for instruction, items in steps for item in items]
    questions = [task.question(instruction, item) for instruction, item in asked]
    found: dict[int, Answer] = {}
    with naming_items(replace(task, items=tuple(item for _, item in asked)), questions):
        for batch in session.answerer(model)(questions):
            found.update(batch)
    session.asked.questions += len(questions)
    places = iter(range(len(asked)))
    return Prepared(
        task,
        [(instruction, [_beside(item, found[next(places)].log_likelihoods, which) for item in items])
         for instruction, items in steps],
    )  # fmt: skip


def _beside(item: Item, reference: Sequence[float], which: Rejected) -> Item:
    beside = {REFERENCE: tuple(reference), REJECTED: rejected(item, reference, which)}
    return replace(item, extra={**item.extra, **beside})
