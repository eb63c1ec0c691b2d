"""Many methods in several metrics: a row each, the best first, and a column a metric, so that rows can be compared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from biasectomy.report.pictures.axis import axis_of, is_inner
from biasectomy.report.pictures.colours import Colours
from biasectomy.report.pictures.marks import Dot, Group, draw_mark
from biasectomy.report.pictures.series import BASELINE
from biasectomy.report.pictures.sheet import SMALL, TINY, WIDTH, Sheet, width_of, wrapped
from biasectomy.report.pictures.wording import UNDEFINED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE_BY_SIDE = 2
NAMES, GAP, BETWEEN, EDGE = 148.0, 10.0, 26.0, 18.0
ROW, SECOND, LINE, FOOT = 17.0, 12.0, 15.0, 34.0  # SECOND: what a further line of a name adds to its row


def drawn_columns(groups: Sequence[Group], colours: Colours) -> "Figure":
    """Bands of two metrics beside each other; the original's figure goes through all rows as a line."""
    names = ranked(groups)
    room = min(NAMES, max(width_of(name, TINY) for name in names))
    lines = {name: wrapped(name, room, TINY) for name in names}
    middles, height = _middles(lines)
    left = room + GAP
    width = (WIDTH - left - BETWEEN * (SIDE_BY_SIDE - 1) - EDGE) / SIDE_BY_SIDE
    bands = [groups[start : start + SIDE_BY_SIDE] for start in range(0, len(groups), SIDE_BY_SIDE)]
    heads = [max(len(_title(one, width)) for one in band) * LINE + LINE + 6 for band in bands]
    sheet = Sheet(colours, sum(heads) + (height + FOOT) * len(bands))
    top = 0.0
    for band, head in zip(bands, heads, strict=True):
        for name, said in lines.items():
            for number, line in enumerate(said):
                offset = SECOND * (number - (len(said) - 1) / 2)
                sheet.text(left - GAP, top + head + middles[name] + offset, line, size=TINY, align="right")
        for number, group in enumerate(band):
            x = left + number * (width + BETWEEN)
            for line_number, text in enumerate(_title(group, width)):
                sheet.text(x, top + 10 + LINE * line_number, text, size=SMALL, weight="bold")
            sheet.text(x, top + head - 12, group.better, size=TINY, colour=colours.muted)
            _draw(sheet, sheet.axes(x, top + head, width, height), group, middles, (x, top + head, height))
        top += head + height + FOOT
    return sheet.figure


def _middles(lines: Mapping[str, Sequence[str]]) -> tuple[dict[str, float], float]:
    """How far down the middle of each row is, and how high all are."""
    found, down = {}, 0.0
    for name, said in lines.items():
        height = ROW + SECOND * (len(said) - 1)
        found[name] = down + height / 2
        down += height
    return found, down


def ranked(groups: Sequence[Group]) -> list[str]:
    """Names of all rows: the original, then the nearest to the best value of the first metric."""
    first, there = groups[0], {dot.name: dot for group in reversed(groups) for dot in group.dots}

    def rank(name: str) -> tuple[bool, float]:
        dot = next((one for one in first.dots if one.name == name), None)
        if dot is None or not math.isfinite(dot.value):
            return True, math.inf
        if first.signed:
            return True, -dot.value if first.best is None or first.best > 0 else dot.value
        return not _is_original(dot), abs(dot.value - (first.best or 0.0))

    return sorted(there, key=rank)


def _is_original(dot: Dot) -> bool:
    return dot.series.shape == BASELINE


def _title(group: Group, width: float) -> list[str]:
    return wrapped(group.title, width + BETWEEN - 6, SMALL, bold=True, lines=3)


def _draw(
    sheet: Sheet, axes: "Axes", group: Group, middles: Mapping[str, float], place: tuple[float, float, float]
) -> None:
    """A metric on axes that begin at a place of the sheet, from the left and the top, and are so high."""
    colours, (x, top, height) = sheet.colours, place
    ends = [end for dot in group.dots for end in (dot.value, dot.low, dot.high, *dot.draws)]
    inner = group.best is not None and is_inner(group.best, group.unit) and not group.signed
    axis = axis_of(
        [*ends, *([group.best] if inner and group.best is not None else [])], group.unit, signed=group.signed, most=4
    )
    axis.on(axes)
    axes.set_ylim(height, 0)
    axes.set_yticks([])
    axes.grid(axis="x", color=colours.grid, linewidth=1)
    original = next((dot for dot in group.dots if _is_original(dot)), None)
    if group.signed or (original is not None and math.isfinite(original.value)):
        where = 0.0 if group.signed or original is None else original.value
        axes.axvline(where, color=colours.ink, linewidth=1, zorder=1)
    if inner:
        axes.axvline(float(group.best or 0), color=colours.ink, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for dot in group.dots:
        middle = middles[dot.name]
        if math.isfinite(dot.value):
            draw_mark(axes, replace(dot, draws=()), group, middle, colours)
        else:
            sheet.text(x + 4, top + middle, UNDEFINED, size=TINY, colour=colours.muted, style="italic")
