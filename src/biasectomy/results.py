"""What a run found: figures, paired differences and a verdict, in a documented schema.

JSON form: the fields of `Results`, rows as objects; NaN (an undefined figure, see its `reason`) is null.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from biasectomy.errors import DataError, SettingsError
from biasectomy.files import without_nan
from biasectomy.statistics import ClusterBootstrap, Estimate, Measured
from biasectomy.tasks.base import Task

SCHEMA_VERSION = 1
PRINTED_WIDTH = 120
INTERVAL_KIND = "cluster bootstrap, expanded percentile"
COMPARISONS = (("Edited", "Original"), ("Edited", "Control"))


@dataclass(frozen=True)
class MetricRow:
    """A figure of one method on one task; `reason` says why a value or an interval is NaN."""

    method: str  # "Original", "Edited", "Control", ...
    task: str
    split: str  # such as "test"
    metric: str
    value: float
    low: float
    high: float
    items: int
    clusters: int
    coverage: float
    reason: str | None = None


@dataclass(frozen=True)
class DifferenceRow:
    """A figure of one method minus that of another on the same items, with its own interval."""

    method: str
    against: str
    task: str
    split: str
    metric: str
    value: float
    low: float
    high: float
    items: int
    clusters: int
    coverage: float
    reason: str | None = None


Row = TypeVar("Row", MetricRow, DifferenceRow)


@dataclass(frozen=True)
class Results:
    """All figures of a run. Rows of a joined task come before those of its parts."""

    metrics: tuple[MetricRow, ...]
    differences: tuple[DifferenceRow, ...] = ()
    verdict: list[str] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION
    interval: dict[str, Any] = field(default_factory=dict)  # kind, level, replicates, seed
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """The tables and the verdict, as the command line shows them."""
        from biasectomy.console import Console

        text = io.StringIO()
        Console(output=text, width=PRINTED_WIDTH).results(self)
        return text.getvalue().strip("\n")

    def find(self, method: str, metric: str, *, task: str | None = None, split: str | None = None) -> MetricRow | None:
        """The first row that fits, or None; without a task this is the whole task's row."""
        return _first(self.metrics, method=method, metric=metric, task=task, split=split)

    def find_difference(
        self, method: str, against: str, metric: str, *, task: str | None = None, split: str | None = None
    ) -> DifferenceRow | None:
        """The first difference row that fits, or None."""
        return _first(self.differences, method=method, against=against, metric=metric, task=task, split=split)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps(..., allow_nan=False)` takes."""
        document: dict[str, Any] = without_nan(asdict(self))
        return document

    @classmethod
    def from_json(cls, document: Any, name: str = "results") -> "Results":
        """The inverse of `to_json`; `name` is the file's, for messages.

        Raises:
            DataError: not the schema of this version.
        """
        if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
            found = document.get("schema_version") if isinstance(document, dict) else type(document).__name__
            raise DataError(f"{name}: expected results of schema version {SCHEMA_VERSION}, found {found}.")
        try:
            known = {entry.name: document[entry.name] for entry in fields(cls)}
            known["metrics"] = tuple(_row(MetricRow, row) for row in known["metrics"])
            known["differences"] = tuple(_row(DifferenceRow, row) for row in known["differences"])
            return cls(**known)
        except KeyError as error:
            raise DataError(f"{name}: the field {error} is missing.") from None
        except TypeError as error:
            raise DataError(f"{name}: a row does not fit the schema ({error}).") from None


def figures(
    task: Task,
    split_name: str,
    choices_by_method: Mapping[str, npt.NDArray[np.integer[Any]]],
    *,
    replicates: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    comparisons: Sequence[tuple[str, str]] | None = None,
) -> tuple[list[MetricRow], list[DifferenceRow]]:
    """All metrics of all methods, and their differences, for a task and for each part of a joined one.

    Args:
        task: what was answered.
        split_name: such as "test".
        choices_by_method: for each method its answers, [draws, instructions, items] with -1 for unmatched.
        replicates: of the cluster bootstrap.
        seed: of the cluster bootstrap.
        level: of the intervals.
        comparisons: pairs (method, against); None for those of `COMPARISONS` whose methods are both there.

    Raises:
        SettingsError: a comparison names a method that has no answers.
        ValueError: choices of the wrong shape or type, or out of range.
    """
    for method, choices in choices_by_method.items():
        _check(task, method, choices)
    if comparisons is None:
        comparisons = [pair for pair in COMPARISONS if set(pair) <= set(choices_by_method)]
    if missing := {method for pair in comparisons for method in pair} - set(choices_by_method):
        raise SettingsError(f"'{min(missing)}' cannot be compared: there are no answers of it.")
    rows: list[MetricRow] = []
    differences: list[DifferenceRow] = []
    parts = task.parts()
    for scope in (task, *(parts if len(parts) > 1 else ())):
        inside = np.array([scope is task or item.task == scope.name for item in task.items], dtype=np.bool_)
        bootstrap = ClusterBootstrap([item.cluster for item in scope.items], replicates, seed, level)
        answers = {method: choices[:, :, inside] for method, choices in choices_by_method.items()}
        for metric in scope.metrics:
            measured: dict[str, Measured] = {
                method: bootstrap.measure(metric, scope.items, choices) for method, choices in answers.items()
            }
            for method, side in measured.items():
                estimate = bootstrap.estimate(side)
                rows.append(MetricRow(method, scope.name, split_name, metric.name, **row_figures(estimate)))
            for method, against in comparisons:
                change = bootstrap.difference(measured[method], measured[against])
                names = (method, against, scope.name, split_name, metric.name)
                differences.append(DifferenceRow(*names, **row_figures(change)))
    return rows, differences


def interval_settings(replicates: int = 2000, seed: int = 0, level: float = 0.95) -> dict[str, Any]:
    """What `Results.interval` holds."""
    return {"kind": INTERVAL_KIND, "level": level, "replicates": replicates, "seed": seed}


def row_figures(estimate: Estimate) -> dict[str, Any]:
    """The fields that a row takes from an estimate."""
    """The fields of a row that an estimate fills."""
    return {entry.name: getattr(estimate, entry.name) for entry in fields(estimate)}


def _check(task: Task, method: str, choices: npt.NDArray[Any]) -> None:
    if choices.ndim != 3 or choices.shape[2] != len(task.items) or not np.issubdtype(choices.dtype, np.integer):
        raise ValueError(
            f"choices of {method} must be integers [draws, instructions, {len(task.items)} items], "
            f"not {choices.dtype} {list(choices.shape)}"
        )
    options = np.array([len(item.options) for item in task.items])
    if choices.size == 0 or choices.min() < -1 or (choices >= options).any():
        raise ValueError(f"choices of {method} must be -1 or the index of one of an item's options")


def _first(rows: Sequence[Row], **wanted: str | None) -> Row | None:
    conditions = {name: value for name, value in wanted.items() if value is not None}
    return next((row for row in rows if all(getattr(row, name) == value for name, value in conditions.items())), None)


def _row(kind: type[Row], document: Mapping[str, Any]) -> Row:
    numbers = {name: math.nan for name in ("value", "low", "high", "coverage") if document[name] is None}
    return kind(**{**document, **numbers})
