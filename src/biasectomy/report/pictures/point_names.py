"""Points of a plane, and their names on the sheet: where they cover neither each other nor a point."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from biasectomy.report.pictures.labels import Box, Label, Placed, placed
from biasectomy.report.pictures.paths import Path
from biasectomy.report.pictures.series import Series
from biasectomy.report.pictures.sheet import TINY, WIDTH, Sheet, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLANE = (52.0, 30.0, 14.0, 360.0)  # where it is: from the left, from the top, to the right edge; and how high
LEFT, TOP, RIGHT, SIDE = PLANE
BETTER: Box = (WIDTH - RIGHT - 84, TOP, WIDTH, TOP + 40)  # where the arrow to the better corner stands
PIECE = 8.0  # of a line, for names that are not to cover it
Figures = tuple[float, float, float]  # value, low, high


@dataclass(frozen=True)
class Point:
    """A method's figures on both axes, and its draws."""

    series: Series
    x: Figures
    y: Figures
    draws: tuple[tuple[float, float], ...] = ()
    landmark: bool = False  # what others are seen against, and therefore always named in its place

    @property
    def is_there(self) -> bool:
        """Whether it has a place."""
        return math.isfinite(self.x[0]) and math.isfinite(self.y[0])


def _place(sheet: Sheet, axes: "Axes", x: float, y: float) -> tuple[float, float]:
    """Where a point of the plane lies on the sheet, in units."""
    left, bottom = sheet.figure.transFigure.inverted().transform(axes.transData.transform((x, y)))
    return float(left) * sheet.width, (1 - float(bottom)) * sheet.height


def write_names(
    sheet: Sheet, axes: "Axes", there: Sequence[Point], names: Sequence[str], tried: Sequence[Path]
) -> None:
    """Names of points and candidates, where they cover neither each other nor a point."""
    colours = {one.series.name: one.series.colour for one in there}
    said: list[tuple[str, str, float, bool]] = []  # text, colour, size, and whether it must be said
    labels: list[Label] = []
    avoided: list[Box] = [BETTER]
    lines: list[Box] = []

    def add(text: str, at: tuple[float, float], colour: str, size: float, mark: float, *, needed: bool) -> None:
        x, y = _place(sheet, axes, *at)
        labels.append(Label(x, y, width_of(text, size) + 4, size + 3))
        said.append((text, colour, size, needed))
        avoided.append((x - mark, y - mark, x + mark, y + mark))

    for point, name in zip(there, names, strict=True):
        add(name, (point.x[0], point.y[0]), point.series.colour, TINY, 6, needed=True)
        lines += _whiskers(sheet, axes, point)
    for path in tried:
        colour = colours.get(path.method, sheet.colours.muted)
        for name, at in zip(path.names, path.points, strict=True):
            add(path.told(name), at, colour, TINY - 1, 3, needed=name == path.chosen)
        lines += _segments([_place(sheet, axes, *at) for at in path.points])
    inside = (LEFT + 2, TOP + 2, WIDTH - 2, TOP + SIDE - 2)
    found = placed(labels, inside, avoided=avoided, lines=lines)
    for label, (text, colour, size, needed), place in zip(labels, said, found, strict=True):
        if needed or (place.free and not place.led):
            if place.led:
                sheet.line([_edge(label, place), (label.x, label.y)], colour, 0.8, alpha=0.6)
            sheet.ground((place.x - label.width / 2, place.y - label.height / 2, label.width, label.height))
            sheet.text(place.x, place.y, text, size=size, colour=colour, align="center")


def _segments(places: Sequence[tuple[float, float]]) -> Iterable[Box]:
    """A line as small boxes along it."""
    for (x, y), (to_x, to_y) in pairwise(places):
        parts = max(1, round(math.hypot(to_x - x, to_y - y) / PIECE))
        for number in range(parts):
            part = (number + 0.5) / parts
            across, down = x + part * (to_x - x), y + part * (to_y - y)
            yield (across - 2, down - 2, across + 2, down + 2)


def _whiskers(sheet: Sheet, axes: "Axes", point: Point) -> Iterable[Box]:
    """The lines of a point's intervals as thin boxes."""
    (x, left, right), (y, low, high) = point.x, point.y
    if math.isfinite(left) and math.isfinite(right):
        (one, height), (two, _) = _place(sheet, axes, left, y), _place(sheet, axes, right, y)
        yield (one, height - 1, two, height + 1)
    if math.isfinite(low) and math.isfinite(high):
        (place, one), (_, two) = _place(sheet, axes, x, high), _place(sheet, axes, x, low)
        yield (place - 1, one, place + 1, two)


def _edge(label: Label, place: Placed) -> tuple[float, float]:
    """The place of a name's box that is nearest to its point."""
    return (
        min(max(label.x, place.x - label.width / 2), place.x + label.width / 2),
        min(max(label.y, place.y - label.height / 2 + 2), place.y + label.height / 2 - 2),
    )
