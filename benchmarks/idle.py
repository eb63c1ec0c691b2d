"""Processes that work on one run, rehearsed one after the other: how long each would wait for the others."""

from collections.abc import Sequence

from biasectomy.handing_out import Paces, dealt


def loads_by_count(seconds: Sequence[float], paces: Sequence[float]) -> list[list[float]]:
    """Time that each process works in each round, [rounds, processes]: one piece for each at a time.

    Args:
        seconds: that each piece takes at a pace of 1.
        paces: of the processes.
    """
    turns = [seconds[start : start + len(paces)] for start in range(0, len(seconds), len(paces))]
    return [[one / pace for one, pace in zip([*turn, *[0.0] * len(paces)], paces, strict=False)] for turn in turns]


def loads_by_cost(
    costs: Sequence[float], seconds: Sequence[float], paces: Sequence[float], known: Paces
) -> list[list[float]]:
    """The same as the library hands work out: it knows the costs, and how long earlier rounds took each process.

    Args:
        costs: of the pieces.
        seconds: that each takes at a pace of 1.
        paces: of the processes.
        known: what earlier rounds have told of them.
    """
    loads: list[list[float]] = []
    for _, parts in dealt(costs, len(paces), known):
        loads.append([sum(seconds[piece] for piece in part) / pace for part, pace in zip(parts, paces, strict=True)])
        known.note([sum(costs[piece] for piece in part) for part in parts], loads[-1])
    return loads
