"""Before, after and control: the headline figures of the first task, with intervals."""

import math

from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.base import Picture, register
from biasectomy.report.pictures.colours import LIGHT, Colours
from biasectomy.report.pictures.dots import MANY, drawn_dots
from biasectomy.report.pictures.marks import Group
from biasectomy.report.pictures.rows import first_task, group, headline, in_words, level, of_task
from biasectomy.report.pictures.series import series

NAME = "changes"


@register(NAME, place=10)
def changes(run: FinishedRun) -> Picture | None:
    """One row a method, one group a metric."""
    results, task = run.results, first_task(run.results)

    def groups(colours: Colours) -> list[Group]:
        styles, units = series(results, colours), results.description
        found = [group(results, styles, task, one, axis=units(one).unit) for one in headline(results, task)]
        there = [one for one in found if one is not None]
        return sorted(there, key=lambda one: one.axis != there[0].axis)

    shown = groups(LIGHT)
    if not shown:
        return None
    rows = [row for row in of_task(results, task) if row.metric in headline(results, task)]
    reasons = dict.fromkeys(row.reason for row in rows if math.isnan(row.value) and row.reason)
    names = {dot.name for one in shown for dot in one.dots}
    many = len(names) > MANY
    draws = not many and any(dot.draws for one in shown for dot in one.dots)
    caption = (
        f"{task}: each mark is a method's figure, its line the {level(results)} interval"
        + ("; short strokes are the single draws of a control" if draws else "")
        + ("; the original stands first, then the nearest to the best value" if many else "")
        + ". An arrow says which way is better."
        + "".join(f" Undefined: {reason}." for reason in reasons)
    )
    title = "Before and after" if len(names) > 1 else f"Figures of {names.pop()}"
    return Picture.drawn(NAME, title, caption, in_words(shown), lambda colours: drawn_dots(groups(colours), colours))
