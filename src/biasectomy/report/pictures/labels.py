"""Names beside points of a plane, so that none covers another or a point: near places are tried first."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Box = tuple[float, float, float, float]  # left, top, right, bottom
NEAR, FAR, RING = 9.0, 92.0, 6.0  # how far from its point a label may stand, and by which steps further ones are tried
DIRECTIONS = 16
LINE_FROM = 16.0  # a label that is further away has a line to its point
COVERED, CROSSED, AWAY = 1000.0, 7.0, 1.0  # what is bad about a place: something is covered, a line crossed, far away


@dataclass(frozen=True)
class Label:
    """A point with the size of its name, in units of a sheet."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Placed:
    """The middle of a name, and whether a line leads to it; `free` where it covers nothing."""

    x: float
    y: float
    led: bool
    free: bool


def placed(
    labels: Sequence[Label],
    inside: Box,
    *,
    avoided: Sequence[Box] = (),
    lines: Sequence[Box] = (),
) -> list[Placed]:
    """A place for each name.

    Args:
        labels: points with the sizes of their names.
        inside: where names must stay.
        avoided: what they must not cover: marks, other texts.
        lines: what they had better not cover, as thin boxes: whiskers.
    """
    taken = list(avoided)
    found: dict[int, Placed] = {}
    # Points that have the least room about them choose first.
    crowd = [sum(math.hypot(one.x - two.x, one.y - two.y) < FAR for two in labels) for one in labels]
    for number in sorted(range(len(labels)), key=lambda one: -crowd[one]):
        label = labels[number]
        best, least = None, math.inf
        for x, y, distance in _places(label):
            box = _box(x, y, label)
            if not _within(box, inside):
                continue
            covered = sum(_overlap(box, one) for one in taken)
            cost = COVERED * covered + CROSSED * sum(_overlap(box, one) for one in lines) + AWAY * distance
            if cost < least:
                least = cost
                best = Placed(x, y, distance > LINE_FROM, not covered)
        found[number] = best or Placed(label.x, label.y, False, False)
        taken.append(_box(found[number].x, found[number].y, label))
    return [found[number] for number in range(len(labels))]


def _places(label: Label) -> Iterator[tuple[float, float, float]]:
    """Middles of boxes about a point, and how far their edges are from it."""
    distance = NEAR
    while distance <= FAR:
        for number in range(DIRECTIONS):
            angle = 2 * math.pi * number / DIRECTIONS
            across, down = math.cos(angle), math.sin(angle)
            x = label.x + across * (distance + label.width / 2)
            y = label.y + down * (distance + label.height / 2)
            yield x, y, distance + 0.01 * number
        distance += RING


def _box(x: float, y: float, label: Label) -> Box:
    return (x - label.width / 2, y - label.height / 2, x + label.width / 2, y + label.height / 2)


def _within(box: Box, inside: Box) -> bool:
    return box[0] >= inside[0] and box[1] >= inside[1] and box[2] <= inside[2] and box[3] <= inside[3]


def _overlap(one: Box, two: Box) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]
