"""The matrix of a study on the last screen: without intervals where these do not fit, and the columns that do."""

from dataclasses import replace

from rich.console import Console, RenderableType
from rich.text import Text

from biasectomy.measuring.results import Results
from biasectomy.report.figures import Cell, Grid
from biasectomy.report.matrix import matrix_table
from biasectomy.report.text import drawn_grid, fits


def matrix_renderables(results: Results, console: Console) -> list[RenderableType]:
    """Caption, the part of the matrix that fits, and what its signs mean."""
    whole = matrix_table(results)
    grid, left_out = _fitting(whole.figures, console)
    notes = [Text(note, style="dim") for note in whole.notes[:1]]
    if left_out:
        notes.append(Text(f"Under --full: {', '.join(left_out)}.", style="dim"))
    return [Text(whole.caption, style="italic"), drawn_grid(grid), *notes]


def _fitting(grid: Grid, console: Console) -> tuple[Grid, list[str]]:
    """The grid with intervals, without them, or with the first of its columns; and the columns that are left out."""
    bare = replace(grid, rows=tuple((name, tuple(map(_without_interval, cells))) for name, cells in grid.rows))
    for one in (grid, bare):
        if fits(drawn_grid(one), console):
            return one, []
    for count in range(len(grid.columns) - 1, 1, -1):
        rows = tuple((name, cells[:count]) for name, cells in bare.rows)
        part = Grid(grid.corner, grid.columns[:count], rows)
        if fits(drawn_grid(part), console):
            return part, list(grid.columns[count:])
    return Grid(grid.corner, grid.columns[:1], tuple((name, cells[:1]) for name, cells in bare.rows)), list(
        grid.columns[1:]
    )


def _without_interval(cell: Cell) -> Cell:
    return Cell(cell.value, "", cell.draws)
