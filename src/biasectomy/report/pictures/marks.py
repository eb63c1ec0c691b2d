"""Figures with their intervals, as marks on an axis."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from biasectomy.report.pictures.axis import better
from biasectomy.report.pictures.colours import Colours
from biasectomy.report.pictures.series import Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Dot:
    """A figure with its interval, and those of its draws."""

    name: str
    series: Series
    value: float
    low: float
    high: float
    draws: tuple[float, ...] = ()
    hollow: bool | None = None  # None is as the series has it


@dataclass(frozen=True)
class Group:
    """The figures of one metric; neighbours with the same `axis` share one. `best` None: there is no such value."""

    title: str
    unit: str
    best: float | None
    dots: tuple[Dot, ...]
    axis: str
    signed: bool = False
    way: str | None = None  # which way is better, where that does not follow from the figures

    @property
    def better(self) -> str:
        """Which way is better, in words and an arrow."""
        return better(self.best, [one.value for one in self.dots], self.unit) if self.way is None else self.way


def draw_mark(axes: "Axes", dot: Dot, group: Group, middle: float, colours: Colours) -> None:
    """The mark of a figure, with its interval and its draws, at a height of some axes."""
    for one in dot.draws:
        if math.isfinite(one):
            style: dict[str, Any] = {
                "markersize": 11,
                "markeredgewidth": 1.2,
                "color": dot.series.colour,
                "clip_on": False,
            }
            axes.plot([one], [middle], marker="|", linestyle="", **style)
    if math.isfinite(dot.low) and math.isfinite(dot.high):
        whisker = axes.plot([dot.low, dot.high], [middle] * 2, color=dot.series.colour, linewidth=2, clip_on=False)[0]
        whisker.set_gid(f"whisker/{group.title}/{dot.name}")
    hollow = dot.series.hollow if dot.hollow is None else dot.hollow
    marker = dot.series.marker(colours.paper) | ({"markerfacecolor": colours.paper} if hollow else {})
    mark = axes.plot([dot.value], [middle], linestyle="", clip_on=False, zorder=3, **marker)[0]
    mark.set_gid(f"dot/{group.title}/{dot.name}")
