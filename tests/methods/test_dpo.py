"""DPO: its loss by hand, its gradient, which answers are rejected, and what is left when it is gone."""

import json
import math
from dataclasses import replace

import pytest
import torch

from biasectomy.errors import SettingsError
from biasectomy.learning import neutral
from biasectomy.learning.batches import Batches
from biasectomy.learning.full_weights import FullWeights
from biasectomy.learning.preferences import REFERENCE, REJECTED, preference, referenced, rejected
from biasectomy.learning.setting_up import training_of
from biasectomy.learning.settings import TrainingSettings
from biasectomy.measuring.session import Session
from biasectomy.methods import METHODS
from biasectomy.models.language_model import load
from biasectomy.tasks.base import Item
from tests.conftest import make_items, score_in_rows

Method = METHODS["dpo"]
QUICK = {"steps": 6, "items_a_step": 4, "rank": 2, "rate": 0.03, "judged_every": 2, "perplexity": 1e9}
TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3]])


@pytest.fixture(autouse=True)
def few_texts(monkeypatch):
    monkeypatch.setattr(neutral, "JUDGED_BY", 1)


def fitted(model, task, session=None, **settings):
    return Method(Method.Settings(**(QUICK | settings))).fit(model, task, session or Session(drift=1e9))


def logits(model):
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


def test_the_loss_is_that_of_the_paper_by_hand():
    """beta 0.5: gains of 0.4 and -1.2 give half of 1.6, and -log sigmoid(0.8) = log(1 + e^-0.8)."""
    item = Item("i", "c", "t", options=("a", "b", "c"), gold=2, extra={REFERENCE: (-3.0, -9.0, -5.0), REJECTED: (0,)})
    sums = torch.tensor([-4.2, 7.0, -4.6])
    assert float(preference(0.5)(item, sums, torch.tensor([1, 1, 1]))) == pytest.approx(math.log1p(math.exp(-0.8)))
    both = replace(item, extra=item.extra | {REJECTED: (0, 1)})  # the other's gain is 16: half of -15.6
    expected = (math.log1p(math.exp(-0.8)) + math.log1p(math.exp(7.8))) / 2
    assert float(preference(0.5)(both, sums, torch.tensor([1, 1, 1]))) == pytest.approx(expected)
    same = torch.tensor(item.extra[REFERENCE])
    assert float(preference(0.1)(item, same, torch.tensor([1, 1, 1]))) == pytest.approx(math.log(2))


def test_a_step_has_the_gradient_of_finite_differences_with_each_option_scored_by_itself(tiny, toy_task):
    task = toy_task(clusters=4)
    steps = [Batches(task, 4).at(0)]
    weights = FullWeights(tiny, ["model.norm.weight"])
    settings = TrainingSettings(items_a_step=4, drift_weight=0)
    training = training_of(settings, tiny, task, Session(), weights.in_force, weights.values, preference(0.7))
    training.batches = referenced(tiny, task, steps, Session(), "biased")
    (norm,) = weights.values

    def scored(item):
        return score_in_rows(tiny.model, tiny.encode(task.question(steps[0][0], item))).log_likelihoods

    before = [scored(item) for item in steps[0][1]]

    def plainly():
        total = 0.0
        with tiny.changed(weights.in_force, ["moved"]):
            for item, reference in zip(steps[0][1], before, strict=True):
                now, (other,) = scored(item), rejected(item, reference, "biased")
                margin = now[item.gold] - reference[item.gold] - now[other] + reference[other]
                total -= math.log(1 / (1 + math.exp(-0.7 * margin)))
        return total / len(before)

    with torch.no_grad():
        norm += torch.linspace(-0.2, 0.3, len(norm))
    assert float(training._gradients(0)[0]) == pytest.approx(plainly(), rel=1e-4)
    for index in (0, 7, 15):
        around = []
        for moved in (5e-3, -5e-3):
            with torch.no_grad():
                norm[index] += moved
            around.append(plainly())
            with torch.no_grad():
                norm[index] -= moved
        assert (around[0] - around[1]) / 1e-2 == pytest.approx(float(norm.grad[index]), rel=0.02, abs=1e-3)


def test_the_reference_is_the_model_as_it_was_under_the_instruction_of_the_step(tiny, toy_task):
    task, session = toy_task(clusters=4), Session()
    batches = Batches(task, 4)
    steps = [batches.at(number) for number in range(5)]
    assert len({instruction for instruction, _ in steps}) == 2
    found = referenced(tiny, task, steps, session, "every")
    assert session.asked.questions == 20
    for number, (instruction, items) in enumerate(steps):
        told, beside = found.at(number)
        assert told == instruction and [item.identifier for item in beside] == [item.identifier for item in items]
        for item in beside:
            plain = score_in_rows(tiny.model, tiny.encode(task.question(instruction, item))).log_likelihoods
            assert item.extra[REFERENCE] == pytest.approx(plain, abs=1e-4)


def test_every_other_answer_is_rejected_or_the_biased_one_or_the_other_person_where_that_is_right():
    items = make_items(2, 4)
    assert all({*rejected(item, (0.0, 0.0, 0.0), "every")} == {0, 1, 2} - {item.gold} for item in items)
    assert [rejected(item, (0.0, 0.0, 0.0), "biased") for item in items] == [(item.target,) for item in items]
    for item in items:
        (other,) = {0, 1, 2} - {item.target, item.unknown}
        assert rejected(replace(item, gold=item.target), (0.0, 0.0, 0.0), "biased") == (other,)
    unmarked = replace(items[0], gold=0, target=None, unknown=None)
    assert rejected(unmarked, (-1.0, -9.0, -4.0), "biased") == (2,)  # the likeliest of the wrong ones
    yes_no = replace(items[0], options=("Yes", "Not known"), gold=0, target=0, unknown=1)
    assert rejected(yes_no, (0.0, 0.0), "biased") == (1,)


def test_it_prefers_right_answers_more_than_before_and_gives_the_model_back(tiny, toy_task, tmp_path):
    before = {name: one.clone() for name, one in tiny.model.state_dict().items()}
    plain, task = logits(tiny.model), toy_task()
    found = fitted(tiny, task, Session(folder=tmp_path, drift=1e9), steps=10)
    first, last = found.record["judged"][0], found.record["judged"][-1]
    assert first["step"] == 0 and first["loss"] == pytest.approx(math.log(2), abs=1e-4) and last["loss"] < 0.69
    with found.answering(tiny, Session()):
        expected = logits(tiny.model)
    assert (expected - plain).abs().max() > 1e-3
    after = tiny.model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    assert found.save(tiny, tmp_path / "model") < 1e-4
    torch.testing.assert_close(logits(load(str(tmp_path / "model")).model), expected, rtol=1e-4, atol=1e-4)
    assert json.loads(json.dumps(found.record)) == found.record
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()


def test_what_is_interrupted_goes_on_and_ends_alike(tiny, toy_task, tmp_path, monkeypatch):
    from biasectomy.learning import budgeted

    whole = fitted(tiny, toy_task())
    step = budgeted.Training.step
    monkeypatch.setattr(budgeted.Training, "step", lambda *given: step(*given) if given[1] < 5 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fitted(tiny, toy_task(), Session(folder=tmp_path, drift=1e9))
    monkeypatch.setattr(budgeted.Training, "step", step)
    resumed = fitted(tiny, toy_task(), Session(folder=tmp_path, drift=1e9))
    assert resumed.adapter.key == whole.adapter.key and resumed.record == whole.record


def test_the_authors_settings_train_all_weights_without_a_budget(tiny, toy_task):
    settings = Method(Method.Settings(preset="paper")).settings
    assert (settings.kind, settings.rate, settings.items_a_step, settings.beta) == ("full", 1e-6, 64, 0.1)
    found = Method(Method.Settings(preset="paper", steps=2, rate=1e-4, items_a_step=4)).fit(tiny, toy_task(), Session())
    assert found.record["steps_kept"] == 2 and found.cost.numbers > 5000


def test_items_without_a_right_answer_are_refused_before_anything_is_asked(tiny, toy_task):
    task = toy_task()
    without = replace(task, items=tuple(replace(item, gold=None) for item in task.items))
    with pytest.raises(SettingsError, match="No item of 'toy:age' has a right answer and another one"):
        Method(Method.Settings()).expected_questions(without)


def test_few_templates_are_all_learned_from(tiny, toy_task):
    found = fitted(tiny, toy_task(clusters=2))
    assert found.record["learned_from"] == 8 and found.record["judged"][0]["step"] == 2
