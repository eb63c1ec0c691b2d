"""The report: verdict first, all parts there, and none needed."""

import math
from typing import Any

from biasectomy.measuring.results import DifferenceRow, MetricDescription, MetricRow, Results
from biasectomy.report import render_markdown
from biasectomy.tasks.ambiguity import AMBIGUITY_METRICS

NEURONS = [
    {"module": f"model.layers.{layer}.mlp.{kind}", "unit": 10 + layer, "score": 0.5 / (layer + 1), "factor": 0.0}
    for layer in range(15)
    for kind in ("up_proj", "down_proj")
]
RECORD: dict[str, Any] = {
    "command": "biasectomy mitigate smollm2 --seed 3",
    "settings": {"task": "bbq:age", "model": "smollm2", "objective": "balanced", "dtype": "bfloat16"},
    "items": {"development": 1104, "test": 2576},
    "methods": {
        "crispr": {
            "title": "CRISPR",
            "chosen": 30,
            "search": [
                {"n": 0, "items": 1104, "value": 0.4, "low": 0.35, "high": 0.45, "dropped": None, "beside": {}},
                {
                    "n": 30,
                    "items": 1104,
                    "instructions": 2,
                    "value": 0.5,
                    "low": 0.45,
                    "high": 0.55,
                    "dropped": None,
                    "beside": {"accuracy_disambiguated": 0.4},
                },
                {"n": 500, "items": 200, "value": math.nan, "low": None, "high": None, "dropped": "clearly worse"},
            ],
        }
    },
    "versions": {"torch": "2.13.0"},
}


def make_results() -> Results:
    rows = [
        MetricRow(
            method, "bbq:age", "test", metric, math.nan if undefined else value, value - 0.1, value + 0.1, 2576, 18,
            1.0, "a|b" if undefined else None,
        )
        for metric, undefined in (("accuracy_ambiguous", False), ("bias_ambiguous", True))
        for method, value in (("original", 0.3), ("crispr", 0.5), ("random-neurons", 0.31))
    ]  # fmt: skip
    change = DifferenceRow("crispr", "original", "bbq:age", "test", "accuracy_ambiguous", 0.2, 0.1, 0.3, 9, 3, 1.0)
    return Results(
        tuple(rows),
        (change,),
        verdict=["Accuracy rises.", "Mostly abstention."],
        interval={"level": 0.95},
        titles={"original": "Original", "crispr": "CRISPR", "random-neurons": "Random neurons"},
        described={metric.name: MetricDescription.of(metric) for metric in AMBIGUITY_METRICS},
    )


def test_everything_is_there_and_the_verdict_comes_first() -> None:
    text = render_markdown(make_results(), RECORD, {"CRISPR": NEURONS})
    parts = ["# Report: smollm2 on bbq:age", "## Verdict", "Mostly abstention.", "## Figures", "## Items"]
    parts += ["## How the number", "## Neurons", "## What the figures do not say", "## To make it again"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert (
        "| Accuracy, ambiguous | 0.30 [0.20, 0.40] | 0.50 [0.40, 0.60] | 0.31 [0.21, 0.41] | +0.20 [+0.10, +0.30] |"
        in text
    )
    assert "- test: 2,576" in text and "30 was chosen" in text and "95 % interval" in text
    assert "| 500 | 200 | n/a |  | n/a | clearly worse |" in text
    assert "| 30 | 1104 x 2 | 0.500 | [0.45, 0.55] | 0.40 |  |" in text
    assert "| Accuracy, disambiguated | dropped early |" in text and 'Read "Unknown", disambiguated beside' in text
    assert "biasectomy mitigate smollm2 --seed 3" in text and "- torch: 2.13.0" in text
    assert "- number format: bfloat16\n- torch" in text
    assert "nan" not in text and "Undefined" not in text and "{{" not in text


def test_neurons_are_counted_by_kind_and_the_first_twenty_shown() -> None:
    text = render_markdown(make_results(), RECORD, {"CRISPR": NEURONS})
    assert "30 neurons, by kind:" in text and "| up_proj | 15 | 0 (1), 1 (1), 2 (1)" in text
    assert "The first 20 of them:" in text and "| `model.layers.0.mlp.up_proj` | 10 | 0.5 | 0.00 |" in text
    assert text.count("| `model.layers.") == 20


def test_tables_have_as_many_cells_in_each_row_as_in_their_head() -> None:
    block: list[int] = []
    for line in [*render_markdown(make_results(), RECORD, {"CRISPR": NEURONS}).splitlines(), ""]:
        if line.startswith("|"):
            block.append(line.replace("\\|", "").count("|"))
        else:
            assert len(set(block)) <= 1, block
            block = []


def test_parts_that_are_missing_are_left_out() -> None:
    text = render_markdown(Results(()), {}, {})
    assert "No verdict was computed." in text
    assert not any(part in text for part in ("## Items", "## How the number", "## Neurons", "Undefined"))
    assert "None: the checkpoint answers as the original does." in render_markdown(Results(()), {}, {"CRISPR": []})


def test_neurons_without_scores_and_with_kind_and_layer() -> None:
    found = [{"module": "m.3.x", "unit": 1, "factor": 0.5, "kind": "up", "layer": 7}]
    text = render_markdown(make_results(), {}, {"CRISPR": found})
    assert "| up | 1 | 7 (1) |" in text and "| `m.3.x` | 1 |  | 0.50 |" in text


def test_the_kind_of_an_experts_neuron_is_its_matrix_and_not_its_number() -> None:
    found = [{"module": f"model.layers.2.mlp.experts.gate_up_proj.{one}", "unit": 0, "factor": 0} for one in (3, 5)]
    assert "| gate_up_proj | 2 | 2 (2) |" in render_markdown(make_results(), {}, {"CRISPR": found})


def test_a_layer_of_the_encoder_is_not_the_same_layer_of_the_decoder() -> None:
    found = [{"module": f"{stack}.block.3.layer.0.wi", "unit": 0, "factor": 0} for stack in ("encoder", "decoder")]
    text = render_markdown(make_results(), {}, {"CRISPR": found})
    assert "| wi (encoder.block) | 1 | 3 (1) |" in text and "| wi (decoder.block) | 1 | 3 (1) |" in text


def test_neurons_of_several_methods_have_a_part_each() -> None:
    text = render_markdown(make_results(), {}, {"CRISPR": NEURONS[:2], "Another": NEURONS[:1]})
    assert "## Neurons: CRISPR" in text and "## Neurons: Another" in text
