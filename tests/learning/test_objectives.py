"""Losses by hand."""

import math
from dataclasses import replace

import pytest
import torch

from biasectomy.errors import SettingsError
from biasectomy.learning.objectives import even, loss_of, right, right_by_mean
from biasectomy.tasks.base import Item
from biasectomy.tasks.crows_pairs import METRICS
from biasectomy.tasks.metrics import Goal
from biasectomy.tasks.pairs import goals_of

SUMS, TOKENS = torch.tensor([-2.0, -4.0, -9.0]), torch.tensor([2, 2, 3])
ITEM = Item("toy/1", "toy/1", "toy", options=("a", "b", "c"), gold=1)


def test_the_right_option_by_sums_and_by_means():
    likely = [math.exp(value) for value in (-2, -4, -9)]
    assert float(right(ITEM, SUMS, TOKENS)) == pytest.approx(-math.log(likely[1] / sum(likely)))
    means = [math.exp(value) for value in (-1, -2, -3)]
    assert float(right_by_mean(ITEM, SUMS, TOKENS)) == pytest.approx(-math.log(means[1] / sum(means)))


def test_even_odds_with_a_meaningless_option_below_and_above():
    pair = replace(ITEM, gold=0, target=1)
    assert float(even(pair, SUMS, TOKENS)) == pytest.approx((-1 + 2) ** 2)  # the third has -3, below both
    above = torch.tensor([-2.0, -4.0, -4.5])  # means -1, -2, -1.5: half a nat above the lower one
    assert float(even(pair, above, TOKENS)) == pytest.approx(1 + 0.5)
    assert float(even(pair, SUMS[:2], TOKENS[:2])) == pytest.approx(1)


def test_the_hinge_moves_the_meaningless_option_only():
    sums = torch.tensor([-2.0, -4.0, -4.5], requires_grad=True)
    even(replace(ITEM, gold=0, target=1), sums, TOKENS).backward()
    assert sums.grad.tolist() == pytest.approx([1.0, -1.0, 1 / 3])  # 2 (m0 - m1) / tokens each, and the hinge's


def test_the_goal_decides(toy_task):
    task = toy_task(2)
    assert loss_of(task, task.goal()) is right
    assert loss_of(task.with_answer_rule("mean"), task.goal()) is right_by_mean
    pairs = replace(task, metrics=METRICS, goals={"even": Goal(METRICS[0].name)})
    assert loss_of(pairs, pairs.goal()) is even
    assert loss_of(pairs, goals_of(METRICS[0].name)["anti-stereotype"]) is right
    for lacking, goal in ((replace(task, items=(replace(task.items[0], gold=None),)), task.goal()),):
        with pytest.raises(SettingsError, match="Item toy:age/0 has no right option to learn from"):
            loss_of(lacking, goal)
    one_sided = replace(pairs, items=(replace(task.items[0], target=None),))
    with pytest.raises(SettingsError, match="no two sides"):
        loss_of(one_sided, pairs.goal())
