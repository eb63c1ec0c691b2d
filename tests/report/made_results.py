"""Results made by hand, in which every figure is known."""

import math
from collections.abc import Mapping, Sequence

from biasectomy.measuring.results import DifferenceRow, MetricDescription, MetricRow, Results

DESCRIBED = {
    "gain": MetricDescription("Gain", "the gain", "share", 1, "goal"),
    "kept": MetricDescription("Kept", "what is kept", "share", 1, "guard"),
    "silent": MetricDescription("Silent", "silence", "share", 0, "abstention"),
    "twin": MetricDescription("Twin", "the same as the gain", "share", 1),
    "odds": MetricDescription("Odds", "the odds", "share", 0.5, "goal"),
    "lean": MetricDescription("Lean", "the lean", "score", 0, "goal"),
    "damage": MetricDescription("Damage", "the damage", "nats", 0, "guard"),
    "surprise": MetricDescription("Surprise", "the surprise", "per word", 1, "guard"),
}
REFERENCE = "before"


def made(
    figures: Mapping[tuple[str, str], Mapping[str, float]],
    *,
    method: str | None = None,
    verdict: Sequence[str] = ("It is better.",),
    half: float = 0.02,
    against: Sequence[str] = (REFERENCE,),
    tasks: Sequence[str] | None = None,
) -> Results:
    """Results of figures by (task, metric) and method; intervals reach `half` to either side, to the edge at most."""
    rows, changes = [], []
    for (task, metric), values in figures.items():
        for name, value in values.items():
            edges = {"share": (0, 1), "nats": (0, math.inf)}.get(DESCRIBED[metric].unit, (-math.inf, math.inf))
            ends = (max(edges[0], value - half), min(edges[1], value + half))
            ends = ends if math.isfinite(value) else (math.nan, math.nan)
            reason = None if math.isfinite(value) else "nobody answered"
            rows.append(MetricRow(name, task, "test", metric, value, *ends, 90, 9, 1.0, reason))
        for other in against:
            for name, value in values.items():
                if name in against or other not in values:
                    continue
                change = value - values[other]
                ends = (change - half, change + half) if change else (math.nan, math.nan)
                reason = None if change else "no interval: the two do not differ"
                changes.append(DifferenceRow(name, other, task, "test", metric, change, *ends, 90, 9, 1.0, reason))
    methods = dict.fromkeys(row.method for row in rows)
    return Results(
        tuple(rows),
        tuple(changes),
        verdict=list(verdict),
        interval={"level": 0.95},
        settings={"method": method} if method else {},
        titles={name: name.replace("-", " ").capitalize() for name in methods},
        described=DESCRIBED,
        tasks=tuple(tasks or dict.fromkeys(task for task, _ in figures)),
    )
