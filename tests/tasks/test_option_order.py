"""The order of options: turned so that the right one stands in each place equally often, and nothing else changed."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.commands.evaluate import evaluate
from biasectomy.commands.opening import open_tasks, split_task
from biasectomy.commands.settings_neurons import FindSettings
from biasectomy.errors import SettingsError
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.tasks.base import Task
from biasectomy.tasks.metrics import Answers, named
from biasectomy.tasks.multiple_choice import accuracy_by_place, listed
from biasectomy.tasks.option_order import GROUPS, rotate_options, shows_order
from tests.conftest import make_items


def places(items, *labels):
    """How often the gold option stands in each place, by the values of some labels."""
    counted = {}
    for item in items:
        cell = tuple(item.labels.get(name, "") for name in labels)
        counted.setdefault(cell, Counter({0: 0, 1: 0, 2: 0}))[item.gold] += 1
    return counted


def is_even(items, *labels):
    return all(max(cell.values()) - min(cell.values()) <= 1 for cell in places(items, *labels).values())


def test_gold_stands_in_each_place_equally_often_in_every_cell_and_over_all(toy_task):
    task = toy_task(clusters=13, per_cluster=8)
    task = replace(task, items=tuple(item for item in task.items if item.gold != 2))
    turned = rotate_options(task, 3)
    assert not is_even(task.items, *task.spread)
    assert is_even(turned.items, *task.spread)
    assert is_even(turned.items)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_what_the_options_say_stays(seed):
    items = [replace(item, extra={GROUPS: list(item.options)}) for item in make_items(5)]
    marked = Task("toy:age", tuple(items), ("Answer.",), (), "1", listed)
    for before, after in zip(marked.items, rotate_options(marked, seed).items, strict=True):
        assert after.identifier == before.identifier
        assert sorted(after.options) == sorted(before.options)
        for role in ("gold", "target", "unknown"):
            assert after.options[getattr(after, role)] == before.options[getattr(before, role)]
        assert after.extra[GROUPS] == list(after.options)
        # The first follows the last: neighbours stay neighbours.
        doubled = before.options * 2
        assert after.options in [doubled[start : start + 3] for start in range(3)]


def test_turned_twice_is_turned_once_and_seeds_differ(toy_task):
    task = toy_task(clusters=6)
    assert rotate_options(rotate_options(task, 1), 2).items == rotate_options(task, 2).items
    assert rotate_options(task, 1).items != rotate_options(task, 2).items


def test_only_a_task_that_shows_the_order_is_turned(toy_task):
    task = toy_task()
    assert shows_order(task)
    blind = replace(task, form=lambda instruction, item: replace(task.form(instruction, item), text=instruction))
    assert not shows_order(blind)
    assert rotate_options(blind) is blind
    scale = replace(task, option_order="fixed")
    assert rotate_options(scale) is scale
    without_gold = replace(task, items=tuple(replace(item, gold=None) for item in task.items))
    assert rotate_options(without_gold).items == without_gold.items


def test_both_sides_of_a_split_are_even_and_so_is_a_limited_task(toy_task):
    settings = FindSettings.of(max_items=90)
    task = open_tasks(settings, given=toy_task(clusters=30, per_cluster=8))[0]
    assert len(task.items) == 90
    assert is_even(task.items, *task.spread)
    for side in split_task(task, settings):
        assert is_even(side.items, *side.spread)
        assert is_even(side.items)


def test_the_order_of_the_data_is_kept_where_it_is_asked_for(toy_task):
    task = toy_task()
    kept = FindSettings.of(option_order="file")
    opened = open_tasks(kept, given=task)[0]
    assert opened.items == task.items
    assert {item.identifier: item for side in split_task(opened, kept) for item in side.items} == {
        item.identifier: item for item in task.items
    }


def test_accuracy_by_place_shows_a_model_that_takes_the_first_option(toy_task):
    task = rotate_options(toy_task(clusters=9))
    first = Answers(np.zeros((1, len(task.instructions), len(task.items)), dtype=np.int64))
    found = {}
    for metric in accuracy_by_place(task.items):
        columns, eligible = metric.columns(task.items, first)
        found[metric.name] = float(metric.combine(columns.sum(axis=2)))
        assert eligible.mean() == pytest.approx(1 / 3, abs=0.02)
    assert found == {"accuracy_gold_first": 1, "accuracy_gold_second": 0, "accuracy_gold_third": 0}
    assert named(task.metrics, "accuracy_gold_second").title == "Accuracy, gold second"


def test_both_rules_of_likelihoods_stand_beside_each_other_for_nothing(tiny, toy_task):
    task = toy_task(clusters=4)
    asked = []
    answer = type(tiny).answer
    type(tiny).answer = lambda self, *given: asked.append(1) or answer(self, *given)
    try:
        one = evaluate(tiny, task).results
        alone, asked[:] = len(asked), []
        both = evaluate(tiny, task, all_rules=True)
    finally:
        type(tiny).answer = answer
    assert len(asked) == alone
    mean = evaluate(tiny, task, answer_rule="mean").results
    for metric in ("accuracy", "bias_ambiguous"):
        assert both.results.find("original", metric) == one.find("original", metric)
        assert both.results.find("original:mean", metric) == replace(
            mean.find("original", metric), method="original:mean"
        )
    assert both.results.find("original", "accuracy").value != both.results.find("original:mean", "accuracy").value
    assert "Original, sum" in both.tables()
    assert "Original, mean" in both.tables()


def test_differences_are_shown_by_both_rules(tiny, toy_task):
    task = toy_task(clusters=4)
    neurons = tiny.neurons().groups[0]
    chosen = NeuronSet((Neuron(neurons.module, 0, 1.0),))
    results = evaluate(tiny, task, chosen, all_rules=True).results
    for rule in ("", ":mean"):
        assert results.find_difference(f"edited{rule}", f"original{rule}", "accuracy") is not None
    assert "accuracy_gold_first" in {row.metric for row in results.metrics}


def test_rules_of_likelihoods_are_not_shown_beside_texts(tiny, toy_task):
    with pytest.raises(SettingsError, match="leave --answer-rule generation out"):
        evaluate(tiny, toy_task(), all_rules=True, answer_rule="generation")
