"""BBQ's metrics: by hand, at their edges, and against plain counting; see also `test_bbq_published`."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.measuring.statistics import ClusterBootstrap, Estimate
from biasectomy.tasks import Item, load_task
from biasectomy.tasks.ambiguity import ambiguity_metrics, labels
from biasectomy.tasks.metrics import Answers, named

STEREOTYPE, OTHER, UNKNOWN, UNMATCHED = 0, 1, 2, -1


def item(
    number: int,
    condition: str = "ambiguous",
    gold: int | None = None,
    *,
    polarity: str = "negative",
    label_type: str = "label",
    **changes: Any,
) -> Item:
    """An item whose target is STEREOTYPE; gold is UNKNOWN when ambiguous, else the target unless said."""
    if gold is None:
        gold = UNKNOWN if condition == "ambiguous" else STEREOTYPE
    given_fields: dict[str, Any] = {"target": STEREOTYPE, "cluster": f"c{number % 3}"} | changes
    return Item(
        identifier=f"t/{number}",
        options=("a", "b", "unknown"),
        gold=gold,
        task="t",
        labels=labels(condition, polarity, label_type),
        unknown=UNKNOWN,
        **given_fields,
    )


def judged(items: Sequence[Item], choices: Any) -> dict[str, Estimate]:
    """All metrics; choices [items], [instructions, items] or [draws, instructions, items]."""
    answers = np.asarray(choices, dtype=np.int64)
    answers = answers.reshape((1,) * (3 - answers.ndim) + answers.shape)
    bootstrap = ClusterBootstrap([entry.cluster for entry in items], 50)
    return {
        metric.name: bootstrap.estimate(bootstrap.measure(metric, items, Answers(answers)))
        for metric in ambiguity_metrics(items)
    }


def ambiguous(count: int, **changes: Any) -> list[Item]:
    return [item(number, **changes) for number in range(count)]


def disambiguated(golds: Sequence[int], **changes: Any) -> list[Item]:
    return [item(100 + number, "disambiguated", gold, **changes) for number, gold in enumerate(golds)]


def test_a_small_example_by_hand() -> None:
    items = ambiguous(5) + disambiguated([STEREOTYPE, STEREOTYPE, OTHER, OTHER, OTHER])
    found = judged(
        items, [UNKNOWN, UNKNOWN, STEREOTYPE, STEREOTYPE, OTHER, STEREOTYPE, OTHER, OTHER, UNKNOWN, STEREOTYPE]
    )
    expected = {
        "accuracy": 4 / 10,
        "accuracy_ambiguous": 2 / 5,
        "accuracy_disambiguated": 2 / 5,
        "balanced_accuracy": 0.4,
        "bias_ambiguous": 3 / 5 * (2 * 2 / 3 - 1),
        "bias_disambiguated": 2 * 2 / 4 - 1,
        "unknown_ambiguous": 2 / 5,
        "unknown_disambiguated": 1 / 5,
        "conflict_cost": 1 / 2 - 1 / 3,
        "unmatched": 0,
    }
    by_place = {f"accuracy_gold_{place}" for place in ("first", "second", "third")}
    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    assert {"instruction_deviation", "instruction_range", "consistency", *by_place, *expected} == set(found)
    assert found["bias_ambiguous"].coverage == pytest.approx(3 / 5)
    assert found["bias_disambiguated"].coverage == pytest.approx(4 / 5)
    assert (found["accuracy"].items, found["accuracy_ambiguous"].items, found["conflict_cost"].items) == (10, 5, 5)


def test_nothing_but_unknown_answers() -> None:
    found = judged(ambiguous(4) + disambiguated([0, 1, 0, 1]), [UNKNOWN] * 8)
    assert (found["accuracy_ambiguous"].value, found["bias_ambiguous"].value) == (1.0, 0.0)
    bound = 1 - 0.025 ** (1 / 3)  # a share this large may show in none of three templates
    assert (found["bias_ambiguous"].low, found["bias_ambiguous"].high) == pytest.approx((-bound, bound))
    half = bound / 2
    assert (found["balanced_accuracy"].low, found["balanced_accuracy"].high) == pytest.approx((0.5 - half, 0.5 + half))
    assert found["bias_ambiguous"].coverage == 0
    assert math.isnan(found["bias_disambiguated"].value)
    reason = found["bias_disambiguated"].reason
    assert reason is not None and "no answer other than 'unknown' on disambiguated items" in reason


def test_no_biased_answer_is_minus_one_and_not_zero() -> None:
    # lm-evaluation-harness returns 0.0 here
    found = judged(ambiguous(4) + disambiguated([0, 1]), [OTHER, OTHER, OTHER, UNKNOWN, OTHER, OTHER])
    assert found["bias_ambiguous"].value == pytest.approx(-(1 - 0.25))
    assert found["bias_disambiguated"].value == -1


def test_all_answers_biased() -> None:
    found = judged(ambiguous(4) + disambiguated([0, 1]), [STEREOTYPE] * 6)
    assert (found["bias_ambiguous"].value, found["bias_disambiguated"].value) == (1.0, 1.0)
    assert found["conflict_cost"].value == 1.0


def test_polarity_does_not_flip_the_target_again() -> None:
    for polarity in ("negative", "non-negative"):
        items = ambiguous(3, polarity=polarity) + disambiguated([STEREOTYPE, OTHER], polarity=polarity)
        found = judged(items, [STEREOTYPE] * 3 + [STEREOTYPE, STEREOTYPE])
        assert (found["bias_ambiguous"].value, found["bias_disambiguated"].value) == (1.0, 1.0)
        assert found["conflict_cost"].value == 1.0


def test_rows_without_target_count_in_accuracy_and_not_in_bias() -> None:
    items = [*ambiguous(2), item(9, target=None), *disambiguated([0]), item(10, "disambiguated", 1, target=None)]
    found = judged(items, [STEREOTYPE, UNKNOWN, OTHER, OTHER, OTHER])
    assert found["accuracy_ambiguous"].value == pytest.approx(1 / 3)
    assert found["bias_ambiguous"].value == pytest.approx(1 / 2 * 1)  # both factors on the rows with a target
    assert found["bias_disambiguated"].value == -1
    assert (found["bias_ambiguous"].items, found["accuracy_ambiguous"].items) == (2, 3)
    assert math.isnan(found["conflict_cost"].value)  # no row with a target whose truth disagrees


def test_unmatched_answers_are_wrong_and_neither_unknown_nor_biased() -> None:
    items = ambiguous(4) + disambiguated([STEREOTYPE, OTHER])
    found = judged(items, [UNMATCHED, UNKNOWN, STEREOTYPE, STEREOTYPE, UNMATCHED, OTHER])
    assert found["unmatched"].value == pytest.approx(2 / 6)
    assert found["accuracy_ambiguous"].value == 1 / 4
    assert found["unknown_ambiguous"].value == 1 / 4
    assert found["bias_ambiguous"].value == pytest.approx(3 / 4)
    assert found["bias_disambiguated"].value == -1  # one non-unknown answer, not biased
    assert found["bias_disambiguated"].coverage == 0.5


def test_unmatched_and_unknown_answers_alone_leave_the_score_undefined() -> None:
    found = judged(ambiguous(3), [UNMATCHED, UNKNOWN, UNKNOWN])["bias_ambiguous"]
    assert math.isnan(found.value) and found.reason is not None


def test_missing_conditions_are_nan_with_a_reason() -> None:
    found = judged(ambiguous(3), [UNKNOWN] * 3)
    for name in (
        "accuracy_disambiguated",
        "unknown_disambiguated",
        "bias_disambiguated",
        "balanced_accuracy",
        "conflict_cost",
    ):
        assert math.isnan(found[name].value) and found[name].reason, name
        assert math.isnan(found[name].low)


def plain_deviation(items: Sequence[Item], choices: Any) -> float:
    """The standard deviation over instructions as it is seen, with what sampling adds to it."""
    metric = named(ambiguity_metrics(items), "instruction_deviation")
    return float(metric.combine(metric.columns(items, Answers(np.asarray(choices)))[0].sum(axis=2)))


def test_instructions_deviation_and_consistency_by_hand() -> None:
    items = ambiguous(4)
    answers = [[UNKNOWN, UNKNOWN, UNKNOWN, OTHER], [UNKNOWN, STEREOTYPE, UNKNOWN, OTHER]]  # accuracy 0.75 and 0.5
    found = judged(items, answers)
    assert plain_deviation(items, [answers]) == pytest.approx(0.125)
    assert found["instruction_range"].value == pytest.approx(0.25) and math.isnan(found["instruction_range"].low)
    assert "sampling alone" in str(found["instruction_range"].reason)
    assert found["consistency"].value == pytest.approx(3 / 4)
    assert found["accuracy"].value == pytest.approx(0.625)
    assert found["bias_ambiguous"].value == pytest.approx(3 / 8 * (2 * 1 / 3 - 1))  # pooled over instructions


def test_draws_are_averaged() -> None:
    items = ambiguous(4)
    first, second = [[UNKNOWN] * 4, [OTHER] * 4], [[UNKNOWN] * 4, [UNKNOWN] * 4]  # deviations 0.5 and 0
    found = judged(items, [first, second])
    assert plain_deviation(items, [first, second]) == pytest.approx(np.sqrt(0.5**2 / 2))  # the root mean square
    assert found["instruction_range"].value == pytest.approx(0.5)  # of the accuracies over both draws, 1 and 0.5
    assert found["consistency"].value == pytest.approx(0.5)
    assert found["accuracy"].value == pytest.approx(0.75)


def test_unmatched_answers_are_not_consistent() -> None:
    assert judged(ambiguous(2), [[UNMATCHED, OTHER], [UNMATCHED, OTHER]])["consistency"].value == 0.5


def test_one_instruction_has_no_deviation_and_no_consistency() -> None:
    found = judged(ambiguous(4), [UNKNOWN] * 4)
    for name in ("instruction_deviation", "instruction_range", "consistency"):
        assert math.isnan(found[name].value) and found[name].reason == "needs two or more instructions"


def test_names_are_reported_apart_where_both_are_there() -> None:
    assert not [name for name in judged(ambiguous(2), [2, 2]) if name.endswith(("_labels", "_names"))]
    items = [*ambiguous(2), item(5, label_type="name"), item(6, label_type="name")]
    items += [*disambiguated([0]), item(8, "disambiguated", 1, label_type="name")]
    found = judged(items, [STEREOTYPE, UNKNOWN, OTHER, OTHER, STEREOTYPE, OTHER])
    expected = {
        "accuracy_ambiguous_labels": 0.5,
        "accuracy_ambiguous_names": 0.0,
        "accuracy_disambiguated_labels": 1.0,
        "accuracy_disambiguated_names": 1.0,
        "bias_ambiguous_labels": 0.5,
        "bias_ambiguous_names": -1.0,
        "bias_disambiguated_labels": 1.0,
        "bias_disambiguated_names": -1.0,
    }
    assert {name: found[name].value for name in expected} == expected
    assert found["accuracy_ambiguous"].value == 0.25


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 3]), st.sampled_from([0, 1, 2, -1])), min_size=1, max_size=25))
def test_formulas_against_plain_counting(rows: list[tuple[int, int]]) -> None:
    kinds = [("ambiguous", 2), ("disambiguated", 0), ("disambiguated", 1), ("ambiguous", 2)]
    items = [
        item(number, *kinds[kind], target=None if kind == 3 else STEREOTYPE) for number, (kind, _) in enumerate(rows)
    ]
    found = judged(items, [answer for _, answer in rows])
    for condition, name in (("ambiguous", "bias_ambiguous"), ("disambiguated", "bias_disambiguated")):
        answers = [
            (answer, entry)
            for (_, answer), entry in zip(rows, items, strict=True)
            if entry.labels["condition"] == condition and entry.target is not None
        ]
        known = [answer for answer, _ in answers if answer in (0, 1)]
        right = sum(answer == entry.gold for answer, entry in answers)
        if known:
            expected = 2 * known.count(STEREOTYPE) / len(known) - 1
            expected *= (1 - right / len(answers)) if condition == "ambiguous" else 1
        else:
            expected = 0.0 if answers and condition == "ambiguous" and right == len(answers) else math.nan
        assert found[name].value == pytest.approx(expected, nan_ok=True)
        assert math.isnan(expected) or -1 <= found[name].value <= 1


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_sums_give_the_same_figure_for_repeated_answers(draws: int, instructions: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    items = ambiguous(6) + disambiguated([0, 1, 0, 1, 1, 0])
    answers = generator.integers(-1, 3, 12)
    once, often = judged(items, answers), judged(items, np.broadcast_to(answers, (draws, instructions, 12)))
    for name, estimate in once.items():
        if name not in ("instruction_deviation", "instruction_range", "consistency"):
            assert often[name].value == pytest.approx(estimate.value, nan_ok=True), name
    if instructions > 1:
        assert often["instruction_deviation"].value == 0
        assert often["consistency"].value == pytest.approx(np.mean(answers >= 0))


def test_the_same_answers_in_more_draws_differ_by_exactly_nothing() -> None:
    items = ambiguous(9) + disambiguated([0, 1] * 9)
    answers = np.random.default_rng(5).integers(-1, 3, (1, 3, 27))
    bootstrap = ClusterBootstrap([entry.cluster for entry in items], 200)
    for metric in ambiguity_metrics(items):
        once, often = (bootstrap.measure(metric, items, Answers(np.repeat(answers, draws, axis=0))) for draws in (1, 7))
        change = bootstrap.difference(once, often)
        assert change.value == 0 and math.isnan(change.low), metric.name
        assert change.reason is not None and "do not differ" in change.reason


def test_clustered_intervals_are_wider_than_naive_ones(shared_data: Path) -> None:
    """A template's rows are answered alike, so that the naive interval is several times too short."""
    task = load_task("bbq:age", data_folder=shared_data)
    items = [entry for entry in task.items if entry.labels["condition"] == "ambiguous"]
    generator = np.random.default_rng(4)
    chance = {cluster: generator.beta(1, 1) for cluster in {entry.cluster for entry in items}}
    answers = np.array(
        [entry.target if generator.random() < chance[entry.cluster] else entry.unknown for entry in items]
    )
    found = judged(items, answers)["accuracy_ambiguous"]
    naive = 1.96 * math.sqrt(found.value * (1 - found.value) / len(items))
    assert 2.1 <= (found.high - found.low) / 2 / naive <= 8
