"""The rows of results that pictures draw: headline metrics of a task, and what is guarded elsewhere."""

from collections.abc import Iterable, Sequence

from biasectomy.measuring.results import MetricRow, Results
from biasectomy.report.pictures.marks import Dot, Group
from biasectomy.report.pictures.series import Series
from biasectomy.report.pictures.wording import named, with_interval

TEST = "test"
FEW = 4  # metrics of a task that names none as its headline


def first_task(results: Results) -> str:
    """The task that methods were fitted to, or that was asked first."""
    return next(iter(results.tasks), "") or next((row.task for row in results.metrics), "")


def whole_tasks(results: Results) -> list[str]:
    """Those that were asked, without the parts of joined ones; of older results as far as names tell parts."""
    if results.tasks:
        return list(results.tasks)
    there = list(dict.fromkeys(row.task for row in results.metrics))
    return [one for one in there if not any(one.startswith((f"{whole}/", f"{whole}:")) for whole in there)]


def of_task(results: Results, task: str) -> list[MetricRow]:
    """A task's rows, of its test items where there are some."""
    rows = [row for row in results.metrics if row.task == task]
    return [row for row in rows if row.split == TEST] or rows


def headline(results: Results, task: str) -> list[str]:
    """What methods were fitted to, then what else has a role: goal, guards, abstention; else the first few metrics."""
    there = list(dict.fromkeys(row.metric for row in of_task(results, task)))
    goal = results.goals.get(task)
    chosen = [one for one in there if one == goal or results.description(one).role is not None]
    return sorted(chosen, key=lambda one: one != goal) or there[:FEW]


def with_role(results: Results, tasks: Iterable[str], role: str) -> list[tuple[str, str]]:
    """The metrics of some tasks that have a role, with their tasks."""
    found = [(task, row.metric) for task in tasks for row in of_task(results, task)]
    return list(dict.fromkeys(one for one in found if results.description(one[1]).role == role))


def group(
    results: Results, styles: dict[str, Series], task: str, metric: str, *, axis: str, title: str | None = None
) -> Group | None:
    """The figures of all methods in one metric; `title` None is the metric's own."""
    description = results.description(metric)
    rows = [row for row in of_task(results, task) if row.metric == metric]
    dots = tuple(
        Dot(results.title(row.method), styles[row.method], row.value, row.low, row.high, row.draws) for row in rows
    )
    if not dots:
        return None
    return Group(title or named(description), description.unit, description.best, dots, axis)


def in_words(groups: Sequence[Group]) -> str:
    """The figures of groups, one sentence a group."""
    sentences = []
    for one in groups:
        figures = [
            f"{dot.name} {with_interval(dot.value, dot.low, dot.high, one.unit, signed=one.signed)}" for dot in one.dots
        ]
        sentences.append(f"{one.title}: {', '.join(figures)}.")
    return " ".join(sentences)


def level(results: Results) -> str:
    """The level of all intervals, for captions."""
    return f"{100 * float(results.interval.get('level', 0.95)):g} %"
