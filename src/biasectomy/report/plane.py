"""The trade-off plane in characters: what is gained, against what it may cost, a letter for each method."""

import math
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text

from biasectomy.report.figures import number

LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits
MARGIN = 0.06  # of what is drawn, around it
NARROWEST = 0.1  # of shares: what is less is not drawn as if it were much
FEWEST_ROWS, MOST_ROWS, MOST_COLUMNS = 5, 12, 64
NORMAL = {"up": "│", "across": "─", "corner": "└", "tick": "┤", "down": "┴", "high": "╎", "wide": "╌"}
ASCII = {"up": "|", "across": "-", "corner": "+", "tick": "+", "down": "+", "high": ":", "wide": "."}

Range = tuple[float, float]


@dataclass(frozen=True)
class Point:
    """A method on the plane: its letter, its figures, and the intervals of these where there are some."""

    letter: str
    x: float
    y: float
    x_interval: Range | None = None
    y_interval: Range | None = None
    marked: bool = False  # drawn with its intervals


def letters(titles: Mapping[str, str]) -> dict[str, str]:
    """A letter for each method: the first of its title where these differ, else a, b, c and so on."""
    initials = [title[:1].upper() for title in titles.values()]
    if len(set(initials)) == len(initials) and all(one.isalnum() for one in initials):
        return dict(zip(titles, initials, strict=True))
    return dict(zip(titles, LETTERS, strict=False))


def drawn(
    points: Sequence[Point], names: Sequence[str], legend: str, size: tuple[int, int], ascii_only: bool
) -> list[Text]:
    """The plane as lines of text, of the size (columns, rows) at most, axes and their names included.

    Args:
        points: what is drawn; of those that share a place the first is seen, and a line says so.
        names: of what goes across and of what goes up.
        legend: what stands above, beside the name of what goes up.
        size: columns and rows.
        ascii_only: draw with characters that every console has.
    """
    heads = [names[1], *([legend] if legend else [])]
    apart = 3
    if sum(map(len, heads)) + apart * (len(heads) - 1) <= size[0]:
        heads = [(" " * apart).join(heads)]
    columns, rows = min(size[0], MOST_COLUMNS), min(size[1], MOST_ROWS + len(heads) - 1)
    signs = ASCII if ascii_only else NORMAL
    across, up = _range(points, "x"), _range(points, "y")
    ticks = [number(end) for end in (up[1], up[0])]
    left = max(map(len, ticks))
    width = columns - left - 2
    ends = [number(end) for end in across]
    between = width - sum(map(len, ends)) - 2
    inside = len(names[0]) <= between  # the name of what goes across stands between its ticks, else below them
    height = rows - len(heads) - (2 if inside else 3)
    seen, hidden = _placed(points, (across, up), (width, height))
    if hidden:  # the line that says so takes one of the field
        height -= 1
        seen, hidden = _placed(points, (across, up), (width, height))
    field = [[" "] * width for _ in range(height)]
    for (column, row), point in seen.items():
        if point.marked:
            _draw_intervals(field, (column, row), point, (across, up), signs)
    for (column, row), point in seen.items():
        field[row][column] = point.letter
    known = {point.letter: point for point in seen.values()}
    lines = [Text(head) for head in heads]
    for row, cells in enumerate(field):
        label = ticks[0] if row == 0 else ticks[1] if row == height - 1 else ""
        line = Text(f"{label:>{left}} {signs['tick' if label else 'up']}")
        for cell in cells:
            style = "bold" if cell in known and known[cell].marked else "" if cell in known else "dim"
            line.append(cell, style if cell != " " else "")
        line.rstrip()
        lines.append(line)
    lines.append(Text(f"{'':>{left}} {signs['corner']}{signs['across'] * width}"))
    lines.append(Text(f"{'':>{left}}  {ends[0]} {names[0] if inside else '':^{max(between, 0)}} {ends[1]}"))
    if not inside:
        lines.append(Text(f"{'':>{left}}  {names[0]}"))
    if hidden:
        lines.append(Text(f"{'':>{left}}  At the same place: {'; '.join(_shared(hidden))}", style="dim"))
    return lines


def _placed(
    points: Sequence[Point], ranges: tuple[Range, Range], size: tuple[int, int]
) -> tuple[dict[tuple[int, int], Point], dict[str, list[str]]]:
    """The points that are seen, by column and row; and the letters of those that each of them hides."""
    seen: dict[tuple[int, int], Point] = {}
    hidden: dict[str, list[str]] = {}
    for point in points:
        place = _place(point.x, ranges[0], size[0]), size[1] - 1 - _place(point.y, ranges[1], size[1])
        if place in seen:
            hidden.setdefault(seen[place].letter, []).append(point.letter)
        else:
            seen[place] = point
    return seen, hidden


def _shared(hidden: Mapping[str, Sequence[str]]) -> Iterable[str]:
    return (f"{letter} = {' = '.join(others)}" for letter, others in hidden.items())


def _range(points: Sequence[Point], axis: str) -> Range:
    """What an axis shows: all points and the intervals that are drawn, with some room, but no more than needed."""
    ends = [getattr(point, axis) for point in points]
    ends += [end for point in points if point.marked for end in getattr(point, f"{axis}_interval") or ()]
    low, high = min(ends), max(ends)
    room = max(MARGIN * (high - low), (NARROWEST - (high - low)) / 2, 0)
    wide = (low - room, high + room)
    # Shares end at 0 and 1: an axis does not promise more than there can be.
    return (max(0.0, wide[0]) if low >= 0 else wide[0], min(1.0, wide[1]) if high <= 1 and low >= 0 else wide[1])


def _place(value: float, over: Range, cells: int) -> int:
    share = (value - over[0]) / (over[1] - over[0])
    return min(cells - 1, max(0, math.floor(share * cells)))


def _draw_intervals(
    field: list[list[str]], place: tuple[int, int], point: Point, ranges: tuple[Range, Range], signs: Mapping[str, str]
) -> None:
    """An interval each way, through the point."""
    column, row = place
    height, width = len(field), len(field[0])
    if point.x_interval is not None:
        start, end = (_place(one, ranges[0], width) for one in point.x_interval)
        for one in range(start, end + 1):
            field[row][one] = signs["wide"]
    if point.y_interval is not None:
        start, end = (height - 1 - _place(one, ranges[1], height) for one in reversed(point.y_interval))
        for one in range(start, end + 1):
            field[one][column] = signs["high"]
