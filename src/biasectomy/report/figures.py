"""Figures as tables of text: what the console and the report both show.

Titles, and the order of rows and columns, are those of the results; nothing here knows a metric or a method.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from biasectomy.measuring.results import DifferenceRow, MetricRow, Results

Row = MetricRow | DifferenceRow
Key = TypeVar("Key")
LARGE = 1e5


@dataclass(frozen=True)
class Cell:
    """A figure and its interval, as text."""

    value: str
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.interval}".rstrip()


@dataclass(frozen=True)
class Grid:
    """Named rows of cells under named columns; `corner` is the heading of the names."""

    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]

    def beside(self, other: "Grid") -> "Grid":
        """The two as one; they have the same rows."""
        rows = tuple((name, left + right) for (name, left), (_, right) in zip(self.rows, other.rows, strict=True))
        return Grid(self.corner, self.columns + other.columns, rows)


@dataclass(frozen=True)
class ResultTable:
    """The figures of one task and their differences, of the same rows or of the same columns, and what methods cost."""

    task: str
    caption: str
    figures: Grid
    changes: Grid
    same_rows: bool
    footnotes: tuple[str, ...]
    costs: Grid | None = None

    @property
    def grids(self) -> list[Grid]:
        """Those that hold anything, as they stand below each other."""
        return [grid for grid in (self.figures, self.changes, self.costs) if grid and grid.columns and grid.rows]


@dataclass
class _Footnotes:
    texts: list[str] = field(default_factory=list)

    def cell(self, row: Row | None, *, signed: bool) -> Cell:
        """A figure as text, with the number of the footnote that says what it lacks."""
        if row is None:
            return Cell("")
        mark = "" if math.isfinite(row.value) and _has_interval(row) else self._mark(row.reason or "")
        return format_figure(row, signed=signed, mark=mark)

    def _mark(self, reason: str) -> str:
        if not reason:
            return ""
        if reason not in self.texts:
            self.texts.append(reason)
        return f" ({self.texts.index(reason) + 1})"


def format_figure(row: Row, *, signed: bool = False, mark: str = "") -> Cell:
    """A row's value and interval as text; `n/a` where there is none."""
    value = number(row.value, signed=signed) if math.isfinite(row.value) else "n/a"
    ends = (number(row.low, signed=signed), number(row.high, signed=signed)) if _has_interval(row) else ()
    return Cell(value + mark, f"[{', '.join(ends)}]" if ends else "")


def number(value: float, *, signed: bool = False) -> str:
    """A number with two decimals; a very large one with three digits."""
    return format(value, ("+" if signed else "") + (".2f" if abs(value) < LARGE else ".3g"))


def result_tables(results: Results, split: str = "test") -> list[ResultTable]:
    """One table a task, of the rows of one split where the task has some.

    A task of a single metric closes the first table, under a name that says which task. Two or three methods are
    columns beside each other; where several methods were compared, each is a row.
    """
    by_task: dict[str, list[MetricRow]] = {}
    for row in results.metrics:
        by_task.setdefault(row.task, []).append(row)
    kept = {task: _of_split(rows, split) for task, rows in by_task.items()}
    own = [task for task, rows in kept.items() if len({row.metric for row in rows}) > 1] or list(kept)[:1]
    closing = [row for task, rows in kept.items() if task not in own for row in rows]
    tables: list[ResultTable] = []
    for task in own:
        first = not tables
        rows = kept[task] + (closing if first else [])
        places = {(row.task, row.split) for row in rows}
        differences = [row for row in results.differences if (row.task, row.split) in places]
        compared = len({row.method for row in differences}) > 1
        table = (_by_method if compared else _by_metric)(task, rows, differences, results)
        tables.append(table if first else replace(table, costs=None))  # methods cost the same for every task
    return tables


def overview(results: Results, task: str) -> list[str]:
    """Metrics that say how a method did on a task: the one it was fitted to, then those with a role, each once."""
    goal = [results.goals[task]] if task in results.goals else []
    found = dict.fromkeys([*goal, *(row.metric for row in results.metrics if row.task == task)])
    return [metric for metric in found if metric in goal or results.description(metric).role]


def _by_metric(task: str, metrics: list[MetricRow], differences: list[DifferenceRow], results: Results) -> ResultTable:
    """A row a metric, a column a method and a column a comparison."""
    footnotes = _Footnotes()
    methods = _distinct(row.method for row in metrics)
    pairs = _distinct((row.method, row.against) for row in differences)
    keys = _distinct((row.metric, row.task) for row in metrics)
    figures = {(row.metric, row.task, row.method): row for row in metrics}
    changes = {(row.metric, row.task, row.method, row.against): row for row in differences}
    names = [_row_name(results, metric, of, task) for metric, of in keys]
    cells = [tuple(footnotes.cell(figures.get((*key, one)), signed=False) for one in methods) for key in keys]
    changed = [tuple(footnotes.cell(changes.get((*key, *pair)), signed=True) for pair in pairs) for key in keys]
    return ResultTable(
        task,
        _caption(task, metrics, results),
        Grid("Metric", tuple(map(results.title, methods)), tuple(zip(names, cells, strict=True))),
        Grid("Metric", tuple(_pair(results, *pair) for pair in pairs), tuple(zip(names, changed, strict=True))),
        True,
        tuple(footnotes.texts),
    )


def _by_method(task: str, metrics: list[MetricRow], differences: list[DifferenceRow], results: Results) -> ResultTable:
    """A row a method, a column a metric of the overview; below, the differences, and what the methods cost."""
    footnotes = _Footnotes()
    shown = [(metric, task) for metric in overview(results, task)]
    shown += _distinct((row.metric, row.task) for row in metrics if row.task != task)
    methods = _distinct(row.method for row in metrics)
    pairs = _distinct((row.method, row.against) for row in differences)
    figures = {(row.metric, row.task, row.method): row for row in metrics}
    changes = {(row.metric, row.task, row.method, row.against): row for row in differences}
    columns = tuple(_row_name(results, metric, of, task) for metric, of in shown)
    return ResultTable(
        task,
        _caption(task, metrics, results),
        Grid(
            "Method",
            columns,
            tuple(
                (
                    results.title(method),
                    tuple(footnotes.cell(figures.get((*key, method)), signed=False) for key in shown),
                )
                for method in methods
            ),
        ),
        Grid(
            "Difference",
            columns,
            tuple(
                (
                    _pair(results, *pair),
                    tuple(footnotes.cell(changes.get((*key, *pair)), signed=True) for key in shown),
                )
                for pair in pairs
            ),
        ),
        False,
        tuple(footnotes.texts),
        _costs(results, methods),
    )


COSTS = {
    "Questions to fit": "questions",
    "Questions an answer": "questions_per_answer",
    "Numbers stored": "numbers",
}


def _costs(results: Results, methods: Sequence[str]) -> Grid:
    def cell(method: str, name: str) -> Cell:
        value = results.costs.get(method, {}).get(name)
        return Cell("" if value is None else f"{value:,g}" if isinstance(value, float) else f"{value:,}")

    rows = [(results.title(method), tuple(cell(method, name) for name in COSTS.values())) for method in methods]
    return Grid("Cost", tuple(COSTS), tuple(rows) if results.costs else ())


def _caption(task: str, metrics: Sequence[MetricRow], results: Results) -> str:
    rows = [row for row in metrics if row.task == task]
    most = max(rows, key=lambda row: row.items)  # a metric may rest on some of the items only
    parts = [f"{most.items:,} items"]
    if most.clusters != most.items:
        parts.append(f"{most.clusters:,} templates")
    if instructions := results.settings.get("instruction_count"):
        parts.append(f"{instructions} instruction{'s' if instructions != 1 else ''}")
    if "level" in results.interval:
        parts.append(f"{results.interval['level'] * 100:g} % intervals")
    return f"{task} ({most.split}): {', '.join(parts)}"


def _row_name(results: Results, metric: str, task: str, table: str) -> str:
    title = results.description(metric).title
    return title if task == table else f"{title} ({task.partition(':')[2] or task})"


def _pair(results: Results, method: str, against: str) -> str:
    return f"{results.title(method)} - {results.title(against)}"


def _has_interval(row: Row) -> bool:
    return math.isfinite(row.low) and math.isfinite(row.high)


def _of_split(rows: list[MetricRow], split: str) -> list[MetricRow]:
    return [row for row in rows if row.split == split] or rows


def _distinct(values: Iterable[Key]) -> list[Key]:
    return list(dict.fromkeys(values))
