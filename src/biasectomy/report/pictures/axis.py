"""An axis that figures stand on: its ends, its ticks, and which way is better."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from biasectomy.report.pictures.wording import SHARE, figure, tick

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE = 50.0  # of positive figures, how many times the smallest the largest is where steps become factors
MOST_OF_ALL = 0.4  # of shares, how far apart they are where all from 0 to 1 is shown
ROOM = 0.05  # beyond the figures, as a share of what they span


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, with labels at `ticks`."""

    low: float
    high: float
    ticks: tuple[float, ...]
    unit: str
    signed: bool = False
    logarithmic: bool = False

    def on(self, axes: "Axes", side: Literal["x", "y"] = "x") -> None:
        """Gives it to one side of some axes, with faint lines at the ticks."""
        labels = [tick(one, self.unit, signed=self.signed) for one in self.ticks]
        if side == "x":
            axes.set_xscale("log" if self.logarithmic else "linear")
            axes.set_xlim(self.low, self.high)
            axes.set_xticks(self.ticks, labels)
            axes.set_xticks([], minor=True)
        else:
            axes.set_yscale("log" if self.logarithmic else "linear")
            axes.set_ylim(self.low, self.high)
            axes.set_yticks(self.ticks, labels)
            axes.set_yticks([], minor=True)


def axis_of(values: Iterable[float], unit: str, *, signed: bool = False, most: int = 5) -> Axis:
    """The axis that some figures need.

    Args:
        values: figures and ends of intervals; those that are not finite are passed over.
        unit: of the metric.
        signed: whether they are differences, whose axis has 0.
        most: how many steps there are about.
    """
    from matplotlib.ticker import MaxNLocator

    finite = [one for one in values if math.isfinite(one)]
    share = unit == SHARE and not signed
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if not share and not signed and low > 0 and high > WIDE * low:
        return _logarithmic(low, high, unit)
    if signed:
        low, high = min(low, 0.0), max(high, 0.0)
    if share and low >= 0 and high <= 1 and high - low > MOST_OF_ALL:
        low, high = 0.0, 1.0
    room = ROOM * (high - low) or ROOM * abs(high) or ROOM
    ends = (low - room, high + room)
    ticks = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10]).tick_values(*ends)
    least = 0.0 if low >= 0 and not signed else ends[0]  # no label below what figures can be
    return Axis(*ends, tuple(float(one) for one in ticks if max(least, ends[0]) <= one <= ends[1]), unit, signed)


def _logarithmic(low: float, high: float, unit: str) -> Axis:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first < 3 else (1,)
    ends = (low / 1.3, high * 1.3)
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    every = max(1, math.ceil(len(ticks) / 7))
    return Axis(*ends, tuple(one for one in ticks[::every] if ends[0] <= one <= ends[1]), unit, logarithmic=True)


def direction(best: float | None, values: Sequence[float]) -> int | None:
    """Whether more (1) or less (-1) is better; 0 where the best value lies among the figures, None where none is."""
    finite = [one for one in values if math.isfinite(one)]
    if best is None or not finite:
        return None
    below, above = min(finite) < best, max(finite) > best
    if below and above:
        return 0
    return 1 if below or (not above and best > 0) else -1


def better(best: float | None, values: Sequence[float], unit: str) -> str:
    """Which way is better, for the heading of an axis; empty where no value is to be wished for."""
    way = direction(best, values)
    if best is None or way is None:
        return ""
    inner = f", best {figure(best, unit)}" if is_inner(best, unit) else ""
    if way == 0:
        return f"best {figure(best, unit)}"
    return f"better{inner} \N{RIGHTWARDS ARROW}" if way > 0 else f"\N{LEFTWARDS ARROW} better{inner}"


def is_inner(best: float | None, unit: str) -> bool:
    """Whether a figure can lie on both sides of its best value, so that this is to be marked."""
    if best is None or not math.isfinite(best):
        return False
    return best not in (0, 1) if unit in (SHARE, "nats", "per word") else True
