"""Results as text for a terminal of any width."""

import io
import textwrap

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from biasectomy.measuring.results import Results
from biasectomy.report.figures import Cell, Grid, ResultTable
from biasectomy.report.matrix import shown_tables

WIDTH = 100  # where nobody has said how wide a line may be
FEW_TASKS = 3  # of more, the tables of their parts would bury their own
NAMES_WIDTH = 44  # of metrics, before intervals are put below figures
HEADING_WIDTH = 14  # of columns whose intervals stand below their figures


def print_results(results: Results, console: Console) -> None:
    """Prints all figures, one table a task, and the verdict; those of parts where there are few tasks."""
    few = len(results.tasks) <= FEW_TASKS
    for table in shown_tables(results, parts=few, full=True):
        console.print()
        console.print(Text(table.caption, style="italic"))
        for layout in _layout(table, console):
            console.print(layout)
        for note in table.notes:
            console.print(Text(note, style="dim"))
        for number, footnote in enumerate(table.footnotes, start=1):
            console.print(Text(f"({number}) {footnote}", style="dim"))
    if not few and results.matrix is None and (parts := {row.task for row in results.metrics} - set(results.tasks)):
        console.print()
        console.print(Text(f"The report and results.json of the run also have the tables of {len(parts)} parts."))
    if results.verdict:
        console.print()
        console.print(Text("Verdict", style="bold"))
        for sentence in results.verdict:
            console.print(Text(sentence))


def rendered(results: Results, width: int = WIDTH) -> str:
    """The same as a string."""
    stream = io.StringIO()
    print_results(results, Console(file=stream, width=width, highlight=False))
    return stream.getvalue().strip("\n")


def duration(seconds: float) -> str:
    """A length of time in words: 8 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _layout(table: ResultTable, console: Console) -> list[Table]:
    """The widest of the layouts that fits: one table; one below the other; those with intervals below their figures."""
    if table.same_rows and len(table.grids) > 1:
        both = drawn_grid(table.figures.beside(table.changes), stacked=False)
        if fits(both, console):
            return [both]
    for names_width in (None, NAMES_WIDTH):
        plain = [drawn_grid(grid, stacked=False, names_width=names_width) for grid in table.grids]
        if all(fits(one, console) for one in plain):
            return plain
    return [part for grid in table.grids for part in _stacked(grid, console)]


def _stacked(grid: Grid, console: Console) -> list[Table]:
    """A grid with intervals below figures; its columns in several tables where the terminal is too narrow for one."""
    drawn = drawn_grid(grid, stacked=True)
    if fits(drawn, console) or len(grid.columns) < 2:
        return [drawn]
    middle = (len(grid.columns) + 1) // 2
    halves = [
        Grid(grid.corner, grid.columns[part], tuple((name, cells[part]) for name, cells in grid.rows))
        for part in (slice(middle), slice(middle, None))
    ]
    return [part for half in halves for part in _stacked(half, console)]


def fits(table: Table, console: Console) -> bool:
    """Whether a table stands in a terminal without being cut."""
    return Measurement.get(console, console.options.update(width=1000), table).maximum <= console.width


def drawn_grid(grid: Grid, *, stacked: bool = False, names_width: int | None = None) -> Table:
    """A grid as a table; `stacked` puts intervals below figures."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(grid.corner, max_width=16 if stacked else names_width)
    for name in grid.columns:
        heading = "\n".join(textwrap.wrap(name, HEADING_WIDTH, break_long_words=False)) if stacked else name
        table.add_column(heading, justify="right", no_wrap=True)
    for name, cells in grid.rows:
        if any(map(str, cells)):
            table.add_row(name, *(_cell_text(cell, stacked) for cell in cells))
    return table


def _cell_text(cell: Cell, stacked: bool) -> Text:
    lines = [part for part in (cell.value, cell.interval, cell.draws) if part]
    return Text("\n".join(lines) if stacked else str(cell))
