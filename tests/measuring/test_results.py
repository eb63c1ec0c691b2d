"""The result schema, and all figures of a task at once."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biasectomy.errors import DataError, SettingsError
from biasectomy.measuring.results import (
    DifferenceRow,
    MetricDescription,
    MetricRow,
    Results,
    figures,
    interval_settings,
)
from biasectomy.measuring.session import Session
from biasectomy.report import render_markdown
from biasectomy.report.text import rendered
from biasectomy.tasks import Item, Task, join
from biasectomy.tasks.ambiguity import GOALS, ambiguity_metrics, labels
from biasectomy.tasks.metrics import Answers, Metric, named
from biasectomy.tasks.multiple_choice import listed


def made_task(name: str = "bbq:age", label_types: tuple[str, ...] = ("label",)) -> Task:
    items = tuple(
        Item(
            identifier=f"{name}/{number}",
            cluster=f"{name}/{number // 6}",
            task=name,
            options=("a", "b", "unknown"),
            gold=2 if number % 2 else number // 2 % 2,
            target=0,
            unknown=2,
            labels=labels(
                "ambiguous" if number % 2 else "disambiguated", "negative", label_types[number // 2 % len(label_types)]
            ),
        )
        for number in range(48)
    )
    return Task(name, items, ("Do.", "Please do."), ambiguity_metrics(items), "1", listed, GOALS, ("sum", "generation"))


COMPARISONS = [("edited", "original"), ("edited", "control")]


def measured(task: Task, choices: dict[str, Any], comparisons: Any = COMPARISONS, replicates: int = 50) -> Any:
    """Figures of choices; only those comparisons of which there are both sides."""
    kept = [pair for pair in comparisons if set(pair) <= set(choices)]
    given_answers = {method: Answers(values) for method, values in choices.items()}
    bootstrap = Session(replicates=replicates).bootstrap
    return figures(task, "test", given_answers, kept, bootstrap)


def answers(task: Task, seed: int, draws: int = 1) -> Any:
    return np.random.default_rng(seed).integers(-1, 3, (draws, len(task.instructions), len(task.items)))


def test_figures_have_one_row_for_each_method_metric_and_comparison() -> None:
    task = made_task()
    choices = {"original": answers(task, 0), "edited": answers(task, 1), "control": answers(task, 2, draws=3)}
    rows, differences = measured(task, choices, replicates=200)
    metrics = [metric.name for metric in task.metrics_in_force()]
    methods = ("original", "edited", "control")
    assert [(row.metric, row.method) for row in rows] == [(metric, method) for metric in metrics for method in methods]
    assert [(row.metric, row.method, row.against) for row in differences] == [
        (metric, "edited", against) for metric in metrics for against in ("original", "control")
    ]
    assert {(row.task, row.split) for row in rows} == {("bbq:age", "test")}
    results = Results(tuple(rows), tuple(differences))
    for metric in metrics:
        edited, control = (results.find(method, metric) for method in ("edited", "control"))
        change = results.find_difference("edited", "control", metric)
        assert edited is not None and control is not None and change is not None
        assert change.value == pytest.approx(edited.value - control.value)
        without = named(task.metrics, metric).no_interval
        assert change.low <= change.value <= change.high if not without else change.reason == without


def test_figures_are_those_of_plain_averages() -> None:
    task = made_task()
    original, control = answers(task, 0), answers(task, 1, draws=4)
    rows, _ = measured(task, {"original": original, "control": control})
    gold = np.array([item.gold for item in task.items])
    found = {(row.method, row.metric): row.value for row in rows}
    assert found["original", "accuracy"] == pytest.approx((original == gold).mean())
    assert found["control", "accuracy"] == pytest.approx((control == gold).mean())


def test_a_joined_task_is_reported_whole_and_in_parts() -> None:
    age, gender = made_task(), made_task("bbq:gender", ("label", "name"))
    both = join([age, gender])
    choices = {"original": answers(both, 0), "edited": answers(both, 1)}
    rows, differences = measured(both, choices)
    assert list(dict.fromkeys(row.task for row in rows)) == ["bbq:age,gender", "bbq:age", "bbq:gender"]
    for task, inside in ((age, slice(0, 48)), (gender, slice(48, None))):
        part = {name: chosen[:, :, inside] for name, chosen in choices.items()}
        alone, changes = measured(task, part)
        # the same figures to the last bit, and no rows of names for a part that has none
        assert [repr(row) for row in alone] == [repr(row) for row in rows if row.task == task.name]
        assert [repr(row) for row in changes] == [repr(row) for row in differences if row.task == task.name]
    found = Results(tuple(rows)).find("edited", "accuracy")
    assert found is not None and (found.task, found.items, found.clusters) == ("bbq:age,gender", 96, 16)


def test_undefined_figures_keep_their_reason() -> None:
    task = made_task()
    unknown = np.full((1, 1, 48), 2)
    rows, differences = measured(task, {"original": unknown, "edited": unknown})
    results = Results(tuple(rows), tuple(differences))
    for metric in ("bias_disambiguated", "instruction_deviation", "consistency"):
        for row in (results.find("edited", metric), results.find_difference("edited", "original", metric)):
            assert row is not None and math.isnan(row.value) and math.isnan(row.low) and row.reason
    same = results.find_difference("edited", "original", "accuracy")
    assert same is not None and same.value == 0 and math.isnan(same.low)
    assert same.reason == "no interval: the two do not differ in this on any of the items"


def test_misshapen_answers_and_unknown_comparisons_are_refused() -> None:
    task = made_task()
    good = answers(task, 0)
    for bad in (good[0], good[:, :, 1:], good.astype(float), good + 1, good - 1, good[:0]):
        with pytest.raises(ValueError, match="choices of edited"):
            measured(task, {"original": good, "edited": bad})
    with pytest.raises(SettingsError, match="'control' cannot be compared"):
        figures(task, "test", {"edited": Answers(good)}, [("edited", "control")], Session().bootstrap)


def test_results_survive_json_with_nan_as_null() -> None:
    row = MetricRow("original", "bbq:age", "test", "accuracy", 0.5, math.nan, math.nan, 4, 1, 1.0, "one cluster")
    change = DifferenceRow("edited", "original", "bbq:age", "test", "accuracy", math.nan, math.nan, math.nan, 4, 1, 0.0)
    drawn = MetricRow("random", "t", "test", "m", 0.5, 0.4, 0.6, 4, 2, 1.0, draws=(0.25, math.nan, 0.75))
    results = Results((row, drawn), (change,), ["It helped."], interval=interval_settings(500, 3), settings={"seed": 1})
    text = json.dumps(results.to_json(), allow_nan=False)
    document = json.loads(text)
    assert document["metrics"][0]["low"] is None and document["differences"][0]["reason"] is None
    assert document["schema_version"] == 5
    assert document["interval"] == {
        "kind": "cluster bootstrap, expanded percentile",
        "level": 0.95,
        "replicates": 500,
        "seed": 3,
    }
    assert document["metrics"][1]["draws"] == [0.25, None, 0.75]
    assert repr(Results.from_json(document)) == repr(results)


def test_the_trade_off_has_a_point_a_method_of_its_goal_beside_what_is_guarded() -> None:
    def row(method: str, task: str, metric: str, value: float) -> MetricRow:
        return MetricRow(method, task, "test", metric, value, math.nan, 1.0, 4, 2, 1.0)

    kinds = {"score": "goal", "kept": "guard", "drift": "guard", "length": None}
    described = {name: MetricDescription(name, name, "share", 1, role) for name, role in kinds.items()}
    rows = [
        row(method, *of)
        for method in ("original", "edited")
        for of in (
            ("a,b", "score", 0.5),
            ("a,b", "kept", 0.9),
            ("a,b", "length", 3),
            ("a", "score", 0.1),
            ("a", "kept", 0),
        )
    ] + [row("edited", "neutral", "drift", 0.02)]
    results = Results(tuple(rows), described=described, goals={"a,b": "score", "a": "kept"})
    first, second = json.loads(json.dumps(results.to_json(), allow_nan=False))["trade_off"]
    assert first["goal"] == {"task": "a,b", "metric": "score", "value": 0.5, "low": None, "high": 1.0}
    assert [one["metric"] for one in first["guards"]] == ["kept"] and first["guards"][0]["value"] == 0.9
    assert second["method"] == "edited"
    assert [(one["task"], one["value"]) for one in second["guards"]] == [("a,b", 0.9), ("neutral", 0.02)]
    assert Results(()).trade_off() == [] == Results(tuple(rows)).trade_off()


@given(st.lists(st.floats(), min_size=4, max_size=4), st.text(), st.none() | st.text())
def test_any_row_survives_json(numbers: list[float], metric: str, reason: str | None) -> None:
    value, low, high, coverage = (number if math.isfinite(number) else math.nan for number in numbers)
    results = Results((MetricRow("edited", "t", "test", metric, value, low, high, 1, 1, coverage, reason),))
    again = Results.from_json(json.loads(json.dumps(results.to_json(), allow_nan=False)))
    assert repr(again) == repr(results)


def test_other_schemas_are_refused() -> None:
    document = Results(()).to_json()
    with pytest.raises(DataError, match=r"run/results\.json: expected results of schema version 1 to 5, found 6"):
        Results.from_json(document | {"schema_version": 6}, "run/results.json")
    with pytest.raises(DataError, match="found list"):
        Results.from_json([])
    with pytest.raises(DataError, match="the field 'verdict' is missing"):
        Results.from_json({name: value for name, value in document.items() if name != "verdict"})
    with pytest.raises(DataError, match="does not fit the schema"):
        Results.from_json(document | {"described": []})
    with pytest.raises(DataError, match="does not fit the schema"):
        Results.from_json(document | {"metrics": [dict.fromkeys(("value", "low", "high", "coverage", "more"), 1.0)]})


def test_find_narrows_by_task_and_split() -> None:
    rows = tuple(
        MetricRow("edited", task, split, "accuracy", value, 0, 1, 1, 1, 1)
        for value, (task, split) in enumerate([("a", "development"), ("a", "test"), ("b", "test")])
    )
    results = Results(rows)
    assert results.find("edited", "accuracy") is rows[0]
    assert results.find("edited", "accuracy", split="test") is rows[1]
    assert results.find("edited", "accuracy", task="b") is rows[2]
    assert results.find("original", "accuracy") is None
    assert results.find_difference("edited", "original", "accuracy") is None


def test_figures_take_any_metric() -> None:
    """A metric that is none of ours, as a new task would bring it."""

    def columns(items: Any, given_answers: Answers) -> Any:
        choices = given_answers.choices
        return np.stack([choices == 0, choices > -9], axis=-1) * 1.0, np.ones(len(items), dtype=bool)

    def combine(sums: Any) -> Any:
        return sums[..., 0].sum(axis=(-2, -1)) / sums[..., 1].sum(axis=(-2, -1))

    first = Metric("first_option", "First option", "the share of first options", columns, combine, None)
    task = dataclasses.replace(made_task(), metrics=(first,))
    (row,), _ = measured(task, {"original": np.zeros((2, 3, 48), dtype=np.int8)}, replicates=20)
    assert (row.metric, row.value, row.reason) == (
        "first_option",
        1.0,
        "no interval: every template gives the same figure",
    )


VERSION_1 = {
    "metrics": [
        {
            "method": "Original", "task": "bbq:age", "split": "test", "metric": "accuracy_ambiguous", "value": 0.0,
            "low": 0.0, "high": 0.1951, "items": 68, "clusters": 17, "coverage": 1.0, "reason": None,
        },
        {
            "method": "Edited", "task": "bbq:age", "split": "test", "metric": "bias_disambiguated", "value": None,
            "low": None, "high": None, "items": 68, "clusters": 17, "coverage": 0.0, "reason": "no answer",
        },
        {
            "method": "Original", "task": "packaged neutral text", "split": "neutral", "metric": "perplexity",
            "value": 109.48, "low": 94.64, "high": 127.41, "items": 60, "clusters": 60, "coverage": 1.0, "reason": None,
        },
    ],
    "differences": [
        {
            "method": "Edited", "against": "Original", "task": "bbq:age", "split": "test",
            "metric": "accuracy_ambiguous", "value": 0.96, "low": 0.88, "high": 1.0, "items": 68,
            "clusters": 17, "coverage": 1.0, "reason": None,
        }
    ],
    "verdict": ["With 8 of 155,520 neurons edited, accuracy rises."],
    "schema_version": 1,
    "interval": {"kind": "cluster bootstrap, expanded percentile", "level": 0.95, "replicates": 2000, "seed": 0},
    "settings": {"model": "smollm2", "task": "bbq:age", "grid": [0, 8], "instruction_count": 2},
}  # fmt: skip


def test_results_of_version_1_are_still_read_and_shown() -> None:
    results = Results.from_json(VERSION_1)
    row = results.find("Original", "accuracy_ambiguous")
    assert row is not None and row.high == 0.1951
    undefined = results.find("Edited", "bias_disambiguated")
    assert undefined is not None and math.isnan(undefined.value) and undefined.reason == "no answer"
    assert (
        results.title("Edited") == "Edited" and results.description("accuracy_ambiguous").title == "Accuracy ambiguous"
    )
    for text in (rendered(results, 160), render_markdown(results, {}, {})):
        assert "+0.96 [+0.88, +1.00]" in text and "Perplexity (packaged neutral text)" in text and "n/a (1)" in text
