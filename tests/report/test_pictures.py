"""Pictures: marks stand where the figures are, and the files are what they say."""

import dataclasses
import io
import math
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures import PICTURES, Picture, pictures
from biasectomy.report.pictures.base import Registered
from biasectomy.report.pictures.colours import LIGHT
from biasectomy.report.pictures.rendering import settings

from .made_runs import FIGURES, TASK, TITLES, finished, mitigated, points, results, studied, transferred

CURVE = {"title": "Neurons", "over": "neurons edited", "points": points(), "logarithmic": True}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn() -> dict[str, Picture]:
    """Every kind of picture."""
    of_studies = [*pictures(transferred()), *pictures(studied(CURVE))]
    return {picture.name: picture for picture in [*of_studies, *pictures(mitigated())]}


def figure_of(picture: Picture) -> Figure:
    assert picture.drawing is not None
    with settings():
        return picture.drawing(LIGHT)


def marks(figure: Figure, begin: str) -> dict[str, tuple[list[float], list[float]]]:
    """What a picture marks, by the end of the mark's name: its places in figures."""
    return {
        artist.get_gid().removeprefix(begin): (
            list(map(float, artist.get_xdata())),
            list(map(float, artist.get_ydata())),
        )
        for axes in figure.axes
        for artist in axes.lines
        if (artist.get_gid() or "").startswith(begin)
    }


def test_every_registered_picture_is_made_of_what_it_needs_and_stands_in_its_place(drawn: dict[str, Picture]):
    assert set(drawn) == set(PICTURES) - {"other-tasks"}
    names = [picture.name for picture in pictures(mitigated())]
    assert names == ["changes", "differences", "trade-off", "neurons", "factors", "capability", "instructions"]


def test_dots_and_whiskers_stand_at_the_figures_and_their_intervals(drawn: dict[str, Picture]):
    figure = figure_of(drawn["changes"])
    dots, whiskers = marks(figure, "dot/To be gained/"), marks(figure, "whisker/To be gained/")
    assert {name: x for name, (x, _) in dots.items()} == {TITLES[one]: [gain] for one, (gain, _, _) in FIGURES.items()}
    assert whiskers["Second"][0] == pytest.approx([0.85, 0.95])
    assert dots["Original"][1] < dots["Second"][1] < dots["Random neurons"][1]  # rows go down
    for axes in figure.axes:
        assert axes.get_xlim()[0] < 0.03 and axes.get_xlim()[1] > 0.95
    differences = marks(figure_of(drawn["differences"]), "dot/To be kept, points/")
    assert differences["Second \N{MINUS SIGN} Original"][0] == pytest.approx([-0.1])
    assert differences["Second \N{MINUS SIGN} Random neurons"][0] == pytest.approx([0.1])


def test_a_difference_is_filled_only_where_its_interval_excludes_no_change(drawn: dict[str, Picture]):
    found = {
        line.get_gid(): line.get_markerfacecolor() != LIGHT.paper
        for axes in figure_of(drawn["differences"]).axes
        for line in axes.lines
        if "dot/To be" in (line.get_gid() or "")
    }
    assert found["dot/To be gained, points/Second \N{MINUS SIGN} Original"]
    assert found["dot/To be kept, points/Second \N{MINUS SIGN} Original"]  # 0.1 lost, 0.08 to both sides
    narrow = results({"first": (0.5, 0.5, 0.0), "second": (0.55, 0.4, 0.0)})
    other = next(one for one in pictures(finished(narrow)) if one.name == "differences")
    hollow = {
        line.get_gid(): line.get_markerfacecolor() == LIGHT.paper
        for axes in figure_of(other).axes
        for line in axes.lines
        if (line.get_gid() or "").startswith("dot/")
    }
    assert hollow["dot/To be gained, points/Second"] and not hollow["dot/To be kept, points/Second"]


def test_the_plane_has_every_method_the_candidates_and_a_model_that_always_abstains(drawn: dict[str, Picture]):
    figure = figure_of(drawn["trade-off"])
    at = {name: (x[0], y[0]) for name, (x, y) in marks(figure, "point/").items()}
    assert at == {name: (gain, kept) for name, (gain, kept, _) in FIGURES.items()} | {"": (1.0, 0.0)}
    assert marks(figure, "across/")["second"] == (pytest.approx([0.85, 0.95]), [0.5, 0.5])
    assert marks(figure, "up/")["second"] == ([0.9, 0.9], pytest.approx([0.45, 0.55]))
    assert marks(figure, "path/")["second"] == ([0.08, 0.5, 0.88], [0.62, 0.6, 0.52])  # the undefined one is nowhere
    assert "n = 1,000, chosen" in drawn["trade-off"].svg and "1000: 88.0 % and 52.0 %" in drawn["trade-off"].alternative


def test_points_stand_in_the_svg_where_the_axes_say(drawn: dict[str, Picture]):
    picture = drawn["trade-off"]
    figure = figure_of(picture)
    axes, height = figure.axes[0], figure.get_figheight() * 72
    uses = np.array(
        [[float(use.get("x", "nan")), float(use.get("y", "nan"))] for use in tree(picture).iter(f"{SVG}use")]
    )
    for gain, kept, _ in FIGURES.values():
        x, y = axes.transData.transform((gain, kept))
        assert np.abs(uses - [x, height - y]).max(axis=1).min() < 0.02


def test_without_a_task_of_two_sides_the_goal_stands_against_the_first_guard():
    made = results()
    rows = tuple(row for row in made.metrics if row.metric != "kept")
    picture = next(
        one for one in pictures(finished(dataclasses.replace(made, metrics=rows))) if one.name == "trade-off"
    )
    at = {name: (x[0], y[0]) for name, (x, y) in marks(figure_of(picture), "point/").items()}
    assert at["second"] == (pytest.approx(0.7), 0.02) and "" not in at


def test_what_is_undefined_is_said_and_not_left_out():
    made = results({"first": (0.1, 0.6, 0.0), "second": (math.nan, 0.5, 0.02)})
    found = {picture.name: picture for picture in pictures(finished(made))}
    for name in ("changes", "differences", "trade-off"):
        assert "undefined" in found[name].svg, name
        assert "undefined" in found[name].alternative, name
    assert "Second" in found["trade-off"].svg


def test_curves_stand_at_their_numbers_with_a_gap_where_a_figure_is_undefined(drawn: dict[str, Picture]):
    figure = figure_of(drawn["curve"])
    xs, ys = marks(figure, "line/gain/")["second"]
    assert ys == [0.1, 0.4, 0.9] and xs[1:] == [1.0, 3.0] and xs[0] < 1.0  # powers of ten, and 0 before them
    assert np.isnan(marks(figure, "line/gain/")["control"][1]).tolist() == [False, True, False]
    assert marks(figure, "undefined/gain/")["control"][0] == [1.0]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0", "10", "1,000"]
    as_object = dataclasses.make_dataclass("Curve", CURVE)(**CURVE)
    assert next(one.svg for one in pictures(studied(as_object)) if one.name == "curve") == drawn["curve"].svg


def test_cells_of_a_matrix_are_bold_where_they_hold_and_framed_where_they_are_own(drawn: dict[str, Picture]):
    texts = {text.text: text.get("font-weight") for text in tree(drawn["matrix"]).iter(f"{SVG}text")}
    assert texts["+20.0"] in ("bold", "700") and texts["+5.0"] not in ("bold", "700")
    assert texts["-10.0"] is None and "undefined" in texts
    axes = figure_of(drawn["matrix"]).axes[0]
    shades = {patch.get_gid(): patch.get_facecolor() for patch in axes.patches if patch.get_gid()}
    assert shades["cell/second/quiz:age"][3] == pytest.approx(2 * shades["cell/second/quiz:sex"][3])
    assert shades["cell/second/quiz:age"][:3] != shades["cell/second/quiz:sex"][:3]  # a gain and a loss
    assert sum(patch.get_gid() is None for patch in axes.patches) == 2


def test_figures_under_single_instructions_are_dots(drawn: dict[str, Picture]):
    xs, _ = marks(figure_of(drawn["instructions"]), "figures/")["Second"]
    assert xs == pytest.approx([0.68, 0.71, 0.73])
    assert "range 5.0 points" in drawn["instructions"].svg
    one = dataclasses.replace(
        results(), metrics=tuple(dataclasses.replace(row, instructions=()) for row in results().metrics)
    )
    assert "instructions" not in {picture.name for picture in pictures(finished(one))}


def tree(picture: Picture) -> ElementTree.Element:
    return ElementTree.fromstring(picture.svg)


def test_an_svg_is_whole_and_takes_all_its_colours_from_variables(drawn: dict[str, Picture]):
    for name, picture in drawn.items():
        root = tree(picture)
        assert (root.get("id"), root.get("role"), root.get("width")) == (name, "img", None)
        said = {child.get("id"): child.text for child in root[:2]}
        assert said == {f"{name}-title": picture.title, f"{name}-description": picture.alternative}
        rest = re.sub(r"var\(--[a-z0-9-]+, #[0-9a-f]{6}\)", "", picture.svg)
        assert not re.search(
            r"#[0-9a-f]{3,8}(?=[\";,) ])(?<!url)|rgb\(", re.sub(r"(url\(|href=\")#[^)\"]*", "", rest)
        ), name
        for text in root.iter(f"{SVG}text"):
            assert text.get("fill", "").startswith("var("), (name, text.text)
        assert " style=" not in picture.svg and "<style" not in picture.svg and "<script" not in picture.svg


def test_ids_are_of_one_picture_each_and_all_references_lead_somewhere(drawn: dict[str, Picture]):
    found = [(name, one.get("id")) for name, picture in drawn.items() for one in tree(picture).iter() if one.get("id")]
    ids = [one for _, one in found]
    assert len(ids) == len(set(ids)) and all(str(one).startswith(name) for name, one in found)
    for picture in drawn.values():
        for reference in re.findall(r"(?:url\(|href=\")#([^)\"]+)", picture.svg):
            assert reference in ids


def test_pictures_are_the_same_whenever_they_are_drawn_and_leave_settings_alone(drawn: dict[str, Picture], tmp_path):
    with matplotlib.rc_context({"font.size": 33, "svg.fonttype": "path", "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        again = next(one for one in pictures(mitigated()) if one.name == "trade-off")
        files = {path.name: path.read_bytes() for path in again.save(tmp_path / "one")}
        assert dict(matplotlib.rcParams) == before
    assert again == drawn["trade-off"]
    assert files == {path.name: path.read_bytes() for path in drawn["trade-off"].save(tmp_path / "two")}


def test_saved_files_are_what_their_names_say(drawn: dict[str, Picture], tmp_path):
    svg, png, pdf = (path.read_bytes() for path in drawn["matrix"].save(tmp_path / "pictures"))
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["matrix.pdf", "matrix.png", "matrix.svg"]
    root = ElementTree.fromstring(svg)
    assert root.get("width") == tree(drawn["matrix"]).get("viewBox", "").split()[2] and b"var(" not in svg
    assert svg.startswith(b"<?xml") and root[2].get("fill") == LIGHT.background
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG" and image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
    assert image.getpixel((0, 0))[:3] == (255, 255, 255)  # type: ignore[index]
    assert image.width == pytest.approx(float(root.get("width", "0")) * 200 / 72, abs=1)
    assert pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF") and b"CreationDate" not in pdf


def test_names_of_any_kind_are_text():
    titles = {
        "first": "<script>alert(1)</script>",
        "second": "A very long name of a method that goes on and on $x_1$ " * 4,
        "control": "中文 \x00\x1b[31m & \"quoted\" 'names' " + "x" * 300,
    }
    for picture in pictures(finished(results(titles=titles), {}, mitigated().neuron_sets)):
        assert picture.alternative.isprintable()
        assert "<script" not in picture.svg
        assert "&lt;script&gt;" in picture.svg or picture.name in ("neurons", "factors")
        root = tree(picture)
        width = float(root.get("viewBox", "").split()[2])
        assert all(float(text.get("x", 0)) <= width for text in root.iter(f"{SVG}text"))


def test_one_method_alone_is_enough_and_nothing_at_all_is_no_picture():
    alone = results({"first": (0.1, 0.6, 0.0), "second": (0.9, 0.5, 0.02)})
    rows = tuple(row for row in alone.metrics if row.method == "first")
    one = dataclasses.replace(alone, metrics=rows, differences=())
    found = {picture.name: picture for picture in pictures(finished(one))}
    assert set(found) == {"changes", "trade-off", "capability", "instructions"}
    assert found["changes"].title == "Figures of Original"
    assert pictures(finished(dataclasses.replace(one, metrics=(), tasks=()))) == []


def test_many_methods_stand_in_columns_with_the_best_first():
    many = {"first": (0.1, 0.6, 0.0)} | {f"m{number}": (number / 20, 0.5, 0.01) for number in range(1, 17)}
    found = {picture.name: picture for picture in pictures(finished(results(many, {"first": "Original"})))}
    figure = figure_of(found["changes"])
    dots = marks(figure, "dot/Both/")
    rows = sorted(dots, key=lambda name: dots[name][1])
    assert rows == ["Original", *(f"m{number}" for number in range(16, 0, -1))]
    assert {round(x[0], 9) for x, _ in dots.values()} == {
        round((gain + kept) / 2, 9) for gain, kept, _ in many.values()
    }
    assert len(marks(figure_of(found["trade-off"]), "point/")) == 18
    assert ">Original<" in found["trade-off"].svg and ">16<" in found["trade-off"].svg


def test_a_picture_of_ones_own_is_one_registered_name(monkeypatch: pytest.MonkeyPatch):
    def own(run: FinishedRun) -> Picture:
        return Picture("own", "Own", f"{TASK}", "words", '<svg xmlns="http://www.w3.org/2000/svg"/>')

    monkeypatch.setitem(PICTURES._entries, "own", Registered(own, 11))
    assert [picture.name for picture in pictures(mitigated())][:2] == ["changes", "own"]
