"""What was to be kept: drift, perplexity and knowledge; what is not a share has an axis of its own."""

from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.base import Picture, register
from biasectomy.report.pictures.colours import LIGHT, Colours
from biasectomy.report.pictures.dots import drawn_dots
from biasectomy.report.pictures.marks import Group
from biasectomy.report.pictures.rows import first_task, group, in_words, level, whole_tasks, with_role
from biasectomy.report.pictures.series import series
from biasectomy.report.pictures.wording import SHARE, named

NAME = "capability"
FEW = 4  # shares with an axis each; more have one together


@register(NAME, place=70)
def capability(run: FinishedRun) -> Picture | None:
    """All guards of other tasks than the first, in one group each."""
    results = run.results
    others = [task for task in whole_tasks(results) if task != first_task(results)]
    kept = with_role(results, others, "guard")

    units = [results.description(metric).unit for _, metric in kept]
    together = units.count(SHARE) > FEW

    def axis(task: str, metric: str) -> str:
        return SHARE if together and results.description(metric).unit == SHARE else f"{task}/{metric}"

    def groups(colours: Colours) -> list[Group]:
        styles = series(results, colours)
        found = [
            group(
                results,
                styles,
                task,
                metric,
                axis=axis(task, metric),
                title=named(results.description(metric), task),
            )
            for task, metric in kept
        ]
        return sorted((one for one in found if one is not None), key=lambda one: one.axis == SHARE)

    shown = groups(LIGHT)
    if not shown:
        return None
    caption = (
        f"Figures that the change should leave alone, with {level(results)} intervals; a mark without a line has none. "
        f"{'All shares have one axis, every other' if together else 'Every'} figure has an axis of its own."
    )
    return Picture.drawn(
        NAME, "What was to be kept", caption, in_words(shown), lambda colours: drawn_dots(groups(colours), colours)
    )
