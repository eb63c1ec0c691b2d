"""Rows of dots and whiskers, one a method, in groups, one a metric: figures, or differences with a line at none."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from biasectomy.report.pictures.axis import Axis, axis_of, is_inner
from biasectomy.report.pictures.colours import Colours
from biasectomy.report.pictures.columns import drawn_columns
from biasectomy.report.pictures.marks import Dot, Group, draw_mark
from biasectomy.report.pictures.sheet import MEDIUM, SMALL, TINY, WIDTH, Sheet, width_of, wrapped
from biasectomy.report.pictures.wording import UNDEFINED, change, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW, HEADING, LINE, BETWEEN, FOOT = 19.0, 22.0, 15.0, 8.0, 26.0
MANY = 6  # methods
ARROWS = "\N{LEFTWARDS ARROW}\N{RIGHTWARDS ARROW}"
NAMES, GAP = 170.0, 12.0  # the widest column of names, and what stands between columns


def drawn_dots(groups: Sequence[Group], colours: Colours) -> "Figure":
    """The groups below each other; metrics beside each other where there are many methods."""
    if len(groups) > 1 and max(len(one.dots) for one in groups) > MANY:
        return drawn_columns(groups, colours)
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
    """How wide the columns are: names, the axis, and figures in numbers.

    Where there is one method alone, groups have no headings, and the names of rows are those of metrics.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.compact = len(groups) > 1 and all(len(one.dots) == 1 for one in groups)
        self.compact = self.compact and len({one.dots[0].name for one in groups}) == 1
        rows = [(group, dot) for group in groups for dot in group.dots]
        self.names = min(NAMES, max(width_of(self.name(*one), SMALL) for one in rows))
        self.numbers = max(width_of(self.told(*one), TINY) for one in rows)
        self.left = self.names + GAP
        self.span = WIDTH - self.left - self.numbers - GAP - 2
        panels = len(list(groupby(groups, key=lambda one: one.axis)))
        self.height = 2 + sum(map(self.height_of, groups)) + FOOT * panels

    def name(self, group: Group, dot: Dot) -> str:
        """What stands before a row."""
        return group.title if self.compact else dot.name

    def lines(self, group: Group, dot: Dot) -> list[str]:
        """The same in lines."""
        return wrapped(self.name(group, dot), self.names, SMALL)

    def told(self, group: Group, dot: Dot) -> str:
        """What stands behind a row."""
        if not math.isfinite(dot.value):
            return ""
        said = change(dot.value, group.unit) if group.signed else figure(dot.value, group.unit)
        arrow = next((one for one in group.better if one in ARROWS), "") if self.compact else ""
        return f"{said} {arrow}".rstrip()

    def title(self, group: Group) -> list[str]:
        """A group's heading in lines."""
        room = WIDTH - width_of(group.better, TINY) - 2 * GAP
        return [] if self.compact else wrapped(group.title, room, MEDIUM, bold=True, lines=3)

    def row(self, group: Group, dot: Dot) -> float:
        """How high the row of a dot is."""
        return ROW + LINE * (len(self.lines(group, dot)) - 1)

    def heading(self, group: Group) -> float:
        """How high a group's heading is."""
        return 0.0 if self.compact else HEADING + LINE * (len(self.title(group)) - 1)

    def height_of(self, group: Group) -> float:
        """How high a group is."""
        between = 0.0 if self.compact else BETWEEN
        return self.heading(group) + sum(self.row(group, dot) for dot in group.dots) + between


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
        for number, line in enumerate(layout.title(group)):
            sheet.text(0, top + place + 13 + LINE * number, line, size=MEDIUM, weight="bold")
        if not layout.compact:
            sheet.text(WIDTH, top + place + 13, group.better, size=TINY, align="right", colour=colours.muted)
        below = place + heading + sum(layout.row(group, dot) for dot in group.dots)
        _lines(axes, axis, group, (place + heading, below), colours)
        for dot, middle in _rows(group, layout, place + heading):
            _row(sheet, axes, axis, dot, group, layout, (middle, top))
        place += layout.height_of(group)


def _rows(group: Group, layout: _Layout, start: float) -> Iterator[tuple[Dot, float]]:
    for dot in group.dots:
        yield dot, start + layout.row(group, dot) / 2
        start += layout.row(group, dot)


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
    lines = layout.lines(group, dot)
    for number, line in enumerate(lines):
        offset = LINE * (number - (len(lines) - 1) / 2)
        sheet.text(layout.left - GAP, top + middle + offset, line, align="right")
    sheet.text(WIDTH, top + middle, layout.told(group, dot), size=TINY, align="right", colour=colours.muted)
    if not math.isfinite(dot.value):
        sheet.text(layout.left + 4, top + middle, UNDEFINED, size=TINY, colour=colours.muted, style="italic")
        return
    draw_mark(axes, dot, group, middle, colours)
