"""Where numbers, or names, stand on the axis of a study; steps may be factors, and 0 then stands apart."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

MOST = 12  # labels
ROOM = 0.04


@dataclass(frozen=True)
class Scale:
    """Labels with their places, the ends, and the place of every number."""

    places: tuple[float, ...]
    labels: tuple[str, ...]
    ends: tuple[float, float]
    place: Callable[[Any], float]


def scale_of(values: Iterable[Any], logarithmic: bool) -> Scale:
    """The scale of some numbers; where any of them is none, of names in their order.

    Args:
        values: those that are None are passed over.
        logarithmic: whether equal steps are equal factors; negative numbers rule that out.
    """
    given = list(dict.fromkeys(one for one in values if one is not None))
    numbers = [one for one in given if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) < len(given):
        return _scale([str(one) for one in given], lambda one: float([str(each) for each in given].index(str(one))))
    ordered = sorted(numbers)
    if not logarithmic or not ordered or ordered[0] < 0 or ordered[-1] <= 0:
        return _scale(ordered, float)
    least = math.log10(next(one for one in ordered if one > 0))
    span = math.log10(ordered[-1]) - least
    apart = least - max(0.12 * span, 0.15)  # where 0 stands, which no factor reaches
    return _scale(ordered, lambda one: math.log10(one) if one > 0 else apart)


def _scale(ordered: list[Any], place: Callable[[Any], float]) -> Scale:
    """Labels at the numbers themselves, as far as they have room."""
    places = [place(one) for one in ordered] or [0.0]
    span = (places[-1] - places[0]) or 1.0
    shown: list[int] = []
    for number, one in enumerate(places[: len(ordered)]):
        if not shown or one - places[shown[-1]] >= span / MOST - 1e-9:
            shown.append(number)
    labels = tuple(one if isinstance(one, str) else f"{one:,g}" for one in (ordered[number] for number in shown))
    room = ROOM * span
    return Scale(tuple(places[number] for number in shown), labels, (places[0] - room, places[-1] + room), place)
