"""Where things stand in a picture: in units from the top left, each 1/72 of an inch; text is as wide as it is measured.

Pictures are narrow, so that they can be read on a phone: a page makes them larger where there is room.
"""

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from biasectomy.report.pictures.colours import Colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 460.0
MEDIUM, SMALL, TINY = 13.0, 12.0, 11.0  # sizes of text
INCH = 72.0
_SIGN = re.compile(r"(?<=[:/_,])")
CUT = "\N{HORIZONTAL ELLIPSIS}"
Align = Literal["left", "center", "right"]


class Sheet:
    """A figure that is laid out in units from its top left."""

    def __init__(self, colours: Colours, height: float, width: float = WIDTH) -> None:
        from matplotlib.figure import Figure

        self.colours, self.width, self.height = colours, width, height
        self.figure = Figure(figsize=(width / INCH, height / INCH), dpi=INCH, facecolor=colours.background)

    def axes(self, left: float, top: float, width: float, height: float) -> "Axes":
        """Axes without a frame; labels of ticks are muted."""
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place, facecolor="none")
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0, labelsize=TINY, labelcolor=self.colours.muted, pad=4)
        axes.set_axisbelow(True)
        return axes

    def text(
        self,
        x: float,
        middle: float,
        text: str,
        *,
        size: float = SMALL,
        colour: str | None = None,
        align: Align = "left",
        **style: str,
    ) -> None:
        """A line of text whose small letters are centred at a height, whatever font it is shown in."""
        self.figure.text(
            x / self.width,
            1 - (middle + 0.36 * size) / self.height,
            printable(text),
            size=size,
            color=colour or self.colours.ink,
            ha=align,
            va="baseline",
            **style,  # type: ignore[arg-type]
        )

    def line(self, ends: Sequence[tuple[float, float]], colour: str, width: float = 1.0, **style: Any) -> None:
        """A line through places of the sheet."""
        from matplotlib.lines import Line2D

        places = [(x / self.width, 1 - y / self.height) for x, y in ends]
        xs, ys = zip(*places, strict=True)
        line = Line2D(xs, ys, color=colour, linewidth=width, transform=self.figure.transFigure, **style)
        self.figure.add_artist(line)

    def ground(self, place: tuple[float, float, float, float], strength: float = 0.7) -> None:
        """A piece of paper below a text, at left, top, width, height, so that lines behind it do not disturb."""
        from matplotlib.patches import Rectangle

        left, top, width, height = place
        corner = (left / self.width, 1 - (top + height) / self.height)
        size = (width / self.width, height / self.height)
        style: dict[str, Any] = {"facecolor": self.colours.paper, "alpha": strength, "linewidth": 0}
        self.figure.add_artist(Rectangle(corner, *size, transform=self.figure.transFigure, **style))


@functools.lru_cache(maxsize=4096)
def width_of(text: str, size: float = SMALL, bold: bool = False) -> float:
    """How wide a line of text is, in units; browsers' fonts are narrower."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=["DejaVu Sans"], size=size, weight="bold" if bold else "normal")
    return float(text_to_path.get_text_width_height_descent(printable(text), font, ismath=False)[0])


def printable(text: str) -> str:
    """A text as one line; what cannot be printed, and what XML cannot hold, is a blank."""
    return "".join(one if one.isprintable() else " " for one in text)


def wrapped(text: str, width: float, size: float = SMALL, *, bold: bool = False, lines: int = 2) -> list[str]:
    """A text in lines that are no wider than a width, broken at blanks, else after signs; the rest is cut off."""
    found = [""]
    for word in printable(text).split() or [""]:
        joined = f"{found[-1]} {word}".strip()
        if width_of(joined, size, bold) <= width:
            found[-1] = joined
            continue
        if found[-1]:
            found.append("")
        for piece in _pieces(word, width, size, bold):  # a word that is wider than a line goes on in the next one
            if found[-1] and width_of(found[-1] + piece, size, bold) > width:
                found.append("")
            found[-1] += piece
    if len(found) <= lines:
        return found
    last = found[lines - 1]
    while last and width_of(last + CUT, size, bold) > width:
        last = last[:-1]
    return [*found[: lines - 1], last.rstrip() + CUT]


def _pieces(word: str, width: float, size: float, bold: bool) -> list[str]:
    """The parts that a word may be broken into: what ends in a sign; letters of what is too wide even so."""
    parts = [part for part in _SIGN.split(word) if part]
    return [piece for part in parts for piece in ([part] if width_of(part, size, bold) <= width else part)]
