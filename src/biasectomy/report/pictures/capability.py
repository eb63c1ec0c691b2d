"""What was to be kept: drift, perplexity and knowledge, each on an axis of its own."""

from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.base import Picture, register
from biasectomy.report.pictures.colours import LIGHT, Colours
from biasectomy.report.pictures.dots import Group, drawn_dots
from biasectomy.report.pictures.rows import first_task, group, in_words, level, whole_tasks, with_role
from biasectomy.report.pictures.series import series

NAME = "capability"


@register(NAME, place=70)
def capability(run: FinishedRun) -> Picture | None:
    """All guards of other tasks than the first, in one group each."""
    results = run.results
    others = [task for task in whole_tasks(results) if task != first_task(results)]
    kept = with_role(results, others, "guard")

    def groups(colours: Colours) -> list[Group]:
        styles = series(results, colours)
        found = [group(results, styles, task, metric, axis=f"{task}/{metric}", told=True) for task, metric in kept]
        return [one for one in found if one is not None]

    shown = groups(LIGHT)
    if not shown:
        return None
    caption = (
        f"Figures that the change should leave alone, with {level(results)} intervals; a mark without a line has none. "
        "Every figure has an axis of its own."
    )
    return Picture.drawn(
        NAME, "What was to be kept", caption, in_words(shown), lambda colours: drawn_dots(groups(colours), colours)
    )
