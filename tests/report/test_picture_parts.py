"""What pictures are made of: axes, labels, lines of text, colours, maps and histograms."""

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.report.pictures.axis import axis_of, better, direction
from biasectomy.report.pictures.colours import DARK, LIGHT, MARKED, Colours, css
from biasectomy.report.pictures.factors import direction_of, edges_of
from biasectomy.report.pictures.labels import Label, placed
from biasectomy.report.pictures.matrix import STRONGEST
from biasectomy.report.pictures.neurons import map_of
from biasectomy.report.pictures.scale import scale_of
from biasectomy.report.pictures.series import SHAPES, series
from biasectomy.report.pictures.sheet import SMALL, printable, width_of, wrapped

from .made_runs import SETS, results

FIGURES = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(FIGURES, min_size=1, max_size=8), st.sampled_from(["share", "nats", "score"]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_an_axis_has_room_for_every_figure_and_ticks_within_its_ends(values: list[float], unit: str, signed: bool):
    axis = axis_of([*values, math.nan], unit, signed=signed)
    assert axis.low < min(values) and max(values) < axis.high
    assert all(axis.low <= one <= axis.high for one in axis.ticks)
    assert not signed or axis.low < 0 < axis.high


def test_steps_are_factors_where_a_figure_is_many_times_another():
    axis = axis_of([82.0, 91.0, 41000.0], "per word")
    assert axis.logarithmic and axis.low < 82 and axis.high > 41000 and 1000.0 in axis.ticks
    assert not axis_of([82.0, 91.0], "per word").logarithmic


@pytest.mark.parametrize(
    ("best", "values", "way", "said"),
    [
        (1, [0.2, 0.9], 1, "better →"),
        (0, [0.2, 0.9], -1, "← better"),
        (1, [1.0, 1.0], 1, "better →"),
        (0, [0.0, 0.0], -1, "← better"),
        (0.5, [0.6, 0.7], -1, "← better, best 50.0 %"),
        (0.5, [0.4, 0.7], 0, "best 50.0 %"),
        (None, [0.4, 0.7], None, ""),
        (math.inf, [0.4, 0.7], 1, "better →"),
    ],
)
def test_arrows_say_which_way_is_better(best: float | None, values: list[float], way: int | None, said: str):
    assert direction(best, values) == way
    assert better(best, values, "share") == said


@given(st.lists(st.tuples(st.floats(60, 440), st.floats(40, 300)), min_size=1, max_size=14))
@settings(max_examples=15, deadline=None)
def test_names_that_are_free_cover_neither_each_other_nor_a_point(points: list[tuple[float, float]]):
    labels = [Label(x, y, 40, 14) for x, y in points]
    marks = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    found = placed(labels, (0, 0, 500, 340), avoided=marks)
    boxes = [(one.x - 20, one.y - 7, one.x + 20, one.y + 7) for one in found]
    for one, box in zip(found, boxes, strict=True):
        assert box[0] >= 0 and box[1] >= 0 and box[2] <= 500 and box[3] <= 340
        if one.free:
            assert not any(_overlap(box, mark) for mark in marks)
    free = [box for one, box in zip(found, boxes, strict=True) if one.free]
    assert not any(_overlap(one, two) for number, one in enumerate(free) for two in free[number + 1 :])


def _overlap(one: tuple[float, ...], two: tuple[float, ...]) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


@pytest.mark.filterwarnings("ignore:Glyph")
@given(st.text(max_size=60), st.integers(40, 200))
@settings(max_examples=30, deadline=None)
def test_lines_are_no_wider_than_they_may_be(text: str, width: int):
    lines = wrapped(text, width, SMALL, lines=3)
    assert 1 <= len(lines) <= 3 and all(width_of(line, SMALL) <= width for line in lines)
    whole = wrapped(text, width, SMALL, lines=1000)
    assert "".join(whole).replace(" ", "") == "".join(printable(text).split())


def test_text_stands_out_from_its_ground_in_light_and_in_dark():
    for colours in (LIGHT, DARK):
        for one in (colours.ink, colours.muted, *colours.series):
            assert _contrast(one, colours.paper) >= 4.5
        for shade in colours.series[:2]:
            assert _contrast(colours.ink, _mixed(shade, colours.paper, STRONGEST)) >= 4.5


def _mixed(top: str, ground: str, strength: float) -> str:
    parts = [strength * int(top[at : at + 2], 16) + (1 - strength) * int(ground[at : at + 2], 16) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(one):02x}" for one in parts)


def _contrast(one: str, two: str) -> float:
    """WCAG 2.2's ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_palettes_have_the_same_variables_and_marked_colours_are_nobody_elses():
    palettes: list[Colours] = [LIGHT, DARK, MARKED]
    assert len({tuple(one.by_variable()) for one in palettes}) == 1
    marked = list(MARKED.by_variable().values())
    assert len(set(marked)) == len(marked) and not set(marked) & {*LIGHT.by_variable().values()}
    assert css().count("--series-8") == 2


def test_methods_are_told_apart_by_colour_and_shape_together():
    many = {f"m{number}": (0.5, 0.5, 0.1) for number in range(60)}
    found = series(results(many, {}), LIGHT)
    assert len({(one.colour, one.shape, one.hollow) for one in found.values()}) == 60
    three = series(results(), LIGHT)
    assert (three["first"].hollow, three["control"].hollow, three["second"].hollow) == (True, True, False)
    assert three["second"].shape == SHAPES[0]


@given(st.lists(st.one_of(st.just(0), st.integers(1, 10**6)), min_size=1, max_size=9, unique=True))
@settings(max_examples=30, deadline=None)
def test_larger_numbers_stand_further_right_and_equal_factors_are_equal_steps(numbers: list[int]):
    scale = scale_of(numbers, True)
    places = [scale.place(one) for one in sorted(numbers)]
    assert places == sorted(places) and len(set(places)) == len(places)
    assert scale.ends[0] < places[0] and places[-1] < scale.ends[1]
    if any(numbers):
        assert scale.place(1000) - scale.place(100) == pytest.approx(scale.place(100) - scale.place(10))


def test_names_on_an_axis_stand_in_their_order():
    scale = scale_of(["0-5", "6-11", None, "12-17"], True)
    assert scale.labels == ("0-5", "6-11", "12-17") and [scale.place(one) for one in scale.labels] == [0, 1, 2]


def test_a_map_counts_neurons_by_layer_and_kind():
    found = map_of(("second", "Second"), SETS["second"], [], 4)
    assert (found.layers, found.kinds) == (4, ("down_proj", "up_proj"))
    assert found.counts == {("up_proj", 0): 2, ("up_proj", 2): 1, ("down_proj", 2): 3}
    assert found.of_layers == [2, 0, 4, 0] and found.most == 3
    noted = [
        {"stack": "model.layers", "kind": kind, "layers": [0, 1, 2, 3], "neurons": counts, "of": [10] * 4}
        for kind, counts in (("mlp.up_proj", [2, 0, 1, 0]), ("mlp.down_proj", [0, 0, 3, 0]))
    ]
    shares = map_of(("second", "Second"), SETS["second"], noted)
    assert shares.of_layers == found.of_layers and shares.value("mlp.down_proj", 2) == pytest.approx(0.3)


def test_stacks_with_layers_of_the_same_number_are_apart():
    both = dataclasses.replace(
        SETS["second"],
        neurons=tuple(
            dataclasses.replace(one, module=f"{stack}.block.1.wi")
            for stack, one in zip(("encoder", "decoder"), SETS["second"].neurons, strict=False)
        ),
    )
    assert map_of(("one", "One"), both, []).kinds == ("wi (decoder.block)", "wi (encoder.block)")


@given(st.floats(-50, 0), st.floats(1, 50))
@settings(max_examples=40, deadline=None)
def test_no_bin_of_factors_holds_what_weakens_and_what_strengthens(low: float, high: float):
    edges = edges_of(low, high)
    assert edges[0] <= low and edges[-1] > high and {0.0, 1.0} <= set(edges)


def test_factors_are_named_after_what_they_do():
    assert [direction_of(one) for one in (-0.5, 0.0, 0.5, 1.0, 1.5)] == [
        "reversed",
        "removed",
        "weakened",
        "",
        "strengthened",
    ]
