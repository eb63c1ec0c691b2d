"""Figures against a number as a table of text: a row a point, a column a figure, and which changes hold."""

import math
from collections.abc import Sequence
from dataclasses import replace

from biasectomy.measuring.results import CurvePoint, DifferenceRow, Results
from biasectomy.report.figures import Cell, Grid, ResultTable, format_figure, number
from biasectomy.report.words import decimals_of, goal_differences, holding_together, level_of, line_of

MARKS = ("*", "†", "‡", "§")  # by what a point is compared with


def curve_table(results: Results) -> ResultTable:
    """What is compared with first, then point by point, those of one number together; then all points of a line."""
    curve = results.curve
    assert curve is not None
    lines = list(dict.fromkeys(point.method for point in curve.points))
    known = {row.method for row in results.metrics}
    fixed = [line for line in lines if not any(one.row in known for one in curve.points if one.method == line)]
    held = holding_together(results)
    marks = _marks(results)
    rows = [_whole(results, line) for line in fixed if line in known]
    for x in sorted({point.x for point in curve.points}):
        for line in lines:
            here = [one for one in curve.points if (one.method, one.x) == (line, x)]
            if line not in fixed and here:
                rows.append(_points(results, here, [row for row in held if row.method == here[0].row], marks))
    rows += [_whole(results, line) for line in lines if line in known and line not in fixed]
    first = results.tasks[0] if results.tasks else curve.figures[0][0]
    titles = tuple(_title(results, task, metric, first) for task, metric in curve.figures)
    return ResultTable(
        "",
        f"{curve.title}; {100 * level_of(results):g} % intervals",
        Grid(f"By {curve.over}", titles, tuple(rows)),
        Grid("", (), ()),
        False,
        (),
        tuple(_notes(results, marks)),
    )


def _marks(results: Results) -> dict[str, str]:
    """The mark of each line that points are compared with."""
    against = dict.fromkeys(line_of(row.against) for row in goal_differences(results))
    return dict(zip(against, MARKS, strict=False))


def _named(results: Results, line: str) -> str:
    """What a line that points are compared with is called: the only one of its points that is, or the line."""
    points = {row.against for row in goal_differences(results) if line_of(row.against) == line}
    return results.title(points.pop() if len(points) == 1 else line)


def _whole(results: Results, method: str) -> tuple[str, tuple[Cell, ...]]:
    """A method's own row of figures."""
    curve = results.curve
    assert curve is not None
    found = [results.find(method, metric, task=task) for task, metric in curve.figures]
    cells = [
        format_figure(row, decimals=decimals_of(results, row.metric)) if row is not None else Cell("") for row in found
    ]
    return results.title(method), tuple(replace(cell, draws="") for cell in cells)  # they have rows of their own


def _points(
    results: Results, here: Sequence[CurvePoint], held: Sequence[DifferenceRow], marks: dict[str, str]
) -> tuple[str, tuple[Cell, ...]]:
    """The figures of one line at one number."""
    curve = results.curve
    assert curve is not None
    by_figure = {(one.task, one.metric): one for one in here}
    cells = []
    for task, metric in curve.figures:
        point = by_figure.get((task, metric))
        if point is None:
            cells.append(Cell(""))
            continue
        decimals = decimals_of(results, metric)
        mark = "".join(marks.get(line_of(row.against), "") for row in held if (row.task, row.metric) == (task, metric))
        value = number(point.value, decimals=decimals) if math.isfinite(point.value) else "n/a"
        ends = [number(end, decimals=decimals) for end in (point.low, point.high)]
        interval = f"[{', '.join(ends)}]" if math.isfinite(point.low) and math.isfinite(point.high) else ""
        cells.append(Cell(value + mark, interval))
    return results.title(here[0].row), tuple(cells)


def _title(results: Results, task: str, metric: str, first: str) -> str:
    title = results.description(metric).title
    named = title.lower() in (task, task.partition(":")[0])
    return title if task == first or named else f"{title} ({task.partition(':')[2] or task})"


def _notes(results: Results, marks: dict[str, str]) -> list[str]:
    compared = goal_differences(results)
    notes = []
    if compared:
        by = results.description(compared[0].metric).description
        told = "; ".join(f"{mark} from {_named(results, against)}" for against, mark in marks.items())
        notes.append(
            f"By {by}: {told}: differs, when all numbers are looked at together (Holm's correction, "
            f"{100 * level_of(results):g} %)."
        )
    return notes + [f"{task}: {note}." for task, note in results.notes.items()]
