"""What changed: paired differences in the headline figures of the first task, with a line at no change."""

from collections.abc import Sequence

from biasectomy.measuring.results import DifferenceRow, Results
from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.axis import direction
from biasectomy.report.pictures.base import Picture, register
from biasectomy.report.pictures.colours import LIGHT, Colours
from biasectomy.report.pictures.dots import drawn_dots
from biasectomy.report.pictures.marks import Dot, Group
from biasectomy.report.pictures.rows import TEST, first_task, headline, in_words, level
from biasectomy.report.pictures.series import Series, series
from biasectomy.report.pictures.wording import SHARE, named

NAME = "differences"
MORE, LESS = "better \N{RIGHTWARDS ARROW}", "\N{LEFTWARDS ARROW} better"


@register(NAME, place=20)
def differences(run: FinishedRun) -> Picture | None:
    """One row a comparison, one group a metric."""
    results, task = run.results, first_task(run.results)
    rows = [row for row in results.differences if row.task == task]
    rows = [row for row in rows if row.split == TEST] or rows
    against = {row.against for row in rows}

    def groups(colours: Colours) -> list[Group]:
        styles = series(results, colours)
        found = [_group(results, styles, [row for row in rows if row.metric == one]) for one in headline(results, task)]
        there = [one for one in found if one is not None]
        return sorted(there, key=lambda one: one.axis != there[0].axis)

    shown = groups(LIGHT)
    if not shown:
        return None
    what = results.title(*against) if len(against) == 1 else "what it is compared with"
    methods = {results.title(row.method) for row in rows}
    whose = methods.pop() if len(methods) == 1 else "each method"
    caption = (
        f"{task}: the figure of {whose} less that of {what} on the same items, with the {level(results)} interval. "
        "The line is no change; a filled mark's interval excludes it."
    )
    return Picture.drawn(
        NAME, "What changed", caption, in_words(shown), lambda colours: drawn_dots(groups(colours), colours)
    )


def _group(results: Results, styles: dict[str, Series], rows: Sequence[DifferenceRow]) -> Group | None:
    if not rows:
        return None
    description = results.description(rows[0].metric)
    unit = ", points" if description.unit == SHARE else ""
    dots = tuple(
        Dot(
            _name(results, row, one_against=len({one.against for one in rows}) == 1),
            styles[row.method],
            row.value,
            row.low,
            row.high,
            hollow=not (row.low > 0 or row.high < 0),
        )
        for row in rows
    )
    title = named(description) + unit
    return Group(
        title, description.unit, description.best, dots, description.unit, signed=True, way=_way(results, rows)
    )


def _name(results: Results, row: DifferenceRow, *, one_against: bool) -> str:
    """A method's title, with that of what it is compared with where there are several."""
    title = results.title(row.method)
    return title if one_against else f"{title} \N{MINUS SIGN} {results.title(row.against)}"


def _way(results: Results, rows: Sequence[DifferenceRow]) -> str:
    """Which way is better, seen from the figures that methods are compared with."""
    best = results.description(rows[0].metric).best
    before = [results.find(row.against, row.metric, task=row.task, split=row.split) for row in rows]
    way = direction(best, [row.value for row in before if row is not None])
    return {1: MORE, -1: LESS}.get(way or 0, "")
