"""How each method is drawn: the same colour and shape in every picture of a run."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from biasectomy.measuring.results import Results
from biasectomy.report.pictures.colours import Colours

SHAPES = ("s", "^", "D", "v", "P", "X", "*", "p", "h", "<", ">")  # 8 colours and 11 shapes repeat after 88 methods
BASELINE, CONTROL = "o", "d"


@dataclass(frozen=True)
class Series:
    """A method and the mark that stands for it; `size` is that of the mark, in units."""

    name: str
    title: str
    colour: str
    shape: str
    hollow: bool = False

    @property
    def size(self) -> float:
        """Pointed and starred shapes look smaller than round ones."""
        return {"*": 10.0, "^": 8.0, "v": 8.0, "d": 9.0, "P": 8.5, "X": 8.5, "o": 8.0}.get(self.shape, 7.0)

    def marker(self, paper: str) -> dict[str, Any]:
        """What matplotlib calls the mark's properties."""
        return {
            "marker": self.shape,
            "markersize": self.size,
            "markerfacecolor": paper if self.hollow else self.colour,
            "markeredgecolor": self.colour,
            "markeredgewidth": 1.6 if self.hollow else 1.0,
        }


def methods(results: Results) -> list[str]:
    """Names of all methods, in the order of the results."""
    return list(dict.fromkeys(row.method for row in results.metrics))


def baseline(results: Results) -> str | None:
    """The method that others are compared with most, else the first."""
    against = Counter(pair[1] for pair in pairs(results)).most_common(1)
    return against[0][0] if against else next(iter(methods(results)), None)


def controls(results: Results) -> set[str]:
    """What methods are compared with besides."""
    return {against for _, against in pairs(results)} - {baseline(results)}


def pairs(results: Results) -> list[tuple[str, str]]:
    """Every method with what it is compared with."""
    return list(dict.fromkeys((row.method, row.against) for row in results.differences))


def series(results: Results, colours: Colours, more: Iterable[str] = ()) -> dict[str, Series]:
    """The marks of all methods, and of `more` that have no rows of their own."""
    first, beside = baseline(results), controls(results)
    found: dict[str, Series] = {}
    number = 0
    for name in dict.fromkeys((*methods(results), *more)):
        title = results.title(name)
        if name == first:
            found[name] = Series(name, title, colours.ink, BASELINE, hollow=True)
        elif name in beside:
            found[name] = Series(name, title, colours.muted, CONTROL, hollow=True)
        else:
            colour, shape = colours.series[number % len(colours.series)], SHAPES[number % len(SHAPES)]
            found[name] = Series(name, title, colour, shape)
            number += 1
    return found
