"""Points of a plane with intervals both ways, their names, and lines of candidates."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biasectomy.report.pictures.axis import Axis, axis_of, direction, is_inner
from biasectomy.report.pictures.colours import Colours
from biasectomy.report.pictures.labels import Box, Label, Placed, placed
from biasectomy.report.pictures.paths import Path
from biasectomy.report.pictures.series import Series
from biasectomy.report.pictures.sheet import SMALL, TINY, WIDTH, Sheet, width_of, wrapped
from biasectomy.report.pictures.wording import UNDEFINED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, TOP, RIGHT, SIDE, FOOT = 52.0, 30.0, 14.0, 400.0, 46.0
ROW, COLUMNS = 19.0, 2
NAMED = 7  # points; of more, numbers stand beside the points and names below
Figures = tuple[float, float, float]  # value, low, high
Ends = tuple[str, str, float | None]  # title, unit, best


@dataclass(frozen=True)
class Point:
    """A method's figures on both axes, and its draws."""

    series: Series
    x: Figures
    y: Figures
    draws: tuple[tuple[float, float], ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether it has a place."""
        return math.isfinite(self.x[0]) and math.isfinite(self.y[0])


def drawn_plane(points: Sequence[Point], tried: Sequence[Path], ends: tuple[Ends, Ends], colours: Colours) -> "Figure":
    """The plane, with the names of points beside them, or below where there are many."""
    there, without = [one for one in points if one.is_there], [one for one in points if not one.is_there]
    many = len(there) > NAMED
    names = [str(number) if many else one.series.title for number, one in enumerate(there, start=1)]
    below = _below(there, names, many, without)
    sheet = Sheet(colours, TOP + SIDE + FOOT + below * ROW + (8 if below else 0))
    axes = sheet.axes(LEFT, TOP, WIDTH - LEFT - RIGHT, SIDE)
    across, up = _axes(there, tried, ends)
    across.on(axes)
    up.on(axes, "y")
    axes.grid(color=colours.grid, linewidth=1)
    _titles(sheet, ends)
    _bests(axes, ends, colours)
    for path in tried:
        style = next((one.series for one in there if one.series.name == path.method), None)
        _draw_path(axes, path, style.colour if style else colours.muted)
    for one in there:
        _draw_point(axes, one, colours)
    _corner(sheet, axes, there, ends)
    _name(sheet, axes, there, names, tried)
    _key(sheet, there, names, many, without)
    return sheet.figure


def _axes(there: Sequence[Point], tried: Sequence[Path], ends: tuple[Ends, Ends]) -> tuple[Axis, Axis]:
    found = []
    for place, (_, unit, best) in enumerate(ends):
        own = [end for one in there for end in (one.x, one.y)[place]]
        own += [draw[place] for one in there for draw in one.draws]
        own += [point[place] for path in tried for point in path.points]
        if best is not None and is_inner(best, unit):
            own.append(best)
        found.append(axis_of(own, unit))
    return found[0], found[1]


def _titles(sheet: Sheet, ends: tuple[Ends, Ends]) -> None:
    """The upper axis' title lies above it, so that nobody must turn the head."""
    for line in wrapped(ends[1][0], WIDTH - 8, SMALL, bold=True, lines=1):
        sheet.text(0, 9, f"\N{UPWARDS ARROW} {line}", weight="bold")
    for line in wrapped(ends[0][0], WIDTH - LEFT, SMALL, bold=True, lines=1):
        sheet.text(WIDTH - RIGHT, TOP + SIDE + 34, f"{line} \N{RIGHTWARDS ARROW}", weight="bold", align="right")


def _bests(axes: "Axes", ends: tuple[Ends, Ends], colours: Colours) -> None:
    """Broken lines where a best value lies between others."""
    for (_, unit, best), draw in zip(ends, (axes.axvline, axes.axhline), strict=True):
        if best is not None and is_inner(best, unit):
            draw(best, color=colours.ink, linewidth=1, linestyle=(0, (4, 3)), zorder=1)


def _draw_path(axes: "Axes", path: Path, colour: str) -> None:
    xs, ys = zip(*path.points, strict=True)
    line = axes.plot(xs, ys, color=colour, linewidth=1.3, linestyle=(0, (1.5, 2)), zorder=2)[0]
    line.set_gid(f"path/{path.method}")
    axes.plot(xs, ys, color=colour, marker=".", markersize=6, linestyle="", zorder=2, clip_on=False)


def _draw_point(axes: "Axes", point: Point, colours: Colours) -> None:
    (x, left, right), (y, low, high) = point.x, point.y
    style = {"color": point.series.colour, "linewidth": 1.4, "alpha": 0.75, "clip_on": False, "zorder": 2}
    if math.isfinite(left) and math.isfinite(right):
        axes.plot([left, right], [y, y], **style)[0].set_gid(f"across/{point.series.name}")
    if math.isfinite(low) and math.isfinite(high):
        axes.plot([x, x], [low, high], **style)[0].set_gid(f"up/{point.series.name}")
    for one in point.draws:
        if all(map(math.isfinite, one)):
            axes.plot(*[[end] for end in one], marker=".", markersize=5, color=point.series.colour, clip_on=False)
    mark = axes.plot([x], [y], linestyle="", clip_on=False, zorder=4, **point.series.marker(colours.paper))[0]
    mark.set_gid(f"point/{point.series.name}")


def _corner(sheet: Sheet, axes: "Axes", there: Sequence[Point], ends: tuple[Ends, Ends]) -> None:
    """An arrow towards the corner where a method should be, where there is one."""
    ways = [direction(best, [(one.x, one.y)[place][0] for one in there]) for place, (_, _, best) in enumerate(ends)]
    if None in ways or not all(ways):
        return
    across, up = (float(way or 0) for way in ways)
    right, top = LEFT + (WIDTH - LEFT - RIGHT) * (across > 0), TOP + SIDE * (up < 0)
    tip = (right - 8 * across, top + 8 * up)
    tail = (tip[0] - 24 * across, tip[1] + 24 * up)
    colour = sheet.colours.muted
    sheet.line([tail, tip], colour, 1.6)
    sheet.line([(tip[0] - 9 * across, tip[1]), tip, (tip[0], tip[1] + 9 * up)], colour, 1.6)
    sheet.text(
        tail[0] - 4 * across, tail[1], "better", size=TINY, colour=colour, align="right" if across > 0 else "left"
    )


def _place(sheet: Sheet, axes: "Axes", x: float, y: float) -> tuple[float, float]:
    """Where a point of the plane lies on the sheet, in units."""
    left, bottom = sheet.figure.transFigure.inverted().transform(axes.transData.transform((x, y)))
    return float(left) * sheet.width, (1 - float(bottom)) * sheet.height


def _name(sheet: Sheet, axes: "Axes", there: Sequence[Point], names: Sequence[str], tried: Sequence[Path]) -> None:
    """Names of points and candidates, where they cover neither each other nor a point."""
    labels, colours, avoided, lines = [], [], [_better(there)], []
    for point, name in zip(there, names, strict=True):
        x, y = _place(sheet, axes, point.x[0], point.y[0])
        labels.append(Label(x, y, width_of(name, TINY) + 4, TINY + 4))
        colours.append(point.series.colour)
        avoided.append((x - 6, y - 6, x + 6, y + 6))
        lines += _whiskers(sheet, axes, point)
    for path in tried:
        style = next((one.series.colour for one in there if one.series.name == path.method), sheet.colours.muted)
        for name, (across, up) in zip(path.names, path.points, strict=True):
            x, y = _place(sheet, axes, across, up)
            labels.append(Label(x, y, width_of(f"n = {name}", TINY - 1) + 2, TINY + 1))
            colours.append(style)
            avoided.append((x - 3, y - 3, x + 3, y + 3))
        names = [*names, *(f"n = {name}" for name in path.names)]
    inside = (LEFT + 2, TOP + 2, WIDTH - 2, TOP + SIDE - 2)
    for label, name, colour, at in zip(
        labels, names, colours, placed(labels, inside, avoided=avoided, lines=lines), strict=True
    ):
        if at.led:
            sheet.line([_edge(label, at), (label.x, label.y)], colour, 0.8, alpha=0.6)
        sheet.text(
            at.x, at.y, name, size=TINY if name in names[: len(there)] else TINY - 1, colour=colour, align="center"
        )


def _better(there: Sequence[Point]) -> Box:
    return (WIDTH - RIGHT - 84, TOP, WIDTH, TOP + 40)


def _whiskers(sheet: Sheet, axes: "Axes", point: Point) -> Iterable[Box]:
    """The lines of a point's intervals as thin boxes."""
    (x, left, right), (y, low, high) = point.x, point.y
    if math.isfinite(left) and math.isfinite(right):
        (one, height), (two, _) = _place(sheet, axes, left, y), _place(sheet, axes, right, y)
        yield (one, height - 1, two, height + 1)
    if math.isfinite(low) and math.isfinite(high):
        (place, one), (_, two) = _place(sheet, axes, x, high), _place(sheet, axes, x, low)
        yield (place - 1, one, place + 1, two)


def _edge(label: Label, at: Placed) -> tuple[float, float]:
    """The place of a name's box that is nearest to its point."""
    return (
        min(max(label.x, at.x - label.width / 2), at.x + label.width / 2),
        min(max(label.y, at.y - label.height / 2 + 2), at.y + label.height / 2 - 2),
    )


def _below(there: Sequence[Point], names: Sequence[str], many: bool, without: Sequence[Point]) -> int:
    return (math.ceil(len(there) / COLUMNS) if many else 0) + (1 if without else 0)


def _key(sheet: Sheet, there: Sequence[Point], names: Sequence[str], many: bool, without: Sequence[Point]) -> None:
    """Names of numbered points in columns, and of methods that have no place."""
    from matplotlib.lines import Line2D

    top, width = TOP + SIDE + FOOT + 10, WIDTH / COLUMNS
    rows = math.ceil(len(there) / COLUMNS)
    for number, point in enumerate(there if many else ()):
        x, y = width * (number // rows), top + ROW * (number % rows)
        place = ([(x + 8) / sheet.width], [1 - y / sheet.height])
        marker = point.series.marker(sheet.colours.paper)
        sheet.figure.add_artist(Line2D(*place, linestyle="", transform=sheet.figure.transFigure, **marker))  # type: ignore[arg-type]
        text = wrapped(f"{names[number]}  {point.series.title}", width - 26, TINY, lines=1)[0]
        sheet.text(x + 20, y, text, size=TINY)
    if without:
        told = f"{UNDEFINED}: {', '.join(one.series.title for one in without)}"
        last = top + ROW * (rows if many else 0)
        sheet.text(
            0, last, wrapped(told, WIDTH, TINY, lines=1)[0], size=TINY, colour=sheet.colours.muted, style="italic"
        )
