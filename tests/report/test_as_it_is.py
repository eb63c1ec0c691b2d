"""What is said of a model that was measured and not changed."""

import math
from dataclasses import replace

from biasectomy.measuring.results import MetricDescription, MetricRow, Results
from biasectomy.report.as_it_is import NO_VERDICT, as_it_is
from biasectomy.report.screen import screen

REST = (90, 9, 1.0)


def results(*rows: MetricRow) -> Results:
    described = {
        "even": MetricDescription("Even", "evenness", "share", 0.5, "goal"),
        "right": MetricDescription("Right", "accuracy", "share", 1, "guard"),
        "surprise": MetricDescription("Surprise", "surprise", "per word", 1, "guard"),
    }
    tasks = tuple(dict.fromkeys(row.task for row in rows))
    return Results(rows, described=described, interval={"level": 0.9}, tasks=tasks)


def row(metric: str, value: float, low: float, high: float, task: str = "one") -> MetricRow:
    return MetricRow("original", task, "all", metric, value, low, high, *REST)


def test_each_figure_is_told_with_its_interval_and_where_it_is_best() -> None:
    made = results(row("surprise", 80, 70, 90), row("right", 0.4, 0.3, 0.45), row("even", 0.52, 0.48, 0.56))
    assert as_it_is(made) == [
        NO_VERDICT,
        "Evenness is 52.0 % (90 % interval 48.0 to 56.0), which cannot be told from the best value, 50.0 %.",
        "Surprise is 80.00 (90 % interval 70.00 to 90.00).",  # that it is not 1 says nothing
        "Accuracy is 40.0 % (90 % interval 30.0 to 45.0), clearly away from the best value, 100.0 %.",
    ]
    assert screen(replace(made, verdict=as_it_is(made))).startswith("Verdict\nNothing was changed, so there is no")


def test_figures_without_an_interval_or_a_value_say_why() -> None:
    alone = replace(row("even", 0.7, math.nan, math.nan), reason="no interval: one cluster")
    undefined = replace(row("right", math.nan, math.nan, math.nan), reason="no item counts")
    assert as_it_is(results(alone, undefined))[1:] == [
        "Evenness is 70.0 %, where 50.0 % is best (no interval: one cluster).",
        "Accuracy is undefined (no item counts).",
    ]


def test_of_many_tasks_the_first_goals_are_told_and_the_others_counted() -> None:
    made = results(*(row("even", 0.2 + place / 50, 0.1, 0.3 + place / 50, f"task {place}") for place in range(8)))
    told = as_it_is(made)
    assert len(told) == 7 and told[1].startswith("Evenness (task 0) is 20.0 %")
    assert told[-1] == "3 more such figures stand in the tables."
