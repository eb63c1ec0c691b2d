"""Answers as arrays, metrics that are functions of them, and the goal a task sets.

Arrays are [draws, instructions, items] throughout: a draw is one of the equivalent forms of a method (random neurons
drawn anew), and all of its figures are pooled over draws.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from biasectomy.errors import UnknownNameError

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Role = Literal["goal", "guard", "abstention"]
Unit = Literal["share", "score", "per word", "nats"]

ARRAYS = ("choices", "log_likelihoods", "scores", "tokens", "words", "texts", "divergences")  # whatever the task
WITHOUT = {"tokens": 0, "words": 0}  # what stands beyond the options an item has; in other arrays it is NaN


@dataclass(frozen=True)
class Answers:
    """What was answered to a task.

    `choices` are indices into an item's options, -1 where an answer is none of them. `log_likelihoods`, `scores` (what
    options are compared by under the answer rule: sums or means of log-likelihoods), `tokens` and `words` have a
    further dimension for the options: NaN and 0 beyond those an item has. `texts` are generated ones, and `judged` what
    judges made of them, NaN where there is no text. `divergences` have a further dimension for the judged positions of
    a text, in nats: NaN beyond those an item has.
    """

    choices: Integers
    log_likelihoods: Floats = field(default_factory=lambda: np.empty((0, 0, 0, 0)))
    scores: Floats = field(default_factory=lambda: np.empty((0, 0, 0, 0)))
    tokens: Integers = field(default_factory=lambda: np.empty((0, 0, 0, 0), dtype=np.int64))
    words: Integers = field(default_factory=lambda: np.empty((0, 0, 0, 0), dtype=np.int64))
    texts: npt.NDArray[np.object_] = field(default_factory=lambda: np.empty((0, 0, 0), dtype=object))
    judged: Mapping[str, Floats] = field(default_factory=dict)
    divergences: Floats = field(default_factory=lambda: np.empty((0, 0, 0, 0)))

    def of_items(self, inside: Booleans) -> "Answers":
        """The answers to some of the items, [items]."""
        return self._each(lambda values: values[:, :, inside] if values.size else values)

    def of_instruction(self, place: int) -> "Answers":
        """The answers under one instruction."""
        return self._each(lambda values: values[:, [place]] if values.size else values)

    def _each(self, change: Callable[[Any], Any]) -> "Answers":
        judged = {name: change(values) for name, values in self.judged.items()}
        return replace(self, **{name: change(getattr(self, name)) for name in ARRAYS}, judged=judged)

    @classmethod
    def joined(cls, parts: Sequence["Answers"], axis: int = 0) -> "Answers":
        """Answers of several draws (axis 0) or to several lists of items (axis 2) as one.

        Raises:
            ValueError: there are none.
        """

        def join(name: str, arrays: list[Any]) -> Any:
            widest = max(array.shape[-1] for array in arrays)
            if arrays[0].ndim == 4:
                fill = WITHOUT.get(name, np.nan)
                arrays = [
                    np.pad(array, [(0, 0)] * 3 + [(0, widest - array.shape[-1])], constant_values=fill)
                    for array in arrays
                ]
            return np.concatenate(arrays, axis=axis)

        judged = {name: join(name, [part.judged[name] for part in parts]) for name in parts[0].judged}
        return cls(**{name: join(name, [getattr(part, name) for part in parts]) for name in ARRAYS}, judged=judged)


@dataclass(frozen=True)
class Edge:
    """A way in which all answers may be alike, where resampling sees no variation and would claim certainty.

    Each field weighs a metric's columns, [k]: `mass` counts the answers of that way, `total` those that they are a
    share of, `one` is what one more of them adds to the sums.
    """

    mass: tuple[float, ...]
    total: tuple[float, ...]
    one: tuple[float, ...]


# Of a share, whose columns are hits and answers: all may be hits, or none.
SHARE = (Edge((1, 0), (0, 1), (1, 1)), Edge((-1, 1), (0, 1), (0, 1)))


@dataclass(frozen=True)
class Metric:
    """A figure that is a function of sums over items.

    `columns(items, answers)` returns values [draws, instructions or 1, items, k] and which items are eligible [items].
    Ineligible items have all-zero columns; the last column counts what the figure rests on, so its mean is the
    coverage. `combine(sums [..., draws, instructions, k]) -> [...]` turns sums over items into the figure, NaN where
    undefined. `description` is a noun phrase for sentences, `title` the name in tables. `best` is the value to be
    wished for (1, 0, 0.5, ...); None where there is none. Where the figure is the length of a vector of contrasts,
    which sampling alone makes longer, `contrasts(sums) -> [..., contrasts]` gives the vector.
    """

    name: str
    title: str
    description: str
    columns: Callable[[Sequence[Any], Answers], tuple[Floats, Booleans]]
    combine: Callable[[Floats], Floats]
    best: float | None
    unit: Unit = "score"
    role: Role | None = None
    undefined: str = "no item counts towards it"  # why the value is NaN, when it is
    edges: tuple[Edge, ...] = ()  # of the shares it is made of
    contrasts: Callable[[Floats], Floats] | None = None
    of_right_answers: bool = False  # answers that are all right may miss the best value, so theirs is shown beside it
    of_texts: bool = False  # says something of generated texts only
    ends: tuple[float, float] = (-math.inf, math.inf)  # between which it can lie; (0, 1) where `edges` is `SHARE`
    no_interval: str = ""  # why it has none, where it is no function of sums over items

    def distance(self, value: Any) -> Any:
        """How far values are from the best one; NaN where there is none."""
        return np.abs(np.asarray(value) - (np.nan if self.best is None else self.best))


@dataclass(frozen=True)
class Goal:
    """Which metric a method should bring nearer to its best value, and which may get how much further from theirs.

    `best` is the value to go for where it is not the metric's own: it decides what is learned and chosen, while tables
    and verdicts keep the metric's.
    """

    metric: str
    guards: Mapping[str, float] = field(default_factory=dict)  # margins, in the guard's own unit, by metric
    best: float | None = None

    def judged(self, metrics: Sequence[Metric]) -> Metric:
        """The metric among some, with the value to go for.

        Raises:
            UnknownNameError: none of them has its name.
        """
        metric = named(metrics, self.metric)
        return metric if self.best is None else replace(metric, best=self.best)


def named(metrics: Sequence[Metric], name: str) -> Metric:
    """The metric of a name.

    Raises:
        UnknownNameError: none of them has it.
    """
    for metric in metrics:
        if metric.name == name:
            return metric
    raise UnknownNameError("metric", name, [metric.name for metric in metrics])
