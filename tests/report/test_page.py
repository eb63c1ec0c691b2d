"""The page: all parts in their order, nothing that could run or be fetched, and tables that are tables."""

import itertools
import re
from html.parser import HTMLParser

import pytest

from biasectomy.errors import DataError, RunError
from biasectomy.report.finished import FinishedRun
from biasectomy.report.page import render_page, write_page
from biasectomy.report.pictures import Picture
from tests.report.made_runs import transferred
from tests.report.page_cases import CLEAR, GOAL, GUARD, HOSTILE, UNCLEAR, make_run, results_of, some_answers

RESULTS = results_of({"crispr": {GOAL: CLEAR, GUARD: UNCLEAR}}, {GOAL: CLEAR})
EMPTY = {"meta", "img", "br", "rect", "path", "use", "circle", "line"}
DRAWN = [
    Picture(
        name, f"Title {name}", f"Caption {name}", "In words", f'<svg id="{name}" role="img"><title>{name}</title></svg>'
    )
    for name in ("changes", "trade-off", "neurons", "of-a-plugin")
]


class Read(HTMLParser):
    """Every element with its attributes, and the text in each of some."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("run") / "run", RESULTS, some_answers(), settings={"method": "crispr"})
    return FinishedRun.read(folder)


@pytest.fixture(scope="module")
def page(run):
    return render_page(run, DRAWN)


@pytest.fixture(scope="module")
def read(page):
    return Read(page)


def test_the_verdict_comes_first_and_every_part_in_its_place(read):
    ids = [attributes["id"].removeprefix("part-") for attributes in read.of("section")]
    assert ids == [
        "verdict",
        "changes",
        "trade_off",
        "neurons",
        "answers",
        "capability",
        "cost",
        "more",
        "limits",
        "again",
    ]
    assert [attributes["href"] for attributes in read.of("a")][1:] == [f"#part-{name}" for name in ids]
    said = " ".join(text for _, text in read.texts)
    for words in ("Is it fairer?", "What did it cost?", "Can I trust it?", "What do I do next?", "Caption of-a-plugin"):
        assert words in said
    assert "biasectomy mitigate tiny --task bbq:age --test-items 100" in said and "3 February 2026" in said


def test_whatever_a_run_says_is_text(page, read):
    assert "<script>window" not in page and "<img" not in page and HOSTILE in "".join(text for _, text in read.texts)
    assert len(read.of("script")) == 1 and len(read.of("style")) == 1 and not read.of("img")
    assert not any(name.startswith("on") for _, attributes in read.elements for name in attributes)
    assert read.open == []  # every element that is opened is closed, in order


def test_nothing_is_fetched_and_no_style_or_script_is_let_in_but_its_own(page, read):
    policy = next(one["content"] for one in read.of("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and policy.count("'sha256-") == 2
    assert not any("style" in attributes or "src" in attributes for _, attributes in read.elements)
    assert all(one["href"].startswith("#") for one in read.of("a")) and not read.of("link")
    assert "url(" not in page.partition("</style>")[0] and "@import" not in page


def test_tables_have_captions_and_their_heads_say_what_they_head(read):
    assert len(read.of("table")) == len(read.of("caption")) > 5
    assert all(one.get("scope") in ("col", "row") for one in read.of("th"))
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_ids_are_unique_and_what_refers_to_one_finds_it(page, read):
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) and 'lang="en"' in page
    for _, attributes in read.elements:
        assert set(attributes.get("aria-labelledby", "").split()) <= set(ids)


def test_a_run_of_an_earlier_version_is_shown_without_what_it_lacks(tmp_path):
    folder = make_run(tmp_path / "run", RESULTS, some_answers(), asked_about=False)
    text = render_page(FinishedRun.read(folder), [])
    assert "did not keep the texts" in text and "Writes towards" not in text and "model.layers.2.mlp.down_proj" in text


def test_a_run_that_only_measured_has_no_parts_on_changes(tmp_path):
    read = Read(render_page(FinishedRun.read(make_run(tmp_path / "run", results_of({}), neurons=0)), []))
    assert {"part-answers", "part-trade_off"}.isdisjoint(one["id"] for one in read.of("section"))
    assert "What was measured" in " ".join(text for _, text in read.texts)


def test_a_study_shows_its_matrix_and_says_how_many_cells_hold():
    read = Read(render_page(transferred(), []))
    said = " ".join(text for _, text in read.texts)
    assert "Yes in 1 of 2 where it was learned, not shown elsewhere" in said
    assert "1 gain and no loss hold, when all 3 cells with an interval are looked at together" in said
    assert "How much nearer the best value" in said and "0 of 1 fit that helped lost nothing clearly" in said


def test_the_page_is_written_with_its_pictures_from_the_folder_alone(tmp_path):
    folder = make_run(tmp_path / "run", RESULTS, some_answers(), settings={"method": "crispr"})
    path = write_page(folder)
    assert path == folder / "report.html" and path.stat().st_size < 1_000_000
    names = {one.name for one in (folder / "pictures").iterdir()}
    assert {"changes.svg", "changes.png", "changes.pdf"} <= names
    assert path.read_text().count("<figure") == len(names) // 3


def test_a_folder_without_a_run_and_a_damaged_one_are_refused(tmp_path):
    with pytest.raises(RunError, match=r"is empty; give the folder of a finished run"):
        write_page(tmp_path)
    folder = make_run(tmp_path / "run", RESULTS, some_answers())
    (folder / "questions.jsonl").write_text('{"item": "bbq:age/1"}\n')
    with pytest.raises(DataError, match=r"questions\.jsonl', line 1: expected the fields 'task' and 'item'"):
        render_page(FinishedRun.read(folder), [])


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [r":root\{[^}]*", r":root\[data-theme=dark\]\{[^}]*"])
def test_every_colour_of_text_stands_out_from_what_it_stands_on(page, theme):
    """By 4.5 to 1, as WCAG 2 asks for."""
    style = page.partition("<style>")[2].partition("</style>")[0]
    style = (
        style.partition("@media print")[0] + style.partition("\n:root{--good")[1] + style.partition("\n:root{--good")[2]
    )
    values = dict(re.findall(r"--([\w-]+):(#[0-9a-f]{6})", " ".join(re.findall(theme, style))))
    for text in ("ink", "muted", "good", "bad", "mixed", "open", "link"):
        for ground in ("paper", "soft"):
            bright, dim = sorted((luminance(values[text]), luminance(values[ground])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (text, ground)
