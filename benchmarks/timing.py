"""Timing in alternation: what slows the machine down for a while slows every contestant."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Times:
    """Seconds of every round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median over rounds."""
        return statistics.median(self.rounds)


@dataclass(frozen=True)
class Ratio:
    """How many times faster: the ratio of medians, with the smallest and largest ratio of one round."""

    value: float
    low: float
    high: float

    def fields(self) -> dict[str, float]:
        """As fields of a line."""
        return {"value": self.value, "low": self.low, "high": self.high}


def ratio(ours: Times, peer: Times) -> Ratio:
    """Peer's time over ours."""
    paired = [theirs / own for own, theirs in zip(ours.rounds, peer.rounds, strict=True)]
    return Ratio(peer.median / ours.median, min(paired), max(paired))


def alternate(
    contestants: Mapping[str, Callable[[], Result]],
    rounds: int,
    between: Callable[[], Any] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[dict[str, Times], dict[str, Result]]:
    """Runs A B C, A B C, ...: a first round to warm up, whose results are returned, then the timed ones.

    Args:
        contestants: what is timed, by name.
        rounds: timed runs of each.
        between: called before each timed round; it measures the machine under the same conditions.
        clock: seconds.
    """
    results = {name: run() for name, run in contestants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        if between is not None:
            between()
        for name, run in contestants.items():
            gc.collect()
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {name: Times(tuple(values)) for name, values in seconds.items()}, results
