"""The page in a browser: nothing complains, nothing leaves, filters work, and whatever an item holds is text."""

import pytest

from biasectomy.report.finished import FinishedRun
from biasectomy.report.page import render_page
from biasectomy.report.pictures import pictures
from biasectomy.run_files import PAGE
from tests.report.chromium import found, opened
from tests.report.page_cases import CLEAR, GOAL, GUARD, HOSTILE, TURNED, UNCLEAR, make_run, results_of, some_answers

pytestmark = pytest.mark.skipif(found() is None, reason="there is no Chromium on this machine")
TITLES = {"original": "Original", "crispr": f"CRISPR {HOSTILE}", "random-neurons": f"Random {TURNED}"}
VISIBLE = "[...document.querySelectorAll('#cards > li')].filter(one => one.checkVisibility())"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    results = results_of({"crispr": {GOAL: CLEAR, GUARD: UNCLEAR}}, {GOAL: CLEAR}, titles=TITLES)
    folder = make_run(tmp_path_factory.mktemp("run") / "run", results, some_answers(90), settings={"method": "crispr"})
    run = FinishedRun.read(folder)
    (folder / PAGE).write_text(render_page(run, pictures(run)), encoding="utf-8")
    with opened(tmp_path_factory.mktemp("profile")) as browser:
        browser.look(1280)
        browser.open(folder / PAGE)
        yield browser


def choose(page, name, words):
    """Chooses the value of a filter that begins with some words; all where there are none."""
    page.run(f"""(() => {{
        const select = document.querySelector('#filters select[name="{name}"]');
        const option = [...select.options].find(one => one.text.startsWith({words!r}));
        select.value = option.value;
        select.dispatchEvent(new Event("change", {{bubbles: true}}));
    }})()""")


def test_nothing_complains_and_nothing_is_asked_for_but_the_page(page):
    assert page.errors() == []
    assert [address.partition(":")[0] for address in page.requests()] == ["file"] and page.requests()[0].endswith(PAGE)


def test_the_policy_lets_nothing_out_and_no_foreign_script_in(page):
    refused = page.run("fetch('https://example.org/').then(() => 'came through', () => 'refused')")
    page.run(
        "{const one = document.createElement('script'); one.textContent = 'broken = 3'; document.body.append(one);"
        " one.remove()}"
    )
    page.run("document.body.insertAdjacentHTML('beforeend', '<b id=probe onclick=\"window.broken = 4\">x</b>')")
    page.run("document.getElementById('probe').click(), document.getElementById('probe').remove()")
    assert refused == "refused" and page.run("typeof window.broken") == "undefined"


def test_scripts_and_turned_letters_in_items_are_text(page):
    assert page.run("typeof window.broken") == "undefined"
    assert page.run("document.querySelector('.card .context').textContent").endswith(HOSTILE)
    assert page.run(
        f"[...document.querySelectorAll('.card .question')].every(one => one.textContent.endsWith({TURNED!r}))"
    )
    assert page.run("document.querySelectorAll('img, iframe, object, script').length") == 1  # its own script
    assert page.run("document.querySelectorAll('bdi').length") > 100


def test_filters_show_what_fits_and_say_how_many(page):
    counts = "Object.fromEntries([...document.querySelectorAll('#part-answers .scroll tbody tr')].map("
    counts = page.run(counts + "row => [row.cells[0].textContent, row.cells[1].textContent.trim()]))")
    total = int(counts["all that changed"].split(" of ")[0])
    shown = page.run("document.getElementById('shown').textContent")
    assert page.run(f"{VISIBLE}.length") == 10 and shown == f"10 shown of {total} that fit; {total} answers changed."
    choose(page, "direction", "right → wrong")
    expected = int(counts["right → wrong"])
    assert page.run("document.getElementById('shown').textContent").startswith(
        f"{min(10, expected)} shown of {expected} "
    )
    assert page.run(f"{VISIBLE}.every(one => one.querySelector('.direction').textContent === 'right → wrong')")
    choose(page, "label-0", "ambiguous")
    both = page.run(f"{VISIBLE}.map(one => one.querySelector('.about').textContent)")
    assert both and all("condition: ambiguous" in one for one in both) and len(both) < expected
    page.run("document.querySelector('#filters button').click()")
    page.run("new Promise(done => setTimeout(done, 20))")
    assert page.run("document.getElementById('shown').textContent") == shown


def test_more_are_shown_when_asked_and_the_first_of_them_is_in_focus(page):
    page.run("document.getElementById('more').click()")
    assert page.run(f"{VISIBLE}.length") == 30
    assert page.run(f"{VISIBLE}.indexOf(document.activeElement)") == 10


@pytest.mark.parametrize("dark", [False, True])
def test_the_colours_are_those_of_the_device_until_the_reader_chooses(page, dark):
    page.look(1280, dark=dark)
    background = "getComputedStyle(document.body).backgroundColor"
    own = page.run(background)
    assert own == ("rgb(22, 24, 29)" if dark else "rgb(255, 255, 255)")
    page.run("document.getElementById('theme').click()")
    assert page.run(background) == ("rgb(255, 255, 255)" if dark else "rgb(22, 24, 29)")
    page.run("delete document.documentElement.dataset.theme")


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_tables_scroll_within_themselves_and_never_the_page(page, width):
    page.look(width)
    assert page.run("document.documentElement.scrollWidth <= innerWidth")
    assert page.run("[...document.querySelectorAll('.scroll')].every(one => one.tabIndex === 0)")


def test_on_paper_nothing_is_folded_and_filters_are_gone(page):
    page.look(1280, dark=True, media="print")
    assert page.run("getComputedStyle(document.body).backgroundColor") in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
    assert not page.run("document.getElementById('filters').checkVisibility()")
    page.run("dispatchEvent(new Event('beforeprint'))")
    assert page.run("[...document.querySelectorAll('details')].every(one => one.open)")
    page.run("dispatchEvent(new Event('afterprint'))")
    assert page.run("[...document.querySelectorAll('details')].every(one => !one.open)")
    page.look(1280)
