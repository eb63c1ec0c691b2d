"""Steps of training: the loss and its gradient, shares of processes, and going on after an interruption."""

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from biasectomy.errors import DataError, ScoreError
from biasectomy.learning.factors import Factors
from biasectomy.learning.neutral import LEARNED_FROM, NeutralTexts, judged_by, packaged
from biasectomy.learning.path import path_to
from biasectomy.learning.pruned import CHECKPOINT, PrunedFactors
from biasectomy.learning.setting_up import learned_and_validated, training_of
from biasectomy.learning.settings import TrainingSettings
from biasectomy.measuring.session import Session
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import watching
from biasectomy.processes import Processes
from tests.conftest import score_in_rows

SETTINGS = TrainingSettings(items_a_step=6, drift_weight=2.0)


class Setup:
    """A training of factors that are not 1 any more."""

    def __init__(self, model: LanguageModel, task: Any, session: Session | None = None, **settings: Any) -> None:
        self.model, self.task = model, task
        self.factors = Factors(model.model, model.neurons("ffn-hidden"))
        with torch.no_grad():
            self.factors.values.copy_(torch.linspace(0.2, 1.7, len(self.factors)))
        made = SETTINGS.model_copy(update=settings)
        change, parameters = self.factors.in_force, [self.factors.values]
        self.training = training_of(made, model, task, session or Session(), change, parameters)

    def plainly(self, step: int) -> tuple[float, float]:
        """Mean loss of a step's items, each option scored by itself, and drift of its text, from whole logits."""
        instruction, items = self.training.batches.at(step)
        losses = []
        text = self.training.neutral.texts[step]
        tokens = torch.tensor([[*text.prompt, *text.options[0]]])
        with torch.no_grad():
            before = torch.log_softmax(self.model.model(input_ids=tokens).logits[0, :-1], -1)
            with self.model.edited(self.factors.neuron_set(self.factors.values.detach())):
                after = torch.log_softmax(self.model.model(input_ids=tokens).logits[0, :-1], -1)
                for item in items:
                    encoded = self.model.encode(self.task.question(instruction, item))
                    sums = np.array(score_in_rows(self.model.model, encoded).log_likelihoods)
                    losses.append(np.log(np.exp(sums - sums.max()).sum()) + sums.max() - sums[item.gold])
        judged = slice(len(text.prompt) - 1, None)
        return float(np.mean(losses)), float((before.exp() * (before - after)).sum(-1)[judged].mean())


def test_a_step_shows_the_loss_and_the_drift_as_a_plain_computation_has_them(tiny, toy_task):
    setup = Setup(tiny, toy_task())
    loss, drift = setup.training._gradients(3).tolist()
    expected = setup.plainly(3)
    assert loss == pytest.approx(expected[0], rel=1e-4)
    assert drift == pytest.approx(expected[1], rel=2e-3) and drift > 0.01  # the original's is kept in half precision


def test_its_gradient_is_that_of_finite_differences(tiny, toy_task):
    setup = Setup(tiny, toy_task())
    setup.training._gradients(0)
    gradient = setup.factors.values.grad.clone()
    for index in (0, 17, 45, 79):
        around = []
        for step in (2e-3, -2e-3):
            with torch.no_grad():
                setup.factors.values[index] += step
            loss, drift = setup.plainly(0)
            around.append(loss + 2.0 * drift)
            with torch.no_grad():
                setup.factors.values[index] -= step
        found = (around[0] - around[1]) / 4e-3
        assert found == pytest.approx(float(gradient[index]), rel=0.03, abs=3e-3 * float(gradient.abs().max()))


def test_weights_get_no_gradient_and_are_as_before(tiny, toy_task):
    before = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    frozen = [weight.requires_grad for weight in tiny.model.parameters()]
    setup = Setup(tiny, toy_task())
    for step in range(3):
        setup.training.step(step, 0.05)
    assert all(weight.grad is None for weight in tiny.model.parameters())
    assert [weight.requires_grad for weight in tiny.model.parameters()] == frozen
    assert all(torch.equal(value, before[name]) for name, value in tiny.model.state_dict().items())


def test_small_batches_give_the_same_gradient(tiny, toy_task):
    setup = Setup(tiny, toy_task())
    setup.training._gradients(1)
    whole = setup.factors.values.grad.clone()
    setup.factors.values.grad = None
    tiny.batch_tokens = 60
    setup.training._gradients(1)
    torch.testing.assert_close(setup.factors.values.grad, whole, rtol=1e-4, atol=1e-5)


def test_a_batch_that_memory_is_too_small_for_is_halved_without_a_trace(tiny, toy_task, monkeypatch):
    setup = Setup(tiny, toy_task())
    setup.training._gradients(1)
    whole = setup.factors.values.grad.clone()
    setup.factors.values.grad = None
    passed = setup.training._passed

    def short(batch, items, count):
        found = passed(batch, items, count)  # the memory ends when the gradient is there already
        if len(batch.prompts) > 2:
            raise MemoryError
        return found

    monkeypatch.setattr(setup.training, "_passed", short)
    setup.training._gradients(1)
    torch.testing.assert_close(setup.factors.values.grad, whole, rtol=1e-4, atol=1e-5)


class One(Processes):
    """One of two processes, which keeps what it would have added to the other's."""

    def sum(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return tensors


def test_shares_of_processes_add_up_to_the_gradient_of_one(tiny, toy_task):
    whole = Setup(tiny, toy_task(), texts=1)
    expected = whole.training._gradients(2)
    parts, measured = [], []
    for index in range(2):
        part = Setup(tiny, toy_task(), Session(processes=One(index, 2)))
        measured.append(part.training._gradients(2))
        parts.append(part.factors.values.grad)
    torch.testing.assert_close(sum(parts), whole.factors.values.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sum(measured), expected)


def test_a_loss_that_is_not_finite_names_its_item(tiny, toy_task):
    setup = Setup(tiny, toy_task())
    with torch.no_grad():
        setup.factors.values[3] = float("nan")
    with pytest.raises(ScoreError, match=r"Item toy:age/.*not finite; a lower rate"):
        setup.training.step(0, 0.1)


def pruned(model: LanguageModel, task: Any, session: Session, importance: Any = "change") -> PrunedFactors:
    setup = Setup(model, task, session)
    with torch.no_grad():
        setup.factors.values.fill_(1.0)
    path = path_to([40, 10], 80, first=6, each=8, held=0.5, rate=0.05, last_rate=0.01)
    return PrunedFactors(setup.training, setup.factors, path, importance, session)


@pytest.mark.parametrize("importance", ["change", "loss"])
def test_fewer_and_fewer_factors_learn_to_answer(tiny, toy_task, importance):
    learner = pruned(tiny, toy_task(), Session(), importance)
    found = list(learner.candidates())
    assert [stretch.budget for stretch, _, _ in found] == [80, 40, 10]
    assert [int((values != 1).sum()) for _, values, _ in found] == [80, 40, 10]
    for (_, before, _), (_, after, _) in itertools.pairwise(found):
        assert ((before == 1) <= (after == 1)).all()  # what was put back to 1 stays there

    def loss(values: torch.Tensor) -> float:
        with torch.no_grad():
            learner.factors.values.copy_(values)
        return sum(float(learner.training._gradients(step)[0]) for step in range(6))

    assert loss(found[1][1]) < 0.95 * loss(torch.ones(80))


class KilledError(Exception):
    """What ends a run without being heard."""


def killing(stopped: int) -> Any:
    """A progress hook that ends the run in its so-many-th step."""

    @contextlib.contextmanager
    def hook(description: str, total: int, unit: str) -> Iterator[Any]:
        done = 0

        def advance(count: int = 1, note: str | None = None) -> None:
            nonlocal done
            done += count
            if note and done > stopped:
                raise KilledError

        yield advance

    return hook


@pytest.mark.parametrize("stopped", [1, 10, 17])
def test_what_is_interrupted_goes_on_and_ends_alike(tiny, toy_task, tmp_path, stopped):
    whole = list(pruned(tiny, toy_task(), Session()).candidates())
    session = Session(folder=tmp_path)

    with pytest.raises(KilledError), watching(killing(stopped)):
        list(pruned(tiny, toy_task(), session).candidates())
    assert (tmp_path / CHECKPOINT).exists() == (stopped >= 6)
    found = list(pruned(tiny, toy_task(), session).candidates())
    for (stretch, values, shown), (other, expected, then) in zip(found, whole, strict=True):
        assert (stretch, shown) == (other, then) and torch.equal(values, expected)


def test_neutral_texts_of_learning_and_of_judging_are_others(tiny):
    texts = packaged()
    learned, judged = NeutralTexts(tiny, texts[:LEARNED_FROM]), judged_by(tiny)
    assert not {one.options for one in learned.texts} & {one.options for one in judged.texts}
    assert learned.mean_drift() == pytest.approx(0, abs=2e-4)  # nothing is changed; kept in half precision


def test_templates_that_choose_are_not_learned_from(toy_task):
    task = toy_task(clusters=10)
    learned, validated = learned_and_validated(task, 0.3, 12, 9, 0)
    assert not {item.cluster for item in learned.items} & {item.cluster for item in validated.items}
    assert (len(learned.items), len(validated.items)) == (12, 9)
    assert len(validated.instructions) == 2


@pytest.mark.parametrize(("templates", "choosing"), [(40, 12), (12, 5), (10, 5), (6, 3)])
def test_few_templates_choose_by_as_many_as_can_tell_a_gain_from_chance(toy_task, templates, choosing):
    learned, validated = learned_and_validated(toy_task(clusters=templates), 0.3, None, 1000, 0)
    assert len({item.cluster for item in validated.items}) == choosing
    assert len({item.cluster for item in learned.items}) == templates - choosing


def test_all_is_learned_from_of_a_part_with_too_few_templates_to_choose(toy_task):
    """Of StereoSet's bias types one has three targets, so that half of them are one or two."""
    large = toy_task(clusters=10)
    small = tuple(replace(item, task="toy:rare", identifier=f"rare/{n}") for n, item in enumerate(large.items[:8]))
    renamed = tuple(replace(item, cluster=f"rare {item.cluster}") for item in small[4:])  # one of two is shared
    task = replace(large, name="toy", items=(*large.items, *small[:4], *renamed))
    for seed in range(4):
        learned, validated = learned_and_validated(task, 0.3, None, 1000, seed)
        assert not {item.cluster for item in learned.items} & {item.cluster for item in validated.items}
        assert {item.identifier for item in renamed} <= {item.identifier for item in learned.items}
        assert len(learned.items) + len(validated.items) == len(task.items)
    with pytest.raises(DataError, match="too few to learn from some and choose by others"):
        learned_and_validated(replace(task, items=(*small[:4], *renamed)), 0.3, None, 1000, 0)
