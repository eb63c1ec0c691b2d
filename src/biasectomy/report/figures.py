"""Figures as tables of text: what the console and the report both show.

Titles, and the order of rows and columns, are those of the results; nothing here knows a metric or a method.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from biasectomy.measuring.multiplicity import holding
from biasectomy.measuring.results import DifferenceRow, MetricRow, Results
from biasectomy.report.headline import nothing_differs, same_rows

Row = MetricRow | DifferenceRow
Key = TypeVar("Key")
Extent = Literal["usual", "short", "whole", "full"]
LARGE = 1e5
USUAL = 2  # decimals
DECIMALS = {"nats": 4}  # by unit; a drift of half a hundredth matters


@dataclass(frozen=True)
class Cell:
    """A figure, its interval, and the range of its draws where there are several, as text.

    `clear` says of a difference whether its interval excludes no change.
    """

    value: str
    interval: str = ""
    draws: str = ""
    clear: bool = False

    def __str__(self) -> str:
        return f"{self.value} {self.interval}".rstrip() + (f", {self.draws}" if self.draws else "")


@dataclass(frozen=True)
class Grid:
    """Named rows of cells under named columns; `corner` is the heading of the names.

    `best` has in words the value to be wished for: of each row where metrics are rows, else of each column.
    """

    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    best: tuple[str, ...] = ()

    def beside(self, other: "Grid") -> "Grid":
        """The two as one; they have the same rows."""
        rows = tuple((name, left + right) for (name, left), (_, right) in zip(self.rows, other.rows, strict=True))
        return Grid(self.corner, self.columns + other.columns, rows, self.best)


@dataclass(frozen=True)
class ResultTable:
    """The figures of one task and their differences, of the same rows or of the same columns, and what methods cost."""

    task: str
    caption: str
    figures: Grid
    changes: Grid
    same_rows: bool
    footnotes: tuple[str, ...]
    notes: tuple[str, ...] = ()  # on the tasks in it
    costs: Grid | None = None

    @property
    def grids(self) -> list[Grid]:
        """Those that hold anything, as they stand below each other."""
        return [grid for grid in (self.figures, self.changes, self.costs) if grid and grid.columns and grid.rows]


@dataclass
class _Footnotes:
    texts: list[str] = field(default_factory=list)

    def cell(self, row: Row | None, *, signed: bool, decimals: int = USUAL) -> Cell:
        """A figure as text, with the number of the footnote that says what it lacks."""
        if row is None:
            return Cell("")
        mark = "" if math.isfinite(row.value) and _has_interval(row) else self._mark(row.reason or "")
        return format_figure(row, signed=signed, mark=mark, decimals=decimals)

    def _mark(self, reason: str) -> str:
        if not reason:
            return ""
        if reason not in self.texts:
            self.texts.append(reason)
        return f" ({self.texts.index(reason) + 1})"


def format_figure(row: Row, *, signed: bool = False, mark: str = "", decimals: int = USUAL) -> Cell:
    """A row's value and interval as text; `n/a` where there is none."""
    value = number(row.value, signed=signed, decimals=decimals) if math.isfinite(row.value) else "n/a"
    found = (row.low, row.high) if _has_interval(row) else ()
    ends = [number(end, signed=signed, decimals=decimals) for end in found]
    draws = [one for one in getattr(row, "draws", ()) if math.isfinite(one)]
    spread = " to ".join(number(one, decimals=decimals) for one in (min(draws), max(draws))) if draws else ""
    clear = signed and bool(found) and (row.low > 0 or row.high < 0)
    return Cell(value + mark, f"[{', '.join(ends)}]" if ends else "", f"draws {spread}" if draws else "", clear)


def number(value: float, *, signed: bool = False, decimals: int = USUAL) -> str:
    """A number with so many decimals; a very large one with three digits; never a negative nothing."""
    value = 0.0 if abs(value) < 0.5 * 10**-decimals else value
    return format(value, ("+" if signed else "") + (f".{decimals}f" if abs(value) < LARGE else ".3g"))


def result_tables(
    results: Results, split: str = "test", *, parts: bool = True, extent: Extent = "usual"
) -> list[ResultTable]:
    """One table a task, and one a part of a joined task if wanted, of the rows of one split where there are some.

    A task of a single metric closes the first table, under a name that says which task. Two or three methods are
    columns beside each other; where several methods were compared, each is a row, with the metrics that say how it did.

    Args:
        results: the figures.
        split: which items count where there are several kinds.
        parts: whether parts of joined tasks have tables.
        extent: "short" leaves out of every table what has no role, and is no goal; "whole" has every metric in it, as
            a row, however many methods there are; "full" has every metric, as a column where methods are rows, and a
            note for figures that equal others and for differences that are none.
    """
    by_task: dict[str, list[MetricRow]] = {}
    for row in results.metrics:
        if parts or row.task in results.tasks:
            by_task.setdefault(row.task, []).append(row)
    kept = {task: _of_split(rows, split) for task, rows in by_task.items()}
    own = _with_own_table(kept)
    closing = [row for task, rows in kept.items() if task not in own for row in rows]
    tables: list[ResultTable] = []
    for task in own:
        first = not tables
        rows = kept[task] + (closing if first else [])
        places = {(row.task, row.split) for row in rows}
        differences = [row for row in results.differences if (row.task, row.split) in places]
        pairs = _distinct((row.method, row.against) for row in differences)
        compared = any(count > 1 for count in Counter(against for _, against in pairs).values())
        chosen = _Rows(task, rows, differences, results)
        said = list(chosen.without_repetition()) if extent == "full" else []
        table = _laid_out(chosen, extent, compared)
        noted = [of for of in _distinct(row.task for row in rows) if of in results.notes]
        together = _together(differences, pairs, results)
        table = replace(table, notes=(*(f"{of}: {results.notes[of]}." for of in noted), *said, *together))
        tables.append(table if first else replace(table, costs=None))  # methods cost the same for every task
    return tables


def _with_own_table(by_task: Mapping[str, Sequence[MetricRow]]) -> list[str]:
    """Tasks of more than one metric; the first where there is none."""
    return [task for task, rows in by_task.items() if len({row.metric for row in rows}) > 1] or list(by_task)[:1]


def tasks_of_first_table(results: Results) -> list[str]:
    """The tasks whose figures stand in the first table."""
    by_task: dict[str, list[MetricRow]] = {}
    for row in results.metrics:
        by_task.setdefault(row.task, []).append(row)
    own = _with_own_table(by_task)
    return [task for task in by_task if task not in own[1:]]


def guard_table(results: Results) -> ResultTable | None:
    """What was to be kept, of all tasks that were asked, in one table; None where there is no such figure."""

    def kept(row: Row) -> bool:
        return results.description(row.metric).role == "guard" and row.task in results.tasks

    rows = [row for row in results.metrics if kept(row)]
    differences = [row for row in results.differences if kept(row)]
    if not rows:
        return None
    return replace(_by_metric(_Rows("", rows, differences, results)), caption="What was to be kept")


def cost_grid(results: Results) -> Grid | None:
    """What each method cost, whatever the number of methods; None where nothing is known."""
    grid = _costs(results, _distinct(row.method for row in results.metrics if row.method in results.costs))
    return grid if grid.rows else None


def _laid_out(rows: "_Rows", extent: Extent, compared: bool) -> ResultTable:
    if compared and extent != "whole":
        return _by_method(rows, [*rows.overview(), *(rows.figures if extent == "full" else ())])
    return _by_metric(rows, rows.overview() if extent == "short" else None)


def _together(
    differences: Sequence[DifferenceRow], pairs: Sequence[tuple[str, str]], results: Results
) -> Iterator[str]:
    """Which differences of each pair hold when all in the table are looked at together."""
    level = float(results.interval.get("level", math.nan))
    for method, against in pairs if math.isfinite(level) else ():
        rows = [row for row in differences if (row.method, row.against) == (method, against) and _has_interval(row)]
        if len(rows) < 2:
            continue
        kept = [results.description(row.metric).title for row in holding(rows, level)]
        said = f"{len(kept)} hold ({'; '.join(kept)})" if kept else "none holds"
        yield (
            f"{results.title(method)} - {results.title(against)}: of {len(rows)} differences with an interval {said} "
            f"when all are looked at together (Holm's correction, {100 * level:g} %)."
        )


Figure = tuple[str, str]  # a metric, and the task it is of


class _Rows:
    """The rows of one table, to be looked up."""

    def __init__(self, task: str, metrics: list[MetricRow], differences: list[DifferenceRow], results: Results) -> None:
        self.task, self.results = task, results
        self.methods = _distinct(row.method for row in metrics)
        self.pairs = _distinct((row.method, row.against) for row in differences)
        self.figures: list[Figure] = _distinct((row.metric, row.task) for row in metrics)
        self.caption = _caption(task, metrics, results) if task else ""
        self.titles = [results.title(method) for method in self.methods]
        self.pair_titles = [f"{results.title(method)} - {results.title(against)}" for method, against in self.pairs]
        self.footnotes = _Footnotes()
        self._metrics = {(row.metric, row.task, row.method): row for row in metrics}
        self._differences = {(row.metric, row.task, row.method, row.against): row for row in differences}

    def without_repetition(self) -> Iterator[str]:
        """Leaves out figures that equal an earlier one, and pairs that differ in nothing; says which."""
        kept: list[Figure] = []
        for figure in self.figures:
            same = next((one for one in kept if same_rows(self._pairs_of(figure, one))), None)
            if same is None:
                kept.append(figure)
            else:
                yield f"{self.name(figure)}: the same as {self.name(same)}."
        self.figures = kept
        for pair in list(self.pairs):
            rows = [row for (*_, method, against), row in self._differences.items() if (method, against) == pair]
            if nothing_differs(rows):
                place = self.pairs.index(pair)
                yield f"{self.pair_titles[place]}: nothing differs."
                del self.pairs[place], self.pair_titles[place]

    def _pairs_of(self, figure: Figure, other: Figure) -> list[tuple[MetricRow | None, MetricRow | None]]:
        return [(self._metrics.get((*figure, of)), self._metrics.get((*other, of))) for of in self.methods]

    def name(self, figure: Figure) -> str:
        """Its metric's title; with the task where that is not the table's own."""
        metric, of = figure
        title = self.results.description(metric).title
        right = next((row.of_right for (*key, _), row in self._metrics.items() if tuple(key) == figure), None)
        if right is not None:
            title += f" (all right: {number(right)})"
        return title if of == self.task else f"{title} ({(self.task and of.partition(':')[2]) or of})"

    def best(self, figure: Figure) -> str:
        """The value to be wished for, in words."""
        best = self.results.description(figure[0]).best
        return "" if best is None else f"best {best:g}"

    def of_method(self, figure: Figure, method: str) -> Cell:
        row = self._metrics.get((*figure, method))
        return self.footnotes.cell(row, signed=False, decimals=self._decimals(figure))

    def of_pair(self, figure: Figure, pair: tuple[str, str]) -> Cell:
        row = self._differences.get((*figure, *pair))
        return self.footnotes.cell(row, signed=True, decimals=self._decimals(figure))

    def _decimals(self, figure: Figure) -> int:
        return DECIMALS.get(self.results.description(figure[0]).unit, USUAL)

    def overview(self) -> list[Figure]:
        """Those that say how a method did: what it was fitted to, then those with a role, then of other tasks."""
        goal = self.results.goals.get(self.task)
        own = [metric for metric, of in self.figures if of == self.task]
        first = dict.fromkeys([*([goal] if goal else []), *(one for one in own if self.results.description(one).role)])
        return [*((metric, self.task) for metric in first), *(one for one in self.figures if one[1] != self.task)]


def _by_metric(rows: _Rows, figures: Sequence[Figure] | None = None) -> ResultTable:
    """A row a metric, of some or all, a column a method and a column a comparison."""
    figures = rows.figures if figures is None else figures
    names, best = [rows.name(figure) for figure in figures], tuple(map(rows.best, figures))
    cells = [tuple(rows.of_method(figure, one) for one in rows.methods) for figure in figures]
    changes = [tuple(rows.of_pair(figure, one) for one in rows.pairs) for figure in figures]
    return ResultTable(
        rows.task,
        rows.caption,
        Grid("Metric", tuple(rows.titles), tuple(zip(names, cells, strict=True)), best),
        Grid("Metric", tuple(rows.pair_titles), tuple(zip(names, changes, strict=True)), best),
        True,
        tuple(rows.footnotes.texts),
    )


def _by_method(rows: _Rows, shown: Sequence[Figure]) -> ResultTable:
    """A row a method, a column a metric, of all or of the overview; below, the differences, and what methods cost."""
    shown = [figure for figure in dict.fromkeys(shown) if figure in rows.figures]
    columns, best = tuple(map(rows.name, shown)), tuple(map(rows.best, shown))
    cells = [tuple(rows.of_method(figure, one) for figure in shown) for one in rows.methods]
    changes = [tuple(rows.of_pair(figure, one) for figure in shown) for one in rows.pairs]
    return ResultTable(
        rows.task,
        rows.caption,
        Grid("Method", columns, tuple(zip(rows.titles, cells, strict=True)), best),
        Grid("Difference", columns, tuple(zip(rows.pair_titles, changes, strict=True)), best),
        False,
        tuple(rows.footnotes.texts),
        costs=_costs(rows.results, rows.methods),
    )


COSTS = {
    "Questions to fit": "questions",
    "Questions an answer": "questions_per_answer",
    "Tokens an answer": "tokens_per_answer",
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
    asked = task.partition(":")[0] == results.metrics[0].task.partition(":")[0]  # other tasks have their own
    if asked and (instructions := results.settings.get("instruction_count")):
        parts.append(f"{instructions} instruction{'s' if instructions != 1 else ''}")
    if "level" in results.interval:
        parts.append(f"{results.interval['level'] * 100:g} % intervals")
    return f"{task} ({most.split}): {', '.join(parts)}"


def _has_interval(row: Row) -> bool:
    return math.isfinite(row.low) and math.isfinite(row.high)


def _of_split(rows: list[MetricRow], split: str) -> list[MetricRow]:
    return [row for row in rows if row.split == split] or rows


def _distinct(values: Iterable[Key]) -> list[Key]:
    return list(dict.fromkeys(values))
