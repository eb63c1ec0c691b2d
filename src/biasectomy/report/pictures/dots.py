"""Rows of dots and whiskers, one a method, in groups, one a metric: figures, or differences with a line at none."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from biasectomy.report.pictures.axis import Axis, axis_of, better, is_inner
from biasectomy.report.pictures.colours import Colours
from biasectomy.report.pictures.series import Series
from biasectomy.report.pictures.sheet import MEDIUM, SMALL, TINY, WIDTH, Sheet, width_of, wrapped
from biasectomy.report.pictures.wording import UNDEFINED, change, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, HEADING, LINE, BETWEEN, FOOT = 19.0, 22.0, 15.0, 8.0, 26.0
NAMES, GAP = 170.0, 12.0  # the widest column of names, and what stands between columns


@dataclass(frozen=True)
class Dot:
    """A figure with its interval, and those of its draws; `hollow` overrules the mark of the series."""

    name: str
    series: Series
    value: float
    low: float
    high: float
    draws: tuple[float, ...] = ()
    hollow: bool | None = None


@dataclass(frozen=True)
class Group:
    """The figures of one metric; neighbours with the same `axis` share one. `best` None is no value to be wished for."""

    title: str
    unit: str
    best: float | None
    dots: tuple[Dot, ...]
    axis: str
    signed: bool = False
    way: str | None = None  # which way is better, where that does not follow from the figures

    @property
    def better(self) -> str:
        """Which way is better, in words and an arrow."""
        return better(self.best, [one.value for one in self.dots], self.unit) if self.way is None else self.way


def drawn_dots(groups: Sequence[Group], colours: Colours) -> "Figure":
    """The groups below each other."""
    layout = _Layout(groups)
    sheet = Sheet(colours, layout.height)
    top = 2.0
    for _, neighbours in groupby(groups, key=lambda one: one.axis):
        panel = list(neighbours)
        height = sum(map(layout.height_of, panel))
        axes = sheet.axes(layout.left, top, layout.span, height)
        _draw(sheet, axes, panel, layout, top)
        top += height + FOOT
    return sheet.figure


class _Layout:
    """How wide the columns are: names, the axis, and figures in numbers."""

    def __init__(self, groups: Sequence[Group]) -> None:
        dots = [one for group in groups for one in group.dots]
        widest = max(width_of(one.name, SMALL) for one in dots)
        self.names = min(NAMES, widest)
        told = [_told(one, group) for group in groups for one in group.dots]
        self.numbers = max(width_of(text, TINY) for text in told)
        self.left = self.names + GAP
        self.span = WIDTH - self.left - self.numbers - GAP - 2
        self.lines = {dot.name: wrapped(dot.name, self.names, SMALL) for dot in dots}
        self.titles = {id(group): self._title(group) for group in groups}
        panels = len(list(groupby(groups, key=lambda one: one.axis)))
        self.height = 2 + sum(map(self.height_of, groups)) + FOOT * panels

    def _title(self, group: Group) -> list[str]:
        room = WIDTH - width_of(group.better, TINY) - 2 * GAP
        return wrapped(group.title, room, MEDIUM, bold=True, lines=3)

    def row(self, dot: Dot) -> float:
        """How high the row of a dot is."""
        return ROW + LINE * (len(self.lines[dot.name]) - 1)

    def heading(self, group: Group) -> float:
        """How high a group's heading is."""
        return HEADING + LINE * (len(self.titles[id(group)]) - 1)

    def height_of(self, group: Group) -> float:
        """How high a group is."""
        return self.heading(group) + sum(map(self.row, group.dots)) + BETWEEN


def _draw(sheet: Sheet, axes: "Axes", panel: Sequence[Group], layout: _Layout, top: float) -> None:
    """Groups on one axis; rows are at their heights on the sheet, counted from the top of the axes."""
    colours, height = sheet.colours, sum(map(layout.height_of, panel))
    ends = [end for group in panel for dot in group.dots for end in (dot.value, dot.low, dot.high, *dot.draws)]
    bests = [group.best for group in panel if is_inner(group.best, group.unit) and not group.signed]
    axis = axis_of([*ends, *(one for one in bests if one is not None)], panel[0].unit, signed=panel[0].signed)
    axis.on(axes)
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    place = 0.0
    for group in panel:
        heading = layout.heading(group)
        for number, line in enumerate(layout.titles[id(group)]):
            sheet.text(0, top + place + 13 + LINE * number, line, size=MEDIUM, weight="bold")
        sheet.text(WIDTH, top + place + 13, group.better, size=TINY, align="right", colour=colours.muted)
        below = place + layout.height_of(group) - BETWEEN
        _lines(axes, axis, group, (place + heading, below), colours)
        for dot, middle in _rows(group, layout, place + heading):
            _row(sheet, axes, axis, dot, group, layout, (middle, top))
        place += layout.height_of(group)


def _rows(group: Group, layout: _Layout, start: float) -> Iterator[tuple[Dot, float]]:
    for dot in group.dots:
        yield dot, start + layout.row(dot) / 2
        start += layout.row(dot)


def _lines(axes: "Axes", axis: Axis, group: Group, ends: tuple[float, float], colours: Colours) -> None:
    """Faint lines at the ticks, a clear one at no change, a broken one at the best value."""
    for one in axis.ticks:
        axes.plot([one, one], ends, color=colours.grid, linewidth=1, zorder=0)
    if group.signed:
        axes.plot([0, 0], ends, color=colours.ink, linewidth=1.2, zorder=1)
    elif group.best is not None and is_inner(group.best, group.unit):
        axes.plot([group.best] * 2, ends, color=colours.ink, linewidth=1, linestyle=(0, (4, 3)), zorder=1)


def _row(
    sheet: Sheet, axes: "Axes", axis: Axis, dot: Dot, group: Group, layout: _Layout, place: tuple[float, float]
) -> None:
    colours, (middle, top) = sheet.colours, place
    lines = layout.lines[dot.name]
    for number, line in enumerate(lines):
        offset = LINE * (number - (len(lines) - 1) / 2)
        sheet.text(layout.left - GAP, top + middle + offset, line, align="right")
    sheet.text(WIDTH, top + middle, _told(dot, group), size=TINY, align="right", colour=colours.muted)
    if not math.isfinite(dot.value):
        sheet.text(layout.left + 4, top + middle, UNDEFINED, size=TINY, colour=colours.muted, style="italic")
        return
    for one in dot.draws:
        if math.isfinite(one):
            axes.plot(
                [one], [middle], marker="|", markersize=11, markeredgewidth=1.2, color=dot.series.colour, clip_on=False
            )
    if math.isfinite(dot.low) and math.isfinite(dot.high):
        whisker = axes.plot([dot.low, dot.high], [middle] * 2, color=dot.series.colour, linewidth=2, clip_on=False)[0]
        whisker.set_gid(f"whisker/{group.title}/{dot.name}")
    hollow = dot.series.hollow if dot.hollow is None else dot.hollow
    marker = dot.series.marker(colours.paper) | ({"markerfacecolor": colours.paper} if hollow else {})
    mark = axes.plot([dot.value], [middle], linestyle="", clip_on=False, zorder=3, **marker)[0]
    mark.set_gid(f"dot/{group.title}/{dot.name}")


def _told(dot: Dot, group: Group) -> str:
    if not math.isfinite(dot.value):
        return ""
    return change(dot.value, group.unit) if group.signed else figure(dot.value, group.unit)
