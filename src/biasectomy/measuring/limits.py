"""What an interval must hold beside the noise of resampling: the edges of shares, and which draws were made."""

import math
from dataclasses import dataclass

import numpy as np
import scipy

from biasectomy.tasks.metrics import Floats, Metric


@dataclass(frozen=True)
class Addition:
    """What an interval must hold beside the noise of resampling.

    `down` and `up` are how far it reaches at least; `spread` is the half-width for what draws differ by.
    """

    down: float
    up: float
    spread: float


def reach(metric: Metric, sums: Floats, tail: float) -> tuple[float, float]:
    """How far below and above a figure its interval must reach, for the edges of the shares it is made of.

    Of a share that none of G clusters shows, the exact binomial bound with the clusters as trials is 1 - tail^(1 / G)
    (Clopper and Pearson 1934): resampling sees nothing of it. No share's interval ends below that, and by as much as
    the figure moves when its share is moved there the figure's interval reaches out; over several shares these add up.

    Args:
        metric: with its edges.
        sums: of the metric's columns by cluster, [clusters, draws, instructions, k].
        tail: (1 - level) / 2.
    """
    down = up = 0.0
    total = sums.sum(axis=0)
    by_cluster = sums.sum(axis=(1, 2))  # [clusters, k]
    value = float(metric.combine(total))
    for edge in metric.edges:
        trials = by_cluster @ np.array(edge.total)
        if not trials.any():
            continue
        bound = 1 - tail ** (1 / np.count_nonzero(trials))
        mass = float((by_cluster @ np.array(edge.mass)).sum())
        missing = (bound * float(trials.sum()) - mass) / (1 - bound)
        if missing > 0:
            cells = total.shape[0] * total.shape[1]
            moved = float(metric.combine(total + missing / cells * np.array(edge.one))) - value
            if math.isfinite(moved):
                down, up = down + max(0.0, -moved), up + max(0.0, moved)
    return down, up


def spread_of_draws(draws: Floats, against: Floats | None, level: float) -> float:
    """Half-width, by the Student quantile, of what a figure (or a difference) owes to which draws were made.

    A mean over k draws has variance s^2 / k. What is compared with k draws may itself be one more of them, as an edit
    may do no more than random neurons: then s^2 * (1 + 1 / k), for it does not shrink with more draws.

    Args:
        draws: the figures of one side's draws, [draws].
        against: those of the other side; None where there is none.
        level: of the interval.
    """
    variance, freedom = 0.0, math.inf
    for own, other in ((draws, against), (against, draws)):
        if own is None or own.size < 2:
            continue
        one_more = 1.0 if own is against and other is not None and other.size == 1 else 0.0
        variance += float(np.var(own, ddof=1)) * (one_more + 1 / own.size)
        freedom = min(freedom, own.size - 1)
    return float(scipy.special.stdtrit(freedom, (1 + level) / 2)) * math.sqrt(variance) if variance > 0 else 0.0
