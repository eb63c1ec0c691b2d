"""The trade-off plane: what was to be gained against what was to be kept, every method a point with both intervals."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biasectomy.measuring.results import MetricRow, Results
from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.base import Picture, register
from biasectomy.report.pictures.colours import Colours
from biasectomy.report.pictures.paths import Path, paths
from biasectomy.report.pictures.plane import drawn_plane
from biasectomy.report.pictures.point_names import Point
from biasectomy.report.pictures.rows import first_task, level, of_task, with_role
from biasectomy.report.pictures.series import Series, baseline, series
from biasectomy.report.pictures.wording import SHARE, named, with_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "trade-off"
ABSTAINS = "Always abstaining"
WITH_PATHS = 6  # methods; among more the lines would hide the points


@dataclass(frozen=True)
class Plane:
    """Which metric each axis has, by task and name; `abstaining` is where a model stands that only ever abstains."""

    across: tuple[str, str]
    up: tuple[str, str]
    abstaining: tuple[float, float] | None = None


@register(NAME, place=30)
def trade_off(run: FinishedRun) -> Picture | None:
    """A point a method; lines where numbers of neurons, or other candidates, were tried."""
    results = run.results
    plane = plane_of(results)
    if plane is None:
        return None
    points = [(name, _row(results, name, plane.across), _row(results, name, plane.up)) for name in _methods(results)]
    there = [(name, x, y) for name, x, y in points if x is not None and y is not None]
    with_paths = plane.across[0] == plane.up[0] and len(there) <= WITH_PATHS
    tried = paths(run, plane.across[1], plane.up[1]) if with_paths else []
    if not any(math.isfinite(x.value) and math.isfinite(y.value) for _, x, y in there):
        return None

    def draw(colours: Colours) -> "Figure":
        return drawn_plane(
            _points(results, there, series(results, colours), plane, colours), tried, _axes(results, plane), colours
        )

    return Picture.drawn(
        NAME,
        "The trade-off",
        _caption(results, plane, tried),
        _in_words(results, there, plane, tried),
        draw,
    )


def plane_of(results: Results) -> Plane | None:
    """Goal against guard of the first task where it has both; else what was fitted to against the first guard."""
    task = first_task(results)
    goals, guards = (with_role(results, [task], role) for role in ("goal", "guard"))
    if goals and guards:
        ends = [results.description(one[0][1]) for one in (goals, guards)]
        shares = all(one.unit == SHARE and one.best == 1 for one in ends)
        abstains = shares and bool(with_role(results, [task], "abstention"))
        return Plane(goals[0], guards[0], (1.0, 0.0) if abstains else None)
    for point in results.trade_off():
        for guard in point["guards"]:
            across, up = (point["goal"]["task"], point["goal"]["metric"]), (guard["task"], guard["metric"])
            if across != up:
                return Plane(across, up)
    return None


def _methods(results: Results) -> list[str]:
    return list(dict.fromkeys(row.method for row in results.metrics))


def _row(results: Results, method: str, axis: tuple[str, str]) -> MetricRow | None:
    rows = [row for row in of_task(results, axis[0]) if (row.method, row.metric) == (method, axis[1])]
    return rows[0] if rows else None


def _axes(results: Results, plane: Plane) -> tuple[tuple[str, str, float | None], tuple[str, str, float | None]]:
    """Of both axes title, unit and best value."""
    task = first_task(results)
    found = []
    for of, metric in (plane.across, plane.up):
        description = results.description(metric)
        found.append((named(description, "" if of == task else of), description.unit, description.best))
    return found[0], found[1]


def _points(
    results: Results,
    there: list[tuple[str, MetricRow, MetricRow]],
    styles: dict[str, Series],
    plane: Plane,
    colours: Colours,
) -> list[Point]:
    points = [
        Point(
            styles[name],
            (x.value, x.low, x.high),
            (y.value, y.low, y.high),
            tuple(zip(x.draws, y.draws, strict=False)),
            landmark=name == baseline(results) or (x.value, y.value) == plane.abstaining,
        )
        for name, x, y in there
    ]
    if plane.abstaining is not None and not any(_stands(one, plane.abstaining) for one in points):
        mark = Series("", ABSTAINS, colours.ink, "X", hollow=True)
        nowhere = math.nan
        across, up = plane.abstaining
        points.append(Point(mark, (across, nowhere, nowhere), (up, nowhere, nowhere), landmark=True))
    return points


def _stands(point: Point, place: tuple[float, float]) -> bool:
    return abs(point.x[0] - place[0]) < 1e-9 and abs(point.y[0] - place[1]) < 1e-9


def _caption(results: Results, plane: Plane, tried: list[Path]) -> str:
    said = [
        f"Each point is a method with its {level(results)} intervals, across and up; the arrow points to where a "
        "method should be."
    ]
    if plane.abstaining is not None:
        said.append(
            "A model that always abstains has everything that is to be gained and nothing of what is to be kept."
        )
    if tried:
        said.append(
            "Dotted lines join the candidates that a method chose from (numbers of neurons, where it edits some), as "
            "they did on development items."
        )
    return " ".join(said)


def _in_words(results: Results, there: list[tuple[str, MetricRow, MetricRow]], plane: Plane, tried: list[Path]) -> str:
    (across, unit_across, _), (up, unit_up, _) = _axes(results, plane)
    told = [
        f"{results.title(name)}: {with_interval(x.value, x.low, x.high, unit_across)} and "
        f"{with_interval(y.value, y.low, y.high, unit_up)}"
        for name, x, y in there
    ]
    said = [f"{across} (across) and {up} (up). {'; '.join(told)}."]
    said += [one.in_words(results, unit_across, unit_up) for one in tried]
    return " ".join(said)
