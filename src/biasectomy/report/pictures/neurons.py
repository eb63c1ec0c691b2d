"""Where the edited neurons sit: layers across, kinds of modules down, one map a method."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.base import Picture, register
from biasectomy.report.pictures.colours import Colours
from biasectomy.report.pictures.series import Series, series
from biasectomy.report.pictures.sheet import MEDIUM, TINY, WIDTH, Sheet, width_of, wrapped
from biasectomy.report.places import kind_of, layer_of, stack_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "neurons"
HEADING, PROFILE, ROW, FOOT, KEY = 26.0, 64.0, 22.0, 30.0, 26.0
NAMES, GAP = 150.0, 10.0
FAINTEST = 0.15  # of a cell that holds any
SHADES = 5


@dataclass(frozen=True)
class Map:
    """How many neurons of a set lie in each layer, by kind of module; and how many there are, where that is known."""

    method: str
    title: str
    kinds: tuple[str, ...]
    layers: int
    counts: dict[tuple[str, int], int]
    totals: dict[tuple[str, int], int]

    def value(self, kind: str, layer: int) -> float:
        """The share of a place's units that are edited, or their number."""
        count = self.counts.get((kind, layer), 0)
        total = self.totals.get((kind, layer), 0)
        return count / total if total else float(count)

    @property
    def of_layers(self) -> list[int]:
        """How many neurons lie in each layer."""
        return [sum(self.counts.get((kind, layer), 0) for kind in self.kinds) for layer in range(self.layers)]

    @property
    def most(self) -> float:
        """The largest value of a place."""
        return max((self.value(kind, layer) for kind in self.kinds for layer in range(self.layers)), default=0.0)


@register(NAME, place=40)
def neurons(run: FinishedRun) -> Picture | None:
    """One map for each method that edits any."""
    maps = [
        map_of((name, run.results.title(name)), found, _noted(run, name), _layers(run, found))
        for name, found in run.neuron_sets.items()
        if len(found)
    ]
    if not maps:
        return None
    shares = all(one.totals for one in maps)
    caption = (
        "How many of the edited neurons lie in each layer (strokes) and, below, in each kind of module: the stronger "
        "the colour, the " + ("larger the share of the units there that is edited." if shares else "more.")
    )
    alternative = " ".join(map(_in_words, maps))

    def draw(colours: Colours) -> "Figure":
        return _drawn(maps, series(run.results, colours), colours)

    return Picture.drawn(NAME, "Where the neurons are", caption, alternative, draw)


def _noted(run: FinishedRun, method: str) -> list[dict[str, Any]]:
    """What the record says of where the neurons of a method lie."""
    methods = run.record.get("methods")
    noted = methods.get(method) if isinstance(methods, dict) else None
    places = noted.get("places") if isinstance(noted, dict) else None
    return [one for one in places if isinstance(one, dict)] if isinstance(places, list) else []


def _layers(run: FinishedRun, found: NeuronSet) -> int:
    shape = found.model.get("shape") or {}
    return max((value for key, value in shape.items() if key.startswith("num_") and isinstance(value, int)), default=0)


def map_of(names: tuple[str, str], found: NeuronSet, noted: list[dict[str, Any]], layers: int = 0) -> Map:
    """The map of a method's set, by the method's name and title.

    It comes from what is noted of places, else from the names of modules.
    """
    if noted:
        several = len({one["stack"] for one in noted}) > 1
        counts, totals, kinds = {}, {}, []
        for one in noted:
            kind = f"{one['kind']} ({one['stack']})" if several else str(one["kind"])
            kinds.append(kind)
            for layer, count, total in zip(one["layers"], one["neurons"], one["of"], strict=True):
                counts[kind, layer], totals[kind, layer] = count, total
        return Map(*names, tuple(kinds), 1 + max(layer for _, layer in counts), counts, totals)
    modules = [{"module": one.module} for one in found]
    several = len({stack_of(one) for one in modules}) > 1
    places = Counter(
        (f"{kind_of(one)} ({stack_of(one)})" if several else kind_of(one), layer_of(one) or 0) for one in modules
    )
    kinds = sorted({kind for kind, _ in places})
    return Map(*names, tuple(kinds), max(layers, 1 + max(layer for _, layer in places)), dict(places), {})


def _drawn(maps: list[Map], shades: Mapping[str, Series], colours: Colours) -> "Figure":
    names = min(NAMES, max(width_of(kind, TINY) for one in maps for kind in one.kinds))
    left = max(names, width_of("10,000", TINY)) + GAP
    height = sum(HEADING + PROFILE + ROW * len(one.kinds) + FOOT + KEY for one in maps)
    sheet = Sheet(colours, height)
    top = 0.0
    for one in maps:
        colour = shades[one.method].colour
        count = f"{one.title}: {sum(one.counts.values()):,} neurons"
        sheet.text(0, top + 13, wrapped(count, WIDTH, MEDIUM, bold=True, lines=1)[0], size=MEDIUM, weight="bold")
        top += HEADING
        _profile(sheet.axes(left, top, WIDTH - left - 2, PROFILE - 8), one, colour, colours)
        top += PROFILE
        axes = sheet.axes(left, top, WIDTH - left - 2, ROW * len(one.kinds))
        _cells(axes, one, colour, colours)
        for row, kind in enumerate(one.kinds):
            said = wrapped(kind, names, TINY, lines=1)[0]
            sheet.text(left - GAP, top + ROW * (row + 0.5), said, size=TINY, align="right")
        top += ROW * len(one.kinds)
        sheet.text(WIDTH, top + 24, "layer \N{RIGHTWARDS ARROW}", size=TINY, align="right", colour=colours.muted)
        _key(sheet, one, colour, left, top + FOOT - 4)
        top += FOOT + KEY
    return sheet.figure


def _profile(axes: "Axes", one: Map, colour: str, colours: Colours) -> None:
    """Strokes from 0: how many neurons lie in each layer."""
    from matplotlib.ticker import MaxNLocator

    highest = max(one.of_layers)
    axes.set_xlim(-0.5, one.layers - 0.5)
    axes.set_ylim(0, 1.08 * highest)
    ticks = [one for one in MaxNLocator(nbins=3, integer=True).tick_values(0, highest) if 0 <= one <= 1.08 * highest]
    axes.set_yticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.set_xticks([])
    axes.grid(axis="y", color=colours.grid, linewidth=1)
    counts = {layer: count for layer, count in enumerate(one.of_layers) if count}
    bars = axes.bar(list(counts), list(counts.values()), width=0.7, color=colour, linewidth=0)
    for layer, bar in zip(counts, bars, strict=True):
        bar.set_gid(f"layer/{one.title}/{layer}")


def _cells(axes: "Axes", one: Map, colour: str, colours: Colours) -> None:
    from matplotlib.patches import Rectangle

    axes.set_xlim(-0.5, one.layers - 0.5)
    axes.set_ylim(len(one.kinds) - 0.5, -0.5)
    axes.set_yticks([])
    every = next(step for step in (1, 2, 5, 10, 20, 50, 100) if one.layers / step <= 12)
    axes.set_xticks(range(0, one.layers, every), [str(layer) for layer in range(0, one.layers, every)])
    frame = Rectangle((-0.5, -0.5), one.layers, len(one.kinds), facecolor="none", edgecolor=colours.grid, clip_on=False)
    axes.add_patch(frame)
    for row, kind in enumerate(one.kinds):
        for layer in range(one.layers):
            if value := one.value(kind, layer):
                shade = (colour, _shade(value, one.most))
                cell = Rectangle((layer - 0.47, row - 0.46), 0.94, 0.92, facecolor=shade, linewidth=0, clip_on=False)
                cell.set_gid(f"cell/{one.title}/{kind}/{layer}")
                axes.add_artist(cell)  # not add_patch, which looks at the axes' limits each time


def _shade(value: float, most: float) -> float:
    return FAINTEST + (1 - FAINTEST) * value / most


def _key(sheet: Sheet, one: Map, colour: str, left: float, top: float) -> None:
    """Which shade is how much."""
    from matplotlib.patches import Rectangle

    for number in range(SHADES):
        part = (number + 1) / SHADES
        place = ((left + 22 * number) / sheet.width, 1 - (top + 10) / sheet.height)
        shade = (colour, _shade(part, 1.0))
        size = (22 / sheet.width, 10 / sheet.height)
        sheet.figure.add_artist(Rectangle(place, *size, facecolor=shade, transform=sheet.figure.transFigure))
    unit = f"{100 * one.most:.2g} % of the units of a place" if one.totals else f"{one.most:,.0f} neurons in a place"
    sheet.text(left - 6, top + 5, "0", size=TINY, align="right", colour=sheet.colours.muted)
    sheet.text(left + 22 * SHADES + 6, top + 5, unit, size=TINY, colour=sheet.colours.muted)


def _in_words(one: Map) -> str:
    by_layer = sorted(enumerate(one.of_layers), key=lambda pair: -pair[1])[:3]
    most = ", ".join(f"layer {layer} ({count:,})" for layer, count in by_layer if count)
    kinds = {kind: sum(one.counts.get((kind, layer), 0) for layer in range(one.layers)) for kind in one.kinds}
    told = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items() if count)
    return f"{one.title}: {sum(one.counts.values()):,} neurons in {one.layers} layers; most in {most}; by kind: {told}."
