"""Figures with intervals: what a metric is, the cluster bootstrap, and paired differences.

Items of one template are not independent, so everything here resamples or sums over clusters, never over
single items. The work is done on sums per cluster, since every metric is a function of such sums.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy

from biasectomy.errors import SettingsError
from biasectomy.measuring.lengths import Length, length
from biasectomy.measuring.lengths import difference as length_difference
from biasectomy.measuring.limits import Addition, reach, spread_of_draws
from biasectomy.measuring.linearised import sums_by_cluster
from biasectomy.tasks.metrics import SHARE, Answers, Floats, Metric

UNDEFINED_SHARE = 0.05  # more undefined resamples than this and a percentile says nothing about the tails
NUMBERS_AT_ONCE = 1 << 22  # of resampled sums in memory
ROUNDING = 1e-12


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
    """A metric of one method's answers with its value in every resample [replicates].

    `draws` are the figures of the method's draws, [draws]; `down` and `up` say how far the interval reaches at least
    for the shares that the figure is made of; `length` is what the figure is where it is the length of a vector.
    """

    metric: Metric
    value: float
    replicates: Floats
    items: int
    clusters: int
    coverage: float
    draws: Floats
    down: float = 0.0
    up: float = 0.0
    length: Length | None = None


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
        self._counts = draws.astype(np.min_scalar_type(names.size))  # [replicates, clusters]

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
        flat = sums_by_cluster(values, self._members)  # [clusters, draws * instructions * k]
        sums = flat.reshape(-1, draws, instructions, width)
        total = sums.sum(axis=0)
        clusters = int(np.unique(self._members[eligible]).size)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(metric.combine(total))
            each = np.array([float(metric.combine(total[draw : draw + 1])) for draw in range(draws)])
            down, up = reach(metric, sums, (1 - self.level) / 2)
            replicates = self._resampled(metric.combine, flat, sums.shape[1:])
            found_length = None
            if metric.contrasts is not None and math.isfinite(value) and clusters > 1:
                vectors = self._resampled(metric.contrasts, flat, sums.shape[1:])
                vectors = vectors[np.isfinite(vectors).all(axis=1)]
                found_length = length(metric.contrasts(total), vectors, clusters, self.level)
                value = found_length.value
        return Measured(
            metric,
            value,
            replicates,
            int(eligible.sum()),
            clusters,
            float(values[:, :, eligible, -1].mean()) if eligible.any() else 0.0,
            each,
            down,
            up,
            found_length,
        )

    def _resampled(self, combine: Callable[[Floats], Floats], flat: Floats, shape: tuple[int, ...]) -> Floats:
        """What becomes of the sums of each resample, [replicates, ...]; a few resamples at a time."""
        step = max(1, NUMBERS_AT_ONCE // max(1, flat.shape[1]))
        parts = [
            np.asarray(combine((self._counts[start : start + step].astype(np.float64) @ flat).reshape(-1, *shape)))
            for start in range(0, len(self._counts), step)
        ]
        return np.concatenate(parts).astype(np.float64)

    def estimate(self, measured: Measured) -> Estimate:
        """A figure with its interval (see `_estimate`)."""
        metric = measured.metric
        reason = (metric.no_interval or None) if math.isfinite(measured.value) else metric.undefined
        more = Addition(measured.down, measured.up, spread_of_draws(measured.draws, None, self.level))
        found = self._estimate(measured, measured.value, measured.replicates, more, measured.length, reason)
        return _within(found, *_ends(metric))

    def difference(self, measured: Measured, against: Measured) -> Estimate:
        """`measured` minus `against`, paired by item and by resample; both must come from this object.

        The coverage is the smaller of the two. Where the two have different numbers of draws, that of one is taken for
        one more draw of the other: what a random edit would do by luck belongs into the interval.

        Raises:
            ValueError: the two are different metrics.
        """
        if measured.metric.name != against.metric.name:
            raise ValueError(f"{measured.metric.name} cannot be subtracted from {against.metric.name}")
        rests_on = min(measured, against, key=lambda side: side.coverage)
        value = _without_rounding(measured.value - against.value)
        replicates = _without_rounding(measured.replicates - against.replicates)
        reason = (measured.metric.no_interval or None) if math.isfinite(value) else measured.metric.undefined
        if math.isfinite(value) and not replicates.any() and not value:
            reason = "no interval: the two do not differ in this on any of the items"
        lengths = None
        if measured.length is not None and against.length is not None:
            lengths = length_difference(measured.length, against.length)
        more = Addition(
            measured.down + against.up,
            measured.up + against.down,
            spread_of_draws(measured.draws, against.draws, self.level),
        )
        least, most = _ends(measured.metric)
        return _within(self._estimate(rests_on, value, replicates, more, lengths, reason), least - most, most - least)

    def gain(self, measured: Measured, against: Measured, best: float) -> Estimate:
        """How much nearer `measured` comes to a best value than `against`, paired; negative where it goes away.

        Where the best value is an end of what the figure can be, this is their difference, with its sign. Where it lies
        inside (even odds), it is the difference of the two distances from it, in the sample and in every resample: from
        one side to as far on the other is no gain.

        Raises:
            ValueError: the two are different metrics.
        """
        least, most = _ends(measured.metric)
        if best >= most:
            return self.difference(measured, against)
        if best <= least or measured.length is not None:  # a length is never below 0
            return self.difference(against, measured)
        return self.difference(_closeness(measured, best), _closeness(against, best))

    def _estimate(
        self,
        rests_on: Measured,
        value: Any,
        replicates: Floats,
        more: Addition,
        found_length: Length | None,
        reason: str | None,
    ) -> Estimate:
        """Expanded percentile interval of Hesterberg, "What teachers should know about the bootstrap" (2015).

        With G clusters the tail of the normal percentile is replaced by Phi(-sqrt(G / (G - 1)) * t), t the Student
        quantile with G - 1 degrees of freedom: the plain percentile interval is too short with few clusters. It reaches
        at least as far as the edges of shares and the spread of draws demand.
        """
        low = high = math.nan
        clusters = rests_on.clusters
        undefined = float(np.mean(~np.isfinite(replicates)))
        if reason is None and clusters < 2:
            reason = "no interval: all of its items come from one cluster"
        elif reason is None and undefined > UNDEFINED_SHARE:
            reason = f"no interval: the figure is undefined in {100 * undefined:.0f} % of the resamples"
        elif reason is None:
            if found_length is not None:
                low, high = found_length.low, found_length.high
            else:
                quantile = scipy.special.stdtrit(clusters - 1, (1 + self.level) / 2)
                tail = scipy.special.ndtr(-math.sqrt(clusters / (clusters - 1)) * quantile)
                low, high = (float(end) for end in np.quantile(replicates[np.isfinite(replicates)], [tail, 1 - tail]))
            low, high = min(low, value - more.down), max(high, value + more.up)
            if high - low < ROUNDING:
                low, high, reason = math.nan, math.nan, "no interval: every template gives the same figure"
            low, high = value - math.hypot(value - low, more.spread), value + math.hypot(high - value, more.spread)
        return Estimate(float(value), low, high, rests_on.items, clusters, rests_on.coverage, reason)


def _ends(metric: Metric) -> tuple[float, float]:
    return (0.0, 1.0) if metric.edges == SHARE else metric.ends


def _closeness(measured: Measured, best: float) -> Measured:
    """The same with minus the distance from a best value in place of every value."""
    distance = abs(measured.value - best)
    toward, away = (measured.up, measured.down) if measured.value < best else (measured.down, measured.up)
    return replace(
        measured,
        value=-distance,
        replicates=-np.abs(measured.replicates - best),
        draws=-np.abs(measured.draws - best),
        down=max(away, toward - 2 * distance),  # beyond the best value it goes away again
        up=min(toward, distance),
    )


def _within(found: Estimate, least: float, most: float) -> Estimate:
    """An interval that ends where the figure does: neither edges that are added up nor the spread of draws know it."""
    if math.isnan(found.low):
        return found
    return replace(found, low=max(least, found.low), high=min(most, found.high))


def _without_rounding(difference: Any) -> Any:
    """Differences that are only rounding errors become exactly 0, so that "no change" reads as no change."""
    return np.where(np.abs(difference) < ROUNDING, 0.0, difference)
