"""What a study found: figures against a number, such as that of neurons, of samples, or a layer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from biasectomy.measuring.results import Results
from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.axis import Axis, axis_of, better, is_inner
from biasectomy.report.pictures.base import Picture, register
from biasectomy.report.pictures.colours import Colours
from biasectomy.report.pictures.rows import first_task, level
from biasectomy.report.pictures.scale import Scale, scale_of
from biasectomy.report.pictures.series import Series, series
from biasectomy.report.pictures.sheet import MEDIUM, SMALL, TINY, WIDTH, Sheet, width_of, wrapped
from biasectomy.report.pictures.wording import named, with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "curve"
LEFT, RIGHT, HEADING, PANEL, BETWEEN, FOOT, ROW = 62.0, 14.0, 26.0, 150.0, 14.0, 46.0, 20.0
BROKEN = (0, (5, 2))
BANDS = 3  # lines; of more, intervals are strokes, since bands would hide each other


@dataclass(frozen=True)
class At:
    """A figure of a method at a number (or a name); `x` None is one that does not depend on it."""

    x: float | str | None
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """One metric on one task, by method."""

    task: str
    metric: str
    lines: dict[str, list[At]]


@register(NAME, place=17)
def curve(run: FinishedRun) -> Picture | None:
    """One panel a metric, one line a method."""
    results = run.results
    given = getattr(results, "curve", None)
    panels = panels_of(given)
    if not panels:
        return None
    title, over = str(_get(given, "title") or "Curve"), str(_get(given, "over") or "")
    undefined = any(math.isnan(at.value) for panel in panels for line in panel.lines.values() for at in line)
    caption = (
        f"{title}: figures against {over}, with {level(results)} intervals"
        " (bands, or strokes where there are many lines)." + (" A cross below: undefined." if undefined else "")
    )
    alternative = " ".join(_in_words(results, panel, over) for panel in panels)
    logarithmic = bool(_get(given, "logarithmic"))
    return Picture.drawn(
        NAME, title, caption, alternative, lambda colours: _drawn(results, panels, over, logarithmic, colours)
    )


def _get(given: Any, name: str) -> Any:
    return given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)


def panels_of(given: Any) -> list[Panel]:
    """The points of a curve by task and metric, then by method; a figure that is null is NaN."""
    found: dict[tuple[str, str], Panel] = {}
    for point in _get(given, "points") or () if given is not None else ():
        task, metric, method = (str(_get(point, name)) for name in ("task", "metric", "method"))
        figures = [_get(point, name) for name in ("value", "low", "high")]
        at = At(_get(point, "x"), *(math.nan if one is None else float(one) for one in figures))
        panel = found.setdefault((task, metric), Panel(task, metric, {}))
        panel.lines.setdefault(method, []).append(at)
    return list(found.values())


def _drawn(results: Results, panels: Sequence[Panel], over: str, logarithmic: bool, colours: Colours) -> "Figure":
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    styles = series(results, colours, names)
    moving = {name for panel in panels for name, line in panel.lines.items() if any(at.x is not None for at in line)}
    key = _key_of([styles[name] for name in names])
    top = ROW * len(key) + 6
    sheet = Sheet(colours, top + (HEADING + PANEL + BETWEEN) * len(panels) - BETWEEN + FOOT)
    _draw_key(sheet, key, moving)
    scale = scale_of([at.x for panel in panels for line in panel.lines.values() for at in line], logarithmic)
    for number, panel in enumerate(panels):
        description = results.description(panel.metric)
        values = [at.value for line in panel.lines.values() for at in line]
        way = better(description.best, values, description.unit)
        title = named(description, "" if panel.task == first_task(results) else panel.task)
        room = WIDTH - width_of(way, TINY) - 20
        sheet.text(0, top + 11, wrapped(title, room, MEDIUM, bold=True, lines=1)[0], size=MEDIUM, weight="bold")
        sheet.text(WIDTH, top + 11, _upright(way), size=TINY, align="right", colour=colours.muted)
        axes = sheet.axes(LEFT, top + HEADING, WIDTH - LEFT - RIGHT, PANEL)
        _draw_panel(axes, panel, styles, scale, description.unit, colours)
        if description.best is not None and is_inner(description.best, description.unit):
            axes.axhline(description.best, color=colours.ink, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        last = number == len(panels) - 1
        axes.set_xticks(scale.places, scale.labels if last else [""] * len(scale.places))
        top += HEADING + PANEL + BETWEEN
    sheet.text(WIDTH - RIGHT, top - BETWEEN + 34, f"{over} \N{RIGHTWARDS ARROW}", weight="bold", align="right")
    return sheet.figure


def _upright(way: str) -> str:
    """Which way is better, on an axis that goes up."""
    return way.replace("\N{RIGHTWARDS ARROW}", "\N{UPWARDS ARROW}").replace(
        "\N{LEFTWARDS ARROW}", "\N{DOWNWARDS ARROW}"
    )


def _draw_panel(
    axes: "Axes", panel: Panel, styles: Mapping[str, Series], scale: Scale, unit: str, colours: Colours
) -> None:
    ends = [end for line in panel.lines.values() for at in line for end in (at.value, at.low, at.high)]
    upward: Axis = axis_of(ends, unit, most=4)
    upward.on(axes, "y")
    axes.set_xlim(*scale.ends)
    axes.grid(axis="y", color=colours.grid, linewidth=1)
    for name, line in panel.lines.items():
        style = styles[name]
        for at in line:
            if at.x is None and math.isfinite(at.value):
                axes.axhline(at.value, color=style.colour, linewidth=1.4, linestyle=BROKEN, zorder=2)
        there = [(scale.place(at.x), at) for at in line if at.x is not None]
        there.sort(key=lambda one: one[0])
        _intervals(axes, there, style, band=len(panel.lines) <= BANDS)
        xs, ys = [x for x, _ in there], [at.value for _, at in there]
        drawn = axes.plot(
            xs, ys, color=style.colour, linewidth=1.8, zorder=3, clip_on=False, **style.marker(colours.paper)
        )
        drawn[0].set_gid(f"line/{panel.metric}/{name}")
    for name, line in panel.lines.items():  # what is undefined is marked below, not left out
        for at in line:
            if at.x is not None and not math.isfinite(at.value):
                axes.plot(
                    [scale.place(at.x)],
                    [upward.low],
                    marker="x",
                    color=styles[name].colour,
                    markersize=6,
                    clip_on=False,
                )[0].set_gid(f"undefined/{panel.metric}/{name}")


def _intervals(axes: "Axes", there: Sequence[tuple[float, At]], style: Series, *, band: bool) -> None:
    known = [(x, at) for x, at in there if math.isfinite(at.low) and math.isfinite(at.high)]
    if band and len(known) > 1:
        xs = [x for x, _ in known]
        heights = [at.low for _, at in known] + [at.high for _, at in reversed(known)]
        axes.fill([*xs, *reversed(xs)], heights, color=style.colour, alpha=0.16, linewidth=0, zorder=1)
        return
    for x, at in known:
        axes.plot([x, x], [at.low, at.high], color=style.colour, linewidth=1.2, alpha=0.75, zorder=2, clip_on=False)


def _key_of(styles: Sequence[Series]) -> list[list[tuple[float, Series, str]]]:
    """Lines of the key: of each entry where it begins, its mark and its name."""
    lines: list[list[tuple[float, Series, str]]] = [[]]
    x = 0.0
    for style in styles:
        said = wrapped(style.title, WIDTH - 30, SMALL, lines=1)[0]
        if x and x + 22 + width_of(said, SMALL) > WIDTH:
            lines.append([])
            x = 0.0
        lines[-1].append((x, style, said))
        x += 22 + width_of(said, SMALL) + 18
    return lines


def _draw_key(sheet: Sheet, lines: Sequence[Sequence[tuple[float, Series, str]]], moving: set[str]) -> None:
    """Names with their lines and marks; those that do not depend on the number have a broken line."""
    for row, entries in enumerate(lines):
        for x, style, said in entries:
            middle = ROW * (row + 0.5)
            broken = {} if style.name in moving else {"linestyle": BROKEN}
            sheet.line([(x, middle), (x + 16, middle)], style.colour, 1.8, **broken)
            if style.name in moving:
                sheet.line([(x + 8, middle)], style.colour, linestyle="", **style.marker(sheet.colours.paper))
            sheet.text(x + 22, middle, said)


def _in_words(results: Results, panel: Panel, over: str) -> str:
    description = results.description(panel.metric)
    told = []
    for name, line in panel.lines.items():
        figures = [
            f"{'' if at.x is None else f'at {at.x} '}{with_interval(at.value, at.low, at.high, description.unit)}"
            for at in line
        ]
        told.append(f"{results.title(name)}: {', '.join(figures)}")
    return f"{named(description)} of {panel.task} against {over}. {'; '.join(told)}."
