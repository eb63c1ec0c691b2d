"""Many differences looked at together: which of them hold (Holm 1979, "A Simple Sequentially Rejective Multiple Test").

Of twenty metrics that an edit does nothing to, one is expected to have an interval without 0. Holm's correction keeps
the probability of any such mistake below 1 - level, however the metrics hang together.
"""

import math
from collections.abc import Sequence

import scipy

from biasectomy.measuring.results import DifferenceRow


def probability(row: DifferenceRow, level: float) -> float:
    """Two-sided probability of a difference as large by chance; NaN where it has no interval.

    It is read off the interval on the side of 0, by Student's distribution with one degree of freedom less than there
    are clusters, so that it is below 1 - level where the interval excludes 0, and nowhere else.
    """
    reach = row.value - row.low if row.value > 0 else row.high - row.value
    if not (math.isfinite(row.value) and math.isfinite(reach)) or row.clusters < 2:
        return math.nan
    freedom = row.clusters - 1
    quantile = float(scipy.special.stdtrit(freedom, (1 + level) / 2))
    if reach <= 0:
        return 0.0 if row.value else 1.0
    return float(2 * scipy.special.stdtr(freedom, -abs(row.value) / reach * quantile))


def holding(rows: Sequence[DifferenceRow], level: float) -> list[DifferenceRow]:
    """The differences that hold at a level when all that have an interval are looked at together, in their order."""
    chances = {place: chance for place, row in enumerate(rows) if not math.isnan(chance := probability(row, level))}
    kept = set()
    for rank, place in enumerate(sorted(chances, key=chances.__getitem__)):
        if chances[place] > (1 - level) / (len(chances) - rank):
            break
        kept.add(place)
    return [row for place, row in enumerate(rows) if place in kept]
