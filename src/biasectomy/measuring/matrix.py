"""Methods by kinds of items: how much nearer the best value each is on each than the original, and which gains hold."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from biasectomy.errors import SettingsError
from biasectomy.measuring.multiplicity import holding
from biasectomy.measuring.results import DifferenceRow, Matrix, MatrixCell
from biasectomy.measuring.session import Session
from biasectomy.tasks.base import Task
from biasectomy.tasks.metrics import Answers, Metric


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


def matrix(
    tasks: Sequence[Task],
    answers: Mapping[str, Mapping[str, Answers]],
    original: str,
    own: Mapping[str, Sequence[str]],
    session: Session,
    beside: Sequence[tuple[str, str]] = (),
) -> Matrix:
    """Gains of methods over the original, on each part of each task.

    Args:
        tasks: whose parts are the columns.
        answers: by task and method, of the original too.
        original: the name of what all are compared with.
        own: the rows: by method the columns of the kind that it has learned from.
        session: with the resamples, the level at which gains are to hold when all are looked at together, and perhaps
            an objective (see `judged_by`).
        beside: see `Matrix`.

    Raises:
        SettingsError: see `judged_by`.
    """
    found: dict[tuple[str, str], MatrixCell] = {}
    for task in tasks:
        parts = task.parts()
        for part in parts:
            inside = np.array([len(parts) == 1 or item.task == part.name for item in task.items], dtype=np.bool_)
            resamples, metric = session.bootstrap(part), judged_by(part, session.objective)
            best = float(metric.best)  # type: ignore[arg-type]
            of_part = {
                method: resamples.measure(metric, part.items, answers[task.name][method].of_items(inside))
                for method in (original, *own)
            }
            for method, columns in own.items():
                before, after = of_part[original], of_part[method]
                gain = resamples.gain(after, before, best)
                found[method, part.name] = MatrixCell(
                    method,
                    part.name,
                    metric.name,
                    best,
                    float(before.value),
                    float(after.value),
                    float(gain.value),
                    float(gain.low),
                    float(gain.high),
                    gain.items,
                    gain.clusters,
                    part.name in columns,
                    False,
                    gain.reason,
                )
    columns = tuple(dict.fromkeys(column for _, column in found))
    cells = [found[row, column] for row in own for column in columns]
    return Matrix(original, tuple(own), columns, tuple(_together(cells, original, session.level)), tuple(beside))


def _together(cells: Sequence[MatrixCell], original: str, level: float) -> list[MatrixCell]:
    """The cells, with those marked that hold when all are looked at together."""
    rows = [
        DifferenceRow(one.row, original, one.column, "", one.metric, *ends, one.items, one.clusters, coverage=1.0)
        for one in cells
        for ends in [(one.value, one.low, one.high)]
    ]
    kept = {(row.method, row.task) for row in holding(rows, level)}
    return [replace(one, holds=(one.row, one.column) in kept) for one in cells]
