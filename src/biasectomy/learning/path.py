"""The path from all neurons to few: how many may differ from 1 at each step, and which of them stay.

Pruning by magnitude while training goes on (Zhu and Gupta 2017, "To prune, or not to prune"): between two budgets the
number falls exponentially, then the budget is held for the rest of its steps, and what is there then is a candidate.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Stretch:
    """Steps `start` to `end` of a path, from a number of neurons to another; `falling` of them go down."""

    start: int
    end: int
    before: int
    budget: int
    falling: int

    def allowed(self, step: int) -> int:
        """How many may differ from 1 after a step."""
        share = min(1.0, (step - self.start + 1) / self.falling) if self.falling else 1.0
        smaller: float = (self.budget / self.before) ** share
        return max(self.budget, round(self.before * smaller))


@dataclass(frozen=True)
class Path:
    """Stretches one behind the other, and the rate of each step."""

    stretches: tuple[Stretch, ...]
    rate: float
    last_rate: float

    @property
    def steps(self) -> int:
        """How many there are in all."""
        return self.stretches[-1].end

    def stretch(self, step: int) -> Stretch:
        """The stretch that a step belongs to."""
        return next(one for one in self.stretches if step < one.end)

    def rate_at(self, step: int) -> float:
        """The rate of a step: falls linearly from the first to the last."""
        return self.rate + (self.last_rate - self.rate) * step / max(1, self.steps - 1)


def path_to(
    budgets: Sequence[int], total: int, *, first: int, each: int, held: float, rate: float, last_rate: float
) -> Path:
    """The path through all budgets, from the largest to the smallest.

    Args:
        budgets: numbers of neurons; those that are not smaller than `total` are all of them.
        total: of the neurons there are.
        first: steps with all neurons.
        each: steps for each budget.
        held: the share of them in which the budget is held.
        rate: of the first step.
        last_rate: of the last.
    """
    stretches = [Stretch(0, first, total, total, 0)]
    for budget in sorted({budget for budget in budgets if budget < total}, reverse=True):
        last = stretches[-1]
        stretches.append(Stretch(last.end, last.end + each, last.budget, budget, each - round(held * each)))
    return Path(tuple(stretches), rate, last_rate)
