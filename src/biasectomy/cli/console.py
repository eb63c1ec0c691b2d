"""What appears on the terminal: lines, progress with time remaining, and the final table."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from rich import box
from rich.console import Console as RichConsole
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from biasectomy.files import without_nan
from biasectomy.report.figures import Cell, ResultTable, result_tables

if TYPE_CHECKING:
    from biasectomy.measuring.results import Results

PLAIN_WIDTH = 100  # of output that goes to a file, where nobody has said how wide a line may be
PLAIN_PROGRESS_SECONDS = 30.0


class Advance(Protocol):
    """Reports that so many more units are done, and perhaps what they showed."""

    def __call__(self, count: int = 1, note: str | None = None) -> None: ...


class Console:
    """Narrates a command; silent when quiet, and when standard output is kept for JSON.

    Warnings and errors go to standard error in every mode, all else to standard output. One that is muted
    prints nothing whatever: of several processes the main one narrates.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        json_output: bool = False,
        muted: bool = False,
        output: TextIO | None = None,
        errors: TextIO | None = None,
        width: int | None = None,
    ) -> None:
        self.silent = quiet or json_output or muted
        self.muted = muted
        self.json_output = json_output
        self._stream = output
        self._out = RichConsole(file=output, width=width, highlight=False)
        self._err = RichConsole(file=errors, stderr=errors is None, width=width, highlight=False, quiet=muted)
        self._live = self._out.is_terminal and not self._out.is_dumb_terminal
        if width is None and not self._out.is_terminal and "COLUMNS" not in os.environ:
            self._out.width = PLAIN_WIDTH

    def say(self, text: str) -> None:
        """One line: something that was found or done. Shown as it is, without markup."""
        self._line(Text(text))

    def heading(self, text: str) -> None:
        """The name of the part that begins."""
        self._line(Text(""))
        self._line(Text(text, style="bold"))

    def warn(self, text: str) -> None:
        """Something that the user should know although the work goes on."""
        self._err.print(Text.assemble(("Warning: ", "yellow"), text), soft_wrap=True)

    def error(self, text: str) -> None:
        """Why the work ends here."""
        self._err.print(Text.assemble(("Error: ", "bold red"), text), soft_wrap=True)

    @contextlib.contextmanager
    def progress(self, description: str, total: int, unit: str = "prompts") -> Iterator[Advance]:
        """A bar with count and time remaining; on anything but a terminal a line now and then."""
        if self.silent:
            yield lambda count=1, note=None: None
        elif self._live:
            yield from self._bar(description, total, unit)
        else:
            yield from self._plain_progress(description, total, unit)

    def results(self, results: "Results") -> None:
        """The final figures, one table a task, and the verdict."""
        if self.silent:
            return
        for table in result_tables(results):
            self._out.print()
            self._out.print(Text(table.caption, style="italic"))
            for layout in self._layout(table):
                self._out.print(layout)
            for number, footnote in enumerate(table.footnotes, start=1):
                self._out.print(Text(f"({number}) {footnote}", style="dim"))
        if results.verdict:
            self.heading("Verdict")
            for sentence in results.verdict:
                self._out.print(Text(sentence))

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        """A plain table of text."""
        if self.silent:
            return
        table = Table(*columns, title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*map(escape, row))
        self._out.print(table)

    def print_json(self, value: Any) -> None:
        """Any JSON-like value, on standard output; NaN becomes null. Printed in every mode unless muted."""
        if self.muted:
            return
        stream = self._stream or sys.stdout
        stream.write(json.dumps(without_nan(value), indent=1, ensure_ascii=False, default=str) + "\n")
        stream.flush()

    def _line(self, text: Text) -> None:
        if not self.silent:
            self._out.print(text, soft_wrap=not self._live)

    def _bar(self, description: str, total: int, unit: str) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None if self._out.width < 100 else 40),
            MofNCompleteColumn(),
            TextColumn(unit, markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False, style="dim"),
        )
        with Progress(*columns, console=self._out) as bar:
            task = bar.add_task(description, total=total, note="")

            def advance(count: int = 1, note: str | None = None) -> None:
                bar.advance(task, count)
                if note is not None:
                    bar.update(task, note=note)

            yield advance

    def _plain_progress(self, description: str, total: int, unit: str) -> Iterator[Advance]:
        started = shown = time.monotonic()
        done = 0

        def advance(count: int = 1, note: str | None = None) -> None:
            nonlocal done, shown
            done += count
            now = time.monotonic()
            if now - shown >= PLAIN_PROGRESS_SECONDS and 0 < done < total:
                shown = now
                left = duration((now - started) / done * (total - done))
                self.say(f"{description}: {done:,} of {total:,} {unit}, about {left} left{f'; {note}' if note else ''}")

        self.say(f"{description}: {total:,} {unit}")
        yield advance
        self.say(f"{description}: {done:,} {unit} in {duration(time.monotonic() - started)}")

    def _layout(self, table: ResultTable) -> list[Table]:
        """The widest of the layouts that fits: one table; two tables; two with intervals below their figures."""
        both = _figures_table(table, figures=True, changes=True, stacked=False)
        if self._fits(both):
            return [both]
        parts: list[Table] = []
        for stacked in (False, True):
            parts = [_figures_table(table, figures=True, changes=False, stacked=stacked)]
            if table.comparisons:
                parts.append(_figures_table(table, figures=False, changes=True, stacked=stacked))
            if all(map(self._fits, parts)):
                break
        return parts

    def _fits(self, table: Table) -> bool:
        return Measurement.get(self._out, self._out.options.update(width=1000), table).maximum <= self._out.width


def _figures_table(table: ResultTable, *, figures: bool, changes: bool, stacked: bool) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("Metric", max_width=18 if stacked else None)
    for name in (table.methods if figures else ()) + (table.comparisons if changes else ()):
        grid.add_column(name, justify="right", no_wrap=not stacked)
    for name, values, differences in table.rows:
        cells = (values if figures else ()) + (differences if changes else ())
        if any(map(str, cells)):
            grid.add_row(name, *(_cell_text(cell, stacked) for cell in cells))
    return grid


def _cell_text(cell: Cell, stacked: bool) -> Text:
    return Text(f"{cell.value}\n{cell.interval}".rstrip() if stacked else str(cell))


def duration(seconds: float) -> str:
    """A length of time in words: 8 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
