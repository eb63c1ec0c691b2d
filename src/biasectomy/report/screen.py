"""The last screen of a run: verdict, headline figures, a small plot, and what to do now; it fits 80 by 40 characters.

What is on it is chosen by roles and goals; everything else is in `print_results`, in the report and in `results.json`.
"""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.text import Text

from biasectomy.measuring.results import Results
from biasectomy.report.finished import FinishedRun
from biasectomy.report.headline import Headline
from biasectomy.report.headline_table import HeadlineTable
from biasectomy.report.matrix_screen import matrix_renderables
from biasectomy.report.next_steps import Step, next_steps
from biasectomy.report.plane import FEWEST_ROWS, Point, drawn, letters
from biasectomy.report.text import WIDTH, print_results

HEIGHT = 39  # lines; one more is the shell's
VERDICT_WIDTH = 100
SHORTEST_VERDICT = 9  # lines; what is left of a longer one is in the report
SIGNS = {"up": "→", "down": "←"}, {"up": "↑", "down": "↓"}  # of what goes across and of what goes up
ASCII_SIGNS = {"up": "->", "down": "<-"}, {"up": "^", "down": "v"}
AXES = 3  # lines of the plane that are no field


def print_screen(
    results: Results,
    console: Console,
    folder: Path | None = None,
    *,
    full: bool = False,
    judged: Mapping[str, Results] | None = None,
) -> None:
    """Prints the verdict first, then the headline figures, the trade-off and what now; with `full` all tables instead.

    Args:
        results: of the run.
        console: where to; whatever its width, no figure is cut.
        folder: of the run; None where nothing was kept.
        full: print every table and the whole verdict.
        judged: figures by other judges, by their names, which `full` prints too.
    """
    steps = next_steps(FinishedRun.read(folder), full=full) if folder is not None else []
    if full:
        print_results(results, console)
        for name, other in (judged or {}).items():
            console.print(Text(f"\nThe same texts by {name}", style="bold"))
            print_results(other, console)
        _print_steps(steps, console)
        return
    headline = Headline(results)
    places = _places(headline)
    known = letters({method: results.title(method) for method in places})
    below = sum(max(1, -(-cell_len(line.plain) // console.width)) for line in _lines(steps)) + 1
    body = _body(results, headline, console, known, below)
    height = sum(_height(one, console) for one in body) + 1
    least = FEWEST_ROWS + AXES + 1 if places else 0
    start = _verdict(results, console, HEIGHT - below - height - least - 1)
    used = sum(_height(one, console) for one in start) + 1 + height + below
    plot = _plot(headline, places, known, console, HEIGHT - used - 1)
    for block in (start, body, plot):
        if block:
            console.print()
            console.print(Group(*block))
    _print_steps(steps, console)


def screen(results: Results, folder: Path | None = None, width: int = WIDTH, *, full: bool = False) -> str:
    """The same as a string."""
    stream = io.StringIO()
    print_screen(results, Console(file=stream, width=width, highlight=False), folder, full=full)
    return stream.getvalue().strip("\n")


def _lines(steps: Sequence[Step]) -> list[Text]:
    width = max((len(name) for name, _ in steps), default=0)
    return [Text.assemble((f"{name:<{width}}  ", "bold"), said) for name, said in steps]


def _print_steps(steps: Sequence[Step], console: Console) -> None:
    """What now: what is to be typed is one line, however long, so that it can be copied."""
    if steps:
        console.print()
    for line in _lines(steps):
        console.print(line, soft_wrap=True)


def _height(block: RenderableType, console: Console) -> int:
    return len(console.render_lines(block, pad=False))


def _verdict(results: Results, console: Console, most: int) -> list[RenderableType]:
    """The sentences that fit, at least the first; how many more there are is said."""
    if not results.verdict:
        return []
    most = max(SHORTEST_VERDICT, most) - 1
    width = min(console.width, VERDICT_WIDTH)
    shown: list[RenderableType] = [Text("Verdict", style="bold")]
    lines = 0
    for place, sentence in enumerate(results.verdict):
        wrapped = Text(sentence).wrap(console, width)
        for line in wrapped:
            line.rstrip()
        left = len(results.verdict) - place
        if place and lines + len(wrapped) + (left > 1) > most:
            said = "one more sentence" if left == 1 else f"{left} more sentences"
            shown.append(Text(f"The report and --full have {said}.", style="dim"))
            break
        shown += wrapped
        lines += len(wrapped)
    return shown


def _body(
    results: Results, headline: Headline, console: Console, known: dict[str, str], below: int
) -> list[RenderableType]:
    """The headline figures; of a study its matrix."""
    if results.matrix is not None:
        return matrix_renderables(results, console)
    by_method = headline.judged is None
    room = HEIGHT - below - min(SHORTEST_VERDICT, 2 * len(results.verdict) + 1) - 10  # caption, heading, notes, blanks
    made = HeadlineTable(headline, console, known if by_method else {})
    return made.renderables(max(5, room) if by_method else None)


def _places(headline: Headline) -> dict[str, tuple[float, float]]:
    """Where each method lies on the plane; none where there are not two places to compare."""
    if headline.plane is None or headline.results.matrix is not None:
        return {}
    across, up = headline.plane
    found = {}
    for method in headline.methods:
        x, y = headline.row(across, method), headline.row(up, method)
        if method not in headline.unchanged and x is not None and y is not None:
            found[method] = (x.value, y.value)
    found = {method: place for method, place in found.items() if all(map(math.isfinite, place))}
    return found if len(set(found.values())) > 1 else {}


def _plot(
    headline: Headline,
    places: dict[str, tuple[float, float]],
    known: dict[str, str],
    console: Console,
    room: int,
) -> list[RenderableType]:
    """The plane, in the lines that are left; nothing where they are too few."""
    if not places or headline.plane is None or room < FEWEST_ROWS + AXES:
        return []
    across, up = headline.plane
    points = []
    for method, (x, y) in places.items():
        of_x, of_y = headline.row(across, method), headline.row(up, method)
        assert of_x is not None and of_y is not None
        points.append(
            Point(
                known[method],
                x,
                y,
                (of_x.low, of_x.high) if math.isfinite(of_x.low) else None,
                (of_y.low, of_y.high) if math.isfinite(of_y.low) else None,
                method == headline.judged,
            )
        )
    legend = "  ".join(f"{known[one]} {headline.results.title(one)}" for one in places)
    arrows = ASCII_SIGNS if console.options.ascii_only else SIGNS
    names = [
        f"{headline.describe(one).title} {signs.get(headline.towards(one)[0], '')}".rstrip()
        for one, signs in zip((across, up), arrows, strict=True)
    ]
    size = console.width, room
    return [*drawn(points, names, "" if headline.judged is None else legend, size, console.options.ascii_only)]
