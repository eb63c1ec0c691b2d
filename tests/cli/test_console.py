"""The console: readable at every width, plain where there is no terminal, silent where it must be."""

import io
import json
import logging
import math
import re

import pytest

from biasectomy.cli import console as console_module
from biasectomy.cli.console import Console
from biasectomy.measuring.results import DifferenceRow, MetricDescription, MetricRow, Results
from biasectomy.narration import fetching, heading, progress, say, warn
from biasectomy.report.figures import result_tables
from biasectomy.report.text import duration, rendered
from biasectomy.tasks.ambiguity import AMBIGUITY_METRICS, LABEL_TYPE_METRICS
from biasectomy.tasks.perplexity import PERPLEXITY

METHODS = ("original", "crispr", "random-neurons")
TITLES = {"original": "Original", "crispr": "CRISPR", "random-neurons": "Random neurons"}
METRICS = (*AMBIGUITY_METRICS, *LABEL_TYPE_METRICS[-2:])


def make_results(*methods: str) -> Results:
    """Results in which every figure differs, so that a figure in the wrong place shows."""
    metrics, differences = [], []
    for number, metric in enumerate((*METRICS, PERPLEXITY)):
        task = ("perplexity:packaged", "all") if metric is PERPLEXITY else ("bbq:age", "test")
        for place, method in enumerate(methods):
            value = 0.1 * (place + 1) + 0.01 * number
            undefined = metric.name == "bias_ambiguous" and method == "crispr"
            low, high = (math.nan, math.nan) if metric is PERPLEXITY or undefined else (value - 0.05, value + 0.05)
            reason = "every answer was unknown" if undefined else None
            value = math.nan if undefined else value
            metrics.append(MetricRow(method, *task, metric.name, value, low, high, 2576, 18, 1.0, reason))
        for against in [name for name in methods if name != "crispr"] if "crispr" in methods else ():
            differences.append(DifferenceRow("crispr", against, *task, metric.name, -0.2, -0.3, 0.1, 2576, 18, 1.0))
    return Results(
        tuple(metrics),
        tuple(differences),
        verdict=["Ambiguous accuracy rises.", "The gain is mostly abstention."],
        interval={"level": 0.95},
        titles=TITLES,
        described={metric.name: MetricDescription.of(metric) for metric in (*METRICS, PERPLEXITY)},
    )


def printed(width: int, results: Results) -> str:
    """All figures, as --full shows them."""
    stream = io.StringIO()
    Console(output=stream, width=width).results(results, full=True)
    return stream.getvalue()


@pytest.mark.parametrize("width", [60, 72, 80, 99, 100, 120, 160, 200])
@pytest.mark.parametrize("methods", [METHODS, ("original",)])
def test_table_fits_every_width_and_loses_nothing(width: int, methods: tuple[str, ...]) -> None:
    results = make_results(*methods)
    text = printed(width, results)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for row in results.metrics:
        if not math.isnan(row.value):
            assert f"{row.value:.2f}" in text
        if not math.isnan(row.low):
            assert f"[{row.low:.2f}, {row.high:.2f}]" in text
    for word in (
        *[TITLES[name].split()[0] for name in methods],
        "bbq:age (test): 2,576 items, 18 templates",
        "Verdict",
        *results.verdict,
    ):
        assert word in text
    if len(methods) > 1:
        assert "[-0.30, +0.10]" in text and "CRISPR -" in text


def test_wide_terminals_get_one_table_and_narrow_ones_two() -> None:
    assert printed(200, make_results(*METHODS)).count("Metric") == 1
    assert printed(90, make_results(*METHODS)).count("Metric") == 2


def test_figures_stand_under_their_method() -> None:
    (line,) = [line for line in printed(200, make_results(*METHODS)).splitlines() if "Accuracy, all items" in line]
    assert re.findall(r"[+-]?\d\.\d\d(?= \[)", line) == ["0.10", "0.20", "0.30", "-0.20", "-0.20"]


def test_an_undefined_figure_is_not_a_number_and_says_why() -> None:
    text = printed(120, make_results(*METHODS))
    assert "n/a (1)" in text and "(1) every answer was unknown" in text and "nan" not in text


def test_a_table_for_each_task_and_only_of_test_items() -> None:
    results = make_results("original")
    first, second = results.metrics[:2]
    more = [
        *(MetricRow("original", "bbq:ses", "test", row.metric, 0.77, 0.7, 0.8, 9, 3, 1.0) for row in (first, second)),
        MetricRow("original", "bbq:age", "development", first.metric, 0.88, 0.8, 0.9, 9, 3, 1.0),
    ]
    results = Results((*results.metrics, *more))
    assert [table.task for table in result_tables(results)] == ["bbq:age", "bbq:ses"]
    text = printed(120, results)
    assert "0.77" in text and "0.88" not in text
    assert rendered(results, 120) == text.strip("\n")


def test_text_is_shown_as_it_is() -> None:
    stream = io.StringIO()
    console = Console(output=stream, width=60)
    console.say("found [bold]36[/bold] modules in [/nowhere] :smile:")
    console.say("x" * 150)
    assert stream.getvalue().splitlines() == ["found [bold]36[/bold] modules in [/nowhere] :smile:", "x" * 150]


@pytest.mark.parametrize("mode", ["quiet", "json_output"])
def test_silent_modes_keep_only_warnings_and_errors(mode: str) -> None:
    output, errors = io.StringIO(), io.StringIO()
    console = Console(output=output, errors=errors, width=80, **{mode: True})
    console.say("a")
    console.heading("b")
    console.table("t", ["c"], [["d"]])
    console.results(make_results("original"))
    with console.progress("Scoring", 3) as advance:
        advance()
    console.warn("careful")
    console.error("broken")
    assert output.getvalue() == ""
    assert errors.getvalue() == "Warning: careful\nError: broken\n"
    console.print_json({"value": math.nan, "name": "é"})
    assert json.loads(output.getvalue()) == {"value": None, "name": "é"}


def test_progress_without_a_terminal_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(console_module.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    with Console(output=stream).progress("Scoring", 100) as advance:
        for _ in range(10):
            now[0] += 7
            advance(10, "accuracy 0.5")
    assert stream.getvalue().splitlines() == [
        "Scoring: 100 questions",
        "Scoring: 50 of 100 questions, about 35 s left; accuracy 0.5",
        "Scoring: 100 questions in 1 min 10 s",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    console = Console(output=stream, width=100)
    with pytest.raises(KeyboardInterrupt), console.progress("Scoring", 4) as advance:
        advance(2, note="n = 3")
        raise KeyboardInterrupt
    text = stream.getvalue()
    assert (
        "2/4" in text and "n = 3" in text and text.endswith(("\n", "\x1b[?25h")) and "\x1b[?25h" in text
    )  # cursor is back


def test_a_dumb_terminal_gets_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    console = Console(output=stream, width=80)
    with console.progress("Scoring", 4) as advance:
        advance(4)
    console.results(make_results(*METHODS))
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (61, "1 min 1 s"), (7300, "2 h 1 min")]
)
def test_duration(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_what_the_library_says_appears_while_the_console_listens() -> None:
    output, errors = io.StringIO(), io.StringIO()
    console = Console(output=output, errors=errors, width=80)
    before = logging.getLogger("biasectomy").level
    with console.listening():
        heading("Part")
        say("found")
        warn("careful")
        fetching("Fetching something")
        with progress("Scoring", 2) as advance:
            advance(2)
    say("unheard")
    assert output.getvalue().split("\n")[:5] == ["", "Part", "found", "Fetching something", "Scoring: 2 questions"]
    assert errors.getvalue() == "Warning: careful\n" and "unheard" not in output.getvalue()
    assert logging.getLogger("biasectomy").level == before and not logging.getLogger("biasectomy").handlers
