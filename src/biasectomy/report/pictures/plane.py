"""Points of a plane with intervals both ways, their names, and lines of candidates."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from biasectomy.report.pictures.axis import Axis, axis_of, direction, is_inner
from biasectomy.report.pictures.colours import Colours
from biasectomy.report.pictures.paths import Path
from biasectomy.report.pictures.point_names import PLANE, Point, write_names
from biasectomy.report.pictures.sheet import SMALL, TINY, WIDTH, Sheet, width_of, wrapped
from biasectomy.report.pictures.wording import UNDEFINED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, TOP, RIGHT, SIDE = PLANE
FOOT, ROW, COLUMNS = 46.0, 19.0, 2
NAMED = 6  # points; of more, numbers stand beside the points and names below
Ends = tuple[str, str, float | None]  # title, unit, best


def drawn_plane(points: Sequence[Point], tried: Sequence[Path], ends: tuple[Ends, Ends], colours: Colours) -> "Figure":
    """The plane, with the names of points beside them, or below where there are many."""
    there, without = [one for one in points if one.is_there], [one for one in points if not one.is_there]
    names = _names(there)
    numbered = [(name, one) for name, one in zip(names, there, strict=True) if name != one.series.title]
    below = math.ceil(len(numbered) / _columns(numbered)) + (1 if without else 0)
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
    _corner(sheet, there, ends)
    write_names(sheet, axes, there, names, tried)
    _key(sheet, numbered, without)
    return sheet.figure


def _names(there: Sequence[Point]) -> list[str]:
    """What stands beside each point: its method's title, or a number where there are many."""
    if sum(not one.landmark for one in there) <= NAMED:
        return [one.series.title for one in there]
    numbers = iter(range(1, len(there) + 1))
    return [one.series.title if one.landmark else str(next(numbers)) for one in there]


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
    style: dict[str, Any] = {
        "color": point.series.colour,
        "linewidth": 1.4,
        "alpha": 0.75,
        "clip_on": False,
        "zorder": 2,
    }
    if math.isfinite(left) and math.isfinite(right):
        axes.plot([left, right], [y, y], **style)[0].set_gid(f"across/{point.series.name}")
    if math.isfinite(low) and math.isfinite(high):
        axes.plot([x, x], [low, high], **style)[0].set_gid(f"up/{point.series.name}")
    for one in point.draws:
        if all(map(math.isfinite, one)):
            axes.plot(*[[end] for end in one], marker=".", markersize=5, color=point.series.colour, clip_on=False)
    mark = axes.plot([x], [y], linestyle="", clip_on=False, zorder=4, **point.series.marker(colours.paper))[0]
    mark.set_gid(f"point/{point.series.name}")


def _corner(sheet: Sheet, there: Sequence[Point], ends: tuple[Ends, Ends]) -> None:
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


def _columns(numbered: Sequence[tuple[str, Point]]) -> int:
    """In how many columns all names have room."""
    widest = max((width_of(point.series.title, TINY) for _, point in numbered), default=0.0)
    return COLUMNS if widest < WIDTH / COLUMNS - 50 else 1


def _key(sheet: Sheet, numbered: Sequence[tuple[str, Point]], without: Sequence[Point]) -> None:
    """Names of numbered points in columns, and of methods that have no place."""
    top, width = TOP + SIDE + FOOT + 10, WIDTH / _columns(numbered)
    rows = math.ceil(len(numbered) / _columns(numbered))
    for number, (name, point) in enumerate(numbered):
        x, y = width * (number // rows), top + ROW * (number % rows)
        sheet.line([(x + 8, y)], point.series.colour, linestyle="", **point.series.marker(sheet.colours.paper))
        text = wrapped(f"{name}  {point.series.title}", width - 26, TINY, lines=1)[0]
        sheet.text(x + 20, y, text, size=TINY)
    if without:
        told = f"{UNDEFINED}: {', '.join(one.series.title for one in without)}"
        text = wrapped(told, WIDTH, TINY, lines=1)[0]
        sheet.text(0, top + ROW * rows, text, size=TINY, colour=sheet.colours.muted, style="italic")
