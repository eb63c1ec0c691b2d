"""Figures with the influence of each cluster on them: cheap intervals, for choosing among many candidates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from biasectomy.tasks.metrics import Answers, Floats, Metric


@dataclass(frozen=True)
class Linearised:
    """A figure, or a difference of figures, with the influence of each cluster on it, [clusters]."""

    value: float
    influence: Floats

    def minus(self, other: "Linearised") -> "Linearised":
        """The paired difference; both must be of the same clusters."""
        return Linearised(self.value - other.value, self.influence - other.influence)

    @property
    def error(self) -> float:
        """Standard error; infinite where there are fewer than two clusters.

        Variance = G / (G - 1) * sum over clusters of influence^2: for a mean over items that is Liang and Zeger (1986)
        with the usual finite-cluster factor; else the infinitesimal jackknife (Efron 1982).
        """
        count = self.influence.size
        return math.sqrt(count / (count - 1) * float(self.influence @ self.influence)) if count > 1 else math.inf

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Cluster-robust t-interval with G - 1 degrees of freedom."""
        freedom = max(1, self.influence.size - 1)
        half = float(scipy.special.stdtrit(freedom, (1 + level) / 2)) * self.error
        return self.value - half, self.value + half


def at_once(
    figures: Sequence[Linearised], level: float = 0.95, seed: int = 0, *, beside: Sequence[Linearised] = ()
) -> tuple[list[float], float]:
    """Lower bounds that hold for all figures at once with probability `level`, and what the best would be by chance.

    The best of many figures is above its own one-sided bound more often than a single one would be. The bounds come
    from the distribution of the largest t of all, given how the figures are correlated: a multivariate Student
    distribution (Hothorn, Bretz and Westfall 2008), by simulation. The second value is what the largest of the figures
    would be on average if all were 0 in truth.

    Args:
        figures: such as the gains of several candidates; all of the same clusters.
        level: of the bounds together.
        seed: of the simulation.
        beside: others that were looked at, of the same clusters; no bounds are wanted of them, but they count.
    """
    every = [*figures, *beside]
    clusters = every[0].influence.size if every else 0
    errors = np.array([one.error for one in every])
    # Clusters that are all alike leave no error to judge by; that so many had the same sign by chance has 0.5^clusters.
    alike = 0.5**clusters <= 1 - level
    if clusters < 2 or not errors.any():
        bounds = [one.value if one.error == 0 and alike else -math.inf for one in figures]
        return bounds, 0.0 if clusters > 1 else math.nan
    generator = np.random.default_rng(seed)
    influences = np.stack([one.influence for one in every]) * math.sqrt(clusters / (clusters - 1))
    noise = generator.standard_normal((SIMULATED, clusters)) @ influences.T  # [simulated, every figure]
    scale = np.sqrt(generator.chisquare(clusters - 1, (SIMULATED, 1)) / (clusters - 1))
    moving = errors > 0
    largest = (noise[:, moving] / errors[moving] / scale).max(axis=1)
    critical = float(np.quantile(largest, level))
    bounds = [one.value - critical * one.error if one.error or alike else -math.inf for one in figures]
    return bounds, float(noise.max(axis=1).clip(min=0).mean())


def chance_of_clear(figure: Linearised, bound: float, seen: float) -> float:
    """The probability that the bound of a figure will be above 0 once everything is seen; NaN where it has no error.

    How the figure goes on is predicted from what was seen and how sure that is: predictive power with a flat prior
    (Spiegelhalter, Freedman and Blackburn 1986). The square of its error is taken to shrink with what is seen, which is
    the best that can be, and the bound to stay as many errors below it.

    Args:
        figure: of what was seen.
        bound: below it, such as one of `at_once`.
        seen: the share of everything that was seen, below 1.
    """
    if not figure.error or not math.isfinite(bound):
        return math.nan
    needed = (figure.value - bound) * math.sqrt(seen)
    return float(scipy.special.ndtr((figure.value - needed) / (figure.error * math.sqrt(1 - seen))))


SIMULATED = 10_000
STEP = 1e-5  # of the numerical derivative by a cluster's weight


def linearised(metric: Metric, items: Sequence[Any], answers: Answers, *, distance: bool = False) -> Linearised:
    """A metric of answers with each cluster's influence on it, the derivative by the cluster's weight.

    Args:
        distance: of the distance from the metric's best value, instead of the metric itself.
    """
    _, members = np.unique(np.asarray([item.cluster for item in items], dtype=str), return_inverse=True)
    values, _ = metric.columns(items, answers)
    draws, instructions, _, width = values.shape
    sums = sums_by_cluster(values, members).reshape(-1, draws, instructions, width)
    total = sums.sum(axis=0)

    def figure(of: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            found = metric.combine(of)
        return np.asarray(metric.distance(found) if distance else found, dtype=np.float64)

    slopes = (figure(total + STEP * sums) - figure(total - STEP * sums)) / (2 * STEP)
    return Linearised(float(figure(total)), slopes)


def sums_by_cluster(values: Floats, members: Any) -> Floats:
    """Values [draws, instructions, items, k] summed over the items of each cluster, [clusters, the rest].

    Args:
        members: the number of each item's cluster, [items].
    """
    order = np.argsort(members, kind="stable")
    starts = np.searchsorted(members[order], np.arange(int(members.max()) + 1))
    by_item = np.moveaxis(values, 2, 0).reshape(members.size, -1)
    return np.asarray(np.add.reduceat(by_item[order], starts, axis=0))
