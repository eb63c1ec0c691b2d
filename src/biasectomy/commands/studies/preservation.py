"""`study preservation`: what an edit leaves of everything else, and what can be said of it.

That a difference cannot be told from none is no evidence that nothing was lost: with few items nothing ever can. So a
figure is called kept only where a loss of more than a margin is excluded (a test of non-inferiority), lost where such a
loss is shown, and else it cannot be told. All figures are looked at together (Holm's correction).
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
    from biasectomy.measuring.results import MatrixCell, Results
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.processes import Processes
    from biasectomy.tasks.base import Task
    from biasectomy.tasks.metrics import Answers, Metric

NAME = "preservation"
KEPT, LOST, UNKNOWN, SAME, AIM = "kept", "lost", "cannot be told", "the same", "the goal"
RELATIVE = "per word"  # the unit of figures whose margin is a share of what they were


@STUDIES.register(NAME)
class PreservationStudy:
    """Measure what an edit leaves of other tasks: kept, lost, or not to be told."""

    class Settings(series.SeriesSettings):
        """Settings of the study."""

        basic: ClassVar[tuple[str, ...]] = ("kept_within", *series.BASIC)
        examples: ClassVar[tuple[tuple[str, str], ...]] = (
            (
                "biasectomy study preservation smollm2 --also perplexity,drift,mmlu",
                "What other tasks keep, within 2 points.",
            ),
            ("biasectomy study preservation smollm2 --kept-within 0.05", "Within 5 points."),
            ("biasectomy study preservation smollm2 --method lora", "Of another method."),
        )

        kept_within: float = Field(
            0.02,
            gt=0,
            lt=1,
            allow_inf_nan=False,
            description="Largest loss that still counts as kept: 0.02 is 2 points of a share or a score, 2 % of a "
            "perplexity, 0.02 nats of drift.",
        )
        out: Path = Field(Path("preservation-study"), description="Run folder.")

    @staticmethod
    def run(
        settings: "PreservationStudy.Settings",
        model: "LanguageModel | str | None" = None,
        task: "Task | str | None" = None,
        *,
        keep: bool = True,
    ) -> "Outcome":
        """See `Study.run`."""
        from biasectomy.errors import SettingsError
        from biasectomy.measuring.matrix import matrix

        method = series.method_of(settings)

        def plan(processes: "Processes") -> "Planned":
            ground = series.open_ground(settings, processes, task)
            if not ground.others and not settings.harness and not _guards(ground.development):
                raise SettingsError("Nothing is asked besides, so nothing can be kept; name tasks with --also.")
            learned = method.expected_questions(ground.development)
            answered = 1 + series.draws_of(settings)
            return ground.planned({settings.method: (method, ground.development)}, fitting=learned, answered=answered)

        with series.running(settings, model, keep, plan) as (experiment, planned):
            rows, outcome = series.measure_beside_control(experiment, settings.method, planned)
            columns = _columns(outcome.tasks, experiment.session.objective, outcome.answers, rows)
            found = matrix(columns, outcome.answers, ORIGINAL, {row: [] for row in rows}, experiment.session)
            results = _judged(replace(outcome.results, matrix=found), settings.kept_within)
            results = replace(results, verdict=preservation_verdict(results, settings.method))
            return experiment.finish(replace(outcome, results=results))


def preservation_verdict(results: "Results", method: str) -> list[str]:
    """What is kept, what is lost, and of what nothing can be said."""
    from biasectomy.report.words import UNCLEAR, clear_alone, listed, no_answer_changed

    matrix = results.matrix
    assert matrix is not None
    title = results.title(method)
    cells = matrix.of_row(method)
    aim = [cell for cell in cells if cell.note == AIM]
    if all(cell.note == SAME or (cell.note == AIM and no_answer_changed([cell])) for cell in cells):
        return [f"{title} changes no figure on any item, so everything is kept and nothing is won."]
    sentences = []
    for cell in aim:
        described = results.description(cell.metric).description
        way = ("comes nearer to" if cell.value > 0 else "goes away from") + " its best value"
        said = way if clear_alone([cell]) else UNCLEAR
        sentences.append(f"With {title}, {described} {said} ({_told(results, cell)}).")

    def named(note: str) -> list[str]:
        return [
            f"{results.description(cell.metric).description} ({_task_of(cell)}: "
            f"{_told(results, cell) if note != SAME else 'no difference on any item'})"
            for cell in cells
            if cell.note == note
        ]

    judged = [cell for cell in cells if cell.note != AIM]
    kept, lost, unknown, same = (named(note) for note in (KEPT, LOST, UNKNOWN, SAME))
    if kept or lost:
        within = _in_words(float(results.settings["kept_within"]))
        sentences.append(f"Lost by more than the margin ({within}): {listed(lost)}. Kept within it: {listed(kept)}.")
    if same:
        sentences.append(f"The same as before: {listed(same)}.")
    if unknown:
        sentences.append(
            f"Of {len(unknown)} of {len(judged)} figures it cannot be told whether they are kept: {listed(unknown)}. "
            "More items would narrow their intervals; that no loss is shown does not show that there is none."
        )
    return sentences


def _told(results: "Results", cell: "MatrixCell") -> str:
    """Both figures, and the gain between them, which is negative where something is lost."""
    from biasectomy.report.words import change_in_words, figure_in_words

    before, after = (figure_in_words(results, cell.metric, value) for value in (cell.before, cell.after))
    return f"{before} to {after}, a gain of {change_in_words(results, cell)}"


def _judged(results: "Results", within: float) -> "Results":
    """The results with what can be said of each cell of the matrix."""
    from biasectomy.measuring.matrix import as_difference
    from biasectomy.measuring.multiplicity import holding
    from biasectomy.report.words import level_of

    matrix = results.matrix
    assert matrix is not None
    aim = matrix.columns[0]
    held: dict[tuple[str, str], float] = {}
    for name in matrix.rows:
        judged = [cell for cell in matrix.of_row(name) if cell.column != aim]
        shifted = [as_difference(cell, matrix.against, _margin(results, cell, within)) for cell in judged]
        held |= {(row.method, row.task): row.value for row in holding(shifted, level_of(results))}

    def note(cell: "MatrixCell") -> str:
        if cell.column == aim:
            return AIM
        if cell.value == 0 and not math.isfinite(cell.low):
            return SAME
        value = held.get((cell.row, cell.column), 0.0)
        return KEPT if value > 0 else LOST if value < 0 else UNKNOWN

    notes = (
        f"{KEPT}: a loss of more than {_in_words(within)} is excluded; {LOST}: such a loss is shown; all "
        f"{len(matrix.columns) - 1} of a row looked at together (Holm's correction); {SAME}: no answer changed.",
    )
    cells = tuple(replace(cell, note=note(cell)) for cell in matrix.cells)
    return replace(results, matrix=replace(matrix, cells=cells, notes=notes))


def _margin(results: "Results", cell: "MatrixCell", within: float) -> float:
    """How much of a figure may be lost."""
    return within * abs(cell.before) if results.description(cell.metric).unit == RELATIVE else within


def _in_words(within: float) -> str:
    return f"{100 * within:g} points of a share or score, {100 * within:g} % of a perplexity, {within:g} nats of drift"


def _task_of(cell: "MatrixCell") -> str:
    return cell.column.partition("/")[0]


def _guards(task: "Task") -> "list[Metric]":
    return [one for one in task.metrics_in_force() if one.role == "guard" and one.best is not None]


def _columns(
    tasks: "Sequence[Task]", objective: str | None, answers: "dict[str, dict[str, Answers]]", rows: Sequence[str]
) -> "list[Column]":
    """The goal first, then what the first task guards, then the other tasks that all rows have answered."""
    from biasectomy.measuring.matrix import Column, judged_by

    first, *others = tasks
    goal = judged_by(first, objective)
    found = [Column(f"{first.name}/{goal.name}", first, first, goal)]
    found += [Column(f"{first.name}/{one.name}", first, first, one) for one in _guards(first) if one.name != goal.name]
    for task in others:
        metric = _main(task)
        if metric is not None and {ORIGINAL, *rows} <= set(answers[task.name]):
            found.append(Column(task.name, task, task, metric))
    return found


def _main(task: "Task") -> "Metric | None":
    """The metric that stands for a task, if it has a best value that can be lost."""
    metrics = {one.name: one for one in task.metrics_in_force()}
    metric = task.goal().judged(task.metrics) if task.goals else metrics[series.main_figure(task)]
    return metric if metric.best is not None else None
