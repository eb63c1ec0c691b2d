"""What a number of items can show: the smallest change that is found, and how many items another one would take.

A first pass over some items gives the variance of a figure by item and how alike items of a cluster are (Kish 1965,
"Survey Sampling": the design effect 1 + (m - 1) rho of m items a cluster). From these follows the standard error with
any number of clusters and items. A change is the difference of two models on the same items. How alike their answers
are is not known before, so they are taken for unrelated: changes between models that are alike are found with fewer.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from scipy import special

from biasectomy.measuring.linearised import linearised
from biasectomy.tasks.metrics import Answers, Metric

POWER = 0.8


@dataclass(frozen=True)
class Variance:
    """Of a figure: the variance of one item, and the correlation of items of one cluster, 0 to 1."""

    of_item: float
    correlation: float

    def error(self, clusters: int, items: float) -> float:
        """Standard error with so many clusters and, over all of them, so many items."""
        effect = 1 + max(0.0, items / clusters - 1) * self.correlation
        return math.sqrt(self.of_item * effect / items)

    def smallest_change(self, clusters: int, items: float, level: float = 0.95, power: float = POWER) -> float:
        """The difference of two models that a test at 1 - level finds with a probability of `power`, if of any."""
        if clusters < 2:
            return math.inf
        quantiles = special.stdtrit(clusters - 1, (1 + level) / 2) + special.stdtrit(clusters - 1, power)
        return float(quantiles * math.sqrt(2) * self.error(clusters, items))

    def items_for(self, change: float, clusters: int, level: float = 0.95, power: float = POWER) -> float:
        """How many items of so many clusters find a change; infinite where more clusters would be needed."""
        if clusters < 2 or change <= 0:
            return math.inf
        # With items without end, what is left is the variance between clusters.
        wanted = (change / self.smallest_change(clusters, clusters, level, power)) ** 2 * self.of_item / clusters
        between = self.of_item * self.correlation / clusters
        return self.of_item * (1 - self.correlation) / (wanted - between) if wanted > between else math.inf

    def clusters_for(self, change: float, items_a_cluster: float, level: float = 0.95, power: float = POWER) -> float:
        """How many clusters with so many items each find a change; infinite for none at all."""
        if change <= 0 or math.isnan(self.of_item):
            return math.inf
        low, high = 1, 2
        while self.smallest_change(high, high * items_a_cluster, level, power) > change:
            low, high = high, 2 * high
            if high > MOST:
                return math.inf
        while high - low > 1:
            middle = (low + high) // 2
            enough = self.smallest_change(middle, middle * items_a_cluster, level, power) <= change
            low, high = (low, middle) if enough else (middle, high)
        return high


MOST = 10**9


def variance_of(metric: Metric, items: Sequence[Any], answers: Answers) -> Variance:
    """The variance of a metric in a first pass over some items; NaN where the metric is undefined or nothing varies."""
    _, eligible = metric.columns(items, answers)
    chosen = [item for item, counts in zip(items, eligible, strict=True) if counts]
    some = answers.of_items(eligible)
    sizes = Counter(item.cluster for item in chosen)
    if len(sizes) < 2:
        return Variance(math.nan, math.nan)
    alone = [replace(item, cluster=item.identifier) for item in chosen]
    by_item, by_cluster = (linearised(metric, each, some).error ** 2 for each in (alone, chosen))
    if not math.isfinite(by_item) or by_item <= 0:
        return Variance(math.nan, math.nan)
    # Clusters of uneven size weigh by their squares (Kish).
    average = sum(size**2 for size in sizes.values()) / len(chosen)
    effect = by_cluster / by_item
    correlation = (effect - 1) / (average - 1) if average > 1 else 0.0
    return Variance(by_item * len(chosen), min(1.0, max(0.0, correlation)))
