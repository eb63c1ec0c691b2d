"""How the factors of the edited neurons are spread: removed, weakened, strengthened, reversed."""

import bisect
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.axis import axis_of
from biasectomy.report.pictures.base import Picture, register
from biasectomy.report.pictures.colours import Colours
from biasectomy.report.pictures.sheet import MEDIUM, TINY, WIDTH, Sheet, width_of, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "factors"
HEADING, LEGEND, PANEL, FOOT, LEFT = 24.0, 22.0, 110.0, 38.0, 52.0
BINS = 40
STEPS = (0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)  # widths of bins, of which 0 and 1 are ends
DIRECTIONS = ("reversed", "removed", "weakened", "strengthened")


@dataclass(frozen=True)
class Spread:
    """The factors of one method's neurons."""

    title: str
    factors: tuple[float, ...]

    def counted(self) -> dict[str, int]:
        """How many are what; those of 1 change nothing and are none of it."""
        return {name: sum(direction_of(one) == name for one in self.factors) for name in DIRECTIONS}


def direction_of(factor: float) -> str:
    """What a factor does to a neuron; empty for one that leaves it as it is."""
    if factor == 0:
        return "removed"
    if factor < 0:
        return "reversed"
    return "weakened" if factor < 1 else "strengthened" if factor > 1 else ""


@register(NAME, place=50)
def factors(run: FinishedRun) -> Picture | None:
    """One histogram for each method that edits any."""
    spreads = [
        Spread(run.results.title(name), tuple(one.factor for one in found))
        for name, found in run.neuron_sets.items()
        if len(found)
    ]
    if not spreads:
        return None
    caption = (
        "What the output of each edited neuron is multiplied by: 0 removes it, below 1 weakens it, above 1 strengthens "
        "it, below 0 turns its effect round; 1, the broken line, would leave it as it was."
    )
    alternative = " ".join(map(_in_words, spreads))
    return Picture.drawn(NAME, "What is done to them", caption, alternative, lambda colours: _drawn(spreads, colours))


def _drawn(spreads: Sequence[Spread], colours: Colours) -> "Figure":
    each = HEADING + LEGEND + PANEL + FOOT
    sheet = Sheet(colours, each * len(spreads))
    ends = axis_of([0.0, 1.0, *(one for spread in spreads for one in spread.factors)], "", most=6)
    edges = edges_of(ends.low, ends.high)
    shades = dict(zip(DIRECTIONS, (colours.series[2], colours.ink, colours.series[0], colours.series[1]), strict=True))
    for number, spread in enumerate(spreads):
        top = each * number
        title = f"{spread.title}: {len(spread.factors):,} neurons"
        sheet.text(0, top + 13, wrapped(title, WIDTH, MEDIUM, bold=True, lines=1)[0], size=MEDIUM, weight="bold")
        x = 0.0
        for name, count in spread.counted().items():
            if count:
                said = f"\N{BLACK SQUARE} {name} {count:,}"
                sheet.text(x, top + HEADING + 9, said, size=TINY, colour=shades[name])
                x += width_of(said, TINY) + 16
        axes = sheet.axes(LEFT, top + HEADING + LEGEND, WIDTH - LEFT - 8, PANEL)
        ends.on(axes)
        highest = 0
        for name in DIRECTIONS:
            counts = _counts([one for one in spread.factors if direction_of(one) == name], edges)
            highest = max(highest, *counts.values(), 0) if counts else highest
            widths = {place: edges[place + 1] - edges[place] for place in counts}
            begin, share = (-0.2, 0.4) if name == "removed" else (0.06, 0.88)
            bars = axes.bar(
                [edges[place] + begin * width for place, width in widths.items()],
                list(counts.values()),
                width=[share * width for width in widths.values()],
                align="edge",
                color=shades[name],
                linewidth=0,
            )
            for place, bar in zip(counts, bars, strict=True):
                bar.set_gid(f"bar/{spread.title}/{name}/{place}")
        _heights(axes, highest, colours)
        axes.axvline(1, color=colours.ink, linewidth=1, linestyle=(0, (4, 3)), zorder=3)
        sheet.text(
            WIDTH - 8,
            top + HEADING + LEGEND + PANEL + 25,
            "factor \N{RIGHTWARDS ARROW}",
            size=TINY,
            align="right",
            colour=colours.muted,
        )
    return sheet.figure


def _heights(axes: object, highest: int, colours: Colours) -> None:
    from matplotlib.ticker import MaxNLocator

    most = 1.06 * max(highest, 1)
    ticks = [one for one in MaxNLocator(nbins=4, integer=True).tick_values(0, highest) if 0 <= one <= most]
    axes.set_ylim(0, most)  # type: ignore[attr-defined]
    axes.set_yticks(ticks, [f"{tick:,.0f}" for tick in ticks])  # type: ignore[attr-defined]
    axes.grid(axis="y", color=colours.grid, linewidth=1)  # type: ignore[attr-defined]


def edges_of(low: float, high: float) -> list[float]:
    """Ends of bins of equal width, and 0 and 1 among them."""
    width = next((step for step in STEPS if (high - low) / step <= BINS), (high - low) / BINS)
    first, last = math.floor(low / width), math.ceil(high / width) + 1
    return sorted({0.0, 1.0, *(round(number * width, 10) for number in range(first, last + 1))})


def _counts(factors: Sequence[float], edges: Sequence[float]) -> dict[int, int]:
    """How many factors lie in each bin, by the bin's place; ends belong to the bin above."""
    places = (min(max(bisect.bisect_right(edges, one) - 1, 0), len(edges) - 2) for one in factors)
    return dict(sorted(Counter(places).items()))


def _in_words(spread: Spread) -> str:
    ordered = sorted(spread.factors)
    told = ", ".join(f"{count:,} {name}" for name, count in spread.counted().items() if count)
    middle = ordered[len(ordered) // 2]
    return (
        f"{spread.title}: of {len(ordered):,} neurons {told}; factors from {ordered[0]:.3g} to {ordered[-1]:.3g}, "
        f"half of them below {middle:.3g}."
    )
