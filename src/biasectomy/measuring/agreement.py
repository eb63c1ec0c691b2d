"""Whether two runs found the same: figure by figure, to the last digit or as nearly as can be said."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from biasectomy.measuring.results import DifferenceRow, MatrixCell, MetricRow, Results

Degree = Literal["to the last digit", "within 1e-5", "within the interval", "not"]
DEGREES: tuple[Degree, ...] = get_args(Degree)
EQUAL, CLOSE, INSIDE, APART = DEGREES
CLOSE_BY = 1e-5  # of the value, or of 1 where that is more: answers computed in other company differ by about so much
Ends = tuple[float, float, float]  # value, low, high
NOTHING: Ends = (math.nan, math.nan, math.nan)
Row = MetricRow | DifferenceRow | MatrixCell


@dataclass(frozen=True)
class Agreement:
    """How nearly a figure is what it was; `against` is the other method of a difference, else empty.

    `before` and `after` are the value and the ends of its interval; NaN where they are undefined.
    """

    method: str
    against: str
    task: str
    metric: str
    before: Ends
    after: Ends
    degree: Degree
    lacking: bool = False  # one of the runs does not have the figure at all

    def to_json(self) -> dict[str, Any]:
        """A dictionary; NaN is for whoever writes it to replace."""
        return asdict(self)


def agreements(before: Results, after: Results) -> list[Agreement]:
    """Every figure of either, in the order of the first."""
    rows, others = _rows(before), _rows(after)
    found = []
    for key in dict.fromkeys([*rows, *others]):
        lacking = key not in rows or key not in others
        first, second = rows.get(key, NOTHING), others.get(key, NOTHING)
        method, against, task, _, metric = key
        degree = APART if lacking else degree_of(first, second)
        found.append(Agreement(method, against, task, metric, first, second, degree, lacking))
    return found


def degree_of(before: Ends, after: Ends) -> Degree:
    """How nearly a value with its interval is what it was.

    An interval says which items might have been asked. The same items under the same seed give the same figure, so one
    that is merely inside is near enough for the conclusion, and not the same computation.
    """
    pairs = list(zip(before, after, strict=True))
    if all(left == right or (math.isnan(left) and math.isnan(right)) for left, right in pairs):
        return EQUAL
    if all(_close(left, right) for left, right in pairs):
        return CLOSE
    value, low, high = after[0], *before[1:]
    return INSIDE if low <= value <= high else APART


def _close(left: float, right: float) -> bool:
    if math.isnan(left) or math.isnan(right):
        return math.isnan(left) and math.isnan(right)
    return left == right or abs(left - right) <= CLOSE_BY * max(1.0, abs(left))


Key = tuple[str, str, str, str, str]  # method, against, task, split, metric


def _rows(results: Results) -> Mapping[Key, Ends]:
    return dict(_keyed(results))


def _keyed(results: Results) -> Iterator[tuple[Key, Ends]]:
    for row in results.metrics:
        yield (row.method, "", row.task, row.split, row.metric), _ends(row)
    for change in results.differences:
        yield (change.method, change.against, change.task, change.split, change.metric), _ends(change)
    if results.matrix is not None:
        for cell in results.matrix.cells:
            yield (cell.row, results.matrix.against, cell.column, "matrix", cell.metric), _ends(cell)


def _ends(row: Row) -> Ends:
    return row.value, row.low, row.high
