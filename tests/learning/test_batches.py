"""What a step learns from: conditions in balance, every item once a turn, the same for the same step."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from biasectomy.learning.batches import Batches
from biasectomy.tasks.ambiguity import AMBIGUOUS, CONDITION, SPREAD, ambiguity_metrics
from biasectomy.tasks.base import Task
from biasectomy.tasks.multiple_choice import listed
from tests.conftest import INSTRUCTIONS, make_items


def task_of(items) -> Task:
    return Task("toy:age", tuple(items), INSTRUCTIONS, ambiguity_metrics(items), "1", listed, spread=SPREAD)


@given(
    clusters=st.integers(1, 6),
    size=st.integers(1, 9),
    seed=st.integers(0, 3),
    kept=st.sets(st.integers(0, 23), min_size=2),
)
def test_conditions_are_in_balance_and_items_come_round(clusters, size, seed, kept):
    items = [item for number, item in enumerate(make_items(clusters)) if number in kept or number < 2]
    batches = Batches(task_of(items), size, seed)
    steps = 3 * len(items)
    drawn = [item for step in range(steps) for item in batches.at(step)[1]]
    conditions = Counter(item.labels[CONDITION] for item in drawn)
    assert max(conditions.values()) - min(conditions.values()) <= 1
    for condition in conditions:
        times = Counter(item.identifier for item in drawn if item.labels[CONDITION] == condition)
        own = [item for item in items if item.labels[CONDITION] == condition]
        assert max(times.values()) - min(times[item.identifier] for item in own) <= 1


def test_a_step_is_the_same_whatever_was_asked_before():
    task = task_of(make_items())
    first = [Batches(task, 5, 7).at(step) for step in range(6)]
    again = Batches(task, 5, 7)
    assert [again.at(step) for step in reversed(range(6))] == first[::-1]
    assert first != [Batches(task, 5, 8).at(step) for step in range(6)]
    assert {instruction for instruction, _ in (again.at(step) for step in range(40))} == set(INSTRUCTIONS)


def test_what_tells_one_story_stands_together():
    """Both conditions of a template have the same beginning, so that it is computed once."""
    batches = Batches(task_of(make_items(8, 4)), 4)
    for step in range(8):
        _, items = batches.at(step)
        assert len({item.cluster for item in items}) == 1 and len(items) == len({item.identifier for item in items})
        assert Counter(item.labels[CONDITION] == AMBIGUOUS for item in items) == {True: 2, False: 2}


def test_variants_take_the_place_of_items_where_their_rule_applies():
    def longer(item, generator):
        if item.labels[CONDITION] != AMBIGUOUS:
            return None
        return replace(item, identifier=f"{item.identifier}+", context=f"{item.context} It rained.")

    task = replace(task_of(make_items()), variants={"longer": longer})
    batches = Batches(task, 8, 0, ("longer",))
    drawn = [item for step in range(50) for item in batches.at(step)[1]]
    longer_ones = [item for item in drawn if item.identifier.endswith("+")]
    assert {item.labels[CONDITION] for item in longer_ones} == {AMBIGUOUS}
    assert 60 < len(longer_ones) < 140  # of 200 ambiguous ones about half
    assert not any(item.identifier.endswith("+") for _, items in [Batches(task, 8).at(0)] for item in items)


def test_a_variant_of_the_other_condition_leaves_the_balance():
    def truncated(item, generator):
        if item.labels[CONDITION] == AMBIGUOUS:
            return None
        return replace(item, identifier=f"{item.identifier}-", labels={**item.labels, CONDITION: AMBIGUOUS})

    task = replace(task_of(make_items()), variants={"truncated": truncated})
    batches = Batches(task, 8, 0, ("truncated",))
    for step in range(20):
        _, items = batches.at(step)
        assert Counter(item.labels[CONDITION] for item in items)[AMBIGUOUS] == 4
    assert sum(item.identifier.endswith("-") for step in range(20) for item in batches.at(step)[1]) > 20
