"""The report: verdict first, all parts there, and none needed."""

import math
from types import SimpleNamespace
from typing import Any

from biasectomy.report import render_markdown

NEURONS = [
    {"module": f"model.layers.{layer}.mlp.{kind}", "unit": 10 + layer, "score": 0.5 / (layer + 1), "factor": 0.0}
    for layer in range(15)
    for kind in ("up_proj", "down_proj")
]
RECORD: dict[str, Any] = {
    "command": "biasectomy mitigate smollm2 --seed 3",
    "settings": {"task": "bbq:age", "model": "smollm2", "objective": "balanced", "dtype": "bfloat16"},
    "items": {"development": 1104, "test": 2576},
    "chosen": 30,
    "search": [
        {"n": 0, "items": 1104, "value": 0.4, "low": 0.35, "high": 0.45, "dropped": False},
        {
            "n": 30,
            "items": 1104,
            "value": 0.5,
            "low": 0.45,
            "high": 0.55,
            "dropped": False,
            "accuracy_ambiguous": 0.6,
            "accuracy_disambiguated": 0.4,
        },
        {"n": 500, "items": 200, "value": math.nan, "low": None, "high": None, "dropped": True},
    ],
    "versions": {"torch": "2.13.0"},
}


def make_results() -> Any:
    rows = [
        SimpleNamespace(
            method=method, task="bbq:age", split="test", metric=metric, items=2576, clusters=18, coverage=1.0,
            value=math.nan if undefined else value, low=value - 0.1, high=value + 0.1,
            reason="a|b" if undefined else None,
        )
        for metric, undefined in (("accuracy_ambiguous", False), ("bias_ambiguous", True))
        for method, value in (("Original", 0.3), ("Edited", 0.5), ("Control", 0.31))
    ]  # fmt: skip
    change = SimpleNamespace(**{**vars(rows[1]), "against": "Original", "value": 0.2, "low": 0.1, "high": 0.3})
    verdict = ["Accuracy rises.", "Mostly abstention."]
    return SimpleNamespace(metrics=rows, differences=[change], verdict=verdict, interval={"level": 0.95}, settings={})


def test_everything_is_there_and_the_verdict_comes_first() -> None:
    text = render_markdown(make_results(), RECORD, NEURONS)
    parts = ["# Report: smollm2 on bbq:age", "## Verdict", "Mostly abstention.", "## Figures", "## Items"]
    parts += ["## How the number", "## Neurons", "## What the figures do not say", "## To make it again"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert (
        "| Accuracy, ambiguous | 0.30 [0.20, 0.40] | 0.50 [0.40, 0.60] | 0.31 [0.21, 0.41] | +0.20 [+0.10, +0.30] |"
        in text
    )
    assert "- test: 2,576" in text and "30 was chosen" in text and "95 % interval" in text
    assert "| 500 | 200 | n/a |  |  |  | dropped |" in text
    assert "| 30 | 1104 | 0.500 | [0.45, 0.55] | 0.60 | 0.40 |  |" in text
    assert "biasectomy mitigate smollm2 --seed 3" in text and "- torch: 2.13.0" in text
    assert "- number format: bfloat16\n- torch" in text
    assert "nan" not in text and "Undefined" not in text and "{{" not in text


def test_neurons_are_counted_by_kind_and_the_first_twenty_shown() -> None:
    text = render_markdown(make_results(), RECORD, NEURONS)
    assert "30 neurons, by kind:" in text and "| up_proj | 15 | 0 (1), 1 (1), 2 (1)" in text
    assert "The first 20 of them:" in text and "| `model.layers.0.mlp.up_proj` | 10 | 0.5 | 0.00 |" in text
    assert text.count("| `model.layers.") == 20


def test_tables_have_as_many_cells_in_each_row_as_in_their_head() -> None:
    block: list[int] = []
    for line in [*render_markdown(make_results(), RECORD, NEURONS).splitlines(), ""]:
        if line.startswith("|"):
            block.append(line.replace("\\|", "").count("|"))
        else:
            assert len(set(block)) <= 1, block
            block = []


def test_parts_that_are_missing_are_left_out() -> None:
    empty = SimpleNamespace(metrics=[], differences=[], verdict=[], interval={}, settings={})
    text = render_markdown(empty, {}, [])  # type: ignore[arg-type]
    assert "No verdict was computed." in text and "None: the checkpoint answers as the original does." in text
    assert "## Items" not in text and "## How the number" not in text and "Undefined" not in text


def test_neurons_without_scores_and_with_kind_and_layer() -> None:
    text = render_markdown(
        make_results(), {}, [{"module": "m.3.x", "unit": 1, "factor": 0.5, "kind": "up", "layer": 7}]
    )
    assert "| up | 1 | 7 (1) |" in text and "| `m.3.x` | 1 |  | 0.50 |" in text
