"""Figures with intervals: what a metric is, the cluster bootstrap, and paired differences.

Items of one template are not independent, so everything here resamples or sums over clusters, never over
single items. The work is done on sums per cluster, since every metric is a function of such sums.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from biasectomy.errors import SettingsError
from biasectomy.tasks.metrics import Answers, Floats, Metric

UNDEFINED_SHARE = 0.05  # more undefined resamples than this and a percentile says nothing about the tails


@dataclass(frozen=True)
class Estimate:
    """A figure, its interval, and what it rests on; `reason` says why a value or an interval is NaN."""

    value: float
    low: float
    high: float
    items: int  # eligible ones
    clusters: int  # with at least one eligible item
    coverage: float  # share of eligible item x instruction x draw that the denominator counts
    reason: str | None = None


@dataclass(frozen=True)
class Measured:
    """A metric of one method's answers with its value in every resample [replicates]."""

    metric: Metric
    value: float
    replicates: Floats
    items: int
    clusters: int
    coverage: float


class ClusterBootstrap:
    """Resamples clusters with replacement; all that one object measures shares the resamples, hence is paired.

    Args:
        clusters: the cluster of each item, [items].
        replicates: how many resamples.
        seed: makes the resamples the same again.
        level: of the intervals, such as 0.95.

    Raises:
        SettingsError: no items, no replicates, or a level outside 0 to 1.
    """

    def __init__(self, clusters: Sequence[str], replicates: int = 2000, seed: int = 0, level: float = 0.95) -> None:
        if not len(clusters) or replicates < 1 or not 0 < level < 1:
            raise SettingsError("A cluster bootstrap needs items, at least one replicate, and a level between 0 and 1.")
        names, members = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
        self.level = level
        self._members = members  # [items]
        shares = np.full(names.size, 1 / names.size)
        draws = np.random.default_rng(seed).multinomial(names.size, shares, size=replicates)
        self._counts = draws.astype(np.float64)  # [replicates, clusters]

    def measure(self, metric: Metric, items: Sequence[Any], answers: Answers) -> Measured:
        """A metric of answers to the items, in the sample and in every resample.

        Raises:
            ValueError: the number of items is not that of the clusters.
        """
        if not len(items) == self._members.size == answers.choices.shape[-1]:
            found = answers.choices.shape[-1]
            raise ValueError(f"{len(items)} items and {found} answers for {self._members.size} clusters")
        values, eligible = metric.columns(items, answers)
        draws, instructions, _, width = values.shape
        sums = sums_by_cluster(values, self._members)  # [clusters, draws * instructions * k]
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(metric.combine(sums.sum(axis=0).reshape(draws, instructions, width)))
            replicates = metric.combine((self._counts @ sums).reshape(-1, draws, instructions, width))
        return Measured(
            metric,
            value,
            np.asarray(replicates, dtype=np.float64),
            int(eligible.sum()),
            int(np.unique(self._members[eligible]).size),
            float(values[:, :, eligible, -1].mean()) if eligible.any() else 0.0,
        )

    def estimate(self, measured: Measured) -> Estimate:
        """A figure with its expanded percentile interval (see `_interval`)."""
        reason = None if math.isfinite(measured.value) else measured.metric.undefined
        estimate = self._interval(measured, measured.value, measured.replicates, reason)
        if measured.metric.is_share and estimate.value in (0, 1) and estimate.low == estimate.high:
            return self._at_the_edge(estimate)
        return estimate

    def _at_the_edge(self, estimate: Estimate) -> Estimate:
        """A share of exactly 0 or 1, where resampling sees no variation and would claim certainty.

        The exact binomial bound (Clopper and Pearson 1934) with the clusters as trials: the share that would give
        such a sample with probability (1 - level) / 2.
        """
        bound = ((1 - self.level) / 2) ** (1 / estimate.clusters)
        return replace(estimate, low=bound) if estimate.value == 1 else replace(estimate, high=1 - bound)

    def difference(self, measured: Measured, against: Measured) -> Estimate:
        """`measured` minus `against`, paired by item and by resample; both must come from this object.

        The coverage is the smaller of the two. The two may have different numbers of draws.

        Raises:
            ValueError: the two are different metrics.
        """
        if measured.metric.name != against.metric.name:
            raise ValueError(f"{measured.metric.name} cannot be subtracted from {against.metric.name}")
        rests_on = min(measured, against, key=lambda side: side.coverage)
        value = _without_rounding(measured.value - against.value)
        reason = None if math.isfinite(value) else measured.metric.undefined
        return self._interval(rests_on, value, _without_rounding(measured.replicates - against.replicates), reason)

    def _interval(self, measured: Measured, value: Any, replicates: Floats, reason: str | None) -> Estimate:
        """Expanded percentile interval of Hesterberg, "What teachers should know about the bootstrap" (2015).

        With G clusters the tail of the normal percentile is replaced by Phi(-sqrt(G / (G - 1)) * t), t the Student
        quantile with G - 1 degrees of freedom: the plain percentile interval is too short with few clusters.
        """
        low = high = math.nan
        clusters = measured.clusters
        undefined = float(np.mean(~np.isfinite(replicates)))
        if reason is None and clusters < 2:
            reason = "no interval: all of its items come from one cluster"
        elif reason is None and undefined > UNDEFINED_SHARE:
            reason = f"no interval: the figure is undefined in {100 * undefined:.0f} % of the resamples"
        elif reason is None:
            quantile = special.stdtrit(clusters - 1, (1 + self.level) / 2)
            tail = special.ndtr(-math.sqrt(clusters / (clusters - 1)) * quantile)
            low, high = (float(end) for end in np.quantile(replicates[np.isfinite(replicates)], [tail, 1 - tail]))
        return Estimate(float(value), low, high, measured.items, clusters, measured.coverage, reason)


@dataclass(frozen=True)
class Linearised:
    """A figure, or a difference of figures, with the influence of each cluster on it, [clusters]."""

    value: float
    influence: Floats

    def minus(self, other: "Linearised") -> "Linearised":
        """The paired difference; both must be of the same clusters."""
        return Linearised(self.value - other.value, self.influence - other.influence)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Cluster-robust t-interval; infinite bounds where there are fewer than two clusters.

        Variance = G / (G - 1) * sum over clusters of influence^2, G - 1 degrees of freedom: for a mean over items that
        is Liang and Zeger (1986) with the usual finite-cluster factor; else the infinitesimal jackknife (Efron 1982).
        Cheap, so fit for racing.
        """
        count = self.influence.size
        if count < 2:
            return -math.inf, math.inf
        error = math.sqrt(count / (count - 1) * float(self.influence @ self.influence))
        half = float(special.stdtrit(count - 1, (1 + level) / 2)) * error
        return self.value - half, self.value + half


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


def _without_rounding(difference: Any) -> Any:
    """Differences that are only rounding errors become exactly 0, so that "no change" reads as no change."""
    return np.where(np.abs(difference) < 1e-12, 0.0, difference)
