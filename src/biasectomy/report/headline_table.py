"""The headline figures as a table for a terminal of any width: what does not fit is left out, never cut.

Figures are rows and methods columns where a run is about one method; methods are rows where several were compared.
"""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from biasectomy.measuring.results import DifferenceRow, MetricRow
from biasectomy.report.figures import DECIMALS, USUAL, format_figure, number
from biasectomy.report.headline import Figure, Headline, is_clear

NAMES_WIDTH = 24  # that names have at least, before another column is left out
ROOMY = 34  # that they have before intervals are shown everywhere
HEADING_WIDTH, HEADLINE_HEADING = 13, 15  # of columns: methods, and figures with their arrows
NEW_LINE = "\n"
ARROWS = {"up": "↑", "down": "↓", "to": "→"}
ASCII_ARROWS = {"up": "^", "down": "v", "to": "->"}
ASCII_BOX = box.Box(str(box.SIMPLE_HEAD).replace("─", "-"), ascii=True)  # without bars between columns
STYLES = {1: "bold green", -1: "bold red"}
MARKS = {1: " +", -1: " -", 0: "  "}


@dataclass
class HeadlineTable:
    """How a headline is shown: `columns` from the richest form that fits, `notes` on what stands there."""

    headline: Headline
    console: Console
    letters: Mapping[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def renderables(self, most_rows: int | None = None) -> list[RenderableType]:
        """Caption, table and notes; of many methods only so many of the best rows."""
        figures, methods = self.headline.figures, self._methods()
        if not figures or not methods:
            return []
        by_method = (
            self.headline.judged is None and len(self.headline.methods) > 1 and self.headline.results.differences
        )
        rows = self._best(methods, most_rows) if by_method else methods
        forms = self._by_method(rows, figures) if by_method else self._by_figure(rows, figures)
        table = self._first_that_fits(forms)
        judged_intervals = "level" in self.headline.results.interval and self.headline.results.differences
        notes = [Text(note, style="dim") for note in [*self.notes, *self._unchanged()]]
        told = ", bold where they exclude no change" if self.console.color_system and judged_intervals else ""
        return [Text(f"{self.headline.caption()}{told}", style="italic"), table, *notes]

    def _methods(self) -> list[str]:
        return [one for one in self.headline.methods if one not in self.headline.unchanged]

    def _unchanged(self) -> Iterator[str]:
        titles = [self.headline.results.title(one) for one in self.headline.unchanged]
        if titles and self.headline.reference is not None:
            yield f"No figure differs from those of {self.headline.results.title(self.headline.reference)}: " + (
                f"{', '.join(titles)}."
            )

    def _best(self, methods: list[str], most: int | None) -> list[str]:
        """The rows that are shown, in their order: the reference, and those nearest to the goal's best value."""
        if most is None or len(methods) <= most:
            return methods
        figure = self.headline.figures[0]
        best = self.headline.describe(figure).best

        def distance(method: str) -> float:
            row = self.headline.row(figure, method)
            if row is None or not math.isfinite(row.value) or best is None:
                return math.inf
            return -row.value if math.isinf(best) else abs(row.value - best)

        kept = sorted((one for one in methods if one != self.headline.reference), key=distance)[: max(most - 1, 1)]
        self.notes.append(f"The {len(kept)} methods with the best {self.headline.describe(figure).title}; "
                          f"{len(methods) - 1 - len(kept)} more under --full.")  # fmt: skip
        return [one for one in methods if one in kept or one == self.headline.reference]

    def _first_that_fits(self, forms: Iterator["_Form"]) -> Table:
        """The richest form that leaves its names room; of the last one cells are folded, so that no figure is cut."""
        for form in forms:
            if form.fits(self.console):
                break
        else:
            for column in form.table.columns:
                column.no_wrap, column.overflow = False, "fold"
        self.notes += form.notes
        return form.table

    # Figures as rows

    def _by_figure(self, methods: Sequence[str], figures: Sequence[Figure]) -> Iterator["_Form"]:
        """From every interval, over values alone, to reference and judged method with intervals below figures."""
        judged = self.headline.judged if self.headline.judged in methods else None
        yield self._figures(methods, figures, judged, ROOMY, intervals=True)
        for count in range(len(methods), 2 if judged is not None else 1, -1):
            yield self._figures(methods[:count], figures, judged, NAMES_WIDTH, intervals=judged is None)
        least = methods[: 2 if judged is not None else 1]
        yield self._figures(least, figures, judged, NAMES_WIDTH, intervals=judged is None)
        for some in (least, least[-1:]):
            yield self._figures(some, figures, judged, 0, intervals=judged is None, stacked=True)

    def _figures(
        self,
        methods: Sequence[str],
        figures: Sequence[Figure],
        judged: str | None,
        names: int,
        *,
        intervals: bool,
        stacked: bool = False,
    ) -> "_Form":
        form = _Form("Figure", names, self.console.options.ascii_only, lead=not stacked)
        level = 100 * float(self.headline.results.interval.get("level", 0.95))
        for method in methods:
            form.column(self.headline.results.title(method), HEADING_WIDTH)
            if method == judged:
                form.column(f"Change{NEW_LINE if stacked else ' '}[{level:g} %]", None)
        for figure in figures:
            cells: list[Text] = []
            for method in methods:
                cells.append(self._value(self.headline.row(figure, method), figure, form, intervals, stacked))
                if method == judged:
                    cells.append(self._change(self.headline.change(figure, method), figure, form, stacked))
            arrow, name = self._arrow(figure), self._name(figure)
            lead = [Text(f"{name} {arrow.replace(' ', '')}".rstrip())] if stacked else [Text(arrow), Text(name)]
            form.table.add_row(*lead, *cells)
        dropped = [one for one in self._methods() if one not in methods]
        if dropped:
            form.notes.append(f"Under --full: {', '.join(map(self.headline.results.title, dropped))}.")
        return form

    def _value(self, row: MetricRow | None, figure: Figure, form: "_Form", interval: bool, stacked: bool) -> Text:
        if row is None:
            return Text("")
        cell = format_figure(row, decimals=self._decimals(figure))
        mark = form.footnote(row.reason) if not math.isfinite(row.value) else ""
        text = cell.value + mark
        if not interval or not cell.interval:
            return Text(text)
        return Text(f"{text}{NEW_LINE if stacked else ' '}{cell.interval}")

    def _change(self, row: DifferenceRow | None, figure: Figure, form: "_Form", stacked: bool) -> Text:
        if row is None:
            return Text("")
        cell = format_figure(row, signed=True, decimals=self._decimals(figure))
        same = row.value == 0  # says enough
        mark = "" if cell.interval or same else form.footnote(row.reason)
        text = f"{cell.value}{mark}"
        text += f"{NEW_LINE if stacked else ' '}{cell.interval}" if cell.interval else ""
        gain = self.headline.gain(row)
        return Text(text, style=STYLES.get(gain, "bold" if is_clear(row) else ""))

    # Methods as rows

    def _by_method(self, methods: Sequence[str], figures: Sequence[Figure]) -> Iterator["_Form"]:
        """All figures with their intervals, then without, then the first ones only."""
        yield self._methods_as_rows(methods, figures, len(figures), intervals=True)
        for count in range(len(figures), 0, -1):
            yield self._methods_as_rows(methods, figures, count, intervals=False)

    def _methods_as_rows(
        self, methods: Sequence[str], figures: Sequence[Figure], count: int, *, intervals: bool
    ) -> "_Form":
        form = _Form("Method", NAMES_WIDTH, self.console.options.ascii_only, lead=bool(self.letters))
        for figure in figures[:count]:
            form.column(f"{self._arrow(figure)} {self._name(figure)}".lstrip(), HEADLINE_HEADING)
        marked = False
        for method in methods:
            cells = []
            for figure in figures[:count]:
                text = self._value(self.headline.row(figure, method), figure, form, intervals, stacked=False)
                row = self.headline.change(figure, method)
                gain = self.headline.gain(row)
                text.append(MARKS[gain])
                text.stylize(STYLES.get(gain, "bold" if row is not None and is_clear(row) else ""))
                marked = marked or gain != 0
                cells.append(text)
            lead = [Text(self.letters.get(method, ""))] if self.letters else []
            form.table.add_row(*lead, Text(self.headline.results.title(method)), *cells)
        reference = self.headline.results.title(self.headline.reference or "")
        said = f"+ better, - worse than {reference}" if marked else f"No difference from {reference} is clear"
        form.notes.append(f"{said}: judged by the interval of the paired difference.")
        if count < len(figures):
            left = ", ".join(self.headline.describe(one).title for one in figures[count:])
            form.notes.append(f"Under --full: {left}.")
        return form

    def _name(self, figure: Figure) -> str:
        """A figure's title, and of which task it is where that is not plain."""
        task, metric = figure
        title = self.headline.describe(figure).title
        if any(one != task and of == metric for one, of in self.headline.figures):
            title += f" ({task})"
        elif task != self.headline.figures[0][0]:
            title += f" ({task.partition(':')[2] or task})"
        return title

    def _arrow(self, figure: Figure) -> str:
        """Where better lies: up, down, or towards a value."""
        arrows = ASCII_ARROWS if self.console.options.ascii_only else ARROWS
        kind, best = self.headline.towards(figure)
        return f"{arrows[kind]} {number(best, decimals=1 if best % 1 else 0)}" if kind == "to" else arrows.get(kind, "")

    def _decimals(self, figure: Figure) -> int:
        return DECIMALS.get(self.headline.describe(figure).unit, USUAL)


class _Form:
    """A table under construction, with the notes that belong to it; names have room for so many characters.

    `lead` puts a narrow column in front of them, `plain` draws with characters that every console has.
    """

    def __init__(self, corner: str, names: int, plain: bool, *, lead: bool = False) -> None:
        self.table = Table(
            box=ASCII_BOX if plain else box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0)
        )
        self._names = names
        if lead:
            self.table.add_column("", no_wrap=True, style="bold")
        self._place = len(self.table.columns)
        self.table.add_column(corner, overflow="fold")
        self.notes: list[str] = []
        self._reasons: list[str] = []

    def column(self, heading: str, width: int | None) -> None:
        """Adds a column of figures, its heading wrapped at a width."""
        text = NEW_LINE.join(textwrap.wrap(heading, width, break_long_words=False)) if width else heading
        self.table.add_column(Text(text), justify="right", no_wrap=True)

    def footnote(self, reason: str | None) -> str:
        """The mark of a footnote with the reason."""
        if not reason:
            return ""
        if reason not in self._reasons:
            self._reasons.append(reason)
            self.notes.append(f"({len(self._reasons)}) {reason}")
        return f" ({self._reasons.index(reason) + 1})"

    def fits(self, console: Console) -> bool:
        """Whether all figures stand uncut beside names that have room; gives the names what is left."""
        self._stand_headings_on_the_rule()
        names = self.table.columns[self._place]
        roomy = console.options.update(width=1000)
        own = [Measurement.get(console, roomy, cell) for cell in names.cells]
        widest, longest_word = max(one.maximum for one in own), max(one.minimum for one in own)
        left = console.width - (Measurement.get(console, roomy, self.table).maximum - widest)
        if left < max(min(widest, self._names), longest_word):
            return False
        names.max_width = left
        return True

    def _stand_headings_on_the_rule(self) -> None:
        """Headings of fewer lines than the highest are pushed down; cells of figures begin at the top."""
        heads = [str(column.header).strip(NEW_LINE) for column in self.table.columns]
        most = max(head.count(NEW_LINE) for head in heads)
        for column, head in zip(self.table.columns, heads, strict=True):
            column.header = Text(NEW_LINE * (most - head.count(NEW_LINE)) + head)
