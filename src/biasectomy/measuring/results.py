"""What a run found: figures, paired differences and a verdict, in a documented schema.

JSON form: the fields of `Results`, rows as objects; NaN (an undefined figure, see its `reason`) is null.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

import numpy as np

from biasectomy.errors import DataError, SettingsError
from biasectomy.files import without_nan
from biasectomy.measuring.statistics import ClusterBootstrap, Estimate, Measured
from biasectomy.tasks.base import Task
from biasectomy.tasks.metrics import Answers, Metric

SCHEMA_VERSION = 5
# Version 1 describes neither metrics nor methods, and knows no costs; only later ones than 2 keep the figures of draws,
# only later ones than 3 the matrix of a study, only later ones than 4 its curve and figures under each instruction.
READABLE = (1, 2, 3, 4, 5)
NOTICEABLE = 0.005  # what is less is 0.00 in a table
INTERVAL_KIND = "cluster bootstrap, expanded percentile"


@dataclass(frozen=True)
class MetricRow:
    """A figure of one method on one task; `reason` says why a value or an interval is NaN.

    `draws` are the figures of each draw, where a method has several; the figure is of all of them together. `of_right`
    is what answers that are all right would give on these items, where that is not the metric's best value. Of a goal,
    or what plays another role, `instructions` are the figures under each instruction alone, where there are several.
    """

    method: str  # its name, such as "original" or "crispr"
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
    draws: tuple[float, ...] = ()
    of_right: float | None = None
    instructions: tuple[float, ...] = ()


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
class MetricDescription:
    """What a reader must know of a metric."""

    title: str
    description: str
    unit: str
    best: float | None
    role: str | None = None

    @classmethod
    def of(cls, metric: Metric) -> "MetricDescription":
        """That of a metric."""
        return cls(metric.title, metric.description, metric.unit, metric.best, metric.role)


@dataclass(frozen=True)
class MatrixCell:
    """How much nearer the best value a method is on some items than the original was.

    `value` is the gain, in the metric's unit, paired by item; `before` and `after` are the two figures. `own` says
    whether the method has learned of the same kind, `holds` whether the gain, or the loss, holds when all cells are
    looked at together. `note` is a word or two that a study says of it, such as "kept".
    """

    row: str  # a method's name, such as "unlearn:Women"
    column: str  # a task's name, such as "crows_pairs:gender", or that and a figure's or a wording's, behind a slash
    metric: str
    best: float
    before: float
    after: float
    value: float
    low: float
    high: float
    items: int
    clusters: int
    own: bool
    holds: bool
    reason: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Matrix:
    """Methods by kinds of items: `cells` row by row; `against` is what all are compared with.

    `beside` are columns of plain figures: of each a task and a metric, which are among those of `Results`. `corner`
    heads the rows, and `notes` say what must be known to read the table.
    """

    against: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[MatrixCell, ...]
    beside: tuple[tuple[str, str], ...] = ()
    corner: str = "Method"
    notes: tuple[str, ...] = ()

    def of_row(self, row: str) -> list[MatrixCell]:
        """The cells of a method, in the order of the columns."""
        return [cell for cell in self.cells if cell.row == row]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Matrix":
        """The inverse of what `Results.to_json` makes of it."""
        lists = {name: tuple(document[name]) for name in ("rows", "columns")}
        cells = []
        for cell in document["cells"]:
            fields_of_it: dict[str, Any] = {
                name: math.nan if one is None and name != "reason" else one for name, one in cell.items()
            }
            cells.append(MatrixCell(**fields_of_it))
        beside = tuple((task, metric) for task, metric in document["beside"])
        corner, notes = document.get("corner", cls.corner), tuple(document.get("notes", ()))
        return cls(document["against"], **lists, cells=tuple(cells), beside=beside, corner=corner, notes=notes)


@dataclass(frozen=True)
class CurvePoint:
    """A figure of one of the lines of a curve, with its interval, where it has one.

    The line is called `method`, as a method is; what is known of the point beside, among the figures of `Results`, is
    under the name of `row`.
    """

    method: str
    x: float
    task: str
    metric: str
    value: float
    low: float
    high: float

    @property
    def row(self) -> str:
        """The method's name in `Results` that this point is of, such as "crispr:30"."""
        return point_name(self.method, self.x)


def point_name(line: str, x: float) -> str:
    """What the method is called in `Results` that is a point of a line."""
    return f"{line}:{int(x) if float(x).is_integer() else x}"


@dataclass(frozen=True)
class Curve:
    """Figures against a number: `over` is its name with its unit; `logarithmic` says that it is best drawn so.

    A line whose points are all alike, such as the original's, is what the others are compared with.
    """

    title: str
    over: str
    points: tuple[CurvePoint, ...]
    logarithmic: bool = False

    @property
    def figures(self) -> list[tuple[str, str]]:
        """Task and metric of what is shown, in order."""
        return list(dict.fromkeys((point.task, point.metric) for point in self.points))

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Curve":
        """The inverse of what `Results.to_json` makes of it."""
        points = []
        for point in document["points"]:
            fields_of_it: dict[str, Any] = {name: math.nan if one is None else one for name, one in point.items()}
            points.append(CurvePoint(**fields_of_it))
        return cls(document["title"], document["over"], tuple(points), bool(document["logarithmic"]))


@dataclass(frozen=True)
class Results:
    """All figures of a run. Rows of a joined task come before those of its parts.

    `titles` are of the methods, `described` of the metrics, `goals` names the metric that each task's methods were
    fitted to, `costs` says what each took: `questions` asked while fitting, `questions_per_answer`, `numbers` stored.
    `notes` say by task how whole texts were judged, which figures that are compared must have in common. `tasks` are
    those that were asked, without the parts of joined ones. `matrix` is there where methods were set against kinds of
    items, and `curve` where figures were set against a number, as studies do.
    """

    metrics: tuple[MetricRow, ...]
    differences: tuple[DifferenceRow, ...] = ()
    verdict: list[str] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION
    interval: dict[str, Any] = field(default_factory=dict)  # kind, level, replicates, seed
    settings: dict[str, Any] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    described: dict[str, MetricDescription] = field(default_factory=dict)
    goals: dict[str, str] = field(default_factory=dict)
    costs: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    matrix: Matrix | None = None
    curve: Curve | None = None

    def title(self, method: str) -> str:
        """A method's title; its name where it has none."""
        return self.titles.get(method, method)

    def description(self, metric: str) -> MetricDescription:
        """What is known of a metric; its name in words where nothing is."""
        plain = metric.replace("_", " ")
        return self.described.get(metric) or MetricDescription(plain.capitalize(), plain, "score", None)

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
        document: dict[str, Any] = without_nan(asdict(self) | {"trade_off": self.trade_off()})
        return document

    def trade_off(self) -> list[dict[str, Any]]:
        """Of each method its figure of the first task's goal, beside all that is guarded: a point for a plot.

        Guards are what a task's goal must not cost, and drift, perplexity and knowledge where they were measured.
        """
        task = next((row.task for row in self.metrics), "")
        points = []
        for method in dict.fromkeys(row.method for row in self.metrics):
            own = [row for row in self.metrics if row.method == method]
            reached = next((row for row in own if (row.task, row.metric) == (task, self.goals.get(task))), None)
            if reached is not None:
                # Rows of a whole task come before those of its parts.
                guards = {row.metric: row for row in reversed(own) if self.description(row.metric).role == "guard"}
                beside = [_point(row) for row in own if guards.get(row.metric) is row]
                points.append({"method": method, "goal": _point(reached), "guards": beside})
        return points

    @classmethod
    def from_json(cls, document: Any, name: str = "results") -> "Results":
        """The inverse of `to_json`; `name` is the file's, for messages.

        Raises:
            DataError: not the schema of this version.
        """
        version = document.get("schema_version") if isinstance(document, dict) else type(document).__name__
        if version not in READABLE:
            raise DataError(
                f"{name}: expected results of schema version {min(READABLE)} to {max(READABLE)}, found {version}."
            )
        later: dict[int, tuple[str, ...]] = {
            1: ("titles", "described", "goals", "costs", "notes", "tasks", "matrix", "curve"),
            2: ("notes", "tasks", "matrix", "curve"),
            3: ("tasks", "matrix", "curve"),
            4: ("curve",),
        }
        optional = later.get(version, ())
        try:
            known = {entry.name: document[entry.name] for entry in fields(cls) if entry.name not in optional}
            known["metrics"] = tuple(_row(MetricRow, row) for row in known["metrics"])
            known["tasks"] = tuple(known.get("tasks", ()))
            known["differences"] = tuple(_row(DifferenceRow, row) for row in known["differences"])
            if known.get("matrix") is not None:
                known["matrix"] = Matrix.from_json(known["matrix"])
            if known.get("curve") is not None:
                known["curve"] = Curve.from_json(known["curve"])
            described = known.get("described", {}).items()
            return cls(**{**known, "described": {metric: MetricDescription(**words) for metric, words in described}})
        except KeyError as error:
            raise DataError(f"{name}: the field {error} is missing.") from None
        except (TypeError, AttributeError) as error:
            raise DataError(f"{name}: a row does not fit the schema ({error}).") from None


def _point(row: "MetricRow") -> dict[str, Any]:
    return {"task": row.task, "metric": row.metric, "value": row.value, "low": row.low, "high": row.high}


def figures(
    task: Task,
    split: str,
    answers: Mapping[str, Answers],
    comparisons: Sequence[tuple[str, str]],
    bootstrap: Callable[[Task], ClusterBootstrap],
) -> tuple[list[MetricRow], list[DifferenceRow]]:
    """All metrics of all methods, and their differences, for a task and for each part of a joined one.

    Args:
        task: what was answered.
        split: what the items are, such as "test".
        answers: of each method, by its name.
        comparisons: pairs (method, against).
        bootstrap: makes the resamples of a task's items.

    Raises:
        SettingsError: a comparison names a method that has no answers.
        ValueError: answers of the wrong shape or out of range.
    """
    for method, given in answers.items():
        _check(task, method, given)
    if missing := {method for pair in comparisons for method in pair} - set(answers):
        raise SettingsError(f"'{min(missing)}' cannot be compared: there are no answers of it.")
    rows: list[MetricRow] = []
    differences: list[DifferenceRow] = []
    parts = task.parts()
    for scope in (task, *(parts if len(parts) > 1 else ())):
        inside = np.array([scope is task or item.task == scope.name for item in task.items], dtype=np.bool_)
        resamples = bootstrap(scope)
        of_scope = {method: given.of_items(inside) for method, given in answers.items()}
        for metric in scope.metrics_in_force():
            measured: dict[str, Measured] = {
                method: resamples.measure(metric, scope.items, given) for method, given in of_scope.items()
            }
            of_right = of_right_answers(metric, scope)
            for method, side in measured.items():
                draws = tuple(side.draws.tolist()) if side.draws.size > 1 else ()
                found = _row_figures(resamples.estimate(side))
                alone = under_each_instruction(metric, scope, of_scope[method])
                names = (method, scope.name, split, metric.name)
                rows.append(MetricRow(*names, **found, draws=draws, of_right=of_right, instructions=alone))
            for method, against in comparisons:
                change = resamples.difference(measured[method], measured[against])
                compared = (method, against, scope.name, split, metric.name)
                differences.append(DifferenceRow(*compared, **_row_figures(change)))
    return rows, differences


def under_each_instruction(metric: Metric, task: Task, answers: Answers) -> tuple[float, ...]:
    """A figure under each instruction alone, of a goal or what plays another role; () where there is only one."""
    if metric.role is None and metric.name not in {goal.metric for goal in task.goals.values()}:
        return ()
    sums = metric.columns(task.items, answers)[0].sum(axis=2)  # [draws, instructions, k]
    if sums.shape[1] < 2:
        return ()
    with np.errstate(divide="ignore", invalid="ignore"):
        return tuple(float(metric.combine(sums[:, [number]])) for number in range(sums.shape[1]))


def of_right_answers(metric: Metric, task: Task) -> float | None:
    """What a metric is where every answer is right; None where that is its best value, or it cannot be said."""
    if not metric.of_right_answers or any(item.gold is None for item in task.items):
        return None
    golds = np.array([[[item.gold for item in task.items]]])
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(metric.combine(metric.columns(task.items, Answers(golds))[0].sum(axis=2)))
    return None if math.isnan(value) or abs(value - (metric.best or 0)) < NOTICEABLE else value


def interval_settings(replicates: int = 2000, seed: int = 0, level: float = 0.95) -> dict[str, Any]:
    """What `Results.interval` holds."""
    return {"kind": INTERVAL_KIND, "level": level, "replicates": replicates, "seed": seed}


def _row_figures(estimate: Estimate) -> dict[str, Any]:
    """The fields of a row that an estimate fills."""
    return {entry.name: getattr(estimate, entry.name) for entry in fields(estimate)}


def _check(task: Task, method: str, answers: Answers) -> None:
    choices = answers.choices
    if choices.ndim != 3 or choices.shape[2] != len(task.items) or not np.issubdtype(choices.dtype, np.integer):
        raise ValueError(
            f"choices of {method} must be integers [draws, instructions, {len(task.items)} items], "
            f"not {choices.dtype} {list(choices.shape)}"
        )
    options = np.array([len(item.options) for item in task.items])
    if choices.size == 0 or choices.min() < -1 or (choices >= np.maximum(options, 1)).any():
        raise ValueError(f"choices of {method} must be -1 or the index of one of an item's options")


def _first(rows: Sequence[Row], **wanted: str | None) -> Row | None:
    conditions = {name: value for name, value in wanted.items() if value is not None}
    return next((row for row in rows if all(getattr(row, name) == value for name, value in conditions.items())), None)


def _row(kind: type[Row], document: Mapping[str, Any]) -> Row:
    numbers: dict[str, Any] = {
        name: math.nan for name in ("value", "low", "high", "coverage") if document[name] is None
    }
    for name in {"draws", "instructions"} & set(document):
        numbers[name] = tuple(math.nan if one is None else one for one in document[name])
    return kind(**{**document, **numbers})
