"""Methods by kinds of items: how much nearer the best value each comes on each; of studies such as `transfer`."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biasectomy.measuring.results import Matrix, MatrixCell, Results
from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.base import Picture, register
from biasectomy.report.pictures.colours import Colours
from biasectomy.report.pictures.rows import level
from biasectomy.report.pictures.sheet import SMALL, TINY, WIDTH, Sheet, width_of, wrapped
from biasectomy.report.pictures.wording import SHARE, UNDEFINED, change, with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "matrix"
NAMES, GAP, ROW, LINE = 150.0, 10.0, 34.0, 14.0
NARROWEST, WIDEST, TALLEST = 46.0, 96.0, 150.0  # a column; a head that stands upright
STRONGEST = 0.42  # of the colour of the largest gain or loss; text on it still stands out


@dataclass(frozen=True)
class Table:
    """What stands where: the shorter side across, so that names can be read."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: dict[tuple[str, str], MatrixCell]


@register(NAME, place=15)
def matrix(run: FinishedRun) -> Picture | None:
    """A cell for each method and kind of items."""
    results = run.results
    if results.matrix is None or not results.matrix.cells:
        return None
    table, shares = table_of(results, results.matrix), _shares(results, results.matrix)
    caption = (
        f"How much nearer the best value than {results.title(results.matrix.against)} each method comes"
        f"{', in points' if shares else ''}: + is a gain. Bold holds when all cells are looked at together "
        f"({level(results)}); framed cells are of what the method learned from."
    )
    alternative = " ".join(_in_words(results, cell) for cell in results.matrix.cells)
    return Picture.drawn(
        NAME, "What helps where", caption, alternative, lambda colours: _drawn(results, table, colours)
    )


def table_of(results: Results, matrix: Matrix) -> Table:
    """The cells by the titles of their methods and the names of their kinds of items."""
    titles, kinds = tuple(map(results.title, matrix.rows)), tuple(map(_kind, matrix.columns))
    by_method = {(results.title(cell.row), _kind(cell.column)): cell for cell in matrix.cells}
    if len(titles) < len(kinds):
        return Table(kinds, titles, {(kind, title): cell for (title, kind), cell in by_method.items()})
    return Table(titles, kinds, by_method)


def _kind(column: str) -> str:
    """The name of a kind of items in words, so that it can be wrapped."""
    return column.replace(":", ": ").replace("/", " ").replace("_", " ")


def _shares(results: Results, matrix: Matrix) -> bool:
    return all(results.description(cell.metric).unit == SHARE for cell in matrix.cells)


def _drawn(results: Results, table: Table, colours: Colours) -> "Figure":
    names = min(NAMES, max(width_of(row, SMALL) for row in table.rows))
    left = names + GAP
    column = min(WIDEST, max(NARROWEST, (WIDTH - left) / len(table.columns)))
    width = max(WIDTH, left + column * len(table.columns))
    upright = any(width_of(word, TINY) > column - 6 for name in table.columns for word in name.split())
    heads = {name: [name] if upright else wrapped(name, column - 6, TINY, lines=4) for name in table.columns}
    head = min(TALLEST, max(width_of(name, TINY) for name in table.columns)) if upright else 0.0
    head = head or LINE * max(map(len, heads.values()))
    sheet = Sheet(colours, head + 10 + ROW * len(table.rows) + 4, width)
    for number, name in enumerate(table.columns):
        x = left + column * (number + 0.5)
        if upright:
            said = wrapped(name, TALLEST, TINY, lines=1)[0]
            sheet.text(x + 4, head, said, size=TINY, rotation="vertical", align="center")
        for row, line in enumerate(heads[name] if not upright else ()):
            sheet.text(x, head - LINE * (len(heads[name]) - row - 0.5), line, size=TINY, align="center")
    axes = sheet.axes(left, head + 10, column * len(table.columns), ROW * len(table.rows))
    axes.set_xlim(0, len(table.columns))
    axes.set_ylim(len(table.rows), 0)
    axes.set_xticks([])
    axes.set_yticks([])
    most = _most(results, table)
    for row, name in enumerate(table.rows):
        middle = head + 10 + ROW * (row + 0.5)
        lines = wrapped(name, names, SMALL)
        for number, line in enumerate(lines):
            sheet.text(names, middle + LINE * (number - (len(lines) - 1) / 2), line, align="right")
        for place, kind in enumerate(table.columns):
            cell = table.cells.get((name, kind))
            if cell is not None:
                _shade(axes, (place, row), cell, most, results, colours)
                unit = results.description(cell.metric).unit
                said = change(cell.value, unit)
                style = {"weight": "bold"} if cell.holds else {} if math.isfinite(cell.value) else {"style": "italic"}
                size = SMALL if said != UNDEFINED else TINY - 2
                sheet.text(left + column * (place + 0.5), middle, said, size=size, align="center", **style)
    return sheet.figure


def _most(results: Results, table: Table) -> dict[str, float]:
    """The largest gain or loss in each unit: what one unit calls much is little in another."""
    found: dict[str, float] = {}
    for cell in table.cells.values():
        unit = results.description(cell.metric).unit
        if math.isfinite(cell.value):
            found[unit] = max(found.get(unit, 0.0), abs(cell.value))
    return found


def _shade(
    axes: "Axes",
    place: tuple[int, int],
    cell: MatrixCell,
    most: dict[str, float],
    results: Results,
    colours: Colours,
) -> None:
    """The ground of a cell: of one colour for gains, of another for losses; a frame where it is of the own kind."""
    from matplotlib.patches import Rectangle

    largest = most.get(results.description(cell.metric).unit, 0.0)
    strength = STRONGEST * abs(cell.value) / largest if largest and math.isfinite(cell.value) else 0.0
    ground = (colours.series[0 if cell.value > 0 else 1], strength) if strength else "none"
    rectangle = Rectangle(place, 1, 1, facecolor=ground, edgecolor=colours.grid, linewidth=0.8, clip_on=False)
    rectangle.set_gid(f"cell/{cell.row}/{cell.column}")
    axes.add_patch(rectangle)
    if cell.own:
        inner = (place[0] + 0.04, place[1] + 0.08)
        frame = Rectangle(inner, 0.92, 0.84, facecolor="none", edgecolor=colours.ink, linewidth=1.6, zorder=3)
        axes.add_patch(frame)


def _in_words(results: Results, cell: MatrixCell) -> str:
    unit = results.description(cell.metric).unit
    told = with_interval(cell.value, cell.low, cell.high, unit, signed=True)
    remarks = "".join(f", {word}" for word, is_so in (("holds", cell.holds), ("own", cell.own)) if is_so)
    return f"{results.title(cell.row)} on {cell.column}: {told}{remarks}."
