"""Choosing how many neurons to edit, on development items only, by a task's goal.

Candidates are raced: all of them answer some of the questions, those that are clearly worse are dropped, the rest go
on (see `looks`); all looks together drop the wrong one no more often than one would. Those whose gain would hardly be
clear were everything asked are dropped too.
Editing no neuron (n = 0) is always a candidate and never dropped. A number of neurons is chosen only if its gain is
clearly above 0, with the bound that holds for all candidates at once: the best of many gains something by chance. Of
those that are within one standard error of the best, it is the smallest (Breiman et al. 1984, section 3.4.3). Better is
nearer to the metric's best value: where that is even odds, a candidate that goes past them is no better than one that
stops as far before.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from biasectomy.files import without_nan
from biasectomy.methods.looks import Asking, Look, looks
from biasectomy.narration import progress, say

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.measuring.linearised import Linearised
    from biasectomy.tasks.base import Item, Task
    from biasectomy.tasks.metrics import Answers, Goal, Metric

# A few items that happen to agree have an interval of no width; nothing is dropped on the word of so few.
MINIMUM_CLUSTERS = 5
MINIMUM_ITEMS = 20
HOPE = 0.1  # of a clear gain: with less a candidate is given up
SETTLED = 0.9  # of the width of intervals: where twice as many instructions leave more, all would leave most of it


@dataclass
class Candidate:
    """One number of neurons and how it did on the development items it was judged on."""

    neurons: int
    items: int = 0
    instructions: int = 0  # of each item
    value: float = math.nan  # of the goal's metric, with its interval
    low: float = math.nan
    high: float = math.nan
    difference: float = math.nan  # how much nearer to the best value than n = 0, paired, with its interval
    difference_low: float = math.nan
    difference_high: float = math.nan
    bound: float = math.nan  # below the difference, at once with those of all candidates
    beside: dict[str, float] = field(default_factory=dict)  # guards of the goal, and what else plays a role in the task
    within_margin: bool = True  # whether none of them got worse by more than its margin
    dropped: str | None = None  # why it was dropped early
    answers: "Answers | None" = field(default=None, repr=False)
    gain: "Linearised | None" = field(default=None, repr=False)  # over no neuron, by all clusters of the task

    @property
    def given(self) -> "Answers":
        """Its answers, once there are any."""
        assert self.answers is not None
        return self.answers

    @property
    def last_gain(self) -> "Linearised":
        """Its gain, once there are answers."""
        assert self.gain is not None
        return self.gain

    def record(self) -> dict[str, Any]:
        """The candidate as JSON-like values."""
        values = asdict(replace(self, answers=None, gain=None))
        record: dict[str, Any] = without_nan(
            {name: value for name, value in values.items() if name not in ("answers", "gain")}
        )
        return {"n": record.pop("neurons")} | record


@dataclass(frozen=True)
class Choice:
    """The number of neurons chosen, all candidates, and the gain that the best of them would show by chance alone."""

    neurons: int
    candidates: list[Candidate]
    by_chance: float
    clusters: int = MINIMUM_CLUSTERS  # of the items that chose

    @property
    def too_few(self) -> str:
        """Said where a gain cannot be told from chance, however large it is; else nothing."""
        if self.clusters >= MINIMUM_CLUSTERS:
            return ""
        return f"; {self.clusters} templates are too few to tell a gain from chance, and more items would be right"

    @property
    def best(self) -> Candidate:
        """The candidate chosen."""
        return next(one for one in self.candidates if one.neurons == self.neurons)


def choose_count(
    examine: "Callable[[Sequence[Task], int], Sequence[Answers]]",
    development: "Task",
    grid: Sequence[int],
    goal: "Goal",
    *,
    racing: bool = True,
    level: float = 0.95,
    seed: int = 0,
) -> Choice:
    """The smallest number of neurons that is clearly better than none and as good as the best, on development items.

    Args:
        examine: answers to parts of the development task, of the model with so many neurons edited.
        development: development items.
        grid: numbers of neurons to try; 0 is added.
        goal: what is judged: the metric that should come nearer to its best value, among candidates that keep the
            guards within their margins.
        racing: whether candidates are dropped early, and no more is asked than narrows intervals.
        level: of the intervals that decide what is clearly better or worse.

    Raises:
        UnknownNameError: the goal names a metric that the task does not have.
    """
    candidates = [Candidate(count) for count in sorted({0, *grid})]
    planned = looks(len(development.instructions), racing=racing and len(candidates) > 1)
    asking = Asking(development, planned, seed)
    dropping = 1 - (1 - level) / max(1, len(planned) - 1)  # each look may be wrong so much less often
    alive, widths = candidates, dict[int, float]()
    with progress("Choosing n", len(candidates) * len(development.items) * len(development.instructions)) as advance:
        for look in planned:
            if len(alive) == 1 < len(candidates):  # nothing is left to choose from
                break
            items, parts = asking.next(look)
            if not parts:
                continue
            for candidate in alive:
                candidate.answers = asking.joined(candidate.neurons, examine(parts, candidate.neurons))
                advance(sum(len(part.items) * len(part.instructions) for part in parts))
            judge = _Judge(development, items, goal, level, dropping)
            for candidate in alive:
                judge.measure(candidate, candidates[0])
                candidate.instructions = look.instructions
            before, widths = widths, _widths(alive)
            if look is planned[-1] or _settled(look, before, widths, len(development.instructions)):
                break
            judge.drop(candidates, look.share * look.instructions / len(development.instructions), seed)
            alive = [candidate for candidate in alive if candidate.dropped is None]
    return judge.choose(candidates, seed)


def _widths(alive: Sequence[Candidate]) -> dict[int, float]:
    """Of the intervals of the candidates' differences."""
    return {one.neurons: one.difference_high - one.difference_low for one in alive if one.neurons}


def _settled(look: Look, before: dict[int, float], now: dict[int, float], instructions: int) -> bool:
    """Whether further instructions would hardly narrow intervals, as twice as many did not; and says so.

    Widths alone decide, not values, so that what is chosen is as it would be had no more instructions been planned.
    """
    if look.instructions == 1:  # all looks under several are at all items
        return False
    ratios = sorted(width / before[count] for count, width in now.items() if before[count] > 0)
    if ratios and ratios[len(ratios) // 2] <= SETTLED:
        return False
    say(
        f"Each item was asked under {look.instructions} of the {instructions} instructions; to ask it under all would "
        "hardly tell more"
    )
    return True


class _Judge:
    """Figures of candidates on the items seen so far."""

    def __init__(self, task: "Task", items: "Sequence[Item]", goal: "Goal", level: float, dropping: float) -> None:
        from biasectomy.tasks.metrics import named

        self.clusters = sorted({item.cluster for item in task.items})
        self.items, self.level, self.dropping = list(items), level, dropping
        self.metric = goal.judged(task.metrics)
        self.guards = [(named(task.metrics, name), margin) for name, margin in goal.guards.items()]
        self.beside = [one for one in task.metrics if one.role or one.name in goal.guards]

    def measure(self, candidate: Candidate, original: Candidate) -> None:
        figure = self._figure(candidate, self.metric, distance=False)
        candidate.items = len(self.items)
        candidate.value = figure.value
        candidate.low, candidate.high = figure.interval(self.level)
        gain = self._gain(candidate, original, self.metric)
        candidate.gain, candidate.difference = self._by_all_clusters(gain), gain.value
        candidate.difference_low, candidate.difference_high = gain.interval(self.level)
        candidate.beside = {one.name: self._figure(candidate, one, distance=False).value for one in self.beside}
        losses = [(-self._gain(candidate, original, one).value, margin) for one, margin in self.guards]
        candidate.within_margin = not any(loss > margin + 1e-12 for loss, margin in losses)

    def rank(self, candidate: Candidate) -> tuple[float, int]:
        """The higher the better; fewer neurons win ties, and a figure that is undefined loses to any other."""
        distance = float(self.metric.distance(candidate.value))
        return (-math.inf if math.isnan(distance) else -round(distance, 12), -candidate.neurons)

    def choose(self, candidates: list[Candidate], seed: int) -> Choice:
        """The smallest clear gain within one standard error of the best; 0 where none is clear."""
        original = candidates[0]
        fit = [
            one
            for one in candidates[1:]
            if one.dropped is None and one.within_margin and not math.isnan(one.difference)
        ]
        bounds, by_chance = self._bounds(fit, candidates, seed)
        for one, bound in zip(fit, bounds, strict=True):
            one.bound = bound
        best = max(fit, key=self.rank, default=original)
        as_good = [one for one in fit if self._within_one_error(one, best) and one.bound > 0]
        clusters = len({item.cluster for item in self.items})
        return Choice(min((one.neurons for one in as_good), default=0), candidates, by_chance, clusters)

    def _within_one_error(self, candidate: Candidate, best: Candidate) -> bool:
        short = self._gain(best, candidate, self.metric)
        return candidate is best or short.value <= short.error

    def drop(self, candidates: list[Candidate], seen: float, seed: int) -> None:
        """Drops what is clearly worse than the leader, clearly goes beyond a margin, or can hardly become clear.

        Args:
            candidates: all of them, those dropped before too.
            seen: share of all questions that were asked.
            seed: of the simulation behind the bound for all at once.
        """
        original, *others = [one for one in candidates if one.dropped is None]
        leader = max((one for one in (original, *others) if one.within_margin), key=self.rank)
        hopeless = self._hopeless(candidates, seen, seed)
        for candidate in others:
            for guard, margin in self.guards:
                if self._upper(candidate, original, guard) < -margin:
                    candidate.dropped = f"{guard.description} gets worse by more than the margin"
            if candidate is not leader and self._upper(candidate, leader, self.metric) < 0:
                candidate.dropped = candidate.dropped or f"clearly worse than n = {leader.neurons}"
            if candidate.neurons in hopeless:
                candidate.dropped = candidate.dropped or "a clear gain has become unlikely"
            if candidate.dropped is not None:
                say(f"n = {candidate.neurons} is dropped after {candidate.items} items: {candidate.dropped}")

    def _hopeless(self, candidates: list[Candidate], seen: float, seed: int) -> set[int]:
        """Those alive whose gain will hardly be clear, were everything asked.

        A loss of power is all that a wrong word here costs, so it is not divided among looks.
        """
        from biasectomy.measuring.linearised import chance_of_clear

        alive = [one for one in candidates[1:] if one.dropped is None and not math.isnan(one.difference)]
        bounds, _ = self._bounds(alive, candidates, seed)
        return {
            one.neurons
            for one, bound in zip(alive, bounds, strict=True)
            if self._enough(one, self.metric) and chance_of_clear(one.last_gain, bound, seen) < HOPE
        }

    def _bounds(self, some: list[Candidate], candidates: list[Candidate], seed: int) -> tuple[list[float], float]:
        """Bounds below the gains of some candidates, and what the best of all would gain by chance (see `at_once`).

        Those dropped on the way were tried too; what is left of many is better by chance than as many alone.
        """
        from biasectomy.measuring.linearised import at_once

        gone = [one.last_gain for one in candidates if one.dropped and not math.isnan(one.difference)]
        return at_once([one.last_gain for one in some], self.level, seed, beside=gone)

    def _by_all_clusters(self, gain: "Linearised") -> "Linearised":
        """The same with no influence of clusters that were not asked yet, so that all gains can be compared."""
        import numpy as np

        from biasectomy.measuring.linearised import Linearised

        influence = np.zeros(len(self.clusters))
        influence[np.searchsorted(self.clusters, sorted({item.cluster for item in self.items}))] = gain.influence
        return Linearised(gain.value, influence)

    def _figure(self, candidate: Candidate, metric: "Metric", *, distance: bool = True) -> "Linearised":
        from biasectomy.measuring.linearised import linearised

        return linearised(metric, self.items, candidate.given, distance=distance)

    def _gain(self, candidate: Candidate, other: Candidate, metric: "Metric") -> "Linearised":
        """How much nearer a candidate is to the best value than another."""
        return self._figure(other, metric).minus(self._figure(candidate, metric))

    def _upper(self, candidate: Candidate, other: Candidate, metric: "Metric") -> float:
        """Upper end of the interval of a candidate's gain; infinite where too little stands behind it."""
        if not self._enough(candidate, metric):
            return math.inf
        return self._gain(candidate, other, metric).interval(self.dropping)[1]

    def _enough(self, candidate: Candidate, metric: "Metric") -> bool:
        """Whether a metric of the candidate rests on items and clusters enough to drop it."""
        _, eligible = metric.columns(self.items, candidate.given)
        clusters = {item.cluster for item, counts in zip(self.items, eligible, strict=True) if counts}
        return bool(eligible.sum() >= MINIMUM_ITEMS) and len(clusters) >= MINIMUM_CLUSTERS
