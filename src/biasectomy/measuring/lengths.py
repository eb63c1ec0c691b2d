"""The length of a vector that is known up to sampling noise, such as a standard deviation over instructions.

Noise alone gives a vector some length, so the length that is seen is too large, and resampling adds the same noise once
more: percentiles of resampled lengths need not even reach down to the true one. Here the noise is taken out of the
figure, and the interval holds the true lengths under which what was seen is not unusual.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

from biasectomy.tasks.metrics import Floats

HALVINGS = 50


@dataclass(frozen=True)
class Length:
    """A length without what noise adds to it, and its interval."""

    value: float
    low: float
    high: float


def length(seen: Floats, resampled: Floats, clusters: int, level: float) -> Length:
    """The true length of a vector.

    The value is the root of the squared length less its mean noise, at least 0. The interval inverts two tests, each at
    (1 - level) / 2: a true vector of the direction that was seen, with the noise of the resamples around it, must not
    be longer, or shorter, than what was seen almost always.

    Args:
        seen: the vector, [contrasts].
        resampled: the vector in each resample of the clusters, [replicates, contrasts].
        clusters: how many; with few, the noise is larger than resampling shows, by as much as in `ClusterBootstrap`.
        level: of the interval.
    """
    noise = (resampled - seen) * math.sqrt(clusters / (clusters - 1))
    squared = float(seen @ seen)
    value = math.sqrt(max(0.0, squared - float((noise**2).sum(axis=1).mean())))
    tail = (1 - level) / 2
    noise = noise * float(scipy.special.stdtrit(clusters - 1, 1 - tail) / scipy.special.ndtri(1 - tail))
    along = noise @ seen / (math.sqrt(squared) or 1.0)  # [replicates]
    own = (noise**2).sum(axis=1)

    def at_least(true: float) -> float:
        """How often a vector of a true length is seen to be at least as long as this one."""
        return float(np.mean(true * true + 2 * true * along + own >= squared))

    farthest = math.sqrt(squared) + 2 * math.sqrt(float(own.max(initial=0.0)))
    low = _first(lambda true: at_least(true) >= tail, farthest)
    high = _first(lambda true: at_least(true) > 1 - tail, farthest)
    return Length(value, min(low, value), max(high, value))


def difference(one: Length, other: Length) -> Length:
    """One length minus another by the method of variance estimates recovery (Zou and Donner 2008)."""
    value = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return Length(value, value - below, value + above)


def _first(holds: Callable[[float], bool], farthest: float) -> float:
    """The least number from which on something holds, by bisection; 0 where it always does."""
    if holds(0.0):
        return 0.0
    below, above = 0.0, farthest
    for _ in range(HALVINGS):
        middle = (below + above) / 2
        below, above = (below, middle) if holds(middle) else (middle, above)
    return above
