"""What appears on the terminal: lines, progress with time remaining, and the final table."""

import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich import box
from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from biasectomy.files import without_nan
from biasectomy.narration import HEADING, LOGGER, Advance, watching
from biasectomy.report.description import print_description
from biasectomy.report.screen import print_screen
from biasectomy.report.text import WIDTH, duration

if TYPE_CHECKING:
    from biasectomy.measuring.results import Results
    from biasectomy.report.description import Description

PLAIN_PROGRESS_SECONDS = 30.0


class _Terminal(RichConsole):
    """Leaves it to the command's end what happens where nobody reads on."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


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
        self._out = _Terminal(file=output, width=width, highlight=False)
        self._err = _Terminal(file=errors, stderr=errors is None, width=width, highlight=False, quiet=muted)
        self._live = self._out.is_terminal and not self._out.is_dumb_terminal
        if width is None and not self._out.is_terminal and "COLUMNS" not in os.environ:
            self._out.width = WIDTH

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
    def listening(self) -> Iterator[None]:
        """A block in which all that the library says and how far it is appears here."""
        handler = _Shown(self)
        level, propagate = LOGGER.level, LOGGER.propagate
        LOGGER.addHandler(handler)
        LOGGER.setLevel(logging.INFO)
        LOGGER.propagate = False  # said once
        try:
            with watching(self.progress):
                yield
        finally:
            LOGGER.removeHandler(handler)
            LOGGER.setLevel(level)
            LOGGER.propagate = propagate

    @contextlib.contextmanager
    def progress(self, description: str, total: int, unit: str = "questions") -> Iterator[Advance]:
        """A bar with count and time remaining; on anything but a terminal a line now and then."""
        if self.silent:
            yield lambda count=1, note=None: None
        elif self._live:
            yield from self._bar(description, total, unit)
        else:
            yield from self._plain_progress(description, total, unit)

    def results(
        self,
        results: "Results",
        folder: Path | None = None,
        *,
        full: bool = False,
        judged: "Mapping[str, Results] | None" = None,
    ) -> None:
        """Verdict, headline figures and what can be done with the run's folder; with `full` all figures instead."""
        if not self.silent:
            print_screen(results, self._out, folder, full=full, judged=judged)

    def description(self, description: "Description") -> None:
        """What the neurons of a set are."""
        if not self.silent:
            print_description(description, self._out)

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
        plain = "utf" not in (getattr(stream, "encoding", None) or "utf-8").lower()
        stream.write(json.dumps(without_nan(value), indent=1, ensure_ascii=plain, default=str) + "\n")
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
            TextColumn("so far,"),
            TimeRemainingColumn(),
            TextColumn("left"),
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


class _Shown(logging.Handler):
    """Shows what is logged: headings, lines, and warnings; what is fetched is a line like others."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if getattr(record, HEADING, False):
            self._console.heading(text)
        elif record.levelno >= logging.WARNING and record.name == LOGGER.name:
            self._console.warn(text)
        else:
            self._console.say(text)
