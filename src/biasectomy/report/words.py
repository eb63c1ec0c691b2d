"""Figures and differences in words, by their metric's unit; and which way is better."""

import math
from collections.abc import Sequence
from typing import TypeVar

from biasectomy.measuring.multiplicity import holding
from biasectomy.measuring.results import DifferenceRow, MatrixCell, MetricRow, Results
from biasectomy.report.figures import DECIMALS, USUAL, number

Change = TypeVar("Change", DifferenceRow, MatrixCell)
UNCLEAR = "cannot be told from no change"


def decimals_of(results: Results, metric: str) -> int:
    """How many decimals its figures are shown with."""
    return DECIMALS.get(results.description(metric).unit, USUAL)


def level_of(results: Results) -> float:
    """The level of all intervals."""
    return float(results.interval.get("level", 0.95))


def figure_in_words(results: Results, metric: str, value: float) -> str:
    """A figure: 61.5 %, or 82.50."""
    if not math.isfinite(value):
        return "undefined"
    share = results.description(metric).unit == "share"
    return f"{100 * value:.1f} %" if share else number(value, decimals=decimals_of(results, metric))


def size_in_words(results: Results, metric: str, value: float, *, unit: bool = True) -> str:
    """A difference: +3.1 points, or +0.0140; without its unit, as in an interval, +3.1."""
    if results.description(metric).unit == "share":
        return f"{100 * value:+.1f}{' points' if unit else ''}"
    return number(value, signed=True, decimals=decimals_of(results, metric))


def change_in_words(results: Results, row: DifferenceRow | MatrixCell) -> str:
    """A difference with its interval, or with the reason why it has none."""
    if not math.isfinite(row.value):
        return str(row.reason or "undefined")
    size = size_in_words(results, row.metric, row.value)
    if not math.isfinite(row.low):
        return f"{size}; {row.reason}" if row.reason else size
    return f"{size}, {interval_in_words(results, row)}"


def interval_in_words(results: Results, row: DifferenceRow | MatrixCell | MetricRow) -> str:
    """95 % interval +1.0 to +5.2; of a figure, which is no difference, 1.0 to 5.2."""
    if isinstance(row, MetricRow):
        ends = [figure_in_words(results, row.metric, end).removesuffix(" %") for end in (row.low, row.high)]
    else:
        ends = [size_in_words(results, row.metric, end, unit=False) for end in (row.low, row.high)]
    return f"{100 * level_of(results):g} % interval {ends[0]} to {ends[1]}"


def ends_of(results: Results, row: DifferenceRow) -> tuple[float, float] | None:
    """The two figures that are compared, before and after."""
    before, after = (
        results.find(name, row.metric, task=row.task, split=row.split) for name in (row.against, row.method)
    )
    return (before.value, after.value) if before is not None and after is not None else None


def is_nearer(results: Results, row: DifferenceRow) -> bool:
    """Whether a difference brings the figure nearer to its best value."""
    best, ends = results.description(row.metric).best, ends_of(results, row)
    if best is None or not math.isfinite(row.value):
        return False
    if ends is None or not math.isfinite(best):
        return (row.value > 0) == (best > 0)
    return abs(ends[1] - best) < abs(ends[0] - best)


def goal_differences(results: Results) -> list[DifferenceRow]:
    """All differences in the figure that methods were fitted to, on the first task as a whole."""
    task = results.metrics[0].task if results.metrics else ""
    goal = results.goals.get(task)
    return [row for row in results.differences if (row.task, row.metric) == (task, goal)]


def line_of(method: str) -> str:
    """The line of a curve that a method is a point of; of any other method its own name."""
    line, colon, x = method.rpartition(":")
    return line if colon and x.replace(".", "", 1).isdigit() else method


def families(results: Results) -> list[list[DifferenceRow]]:
    """The goal's differences by question: what a line differs by from another at every number, or a method as such."""
    found: dict[tuple[str, bool, str], list[DifferenceRow]] = {}
    for row in goal_differences(results):
        line = line_of(row.method)
        found.setdefault((line, line == row.method, line_of(row.against)), []).append(row)
    return list(found.values())


def holding_together(results: Results) -> list[DifferenceRow]:
    """The goal's differences that hold when all of one question are looked at together (Holm's correction)."""
    return [row for family in families(results) for row in holding(family, level_of(results))]


def clear_alone(rows: Sequence[Change]) -> list[Change]:
    """Those whose own interval excludes no difference."""
    return [row for row in rows if row.low > 0 or row.high < 0]


def when_together(rows: Sequence[DifferenceRow | MatrixCell], what: str = "difference") -> str:
    """What a claim about several differences is made under."""
    count = sum(math.isfinite(row.low) for row in rows)
    if count == 0:
        return "and none of them has an interval"
    if count == 1:
        return "by its interval" if len(rows) == 1 else f"when the one of {len(rows)} that has an interval is looked at"
    return f"when all {count} {what}s with an interval are looked at together"


def no_answer_changed(rows: Sequence[DifferenceRow | MatrixCell]) -> bool:
    """Whether all differences are exactly none, on every item."""
    return all(row.value == 0 and not math.isfinite(row.low) for row in rows)


def listed(words: Sequence[str]) -> str:
    """Words as a sentence names them: "a, b and c"; "none" where there are none."""
    *first, last = words or ["none"]
    return f"{', '.join(first)} and {last}" if first else str(last)
