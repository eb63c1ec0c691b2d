"""What became of the other bias tasks that were asked: the figure that each is judged by."""

from biasectomy.measuring.results import Results
from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.base import Picture, register
from biasectomy.report.pictures.colours import LIGHT, Colours
from biasectomy.report.pictures.dots import drawn_dots
from biasectomy.report.pictures.marks import Group
from biasectomy.report.pictures.rows import first_task, group, in_words, level, of_task, whole_tasks
from biasectomy.report.pictures.series import series
from biasectomy.report.pictures.wording import named

NAME = "other-tasks"


@register(NAME, place=60)
def other_tasks(run: FinishedRun) -> Picture | None:
    """One group a task."""
    results = run.results
    judged = [(task, metric) for task in whole_tasks(results) if (metric := _judged_by(results, task)) is not None]
    judged = [(task, metric) for task, metric in judged if task != first_task(results)]

    def groups(colours: Colours) -> list[Group]:
        styles = series(results, colours)
        found = [
            group(
                results,
                styles,
                task,
                metric,
                axis=results.description(metric).unit,
                title=f"{task}: {named(results.description(metric))}",
            )
            for task, metric in sorted(judged, key=lambda one: results.description(one[1]).unit)
        ]
        return [one for one in found if one is not None]

    shown = groups(LIGHT)
    if not shown:
        return None
    caption = (
        f"The figure that each of the other tasks is judged by, with {level(results)} intervals. An arrow says which "
        "way is better."
    )
    return Picture.drawn(
        NAME, "On other tasks", caption, in_words(shown), lambda colours: drawn_dots(groups(colours), colours)
    )


def _judged_by(results: Results, task: str) -> str | None:
    """The metric of a task's goal, unless it is one that is only to be kept."""
    there = list(dict.fromkeys(row.metric for row in of_task(results, task)))
    goal = results.goals.get(task)
    if goal not in there:
        goal = next((one for one in there if results.description(one).role == "goal"), None)
    return goal if goal is not None and results.description(goal).role != "guard" else None
