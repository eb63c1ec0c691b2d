"""How much a wording matters: the goal's figure under each instruction, method by method."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from biasectomy.measuring.results import MetricDescription, MetricRow
from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.axis import axis_of, better
from biasectomy.report.pictures.base import Picture, register
from biasectomy.report.pictures.colours import LIGHT, Colours
from biasectomy.report.pictures.rows import first_task, headline, of_task
from biasectomy.report.pictures.series import Series, series
from biasectomy.report.pictures.sheet import MEDIUM, SMALL, TINY, WIDTH, Sheet, width_of, wrapped
from biasectomy.report.pictures.wording import SHARE, UNDEFINED, change, figure, named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "instructions"
HEADING, ROW, FOOT, NAMES, GAP = 26.0, 44.0, 28.0, 150.0, 12.0


@dataclass(frozen=True)
class Spread:
    """A method's figures under each instruction alone, and all together."""

    title: str
    series: Series
    value: float
    figures: tuple[float, ...]

    @property
    def range(self) -> float:
        """The largest less the smallest."""
        finite = [one for one in self.figures if math.isfinite(one)]
        return max(finite) - min(finite) if finite else math.nan


@register(NAME, place=80)
def instructions(run: FinishedRun) -> Picture | None:
    """One row a method, one dot an instruction, lines between those of one instruction."""
    results, task = run.results, first_task(run.results)
    metric = next(iter(headline(results, task)), "")
    rows = [row for row in of_task(results, task) if row.metric == metric and len(row.instructions) > 1]
    if not any(math.isfinite(one) for row in rows for one in row.instructions):
        return None
    description = results.description(metric)

    def spreads(colours: Colours) -> list[Spread]:
        styles = series(results, colours)
        return [_spread(results.title(row.method), styles[row.method], row) for row in rows]

    caption = (
        f"{named(description)} of {task} under {len(rows[0].instructions)} instructions that mean the same: "
        "one dot an instruction, lines join those of one, the stroke is all together. The closer the dots, "
        "the less the wording matters; sampling alone spreads them too."
    )
    told = "; ".join(_in_words(one, description) for one in spreads(LIGHT))
    alternative = f"{named(description)} under single instructions. {told}."
    return Picture.drawn(
        NAME,
        "How much the wording matters",
        caption,
        alternative,
        lambda colours: _drawn(spreads(colours), description, colours),
    )


def _spread(title: str, style: Series, row: MetricRow) -> Spread:
    return Spread(title, style, row.value, row.instructions)


def _in_words(one: Spread, description: MetricDescription) -> str:
    told = ", ".join(figure(value, description.unit) for value in one.figures)
    return f"{one.title}: {told}; range {_range(one, description)}"


def _range(one: Spread, description: MetricDescription) -> str:
    if not math.isfinite(one.range):
        return UNDEFINED
    return f"{100 * one.range:.1f} points" if description.unit == SHARE else change(one.range, description.unit)


def _drawn(spreads: list[Spread], description: MetricDescription, colours: Colours) -> "Figure":
    names = min(NAMES, max(width_of(one.title, SMALL) for one in spreads))
    ranges = [f"range {_range(one, description)}" for one in spreads]
    left, right = names + GAP, max(width_of(text, TINY) for text in ranges) + GAP
    height = HEADING + ROW * len(spreads) + FOOT
    sheet = Sheet(colours, height)
    values = [value for one in spreads for value in (*one.figures, one.value)]
    way = better(description.best, [one.value for one in spreads], description.unit)
    title = wrapped(named(description), WIDTH - width_of(way, TINY) - 20, MEDIUM, bold=True, lines=1)[0]
    sheet.text(0, 13, title, size=MEDIUM, weight="bold")
    sheet.text(WIDTH, 13, way, size=TINY, align="right", colour=colours.muted)
    axes = sheet.axes(left, HEADING, WIDTH - left - right, ROW * len(spreads))
    axis = axis_of(values, description.unit)
    axis.on(axes)
    axes.set_ylim(len(spreads) - 0.5, -0.5)
    axes.set_yticks([])
    axes.grid(axis="x", color=colours.grid, linewidth=1)
    for row, (above, below) in enumerate(pairwise(spreads)):
        for start, end in zip(above.figures, below.figures, strict=False):
            axes.plot(
                [start, end], [row, row + 1], color=colours.muted, linewidth=0.9, alpha=0.55, zorder=1, clip_on=False
            )
    for row, one in enumerate(spreads):
        middle = HEADING + ROW * (row + 0.5)
        for number, line in enumerate(lines := wrapped(one.title, names, SMALL)):
            sheet.text(names, middle + 15 * (number - (len(lines) - 1) / 2), line, align="right")
        sheet.text(WIDTH, middle, ranges[row], size=TINY, align="right", colour=colours.muted)
        small = one.series.marker(colours.paper) | {"markersize": 0.62 * one.series.size}
        dots = axes.plot(one.figures, [row] * len(one.figures), linestyle="", zorder=2, clip_on=False, **small)[0]
        dots.set_gid(f"figures/{one.title}")
        if math.isfinite(one.value):
            axes.plot([one.value] * 2, [row - 0.27, row + 0.27], color=one.series.colour, linewidth=2.4, zorder=3)
    return sheet.figure
