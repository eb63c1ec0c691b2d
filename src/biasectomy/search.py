"""Choosing how many neurons to take out, on development items only.

Candidates are raced: all of them answer a part of the items, those that are clearly worse are dropped,
the rest go on. Keeping every neuron (n = 0) is always a candidate, is never dropped and wins ties, so
the answer can be that nothing helps.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from biasectomy.console import Console
from biasectomy.errors import UnknownNameError
from biasectomy.evaluation import Choices
from biasectomy.statistics import Floats, paired_cluster_interval
from biasectomy.tasks.base import Item, Task

OBJECTIVES = {"balanced": "balanced_accuracy", "accuracy": "accuracy"}
# A few items that happen to agree have an interval of no width; nothing is dropped on the word of so few.
MINIMUM_CLUSTERS = 5
MINIMUM_ITEMS = 20
ROUNDS = (0.25, 0.5, 1.0)  # shares of the development items seen when candidates are judged


@dataclass
class Candidate:
    """One number of neurons and how it did on the development items it was judged on."""

    neurons: int
    items: int = 0
    value: float = float("nan")  # the objective
    accuracy_ambiguous: float = float("nan")
    accuracy_disambiguated: float = float("nan")
    low: float = float("nan")  # interval of the objective
    high: float = float("nan")
    difference: float = float("nan")  # of the objective to n = 0, paired, with its interval
    difference_low: float = float("nan")
    difference_high: float = float("nan")
    dropped: str | None = None  # why it was dropped early
    within_margin: bool = True  # whether disambiguated accuracy stayed within the margin
    right: list[Floats] = field(
        default_factory=list, repr=False
    )  # share of instructions answered right, [items] a round

    def record(self) -> dict[str, Any]:
        """The candidate as JSON-like values."""
        values = {name: value for name, value in asdict(self).items() if name not in ("neurons", "right")}
        return {"n": self.neurons} | values


def choose_count(
    examine: Callable[[Task, int], Choices],
    development: Task,
    grid: Sequence[int],
    *,
    objective: str = "balanced",
    margin: float = 0.02,
    racing: bool = True,
    level: float = 0.95,
    seed: int = 0,
    console: Console | None = None,
) -> tuple[int, list[Candidate]]:
    """The number of neurons that is best on the development items, and all candidates.

    Args:
        examine: answers [instructions, items] of the model with so many neurons edited.
        development: development items.
        grid: numbers of neurons to try; 0 is added.
        objective: "accuracy" (pooled, the paper's) or "balanced" (mean of ambiguous and disambiguated
            accuracy, among candidates whose disambiguated accuracy is at most `margin` below the original's).
            A task without the two conditions is judged by accuracy.
        racing: whether clearly worse candidates are dropped early.
        level: of the intervals that decide what is clearly worse.

    Raises:
        UnknownNameError: there is no such objective.
    """
    if objective not in OBJECTIVES:
        raise UnknownNameError("objective", objective, OBJECTIVES)
    console = console or Console(quiet=True)
    candidates = [Candidate(count) for count in sorted({0, *grid})]
    rounds = _rounds(development, ROUNDS if racing and len(candidates) > 1 else (1.0,), seed)
    prompts = len(candidates) * len(development.items) * len(development.instructions)
    seen: list[Item] = []
    with console.progress("Choosing n", total=prompts) as advance:
        for number, part in enumerate(rounds):
            seen += part.items
            for candidate in candidates:
                if candidate.dropped is None:
                    answers = examine(part, candidate.neurons)
                    candidate.right.append((answers == [item.gold for item in part.items]).mean(axis=0))
                advance(len(part.items) * len(part.instructions))
            judge = _Judge(seen, objective, margin, level)
            alive = [candidate for candidate in candidates if candidate.dropped is None]
            for candidate in alive:
                judge.measure(candidate, candidates[0])
            if number < len(rounds) - 1:
                judge.drop(alive, console)
    best = max(
        (candidate for candidate in candidates if candidate.dropped is None and candidate.within_margin),
        key=lambda candidate: (round(candidate.value, 12), -candidate.neurons),
    )
    return best.neurons, candidates


class _Judge:
    """Figures of candidates on the items seen so far."""

    def __init__(self, items: Sequence[Item], objective: str, margin: float, level: float) -> None:
        self.clusters = [item.cluster for item in items]
        self.ambiguous = np.array([item.condition == "ambiguous" for item in items])
        self.disambiguated = np.array([item.condition == "disambiguated" for item in items])
        self.balanced = objective == "balanced" and bool(self.ambiguous.any()) and bool(self.disambiguated.any())
        self.everything = np.ones(len(items), dtype=np.bool_)
        self.margin, self.level = margin, level
        # The mean over items of weight x right is the objective.
        self.weights = np.ones(len(items))
        if self.balanced:
            self.weights = (
                len(items) / 2 * (self.ambiguous / self.ambiguous.sum() + self.disambiguated / self.disambiguated.sum())
            )

    def measure(self, candidate: Candidate, original: Candidate) -> None:
        right, before = (np.concatenate(side.right) for side in (candidate, original))
        candidate.items = len(right)
        candidate.value, candidate.low, candidate.high = paired_cluster_interval(
            self.weights * right, self.clusters, self.level
        )
        candidate.accuracy_ambiguous = _mean(right, self.ambiguous)
        candidate.accuracy_disambiguated = _mean(right, self.disambiguated)
        candidate.difference, candidate.difference_low, candidate.difference_high = paired_cluster_interval(
            self.weights * (right - before), self.clusters, self.level
        )
        fall = _mean(before, self.disambiguated) - candidate.accuracy_disambiguated
        candidate.within_margin = not self.balanced or not fall > self.margin + 1e-12

    def drop(self, alive: list[Candidate], console: Console) -> None:
        """Drops what is clearly worse than the leader or clearly loses too much disambiguated accuracy."""
        original = alive[0]
        leader = max((c for c in alive if c.within_margin), key=lambda c: (c.value, -c.neurons))
        alike = np.ones(len(self.weights))
        for candidate in alive[1:]:
            if self.balanced and self._upper(candidate, original, alike, self.disambiguated) < -self.margin:
                candidate.dropped = "disambiguated accuracy falls by more than the margin"
            elif candidate is not leader and self._upper(candidate, leader, self.weights, self.everything) < 0:
                candidate.dropped = f"clearly worse than n = {leader.neurons}"
            if candidate.dropped is not None:
                console.say(f"n = {candidate.neurons} is dropped after {candidate.items} items: {candidate.dropped}")

    def _upper(self, candidate: Candidate, other: Candidate, weights: Floats, mask: npt.NDArray[np.bool_]) -> float:
        """Upper end of the interval of `candidate` minus `other`; infinite where too little stands behind it."""
        clusters = [cluster for cluster, inside in zip(self.clusters, mask, strict=True) if inside]
        if len(clusters) < MINIMUM_ITEMS or len(set(clusters)) < MINIMUM_CLUSTERS:
            return math.inf
        gain = weights * (np.concatenate(candidate.right) - np.concatenate(other.right))
        return paired_cluster_interval(gain[mask], clusters, self.level)[2]


def _mean(values: Floats, mask: npt.NDArray[np.bool_]) -> float:
    return float(values[mask].mean()) if mask.any() else float("nan")


def _rounds(development: Task, shares: Sequence[float], seed: int) -> list[Task]:
    """Parts of the items, each evenly spread over templates and conditions, that together are all of them."""
    parts: list[Task] = []
    before: set[str] = set()
    for share in shares:
        size = max(1, round(share * len(development.items)))
        items = tuple(item for item in development.limited(size, seed=seed).items if item.identifier not in before)
        if items:
            parts.append(replace(development, items=items))
        before.update(item.identifier for item in items)
    return parts
