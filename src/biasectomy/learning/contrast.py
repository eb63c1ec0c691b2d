"""Training on pairs of answers in which each step moves only the weights whose two gradients differ in direction.

See `partitions`. A step sums the gradients of log P(gold answer) and log P(biased answer) over its pairs, chooses the
partitions, and takes one step of plain gradient descent there (Yu et al. 2023, section 3.3, as released: SGD without
momentum, gradients summed over a batch).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from biasectomy.errors import DataError, ScoreError, SettingsError
from biasectomy.learning.objectives import Loss, loss_of
from biasectomy.learning.partitions import Partitions
from biasectomy.learning.training import Progress, Training
from biasectomy.learning.within_budget import Prepared
from biasectomy.reading.layouts import Batch
from biasectomy.tasks.base import Item, Task
from biasectomy.tasks.metrics import Goal
from biasectomy.tasks.opposites import right_other, with_options

Update = Literal["lower-target", "raise-gold", "both"]
GOLD, TARGET = 0, 1  # places of the two answers
TOLD = 0.2  # of the templates: those whose pairs tell how it goes


def pairs_of(task: Task) -> Task:
    """The items that have a gold answer and another that is the biased one, asked with these two options to score.

    Raises:
        SettingsError: there are none.
    """
    items = [item for item in task.items if right_other(item) is not None]
    if not items:
        raise SettingsError(
            f"No item of '{task.name}' has a right answer and another that is the biased one; a task that has such "
            "pairs, as bbq or crows_pairs, would be right."
        )

    def both(item: Item) -> tuple[int, int]:
        assert item.gold is not None and item.target is not None
        return item.gold, item.target

    return with_options(task, items, both)


def learned_and_told(pairs: Task, count: int, seed: int) -> tuple[Task, Prepared | None]:
    """Pairs that are learned from, and at most so many of other templates that tell which step is best.

    Raises:
        DataError: all pairs are of one template.
    """
    if not count:
        return pairs, None
    clusters = sorted({item.cluster for item in pairs.items}, key=lambda name: random.Random(f"{seed}/{name}").random())
    if len(clusters) < 2:
        raise DataError(
            f"All {len(pairs.items)} pairs of '{pairs.name}' are of one template, so that none could choose the best "
            "step; more items would be right, or 'chosen_by' 0."
        )
    aside = {*clusters[: max(1, round(TOLD * len(clusters)))]}
    learning = replace(pairs, items=tuple(item for item in pairs.items if item.cluster not in aside))
    told = replace(pairs, items=tuple(item for item in pairs.items if item.cluster in aside)).limited(count, 1, seed)
    return learning, Prepared(told, [(told.instructions[0], list(told.items))])


def loss_of_pairs(pairs: Task, goal: Goal) -> Loss:
    """The loss that a goal asks for, of the two answers alone."""
    loss = loss_of(pairs, goal)

    def of_two(item: Item, sums: Tensor, tokens: Tensor) -> Tensor:
        return loss(replace(item, gold=GOLD, target=TARGET), sums, tokens)

    return of_two


@dataclass
class PartitionedTraining(Training):
    """Training whose steps move `chosen` partitions, by what the two gradients say in the way of `update`.

    The loss is not learned from; it tells how far the pairs have come.
    """

    partitions: Partitions = field(kw_only=True)
    chosen: int = field(kw_only=True)
    update: Update = field(default="lower-target", kw_only=True)
    _summed_gradients: list[list[Tensor]] = field(default_factory=list, repr=False)

    def step(self, number: int, rate: float, mask: Tensor | None = None) -> Progress:
        """One step of gradient descent on the partitions that the step's pairs choose; see `Training.step`."""
        self._summed_gradients = [[torch.zeros_like(one) for one in self.parameters] for _ in (GOLD, TARGET)]
        loss, drift = (float(value) for value in self._gradients(number))
        gold, target = (dict(zip(self.partitions.parameters, some, strict=True)) for some in self._summed_gradients)
        numbers = self.partitions.lowest(self.partitions.similarities(gold, target), self.chosen)
        with torch.no_grad():
            for name, there in self.partitions.masks(numbers):
                direction = torch.zeros_like(gold[name])
                if self.update != "raise-gold":
                    direction += target[name]
                if self.update != "lower-target":
                    direction -= gold[name]
                self.partitions.parameters[name].sub_(rate * direction * there)
        self._summed_gradients = []
        return Progress(loss, drift)

    def _passed(self, batch: Batch, items: Sequence[Item], count: int) -> list[float]:
        found, sums = [], [[], []]  # type: tuple[list[float], list[list[Tensor]]]
        readings = self.model.layout.read(self.model.model, batch).log_likelihoods()
        for place, prompt, scores in zip(batch.indices, batch.prompts, readings, strict=True):
            tokens = torch.tensor([len(option) for option in prompt.options], device=scores[GOLD].device)
            both = torch.stack(scores)
            found.append(float(self.loss(items[place], both.detach(), tokens)) / count)
            if not torch.isfinite(both).all():
                raise ScoreError(
                    f"Item {items[place].identifier}: its log-likelihoods are not finite; a lower rate or --dtype "
                    "float32 would be right."
                )
            for side in (GOLD, TARGET):
                sums[side].append(scores[side])
        # Both are there before either is added, so that a batch that is too large for the memory can be halved.
        gradients = [
            torch.autograd.grad(
                torch.stack(sums[side]).sum(), list(self.parameters), retain_graph=side == GOLD, allow_unused=True
            )
            for side in (GOLD, TARGET)
        ]
        for summed, some in zip(self._summed_gradients, gradients, strict=True):
            for total, gradient in zip(summed, some, strict=True):
                if gradient is not None:
                    total += gradient
        return found

    def _summed(self, measured: Tensor) -> Tensor:
        if self.processes.count == 1:
            return measured
        flat = {
            f"{side}.{index}": one.double().cpu().reshape(-1)
            for side, some in enumerate(self._summed_gradients)
            for index, one in enumerate(some)
        }
        summed = self.processes.sum(flat | {"measured": measured})
        for side, some in enumerate(self._summed_gradients):
            for index, one in enumerate(some):
                one.copy_(summed[f"{side}.{index}"].reshape(one.shape))
        return summed["measured"]

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Goes back to a state; plain gradient descent remembers nothing else."""
        for index, parameter in enumerate(self.parameters):
            parameter.copy_(state[f"parameter.{index}"])
