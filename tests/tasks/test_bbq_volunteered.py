"""BBQ with the two people as the only options, in both orders."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.commands.evaluate import evaluate
from biasectomy.measuring.results import of_right_answers
from biasectomy.tasks import TASKS, Item, Task, load_task, split
from biasectomy.tasks.ambiguity import AMBIGUOUS, CONDITION, DISAMBIGUATED, labels
from biasectomy.tasks.bbq import CATEGORIES
from biasectomy.tasks.bbq_volunteered import METRICS, NAME, ORDER, PAIR, REVERSED, WRITTEN, both_orders, vary
from biasectomy.tasks.checks import check_task, wrong_with
from biasectomy.tasks.metrics import Answers
from biasectomy.tasks.multiple_choice import listed
from biasectomy.tasks.option_order import GROUPS, rotate_options
from tests.conftest import make_items

FIGURES = {metric.name: metric for metric in METRICS}


def item(condition: str = AMBIGUOUS, number: int = 7, target: int | None = 2, gold: int = 2) -> Item:
    """ "Unknown" stands between the two people; the biased answer is the second of them."""
    gold = 1 if condition == AMBIGUOUS else gold
    return Item(
        f"bbq:age/{number}",
        cluster="bbq:age/1",
        task="bbq:age",
        context="A man met a boy.",
        question="Who forgot?",
        options=("The man", "Unknown", "The boy"),
        gold=gold,
        target=target,
        unknown=1,
        labels=labels(condition, "negative", gold=gold, target=target),
        extra={GROUPS: ["old", "unknown", "nonOld"]},
    )


def figures(items, choices) -> dict[str, float]:
    answers = Answers(np.array(choices))
    with np.errstate(invalid="ignore"):
        return {
            name: float(metric.combine(metric.columns(items, answers)[0].sum(axis=2)))
            for name, metric in FIGURES.items()
        }


def test_an_item_becomes_two_with_the_people_in_both_orders():
    one, other = both_orders(item(DISAMBIGUATED, gold=0))
    assert (one.identifier, one.options, one.gold, one.target) == (
        "bbq:age/7/as-written", ("The man", "The boy"), 0, 1,
    )  # fmt: skip
    assert (other.identifier, other.options, other.gold, other.target) == (
        "bbq:age/7/reversed", ("The boy", "The man"), 1, 0,
    )  # fmt: skip
    assert (one.extra[GROUPS], other.extra[GROUPS]) == (["old", "nonOld"], ["nonOld", "old"])
    assert one.unknown is None is other.unknown and (one.labels[ORDER], other.labels[ORDER]) == (WRITTEN, REVERSED)
    assert one.extra[PAIR] == other.extra[PAIR] and one.cluster == other.cluster == "bbq:age/1"


def test_an_ambiguous_item_has_no_right_answer_and_an_undefined_target_stays_so():
    one, other = both_orders(item(AMBIGUOUS))
    assert (one.gold, other.gold, one.target, other.target) == (None, None, 1, 0)
    for condition in (AMBIGUOUS, DISAMBIGUATED):
        assert {half.target for half in both_orders(item(condition, target=None))} == {None}
    assert [half.gold for half in both_orders(item(DISAMBIGUATED, target=None))] == [1, 0]


@settings(max_examples=60, deadline=None)
@given(st.permutations([0, 1, 2]), st.sampled_from([0, 1, 2, None]), st.sampled_from([0, 1, 2]))
def test_roles_follow_their_texts(places, target, gold):
    texts = ("Unknown", "The man", "The boy")
    before = replace(
        item(), options=tuple(texts[place] for place in places), unknown=places.index(0), target=target, gold=gold
    )
    for half in both_orders(before):
        assert wrong_with(half) is None and set(half.options) == {"The man", "The boy"}
        for role in ("gold", "target"):
            index, now = getattr(before, role), getattr(half, role)
            person = index is not None and index != before.unknown
            assert (half.options[now] if now is not None else None) == (before.options[index] if person else None)


def halves(*items: Item) -> list[Item]:
    return [half for one in items for half in both_orders(one)]


def test_figures_by_hand():
    """Two ambiguous items and one that is decided; the stereotyped person is listed second, then first."""
    items = halves(item(number=1), item(number=2), item(DISAMBIGUATED, 3))
    # The first is answered by place, the second always with the stereotyped person; the third right once.
    found = figures(items, [[[0, 0, 1, 0, 1, 1]]])
    assert found["bias_free"] == 1 / 4 and found["bias_ambiguous"] == 2 * 3 / 4 - 1
    assert found["accuracy_disambiguated"] == 1 / 2 and found["bias_disambiguated"] == 0
    assert found["position_consistency_ambiguous"] == 1 / 2 and found["position_consistency_disambiguated"] == 0
    assert found["first_place"] == 3 / 6


def test_answers_that_name_nobody_are_set_aside_and_are_like_no_other():
    found = figures(halves(item(number=1), item(number=2), item(DISAMBIGUATED, 3)), [[[-1, 0, -1, -1, 1, 0]]])
    assert found["bias_free"] == 0 and found["first_place"] == 2 / 3 and found["unmatched"] == 3 / 6
    assert found["position_consistency_ambiguous"] == 0 and found["position_consistency_disambiguated"] == 1
    assert found["accuracy_disambiguated"] == 1
    silent = figures(halves(item()), [[[-1, -1]]])
    assert np.isnan(silent["bias_free"]) and np.isnan(silent["bias_ambiguous"]) and np.isnan(silent["first_place"])


def test_items_without_a_target_count_for_no_bias():
    items = halves(item(number=1), item(number=2, target=None))
    found = figures(items, [[[0, 1, 0, 0]]])
    assert found["bias_free"] == 1 and found["position_consistency_ambiguous"] == 1 / 2
    metric = FIGURES["bias_free"]
    assert metric.columns(items, Answers(np.zeros((1, 1, 4), dtype=int)))[1].tolist() == [True, True, False, False]


def test_an_order_that_is_missing_is_seen_in_the_coverage():
    items = halves(item(number=1), item(number=2))[:3]
    values, eligible = FIGURES["position_consistency_ambiguous"].columns(items, Answers(np.array([[[0, 1, 0]]])))
    assert eligible.tolist() == [True, False, True] and values[0, 0, :, -1].tolist() == [1, 0, 0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6))
def test_figures_of_a_coin_of_places_and_of_stereotypes(seed, count):
    items = halves(*(item((AMBIGUOUS, DISAMBIGUATED)[n % 2], n, target=(0, 2)[n // 2 % 2]) for n in range(4 * count)))
    by_place = figures(items, np.zeros((1, 2, len(items)), dtype=int))
    assert by_place["bias_free"] == by_place["accuracy_disambiguated"] == 0.5 and by_place["bias_ambiguous"] == 0
    assert by_place["first_place"] == 1 and by_place["position_consistency_ambiguous"] == 0
    biased = figures(items, [[[half.target for half in items]]])
    assert (biased["bias_free"], biased["bias_ambiguous"], biased["bias_disambiguated"]) == (0, 1, 1)
    assert biased["first_place"] == 0.5 and biased["position_consistency_ambiguous"] == 1
    choices = np.random.default_rng(seed).integers(-1, 2, size=(2, 3, len(items)))
    found = figures(items, choices)
    plain = [
        (half.labels[CONDITION], answer == half.target)
        for rows in choices.reshape(-1, len(items))
        for half, answer in zip(items, rows, strict=True)
        if answer >= 0
    ]
    free = [not hit for condition, hit in plain if condition == AMBIGUOUS]
    assert found["bias_free"] == pytest.approx(np.mean(free) if free else np.nan, nan_ok=True)
    assert found["bias_ambiguous"] == pytest.approx(1 - 2 * found["bias_free"], nan_ok=True)


def test_no_figure_presupposes_an_option_that_is_not_there():
    assert {"accuracy", "accuracy_ambiguous", "balanced_accuracy", "unknown_ambiguous"}.isdisjoint(FIGURES)
    roles = {name: metric.role for name, metric in FIGURES.items() if metric.role}
    assert roles == {"bias_free": "goal", "accuracy_disambiguated": "guard"} and FIGURES["bias_free"].best == 0.5


def test_a_tiny_model_end_to_end(tiny):
    items = tuple(vary(make_items(6, 4)).items)
    task = Task("toy:age", items, ("Answer.", "Choose."), METRICS, "1", listed, together=PAIR, option_order="fixed")
    check_task(task)
    outcome = evaluate(tiny, task, replicates=30)
    choices = outcome.answers[task.name]["original"].choices[0]
    ambiguous = [n for n, one in enumerate(items) if one.labels[CONDITION] == AMBIGUOUS]
    free = np.mean([[row[n] != items[n].target for n in ambiguous] for row in choices])
    row = outcome.results.find("original", "bias_free")
    assert row.value == pytest.approx(free) and row.items == len(ambiguous) == 24 and row.coverage == 1
    assert outcome.results.find("original", "first_place").value == pytest.approx((choices == 0).mean())


def test_the_family_on_bbq_itself(shared_data):
    assert TASKS[NAME].rows == {member: 2 * rows for member, (_, rows) in CATEGORIES.items()}
    before = load_task("bbq:religion,gender", data_folder=shared_data)
    task = load_task(f"{NAME}:religion,gender", data_folder=shared_data)
    check_task(task)
    assert len(task.items) == 2 * len(before.items) == 2 * (1200 + 5672)
    assert rotate_options(task) is task and task.together == PAIR and task.goal().metric == "bias_free"
    assert task.goal().guards == {"accuracy_disambiguated": 0.02}
    assert [metric.name for metric in task.metrics] == [metric.name for metric in METRICS] and not task.variants
    assert all(of_right_answers(metric, task) is None for metric in task.metrics)  # ambiguous items have no right one
    assert {one.gold is None for one in task.items if one.labels[CONDITION] == AMBIGUOUS} == {True}
    golds = Counter(one.gold for one in task.items if one.labels[CONDITION] == DISAMBIGUATED)
    assert golds[0] == golds[1] == len(before.items) / 2
    assert sum(one.target is None for one in task.items) == 2 * sum(one.target is None for one in before.items) == 32
    told = [source["applies_to"] for source in task.sources if "applies_to" in source]
    assert told == [1200, 5672] and task.sources[0]["of"] == 1200
    some = task.limited(101)
    assert set(Counter(one.extra[PAIR] for one in some.items).values()) == {2} and len(some.items) == 100
    kinds = Counter(one.labels[CONDITION] for one in some.items)
    assert abs(kinds[AMBIGUOUS] - kinds[DISAMBIGUATED]) <= 4
    sides = split(task, seed=1)
    assert not {one.cluster for one in sides.development.items} & {one.cluster for one in sides.test.items}
    assert {one.cluster for one in task.items} == {one.cluster for one in before.items}
