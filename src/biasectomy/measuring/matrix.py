"""Methods by kinds of items: how much nearer the best value each is on each than the original, and which gains hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from biasectomy.errors import SettingsError
from biasectomy.measuring.multiplicity import holding
from biasectomy.measuring.results import DifferenceRow, Matrix, MatrixCell
from biasectomy.measuring.session import Session
from biasectomy.tasks.base import Task
from biasectomy.tasks.metrics import Answers, Metric


@dataclass(frozen=True)
class Column:
    """A column of a matrix: a metric, with the value to go for, of the answers to a task.

    `part` is what of the task is looked at: the whole task, or one of its parts; `instruction` the only one whose
    answers count.
    """

    name: str
    task: Task
    part: Task
    metric: Metric
    instruction: int | None = None

    def picked(self, answers: Answers) -> Answers:
        """What of the answers to the whole task counts."""
        if self.part is not self.task:
            inside = np.array([item.task == self.part.name for item in self.task.items], dtype=np.bool_)
            answers = answers.of_items(inside)
        return answers if self.instruction is None else answers.of_instruction(self.instruction)


def judged_by(task: Task, objective: str | None = None) -> Metric:
    """The metric that a task, or a part of one, is judged by in a matrix: that of a goal, with the value to go for.

    Args:
        task: with a goal.
        objective: a goal's name, which counts where the task has one of it; else its usual one does.

    Raises:
        SettingsError: the task sets no goal, or one that goes for no value.
    """
    metric = task.goal(objective if objective in task.goals else None).judged(task.metrics)
    if metric.best is None:
        raise SettingsError(f"'{metric.name}', the goal of '{task.name}', has no best value that could be come nearer.")
    return metric


def columns_of_parts(tasks: Sequence[Task], objective: str | None = None) -> list[Column]:
    """A column for each part of each task, judged by its goal.

    Raises:
        SettingsError: see `judged_by`.
    """
    found = []
    for task in tasks:
        parts = task.parts()
        found += [
            Column(part.name, task, task if len(parts) == 1 else part, judged_by(part, objective)) for part in parts
        ]
    return found


def matrix(
    columns: Sequence[Column],
    answers: Mapping[str, Mapping[str, Answers]],
    original: str,
    own: Mapping[str, Sequence[str]],
    session: Session,
    beside: Sequence[tuple[str, str]] = (),
) -> Matrix:
    """Gains of methods over the original, column by column.

    Args:
        columns: what is looked at.
        answers: by task and method, of the original too.
        original: the name of what all are compared with.
        own: the rows: by method the columns of the kind that it has learned from.
        session: with the resamples, and the level at which gains are to hold when all are looked at together.
        beside: see `Matrix`.
    """
    cells = [cell for column in columns for cell in _column(column, answers[column.task.name], original, own, session)]
    found = {(cell.row, cell.column): cell for cell in cells}
    names = tuple(column.name for column in columns)
    ordered = [found[row, name] for row in own for name in names]
    return Matrix(original, tuple(own), names, tuple(_together(ordered, original, session.level)), tuple(beside))


def _column(
    column: Column, answers: Mapping[str, Answers], original: str, own: Mapping[str, Sequence[str]], session: Session
) -> list[MatrixCell]:
    resamples, metric = session.bootstrap(column.part), column.metric
    best = float(metric.best)  # type: ignore[arg-type]
    measured = {
        method: resamples.measure(metric, column.part.items, column.picked(answers[method]))
        for method in (original, *own)
    }
    cells = []
    for method, of_its_kind in own.items():
        before, after = measured[original], measured[method]
        gain = resamples.gain(after, before, best)
        cells.append(
            MatrixCell(
                method,
                column.name,
                metric.name,
                best,
                float(before.value),
                float(after.value),
                float(gain.value),
                float(gain.low),
                float(gain.high),
                gain.items,
                gain.clusters,
                column.name in of_its_kind,
                False,
                gain.reason,
            )
        )
    return cells


def _together(cells: Sequence[MatrixCell], original: str, level: float) -> list[MatrixCell]:
    """The cells, with those marked that hold when all are looked at together."""
    kept = {(row.method, row.task) for row in holding([as_difference(one, original) for one in cells], level)}
    return [replace(one, holds=(one.row, one.column) in kept) for one in cells]


def as_difference(cell: MatrixCell, original: str, shift: float = 0.0) -> DifferenceRow:
    """A cell's gain as a difference from the original, moved up by so much, to be looked at with others."""
    ends = (cell.value + shift, cell.low + shift, cell.high + shift)
    return DifferenceRow(
        cell.row, original, cell.column, "", cell.metric, *ends, cell.items, cell.clusters, coverage=1.0
    )
