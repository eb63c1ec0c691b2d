"""Figures in words and columns: what the console and the report both show."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biasectomy.measuring.results import Results

METRIC_NAMES = {
    "accuracy": "Accuracy, all items",
    "accuracy_ambiguous": "Accuracy, ambiguous",
    "accuracy_disambiguated": "Accuracy, disambiguated",
    "balanced_accuracy": "Accuracy, mean of the two",
    "unknown_ambiguous": '"Unknown", ambiguous',
    "unknown_disambiguated": '"Unknown", disambiguated',
    "bias_ambiguous": "Bias score, ambiguous",
    "bias_disambiguated": "Bias score, disambiguated",
    "conflict_cost": "Conflict cost",
    "instruction_deviation": "Deviation over instructions",
    "consistency": "Consistency over instructions",
    "unmatched": "Answers matching no option",
    "perplexity": "Perplexity, neutral text",
}
_SUFFIXES = {"_labels": "group labels", "_names": "proper names"}
_METHODS = ("Original", "Edited", "Control")


@dataclass(frozen=True)
class Cell:
    """A figure and its interval, as text."""

    value: str
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.interval}".rstrip()


@dataclass(frozen=True)
class ResultTable:
    """The figures of one task: a column for each method, then one for each comparison."""

    task: str
    caption: str
    methods: tuple[str, ...]
    comparisons: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...], tuple[Cell, ...]], ...]  # name, one cell a method, one a comparison
    footnotes: tuple[str, ...]


@dataclass
class _Footnotes:
    texts: list[str] = field(default_factory=list)

    def mark(self, reason: str) -> str:
        if not reason:
            return ""
        if reason not in self.texts:
            self.texts.append(reason)
        return f" ({self.texts.index(reason) + 1})"


def metric_name(metric: str) -> str:
    """A metric's name in words."""
    for suffix, words in _SUFFIXES.items():
        if metric.endswith(suffix):
            return f"{metric_name(metric.removesuffix(suffix))} ({words})"
    return METRIC_NAMES.get(metric, metric.replace("_", " ").capitalize())


def is_number(value: float | None) -> bool:
    """Whether a figure is there: neither None nor NaN nor infinite."""
    return value is not None and math.isfinite(value)


def format_figure(row: Any, *, signed: bool = False, mark: str = "") -> Cell:
    """A row's value and interval as text; `n/a` where there is none."""
    spec = "+.2f" if signed else ".2f"
    value = format(row.value, spec) if is_number(row.value) else "n/a"
    return Cell(value + mark, f"[{row.low:{spec}}, {row.high:{spec}}]" if _has_interval(row) else "")


def _has_interval(row: Any) -> bool:
    return is_number(getattr(row, "low", None)) and is_number(getattr(row, "high", None))


def result_tables(results: "Results", split: str = "test") -> list[ResultTable]:
    """One table a task, of the rows of one split (of all rows where none is of that split).

    Figures of neutral text belong to no task: they close the first table, under a name that says which text.
    """
    metrics: list[Any] = _of_split(results.metrics, split)
    differences: list[Any] = _of_split(results.differences, split)
    tasks = list(dict.fromkeys(row.task for row in metrics if not _of_neutral_text(row)))

    def rows(every: list[Any], task: str) -> list[Any]:
        return [row for row in every if row.task == task or (_of_neutral_text(row) and task == tasks[0])]

    return [_result_table(task, rows(metrics, task), rows(differences, task), results) for task in tasks]


def _result_table(task: str, metrics: list[Any], differences: list[Any], results: Any) -> ResultTable:
    footnotes = _Footnotes()
    methods = _ordered((row.method for row in metrics), _METHODS)
    differences = [row for row in differences if row.method != "Control"]  # kept in the file; a table has its limits
    comparisons = tuple(dict.fromkeys(f"{row.method} - {row.against}" for row in differences))
    figures = {(row.metric, row.method): row for row in metrics}
    changes = {(row.metric, f"{row.method} - {row.against}"): row for row in differences}

    def cell(row: Any, signed: bool) -> Cell:
        if row is None:
            return Cell("")
        reason = "" if is_number(row.value) and _has_interval(row) else str(getattr(row, "reason", None) or "")
        return format_figure(row, signed=signed, mark=footnotes.mark(reason))

    rows = tuple(
        (
            _row_name(metric, metrics),
            tuple(cell(figures.get((metric, method)), signed=False) for method in methods),
            tuple(cell(changes.get((metric, comparison)), signed=True) for comparison in comparisons),
        )
        for metric in _ordered((row.metric for row in metrics), _metric_order())
    )
    return ResultTable(task, _caption(task, metrics, results), methods, comparisons, rows, tuple(footnotes.texts))


def _caption(task: str, metrics: list[Any], results: Any) -> str:
    counted = next((row for row in metrics if row.metric.startswith("accuracy")), metrics[0])
    parts = []
    for count, word in ((counted.items, "items"), (getattr(counted, "clusters", None), "templates")):
        if count:
            parts.append(f"{count:,} {word}")
    if instructions := (getattr(results, "settings", None) or {}).get("instruction_count"):
        parts.append(f"{instructions} instruction{'s' if instructions != 1 else ''}")
    interval = getattr(results, "interval", None) or {}
    if "level" in interval:
        parts.append(f"{interval['level'] * 100:g} % intervals")
    split = getattr(counted, "split", "")
    return f"{task}{f' ({split})' if split else ''}: {', '.join(parts)}"


def _row_name(metric: str, metrics: list[Any]) -> str:
    row = next(row for row in metrics if row.metric == metric)
    return f"{metric_name(metric).partition(',')[0]}, {row.task}" if _of_neutral_text(row) else metric_name(metric)


def _of_neutral_text(row: Any) -> bool:
    return getattr(row, "split", None) == "neutral"


def _metric_order() -> list[str]:
    return [name + suffix for name in METRIC_NAMES for suffix in ("", *_SUFFIXES)]


def _ordered(found: Iterable[str], preferred: Sequence[str]) -> tuple[str, ...]:
    names = dict.fromkeys(found)
    return tuple([name for name in preferred if name in names] + [name for name in names if name not in preferred])


def _of_split(rows: Iterable[Any], split: str) -> list[Any]:
    every = list(rows)
    of_tasks = [row for row in every if not _of_neutral_text(row)]
    chosen = [row for row in of_tasks if getattr(row, "split", split) == split] or of_tasks
    return chosen + [row for row in every if _of_neutral_text(row)]
