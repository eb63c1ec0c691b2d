"""How work is handed out to several processes: by what it costs, never by how many pieces there are.

All is decided from costs and paces that every process knows, so that all decide alike without asking. Who computes a
piece changes nothing of its result; how long something took decides only who computes what comes later.
"""

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

Piece = TypeVar("Piece")
SECONDS = 60  # of a round: the longer it is, the less is waited, and the more is lost where a run is interrupted
FEW = 4  # pieces of a process that are not worth a round of their own
ALIKE = 0.15  # of a pace: what differs less is chance
ENOUGH = 20  # pieces of a process: more need not be halved
HALVINGS = 4
GAIN = 0.98  # of the time by which halves must be done for halving to be worth it
MEMORY = 0.8  # of what earlier rounds tell about a pace, beside the last one


def handed_out(costs: Sequence[float], paces: Sequence[float]) -> list[list[int]]:
    """Which pieces each process computes: the costliest first, each by whoever would have done it first.

    Args:
        costs: of the pieces.
        paces: cost that each process gets done in a unit of time.
    """
    parts: list[list[int]] = [[] for _ in paces]
    loads = [0.0] * len(paces)
    for piece in sorted(range(len(costs)), key=lambda index: (-costs[index], index)):
        first = min(range(len(paces)), key=lambda one: (loads[one] + costs[piece]) / paces[one])
        parts[first].append(piece)
        loads[first] += costs[piece]
    return [sorted(part) for part in parts]


def in_a_row(costs: Sequence[float], count: int, group: int = 1) -> list[slice]:
    """Parts of things in a row, at most `count`, of which the costliest costs as little as can be.

    Nothing is cut within a group of neighbours; parts may be empty.
    """
    groups = [sum(costs[start : start + group]) for start in range(0, len(costs), group)]
    low, high = max([*groups, sum(groups) / count], default=0.0), sum(groups)
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        if len(_filled(groups, middle)) <= count:
            high = middle
        else:
            low = middle
    lengths = [len(part) for part in _filled(groups, high)] + [0] * count
    ends = list(itertools.accumulate(lengths[:count]))
    return [
        slice(min(start * group, len(costs)), min(end * group, len(costs)))
        for start, end in zip([0, *ends], ends, strict=False)
    ]


def _filled(costs: Sequence[float], most: float) -> list[list[float]]:
    """Neighbours together for as long as they cost no more than so much."""
    parts: list[list[float]] = []
    total = 0.0
    for cost in costs:
        if not parts or total + cost > most * (1 + 1e-9):
            parts.append([])
            total = 0.0
        parts[-1].append(cost)
        total += cost
    return parts


def dealt(costs: Sequence[float], count: int, paces: "Paces") -> Iterator[tuple[range, list[list[int]]]]:
    """Pieces in the rounds after which results are exchanged, with those of each process.

    A round takes about `SECONDS`; where it is not known how fast processes are, the first is a piece for each. What
    would be left takes part in the last. Who knows how long a round took tells `paces` before the next.
    """
    start = 0
    while start < len(costs):
        known = paces.of(count)
        most = SECONDS * sum(known) if paces.known else 0.0
        end = start
        while end < len(costs) and (end - start < count or sum(costs[start : end + count]) <= most):
            end += count  # so that each has as many where all are alike
        end = end if len(costs) - end > max(FEW * count, (end - start) / 2) else len(costs)
        parts = handed_out(costs[start:end], known)
        yield range(start, end), [[start + place for place in part] for part in parts]
        start = end


def fine_enough(
    pieces: Sequence[Piece],
    count: int,
    cost: Callable[[Piece], float],
    halves: Callable[[Piece], Sequence[Piece]],
) -> list[Piece]:
    """The pieces, all halved as often as lets so many processes be done earlier; depends on nothing else.

    Args:
        cost: of a piece.
        halves: of a piece; a piece that cannot be halved is its only half.
    """
    best = finer = list(pieces)
    if count == 1 or len(best) >= ENOUGH * count:
        return best
    time = _time([cost(piece) for piece in best], count)
    for _ in range(HALVINGS):
        finer = [half for piece in finer for half in halves(piece)]
        found = _time([cost(piece) for piece in finer], count)
        if found < GAIN * time:
            best, time = finer, found
    return best


def idle_share(loads: Sequence[Sequence[float]]) -> float:
    """Share of the time of all processes in which they wait for one another.

    Args:
        loads: time that each process works, [rounds, processes].
    """
    whole = sum(len(one) * max(one) for one in loads)
    return 1 - sum(map(sum, loads)) / whole if whole else 0.0


def _time(costs: Sequence[float], count: int) -> float:
    """When all is done, by the costs."""
    return max(sum(costs[piece] for piece in part) for part in handed_out(costs, [1.0] * count))


@dataclass
class Paces:
    """How fast processes have been: the cost that each has done, and the seconds it took, by its index."""

    _done: dict[int, float] = field(default_factory=dict)
    _seconds: dict[int, float] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether any process is known."""
        return bool(self._done)

    def of(self, count: int) -> list[float]:
        """Cost that each of so many processes gets done in a second; one that is not known is a usual one."""
        known = {index: done / self._seconds[index] for index, done in self._done.items()}
        usual = statistics.median(known.values()) if known else 1.0
        found = [known.get(index, usual) for index in range(count)]
        return [usual if abs(pace - usual) < ALIKE * usual else pace for pace in found]

    def note(self, done: Sequence[float], seconds: Sequence[float]) -> None:
        """Takes in a round: cost that each process has done, and how long it took."""
        for index, (cost, taken) in enumerate(zip(done, seconds, strict=True)):
            if cost > 0 and taken > 0:
                self._done[index] = MEMORY * self._done.get(index, 0.0) + cost
                self._seconds[index] = MEMORY * self._seconds.get(index, 0.0) + taken
