"""The command behind docs/evidence.md: rows, what is held out, and how tables are written."""

from dataclasses import replace

import pytest

from benchmarks.evidence.merging import with_earlier
from benchmarks.evidence.rows import always_unknown, seed_rows, shuffled
from benchmarks.evidence.studies import STUDIES, held_out
from benchmarks.evidence.table import rendered
from biasectomy.errors import DataError
from biasectomy.measuring.results import DifferenceRow, MetricDescription, MetricRow, Results
from biasectomy.methods import METHODS
from biasectomy.tasks import parse_names


def test_every_row_of_every_study_is_a_method_with_its_settings():
    for study in STUDIES.values():
        rows = study.rows(46_080, 5)
        assert len({row.name for row in rows}) == len(rows) and rows[0].name == "original"
        for row in rows:
            METHODS[row.method](METHODS[row.method].Settings(**row.settings))
        for name in (study.learned, *study.other, *study.forms, *study.kept):
            parse_names(name)
    assert [row.seeds for row in seed_rows(46_080, 5)] == [1, 5, 5, 5, 5]


def test_variants_are_asked_of_held_out_templates_only(toy_task):
    task = toy_task(clusters=6)
    test = replace(task, items=task.items[:8])
    found = held_out(task, test)
    assert {item.cluster for item in found.items} == {item.cluster for item in test.items} and len(found.items) == 8


def test_what_is_taught_wrongly(toy_task):
    task = toy_task()
    assert all(item.gold == item.unknown for item in always_unknown(task).items)
    right = sum(one.gold == other.gold for one, other in zip(shuffled(task).items, task.items, strict=True))
    assert 0.1 * len(task.items) < right < 0.6 * len(task.items)
    assert shuffled(task).items == shuffled(task).items


def test_tables_show_figures_with_their_intervals():
    def row(method: str, metric: str, value: float) -> MetricRow:
        return MetricRow(method, "bbq:age", "held out", metric, value, value - 0.1, value + 0.1, 10, 5, 1.0)

    nan = float("nan")
    results = Results(
        (
            row("original", "accuracy_ambiguous", 0.25), row("original", "accuracy_disambiguated", 0.5),
            row("lora", "accuracy_ambiguous", 0.75), replace(row("lora", "accuracy_disambiguated", 0.5), value=nan),
            replace(row("original", "drift", 0.0), task="drift:packaged", split="kept", low=nan),
            replace(row("lora", "drift", 0.0123), task="drift:packaged", split="kept", draws=(0.01, 0.02)),
        ),
        (DifferenceRow("lora", "original", "bbq:age", "held out", "accuracy_ambiguous", 0.5, 0.4, 0.6, 10, 5, 1.0),),
        settings={"model": "tiny", "development_items": 20, "asked": {"bbq:age": 10}, "quoted": ("lora", "absent")},
        goals={"bbq:age": "accuracy_ambiguous"},
        described={
            "accuracy_ambiguous": MetricDescription("Accuracy, ambiguous", "accuracy on ambiguous items", "share", 1)
        },
        titles={"original": "Original", "lora": "LoRA, rank 4"},
        costs={
            name: {"numbers": 1000, "seconds": 60, "questions_per_answer": 1.0, "seeds": seeds}
            for name, seeds in (("original", 1), ("lora", 5))
        },
    )  # fmt: skip
    text = rendered(results, "Learned from BBQ Age")
    assert "| | ambiguous | disambiguated |" in text
    assert "| Original | 0.25 [0.15, 0.35] | 0.50 [0.40, 0.60] |" in text
    assert "| LoRA, rank 4, 5 seeds | 0.75 [0.65, 0.85] | n/a |" in text
    assert (
        "| Original | 0.000 |" in text and "| LoRA, rank 4, 5 seeds | 0.012 [-0.088, 0.112]; 0.010 to 0.020 |" in text
    )
    assert "| LoRA, rank 4 | 1,000 | 60 | 1 |" in text
    said = "With LoRA, rank 4, accuracy on ambiguous items rises from 25.0 % to 75.0 %, by 50.0 points"
    assert f"> **LoRA, rank 4.** {said}" in text and "absent" not in text


def found_by(values: dict[str, float], **settings: object) -> Results:
    """Results of a study whose rows have one figure each."""
    known = {"study": "age", "model": "tiny", "learned_from": "bbq:age", "development_items": 20, "asked": {"bbq": 10}}
    return Results(
        tuple(
            MetricRow(name, "bbq", "held out", "accuracy", value, value, value, 10, 5, 1.0)
            for name, value in values.items()
        ),
        tuple(
            DifferenceRow(name, "original", "bbq", "held out", "accuracy", value - values["original"], 0, 1, 10, 5, 1.0)
            for name, value in values.items()
            if name != "original"
        ),
        settings=known | settings,
        titles={name: name.upper() for name in values},
        costs={name: {"seconds": value} for name, value in values.items()},
    )


def test_earlier_rows_stay_beside_new_ones_in_the_order_of_the_study():
    earlier = found_by({"original": 0.25, "lora": 0.5, "learned": 0.6, "gone": 0.9})
    now = found_by({"original": 0.2501, "shira": 0.7, "lora": 0.8})
    both = with_earlier(now, earlier, ["original", "learned", "lora", "shira"])
    assert list(both.titles) == list(both.costs) == ["original", "learned", "lora", "shira"]
    assert [(row.method, row.value) for row in both.metrics] == [
        ("original", 0.2501), ("learned", 0.6), ("lora", 0.8), ("shira", 0.7)
    ]  # fmt: skip
    assert [row.method for row in both.differences] == ["learned", "lora", "shira"]


@pytest.mark.parametrize(
    ("earlier", "message"),
    [
        (found_by({"original": 0.25}, asked={"bbq": 99}), "differ in 'asked': .*99"),
        (found_by({"original": 0.26}), "original answered otherwise .* accuracy of bbq was 0.2600 and is 0.2500"),
    ],
)
def test_earlier_rows_of_other_questions_or_answers_are_refused(earlier, message):
    with pytest.raises(DataError, match=message):
        with_earlier(found_by({"original": 0.25}), earlier, ["original"])


def test_an_unknown_study_is_answered_by_name(capsys):
    from benchmarks.evidence.__main__ import app
    from biasectomy.errors import UnknownNameError

    with pytest.raises(UnknownNameError, match="did you mean 'age'"):
        app(["agee"], standalone_mode=False)
