"""Before, after and control: the headline figures of the first task, with intervals."""

from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.base import Picture, register
from biasectomy.report.pictures.colours import LIGHT, Colours
from biasectomy.report.pictures.dots import Group, drawn_dots
from biasectomy.report.pictures.rows import first_task, group, headline, in_words, level
from biasectomy.report.pictures.series import series

NAME = "changes"


@register(NAME, place=10)
def changes(run: FinishedRun) -> Picture | None:
    """One row a method, one group a metric."""
    results, task = run.results, first_task(run.results)

    def groups(colours: Colours) -> list[Group]:
        styles, units = series(results, colours), results.description
        found = [group(results, styles, task, one, axis=units(one).unit) for one in headline(results, task)]
        return sorted((one for one in found if one is not None), key=lambda one: one.axis != found[0].axis)  # type: ignore[union-attr]

    shown = groups(LIGHT)
    if not shown:
        return None
    undefined = any(dot.value != dot.value for one in shown for dot in one.dots)
    draws = any(dot.draws for one in shown for dot in one.dots)
    caption = (
        f"{task}: each mark is a method's figure, its line the {level(results)} interval"
        + ("; short strokes are the single draws of a control" if draws else "")
        + ". An arrow says which way is better."
        + (" Undefined: no item counts towards the figure." if undefined else "")
    )
    title = "Before and after" if len({dot.name for one in shown for dot in one.dots}) > 1 else "Figures"
    return Picture.drawn(NAME, title, caption, in_words(shown), lambda colours: drawn_dots(groups(colours), colours))
