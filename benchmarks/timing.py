"""Timing in alternation: what slows the machine down for a while slows every contestant."""

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")
# Rounds that are run however long they take, and seconds after which no other begins; infinite where --rounds says how
# many it is to be.
FEWEST = 3
enough_seconds = 90.0


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


def ratio(ours: Times, peer: Times) -> Ratio:
    """Peer's time over ours."""
    paired = [theirs / own for own, theirs in zip(ours.rounds, peer.rounds, strict=True)]
    return Ratio(peer.median / ours.median, min(paired), max(paired))


def alternate(
    contestants: Mapping[str, Callable[[], Result]],
    rounds: int,
    around: Callable[[str], AbstractContextManager[Any]] = lambda name: contextlib.nullcontext(),
    around_first: Callable[[str], AbstractContextManager[Any]] = lambda name: contextlib.nullcontext(),
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[dict[str, Times], dict[str, Result]]:
    """Runs A B C, A B C, ...: a first round to warm up, whose results are returned, then the timed ones.

    Args:
        contestants: what is timed, by name.
        rounds: timed runs of each; fewer, but three, where they take long (see `enough_seconds`).
        around: a context for each timed run, by the contestant's name; it can measure the machine beside it.
        around_first: a context for a contestant's first run, by its name; it can count what is done.
        clock: seconds.
    """
    results = {}
    for name, run in contestants.items():
        with around_first(name):
            results[name] = run()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    begun = time.perf_counter()
    for done in range(rounds):
        if done >= FEWEST and time.perf_counter() - begun > enough_seconds:
            break
        for name, run in contestants.items():
            with around(name):
                gc.collect()
                start = clock()
                run()
                seconds[name].append(clock() - start)
    return {name: Times(tuple(values)) for name, values in seconds.items()}, results
