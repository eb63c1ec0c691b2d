"""The last screen: what is on it, and that it fits."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from biasectomy.files import write_json
from biasectomy.measuring.results import Matrix, MatrixCell, Results
from biasectomy.report.as_it_is import as_it_is
from biasectomy.report.figures import result_tables
from biasectomy.report.headline import Headline
from biasectomy.report.plane import Point, drawn, letters
from biasectomy.report.screen import print_screen, screen
from biasectomy.report.text import rendered
from tests.report.made_results import made

BOTH = {"before": 0.10, "after": 0.80}
USUAL = {
    ("t:a", "twin"): BOTH,
    ("t:a", "gain"): BOTH,
    ("t:a", "kept"): {"before": 0.50, "after": 0.40},
    ("t:a", "silent"): {"before": 0.05, "after": 0.055},
    ("words", "surprise"): {"before": 82.5, "after": 82.9},
    ("drift", "damage"): {"before": 0.0, "after": 0.0239},
}
LONG = ["First sentence about it. " * 12, "Second sentence, which judges. " * 5, *["One of many others. " * 5] * 20]


def shown(results: Results, width: int = 80, folder: Path | None = None, **terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False, **terminal)
    print_screen(results, console, folder)
    return stream.getvalue()


def folder_of(results: Results, folder: Path, files: tuple[str, ...] = (), **record: object) -> Path:
    """A finished run with these results."""
    folder.mkdir(parents=True)
    write_json(folder / "results.json", results.to_json())
    write_json(folder / "record.json", {"status": "finished", "seconds": {"fit": 62, "measure": 3.4}, **record})
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


def test_verdict_then_five_rows_by_role_then_the_plane() -> None:
    results = made(USUAL, method="after")
    assert [metric for _, metric in Headline(results).figures] == ["gain", "kept", "silent", "surprise", "damage"]
    lines = shown(results).splitlines()
    assert lines[1:3] == ["Verdict", "It is better."]
    rows = {line.split()[1]: line for line in lines if line[:1] in ("↑", "↓")}
    assert "0.10" in rows["Gain"] and "0.80" in rows["Gain"] and "+0.70 [+0.68, +0.72]" in rows["Gain"]
    assert rows["Kept"].startswith("↑") and rows["Silent"].startswith("↓") and rows["Damage"].startswith("↓")
    assert "+0.0239" in rows["Damage"]  # nats have four decimals
    assert any(line.startswith("Gain ↑   B Before  A After") for line in lines)


def test_bold_where_the_interval_excludes_no_change_and_colour_says_which_way() -> None:
    text = shown(made(USUAL, method="after"), force_terminal=True, color_system="standard", no_color=False)
    found = re.findall(r"(Gain|Kept).*?(\x1b\[[0-9;]*m) *[+-]0\.", text)
    assert found == [("Gain", "\x1b[1;32m"), ("Kept", "\x1b[1;31m")]
    silent = next(line for line in text.splitlines() if "Silent" in line)
    assert ("\x1b[1m" not in silent and "+0.01 [-0.02, +0.03]" in silent) or "+0.00" in silent  # unclear: plain


def test_a_share_with_its_best_inside_names_it_and_a_score_between_signs_too() -> None:
    figures = {("t", "odds"): {"before": 0.62, "after": 0.55}, ("u", "lean"): {"before": 0.3, "after": -0.1}}
    text = shown(made(figures, method="after"))
    assert re.search(r"→ 0\.5 +Odds", text) and re.search(r"→ 0 +Lean", text)
    clear = Headline(made(figures, method="after"))
    gains = [clear.gain(clear.change(figure, "after")) for figure in clear.figures]
    assert gains == [1, 1]  # both are nearer


def test_a_clear_loss_is_never_hidden_behind_rows_that_say_nothing() -> None:
    figures = {
        ("t", "gain"): BOTH,
        ("t", "kept"): BOTH | {"after": 0.11},
        ("t", "silent"): {"before": 0.2, "after": 0.21},
    }
    for number in range(6):
        figures[f"other{number}", "kept"] = {"before": 0.50 + number / 100, "after": 0.505 + number / 100}
    figures["other9", "kept"] = {"before": 0.9, "after": 0.3}
    headline = Headline(made(figures, method="after", tasks=["t", "other9", "other1"]))
    assert ("other9", "kept") in headline.figures and headline.figures[0] == ("t", "gain")
    many = Headline(made(figures, method="after"))
    assert len(many.figures) == len(many.tasks) == 8 and ("other9", "kept") in many.figures


def test_what_equals_another_figure_or_changes_nothing_is_said_once() -> None:
    results = made({key: values | {"idle": values["before"]} for key, values in USUAL.items()}, method="after")
    assert Headline(results).unchanged == ["idle"]
    text = shown(results)
    assert "No figure differs from those of Before: Idle." in text and "I Idle" not in text
    everything = rendered(results)
    assert "Gain: the same as Twin." in everything and "Idle - Before: nothing differs." in everything
    table = result_tables(results, extent="full")[0]
    assert "Gain" not in table.figures.columns and [name for name, _ in table.changes.rows] == ["After - Before"]
    assert "Gain" in result_tables(results)[0].figures.columns  # reports have all


def test_nothing_was_changed_at_all() -> None:
    results = made({key: {"before": v["before"], "after": v["before"]} for key, v in USUAL.items()}, method="after")
    text = shown(results)
    assert "+0.00" not in text and "No figure differs from those of Before: After." in text
    assert "0.10 [0.08, 0.12]" in text and "└" not in text


@pytest.mark.parametrize("width", [40, 50, 60, 70, 80, 100])
def test_titles_are_broken_between_words_alone(width: int) -> None:
    titles = {
        "odds": "Stereotype score (ss), mean, behind `<|endoftext|>`",
        "kept": "Language modelling score (lms), mean, behind `<|endoftext|>`",
        "gain": "Stereotype preferred, sum, behind `<|endoftext|>`",
    }
    figures = {
        ("t:one", "odds"): BOTH,
        ("t:one", "kept"): {"before": 0.5, "after": 0.6},
        ("pairs", "gain"): {"before": 0.2, "after": 0.3},
    }
    results = made(figures, method="after")
    named = {name: replace(one, title=titles.get(name, one.title)) for name, one in results.described.items()}
    titled = {"before": "Original", "after": "Learned factors"}
    lines = shown(replace(results, described=named, titles=titled), width).splitlines()
    start = next(place for place, line in enumerate(lines) if set(line.strip()) == {"─"})
    words = " ".join(lines[start:]).split()
    assert all(words.count(word) >= 1 for title in titles.values() for word in title.split()), lines
    assert words.count("`<|endoftext|>`") >= 3 and max(map(len, lines)) <= width


def test_one_model_as_it_is_has_intervals_and_one_row_a_task() -> None:
    figures = {(f"task{number}", "gain"): {"before": number / 50} for number in range(17)}
    results = made(figures, verdict=())
    text = shown(replace(results, verdict=as_it_is(results)))
    assert (
        "Nothing was changed, so there is no verdict" in text
        and text.count("[") >= 17
        and "17 tasks: 90 items each" in text
    )
    assert len(text.splitlines()) < 40 and "Gain (task16)" in text


def test_an_undefined_figure_has_its_reason() -> None:
    results = made({("t", "gain"): {"before": float("nan"), "after": 0.5}, ("t", "kept"): BOTH}, method="after")
    text = shown(results)
    assert "n/a (1)" in text and "(1) nobody answered" in text and "nan" not in text


def compared(count: int) -> Results:
    names = ["before", *(f"method-number-{number}" for number in range(count))]
    figures = {
        (task, metric): {name: 0.1 + (7 * place % 23) / 30 for place, name in enumerate(names)}
        for task, metric in [("t", "gain"), ("t", "kept"), ("t", "silent"), ("d", "damage")]
    }
    return made(figures, verdict=["Clearly better: none at all."])


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_compared_methods_are_rows_with_letters_of_the_plane(width: int) -> None:
    text = shown(compared(7), width)
    rows = [line for line in text.splitlines() if re.match(r"[a-h] ", line)]
    assert len(rows) == 8 and rows[0].split()[1] == "Before"
    assert "+ better, - worse than Before" in " ".join(text.split())
    assert all(re.search(r"0\.\d\d( \[0\.\d\d, 0\.\d\d\])? [+-]", row) for row in rows[1:4])
    assert max(map(len, text.splitlines())) <= width


def test_of_many_methods_those_are_shown_that_fit() -> None:
    assert "more under --full" not in shown(compared(25)) and len(shown(compared(25)).splitlines()) <= 40
    results = compared(45)
    text = shown(results)
    assert len(text.splitlines()) <= 40
    best = max((row for row in results.metrics if row.metric == "gain"), key=lambda row: row.value).method
    assert results.title(best) in text and "more under --full" in text


@pytest.mark.parametrize("verdict", [["Short."], LONG])
def test_it_fits_80_by_40_and_every_line_its_width(verdict: list[str], tmp_path: Path) -> None:
    results = made(USUAL, method="after", verdict=verdict)
    folder = folder_of(results, tmp_path / "run", ("report.md", "report.html", "model/config.json"))
    for width in (60, 80, 100, 200):
        text = shown(results, width, folder)
        lines = text.splitlines()
        steps = [line for line in lines if str(folder) in line]  # what is typed stays one line, however long
        assert max(len(line) for line in lines if line not in steps) <= width
        assert "…" not in text and "+0.70" in text and "0.0239" in text
        if width >= 80:
            assert sum(max(1, -(-len(line) // width)) for line in lines) <= 40
    if verdict == LONG:
        assert re.search(r"The report and --full have \d+ more sentences\.", shown(results, 80, folder))


def test_what_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = made(USUAL, method="after")
    files = ("report.md", "report.html", "model/config.json")
    folder = folder_of(results, Path("my run"), files, model={"name": "org/model"})
    (folder / "neurons.json").write_text(json.dumps({"neurons": [{"unit": 1}]}))
    text = shown(results, 100, folder)
    assert "Report       my run/report.html" in text
    assert 'transformers.AutoModelForCausalLM.from_pretrained("my run/model")' in text
    assert "biasectomy apply 'my run/neurons.json' org/model --out edited" in text
    assert "biasectomy show 'my run' --full" in text and "Took         1 min 5 s" in text
    (folder / "report.html").unlink()
    (folder / "model" / "config.json").write_text(json.dumps({"is_encoder_decoder": True}))
    (folder / "neurons.json").write_text(json.dumps({"neurons": []}))
    text = shown(results, 100, folder)
    assert "my run/report.md" in text and "AutoModelForSeq2SeqLM" in text and "biasectomy apply" not in text


def test_a_console_of_plain_ascii_and_one_that_is_no_terminal() -> None:
    class Plain(io.StringIO):
        encoding = "ascii"

    stream = Plain()
    print_screen(made(USUAL, method="after"), Console(file=stream, width=80, highlight=False))
    assert stream.getvalue().isascii() and "^  Gain" in stream.getvalue()
    assert "\x1b" not in shown(made(USUAL, method="after"))
    assert screen(made(USUAL, method="after"), None, 80) == shown(made(USUAL, method="after")).strip("\n")


def test_a_study_shows_its_matrix() -> None:
    rows, columns = ("m:a", "m:b"), tuple(f"task:{name}" for name in "abcdefgh")
    cells = tuple(
        MatrixCell(row, column, "gain", 1, 0.1, 0.2, 0.1 + place / 100, 0.05, 0.2, 9, 3, row[-1] == column[-1], True)
        for row in rows for place, column in enumerate(columns)
    )  # fmt: skip
    results = replace(made(USUAL), matrix=Matrix("before", rows, columns, cells))
    for width in (60, 80, 200):
        text = shown(results, width)
        assert max(map(len, text.splitlines())) <= width and "+0.10*" in text and "m:b" in text
    assert "Under --full:" in shown(results, 60) and "[+0.05, +0.20]" in shown(results, 300)


# The plane


def test_points_lie_where_their_figures_are() -> None:
    points = [Point("O", 0.0, 0.0), Point("N", 1.0, 1.0), Point("M", 0.5, 0.5)]
    lines = [line.plain for line in drawn(points, ("across", "up"), "", (43, 13), False)]
    places = {
        letter: (row, line.index(letter)) for row, line in enumerate(lines[1:-2]) for letter in "ONM" if letter in line
    }
    assert places["O"][0] > places["M"][0] > places["N"][0]
    assert places["O"][1] < places["M"][1] < places["N"][1]
    assert places["M"][1] - places["O"][1] == pytest.approx(places["N"][1] - places["M"][1], abs=1)
    assert lines[0] == "up" and "across" in lines[-1] and lines[-1].split()[0] == "0.00" and lines[-1].endswith("1.00")


def test_points_at_one_place_are_told_and_little_is_not_drawn_as_much() -> None:
    points = [Point(letter, 0.512, 0.5) for letter in "abc"]
    lines = [one.plain for one in drawn(points, ("x", "y"), "", (41, 12), True)]
    text = "\n".join(lines)
    assert "At the same place: a = b = c" in text and text.isascii() and len(lines) <= 12
    ends = [float(line.split()[0]) for line in lines if line[:1].isdigit()]
    assert max(ends) - min(ends) >= 0.1 - 1e-9  # a tenth of a thousandth is not the whole height


def test_letters_are_initials_where_these_differ() -> None:
    assert letters({"x": "Original", "y": "Learned"}) == {"x": "O", "y": "L"}
    assert letters({"x": "Original", "y": "Other"}) == {"x": "a", "y": "b"}
