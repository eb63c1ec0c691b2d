"""`study instructions`: what a wording does to the answers, before and after an edit.

All wordings of a task mean the same, so that a figure that changes with them tells of the wording. Every wording has
its own figures before and after, and over all of them stand deviation, range and consistency.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from biasectomy.commands.studies import series
from biasectomy.commands.studies.base import STUDIES
from biasectomy.methods.original import NAME as ORIGINAL

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.commands.fitting import Planned
    from biasectomy.commands.outcome import Outcome
    from biasectomy.measuring.matrix import Column
    from biasectomy.measuring.results import Curve, DifferenceRow, Matrix, Results
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.processes import Processes
    from biasectomy.tasks.base import Task
    from biasectomy.tasks.metrics import Answers, Metric

NAME = "instructions"
LEARNED_UNDER = "own: a wording that was learned under; the others are new to the method."


@STUDIES.register(NAME)
class InstructionsStudy:
    """Measure the gap between wordings that mean the same, before and after an edit."""

    class Settings(series.SeriesSettings):
        """Settings of the study."""

        basic: ClassVar[tuple[str, ...]] = ("learned_under", *series.BASIC)
        examples: ClassVar[tuple[tuple[str, str], ...]] = (
            ("biasectomy study instructions smollm2 --task bbq:age", "The gap between wordings, before and after."),
            (
                "biasectomy study instructions smollm2 --learned-under 3",
                "Whether it holds under wordings that it was not learned under.",
            ),
            ("biasectomy study instructions smollm2 --method fair-prompt", "Of another method."),
        )

        max_items: int | None = Field(400, ge=1, description=f"At most so many items, spread evenly; {series.MANY}.")
        max_instructions: int | None = Field(None, ge=2, description="At most so many instructions. [default: all]")
        learned_under: int | None = Field(
            None, ge=1, description="Learn under the first so many wordings; the others are new. [default: all]"
        )
        out: Path = Field(Path("instructions-study"), description="Run folder.")

    @staticmethod
    def run(
        settings: "InstructionsStudy.Settings",
        model: "LanguageModel | str | None" = None,
        task: "Task | str | None" = None,
        *,
        keep: bool = True,
    ) -> "Outcome":
        """See `Study.run`."""
        from biasectomy.errors import SettingsError

        method = series.method_of(settings)

        def plan(processes: "Processes") -> "Planned":
            ground = series.open_ground(settings, processes, task)
            development = ground.development.limited(None, settings.learned_under, settings.seed)
            wordings = len(ground.split.test.instructions)
            if wordings < 2:
                raise SettingsError(
                    f"'{ground.development.name}' is asked in one wording; this study needs a task with several, or "
                    "--instructions FILE."
                )
            fits = {settings.method: (method, development)}
            return ground.planned(
                fits,
                fitting=method.expected_questions(development),
                answered=1 + series.draws_of(settings),
            )

        with series.running(settings, model, keep, plan) as (experiment, planned):
            rows, outcome = series.measure_beside_control(experiment, settings.method, planned)
            first = outcome.tasks[0]
            columns = _columns(first, experiment.session)
            learned = len(planned.development[settings.method].instructions)
            own = {row: [one.name for one in columns[:learned]] if row == settings.method else [] for row in rows}
            session, answers = experiment.session, outcome.answers
            found = _matrix(outcome, columns, own, session)
            if learned < len(columns):
                found = replace(found, notes=(*found.notes, LEARNED_UNDER))
            else:
                found = replace(found, cells=tuple(replace(cell, own=False) for cell in found.cells))
            curve = _curve(columns, answers[first.name], (ORIGINAL, *own), session)
            results = replace(outcome.results, matrix=found, curve=curve)
            results = replace(results, verdict=instructions_verdict(results, settings.method, learned))
            return experiment.finish(replace(outcome, results=results))


def instructions_verdict(results: "Results", method: str, learned: int) -> list[str]:
    """Whether the gap between wordings becomes smaller, and under how many wordings the goal is served."""
    from biasectomy.measuring.multiplicity import holding
    from biasectomy.report.words import (
        UNCLEAR,
        change_in_words,
        clear_alone,
        ends_of,
        figure_in_words,
        is_nearer,
        level_of,
        no_answer_changed,
        when_together,
    )

    matrix = results.matrix
    assert matrix is not None
    gaps = {metric for _, metric in matrix.beside}
    task = results.metrics[0].task
    rows = [
        row
        for row in results.differences
        if (row.method, row.against, row.task) == (method, ORIGINAL, task) and row.metric in gaps
    ]
    held = holding(rows, level_of(results))

    def moved(row: "DifferenceRow") -> str:
        ends = ends_of(results, row)
        described = results.description(row.metric).description
        if ends is None or not math.isfinite(row.value):
            return f"{described} cannot be compared ({row.reason})"
        way = " to ".join(figure_in_words(results, row.metric, end) for end in ends)
        if not math.isfinite(row.low):
            return f"{described} goes from {way} (no interval)"
        said = f"gets {'better' if is_nearer(results, row) else 'worse'}" if row in held else UNCLEAR
        return f"{described} goes from {way} ({change_in_words(results, row)}): it {said}"

    if no_answer_changed(rows):
        figures = [f"{results.description(row.metric).description} stays at {_figure(results, row)}" for row in rows]
        sentences = [f"Over {len(matrix.columns)} wordings the gap does not change: {'; '.join(figures)}."]
    else:
        sentences = [f"Over {len(matrix.columns)} wordings {'; '.join(moved(row) for row in rows)}."]
        if not held:
            sentences.append("No change of the gap between wordings holds when its figures are looked at together.")
    cells = matrix.of_row(method)
    goal = results.description(cells[0].metric).description
    nearer, further = (sum(sign * cell.value > 0 for cell in clear_alone(cells)) for sign in (1, -1))
    together = f"{sum(cell.holds for cell in cells)} of these changes hold {when_together(matrix.cells)}"
    sentences.append(
        f"{goal[0].upper()}{goal[1:]} is served under {nearer} of {len(cells)} wordings and harmed under {further}, "
        f"each by its own interval; {together}."
    )
    if learned < len(cells):
        new = [cell for cell in cells if not cell.own]
        served = sum(cell.value > 0 for cell in clear_alone(new))
        sentences.append(f"Of {len(new)} wordings that were not learned under it is served under {served}.")
    return sentences


def _figure(results: "Results", row: "DifferenceRow") -> str:
    from biasectomy.report.words import ends_of, figure_in_words

    ends = ends_of(results, row)
    return figure_in_words(results, row.metric, ends[0]) if ends is not None else "what it was"


def _judged(task: "Task", session: "Session") -> "Metric":
    from biasectomy.measuring.matrix import judged_by

    return judged_by(task, session.objective)


def _columns(task: "Task", session: "Session") -> "list[Column]":
    """A column for each wording."""
    from biasectomy.measuring.matrix import Column

    metric = _judged(task, session)
    return [
        Column(f"{task.name}/wording {place + 1}", task, task, metric, place) for place in range(len(task.instructions))
    ]


def _matrix(
    outcome: "Outcome", columns: "Sequence[Column]", own: "dict[str, list[str]]", session: "Session"
) -> "Matrix":
    """Gains by wording; behind them what tells of the gap between wordings."""
    from biasectomy.measuring.matrix import matrix
    from biasectomy.tasks.multiple_choice import tells_of_wordings

    task = outcome.tasks[0]
    beside = [(task.name, one.name) for one in task.metrics_in_force() if tells_of_wordings(one)]
    found = matrix(columns, outcome.answers, ORIGINAL, own, session, beside)
    wordings = [f"{place}: {_short(wording)}" for place, wording in enumerate(task.instructions, start=1)]
    return replace(found, notes=tuple(wordings))


def _short(wording: str, most: int = 90) -> str:
    line = " ".join(wording.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _curve(
    columns: "Sequence[Column]", answers: "dict[str, Answers]", rows: Sequence[str], session: "Session"
) -> "Curve":
    """The goal's figure under each wording, of each row."""
    from biasectomy.measuring.results import Curve, CurvePoint

    points = []
    for line in rows:
        for place, column in enumerate(columns, start=1):
            resamples = session.bootstrap(column.part)
            found = resamples.estimate(
                resamples.measure(column.metric, column.part.items, column.picked(answers[line]))
            )
            names = (line, float(place), column.task.name, column.metric.name)
            points.append(CurvePoint(*names, found.value, found.low, found.high))
    return Curve("The same questions in other words", "wording (number)", tuple(points))
