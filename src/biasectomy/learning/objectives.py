"""What is made small: the loss that a task's goal asks for.

The loss of a question with a gold option is the cross-entropy of that option under a softmax over the options' scores,
the sums or means of log-likelihoods by which the task's answers are read. That of a pair whose goal is even odds is the
squared difference of the two mean log-likelihoods, and a hinge that keeps every further, meaningless option below both.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from biasectomy.errors import SettingsError
from biasectomy.tasks.base import Item, Task
from biasectomy.tasks.metrics import Goal

Loss = Callable[[Item, Tensor, Tensor], Tensor]  # of an item: sums of log-likelihoods [options], tokens [options]
EVEN = 0.5


def loss_of(task: Task, goal: Goal) -> Loss:
    """The loss that a goal asks for.

    Raises:
        SettingsError: nothing can be learned from the task's items.
    """
    if goal.judged(task.metrics).best == EVEN:
        if any(item.gold is None or item.target is None for item in task.items):
            raise SettingsError(f"The goal of '{task.name}' is even odds, and some of its items have no two sides.")
        return even
    return towards_gold(task)


def towards_gold(task: Task) -> Loss:
    """The loss that makes each item's gold option likely among its options, whatever the goal.

    Raises:
        SettingsError: an item has none.
    """
    if lacking := next((item for item in task.items if item.gold is None or len(item.options) < 2), None):
        raise SettingsError(
            f"Item {lacking.identifier} has no right option to learn from; a task whose items have one would be right, "
            "or another method ('biasectomy ls methods')."
        )
    return right_by_mean if task.answer_rule == "mean" else right


def right(item: Item, sums: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of the gold option, by sums of log-likelihoods."""
    return F.cross_entropy(sums[None], torch.tensor([item.gold], device=sums.device))


def right_by_mean(item: Item, sums: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of the gold option, by means over tokens."""
    return right(item, sums / tokens, tokens)


def even(item: Item, sums: Tensor, tokens: Tensor) -> Tensor:
    """Squared difference of the two sides' means, and a hinge on the options that are neither."""
    means = sums / tokens
    assert item.gold is not None and item.target is not None
    sides = means[[item.gold, item.target]]
    others = [index for index in range(len(means)) if index not in (item.gold, item.target)]
    beyond = F.relu(means[others] - sides.min().detach()).sum() if others else sums.new_zeros(())
    return (sides[0] - sides[1]) ** 2 + beyond
