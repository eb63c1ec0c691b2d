"""Learned factors end to end on a tiny model: what is chosen, what is kept, and what is said."""

import json

import pytest
import torch

from biasectomy.errors import DataError, SettingsError
from biasectomy.learning.settings import QUESTIONS_A_LEARNED_ITEM
from biasectomy.measuring.session import Session
from biasectomy.methods.learned_factors import LearnedFactors
from biasectomy.neurons.neuron_set import NeuronSet

QUICK = {"first_steps": 12, "steps": 6, "budgets": "all,30,10", "straight_steps": 24, "rate": 0.1, "items_a_step": 6}


def fitted(model, task, session=None, **settings):
    session = session or Session(drift=10.0)
    return LearnedFactors(LearnedFactors.Settings(**QUICK | settings)).fit(model, task, session)


@pytest.fixture
def task(toy_task):
    return toy_task(clusters=14, instructions=2)


def test_budgets_are_tried_and_the_record_says_what_each_was_worth(tiny, task):
    session = Session(drift=10.0)
    found = fitted(tiny, task, session)
    assert [one["budget"] for one in found.record["candidates"]] == [80, 30, 10]
    assert [one["steps"] for one in found.record["candidates"]] == [12, 18, 24]
    assert [one["n"] for one in found.record["search"]] == [0, 10, 30, 80]
    assert found.record["chosen"] == len(found.neuron_set) == found.cost.numbers in (0, 10, 30, 80)
    assert found.record["learned_from"] + found.record["validated_on"] <= len(task.items)
    assert found.cost.questions == session.asked.questions + 24 * 6
    assert json.loads(json.dumps(found.record)) == found.record
    if len(found.neuron_set):
        assert found.neuron_set.found_with["method"] == "learned-factors"


@pytest.mark.parametrize(("clusters", "share"), [(6, 1 / 2), (8, 1 / 2), (14, 5 / 14), (20, 0.3), (40, 0.3)])
def test_as_many_validation_questions_are_asked_as_were_forecast(tiny, toy_task, clusters, share):
    """Three tenths of few templates would be less than five, which a gain cannot be told from chance by."""
    task, settings = toy_task(clusters=clusters, instructions=2), QUICK | {"first_steps": 1, "steps": 1}
    session, method = Session(drift=1000.0), LearnedFactors(LearnedFactors.Settings(**settings))
    forecast = method.expected_questions(task) - 3 * 6 * QUESTIONS_A_LEARNED_ITEM
    assert forecast == 2 * round(share * len(task.items)) * 4  # wordings, items, candidates and the original
    method.fit(tiny, task, session)
    assert session.asked.questions == forecast


def test_a_number_of_neurons_settles_it_and_all_items_are_learned_from(tiny, task):
    found = fitted(tiny, task, Session(neurons=17))
    assert len(found.neuron_set) == 17 and "search" not in found.record
    assert [(one["budget"], one["steps"]) for one in found.record["candidates"]] == [(17, 24)]
    assert found.record["learned_from"] == len(task.items)
    all_of_them = fitted(tiny, task, Session(neurons=80)).record["candidates"]
    assert [(one["budget"], one["steps"]) for one in all_of_them] == [(80, 24)]
    with pytest.raises(SettingsError, match="--neurons 81 is more than the model has: 80"):
        fitted(tiny, task, Session(neurons=81))


def test_what_goes_too_far_from_the_original_is_no_candidate(tiny, task, caplog):
    found = fitted(tiny, task, Session(drift=1e-6))
    assert len(found.neuron_set) == 0 and [one["n"] for one in found.record["search"]] == [0]
    assert "No candidate stays within a drift of 1e-06 nats" in caplog.text
    drifts = sorted(one["drift"] for one in found.record["candidates"])
    some = fitted(tiny, task, Session(drift=(drifts[0] + drifts[1]) / 2))
    assert len(some.record["search"]) == 2


def test_neurons_chosen_beforehand_are_the_only_ones_learned(tiny, task):
    found = fitted(tiny, task, Session(neurons=10, seed=2), among="random")
    again = fitted(tiny, task, Session(neurons=10, seed=2), among="random")
    assert found.neuron_set == again.neuron_set and len(found.neuron_set) == 10
    other = fitted(tiny, task, Session(neurons=10, seed=3), among="random")
    assert {(one.module, one.unit) for one in other.neuron_set} != {(one.module, one.unit) for one in found.neuron_set}
    with pytest.raises(Exception, match="did you mean 'crispr'"):
        LearnedFactors(LearnedFactors.Settings(among="crisp"))


@pytest.mark.parametrize("definition", ["linear-output", "ia3"])
def test_other_neurons_can_be_learned(tiny, task, tmp_path, definition):
    found = fitted(tiny, task, Session(neurons=12), definition=definition)
    assert found.neuron_set.definition == definition and len(found.neuron_set) == 12
    found.neuron_set.save(tmp_path / "neurons.json")
    assert NeuronSet.load(tmp_path / "neurons.json") == found.neuron_set


def test_learning_lowers_the_loss_on_what_was_learned_from(tiny, task):
    found = fitted(tiny, task, Session(neurons=30), straight_steps=80)
    session = Session()

    def likelihood_of_gold() -> float:
        values = torch.tensor(session.ask(task, tiny).log_likelihoods[0]).log_softmax(-1)
        gold = torch.tensor([item.gold for item in task.items])
        return float(values.gather(-1, gold[None, :, None].expand(len(task.instructions), -1, 1)).mean())

    before = likelihood_of_gold()
    with tiny.edited(found.neuron_set):
        assert likelihood_of_gold() > before + 0.5


@pytest.mark.parametrize("wrong", ["", "0", "all,x", "1.5", "-3"])
def test_budgets_that_are_none(wrong):
    with pytest.raises(ValueError, match="joined by commas"):
        LearnedFactors.Settings(budgets=wrong)


def test_budgets_that_are_not_asked_for_are_no_candidates(tiny, task):
    found = fitted(tiny, task, budgets="30,10")
    assert [one["budget"] for one in found.record["candidates"]] == [30, 10]


def test_too_few_templates_to_choose_by_are_named_with_a_way_out(tiny, toy_task):
    with pytest.raises(DataError, match=r"'toy:age' has 2 templates among its 8 development items.* or --neurons"):
        fitted(tiny, toy_task(clusters=2), items_a_step=2)
    assert len(fitted(tiny, toy_task(clusters=2), Session(neurons=5), items_a_step=2).neuron_set) == 5
