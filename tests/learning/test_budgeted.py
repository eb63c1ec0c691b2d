"""Training within a budget: what is kept, when it ends, and going on after an interruption."""

import math

import pytest
import torch

from biasectomy.learning import budgeted, neutral
from biasectomy.learning.budgeted import Budget, Judged, Trained, train_within
from biasectomy.learning.full_weights import FullWeights
from biasectomy.learning.neutral import judged_by
from biasectomy.learning.setting_up import training_of
from biasectomy.learning.settings import TrainingSettings
from biasectomy.measuring.session import Session


@pytest.fixture(autouse=True)
def few_texts(monkeypatch):
    monkeypatch.setattr(neutral, "JUDGED_BY", 2)


def trained(model, task, budget, session=None, steps=8, rate=3e-3, judge=None):
    weights = FullWeights(model)
    settings = TrainingSettings(items_a_step=4, drift_weight=0)
    session = session or Session()
    training = training_of(settings, model, task, session, weights.in_force, weights.values)
    return train_within(training, steps, rate, session, budget, judge=judge), weights


def test_drift_and_perplexity_are_those_of_whole_logits(tiny):
    texts = judged_by(tiny)
    weights = FullWeights(tiny)
    with torch.no_grad():
        for value in weights.values:
            value.mul_(1.05)
    apart, rise, count = 0.0, 0.0, 0
    for text in texts.texts:
        tokens = torch.tensor([[*text.prompt, *text.options[0]]])
        with torch.no_grad():
            before = torch.log_softmax(tiny.model(input_ids=tokens).logits[0, :-1], -1)
            with weights.in_force():
                after = torch.log_softmax(tiny.model(input_ids=tokens).logits[0, :-1], -1)
        apart += float((before.exp() * (before - after)).sum())
        rise += float((before - after).gather(1, tokens[0, 1:, None]).sum())
        count += tokens.shape[1] - 1
    with tiny.changed(weights.in_force, ["off"]):
        found = texts.capability()
    assert found.drift == pytest.approx(apart / count, rel=5e-3) and found.drift > 0.01
    assert found.perplexity == pytest.approx(math.exp(rise / count), rel=5e-3) and abs(found.perplexity - 1) > 0.01


def test_what_is_kept_is_the_best_that_is_within_the_budget(tiny, toy_task):
    task = toy_task(clusters=4, instructions=1)
    free, _ = trained(tiny, task, Budget(every=1))
    drifts = [one.drift for one in free.judged]
    assert free.kept == min(free.judged, key=lambda one: one.loss).step and drifts == sorted(drifts)
    found, _ = trained(tiny, task, Budget(drift=(drifts[2] + drifts[3]) / 2, every=1))
    assert found.judged[:5] == free.judged[:5]
    assert found.taken == 5 and found.kept <= 3  # two judgements beyond it end the training


def test_the_parameters_are_those_of_the_step_that_is_kept(tiny, toy_task):
    task = toy_task(clusters=4, instructions=1)
    losses = iter([0.7, 0.5, 0.2, 0.9, 0.3])  # that of the original first
    found, weights = trained(tiny, task, Budget(every=2), judge=lambda: next(losses))
    assert (found.kept, found.taken, found.best.loss) == (4, 8, 0.2)
    with tiny.changed(weights.in_force, ["kept"]):
        assert judged_by(tiny).capability().drift == pytest.approx(found.best.drift, rel=1e-6)


def test_where_nothing_is_within_the_budget_the_model_stays_the_original_and_it_is_said(tiny, toy_task, caplog):
    found, weights = trained(tiny, toy_task(clusters=4, instructions=1), Budget(drift=0.0, every=1))
    assert (found.kept, found.taken, found.best) == (0, 2, None) and len(weights.learned()) == 0
    worse = iter([0.5, 0.6, 0.7])
    never, same = trained(tiny, toy_task(clusters=4, instructions=1), Budget(every=4), judge=lambda: next(worse))
    assert (never.kept, never.taken, never.best) == (0, 8, None) and len(same.learned()) == 0
    found.tell()
    assert "Nothing was learned" in caplog.text


def test_perplexity_is_a_budget_too_and_what_is_not_a_number_is_beyond_it():
    budget = Budget(drift=0.1, perplexity=1.05)
    assert budget.allows(Judged(1, 0.5, 0.1, 1.05))
    for one in (Judged(1, 0.5, 0.1, 1.06), Judged(1, 0.5, 0.11, 1.0), Judged(1, math.nan, 0, 1)):
        assert not budget.allows(one)
    assert not Budget().allows(Judged(1, 0.5, math.nan, 1.0))
    assert Trained(1, 0, (Judged(1, math.inf, math.nan, 1.0),)).record()["judged"] == [
        {"step": 1, "loss": None, "drift": None, "perplexity": 1.0}
    ]


@pytest.mark.parametrize("at", [5, 8])  # in between, and after the last
def test_what_is_interrupted_goes_on_and_ends_alike(tiny, toy_task, tmp_path, at, monkeypatch):
    task, budget = toy_task(clusters=4, instructions=1), Budget(every=2)
    whole, expected = trained(tiny, task, budget)
    step = budgeted.Training.step
    monkeypatch.setattr(budgeted.Training, "step", lambda *given: step(*given) if given[1] < at else 1 / 0)
    if at < 8:
        with pytest.raises(ZeroDivisionError):
            trained(tiny, task, budget, Session(folder=tmp_path))
        monkeypatch.setattr(budgeted.Training, "step", step)
    else:
        trained(tiny, task, budget, Session(folder=tmp_path))
        monkeypatch.setattr(budgeted.Training, "step", lambda *given: 1 / 0)
    found, weights = trained(tiny, task, budget, Session(folder=tmp_path))
    assert found == whole and weights.learned().key == expected.learned().key


def test_of_huge_parameters_only_the_end_is_kept_and_that_without_the_optimizer(tiny, toy_task, tmp_path, monkeypatch):
    monkeypatch.setattr(budgeted, "HUGE", 0)
    task, budget, session = toy_task(clusters=4, instructions=1), Budget(every=2), Session(folder=tmp_path)
    step = budgeted.Training.step
    monkeypatch.setattr(budgeted.Training, "step", lambda *given: step(*given) if given[1] < 5 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trained(tiny, task, budget, session)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(budgeted.Training, "step", step)
    _, weights = trained(tiny, task, budget, session)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size < 1.1 * sum(4 * one.numel() for one in weights.values) + 4096
