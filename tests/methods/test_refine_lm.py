"""REFINE-LM: the layer by hand, the reward against UnQover's own scores, and what it leaves alone."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from biasectomy.errors import SettingsError
from biasectomy.learning.option_policy import Layer, comparative_bias, layer_of, learned
from biasectomy.measuring.session import Session
from biasectomy.methods.refine_lm import FittedLayers, Refined, RefineLm
from biasectomy.reading.questions import Answer, Generation, Question
from biasectomy.tasks.base import Task
from biasectomy.tasks.multiple_choice import listed
from biasectomy.tasks.unqover import METRICS
from biasectomy.tasks.unqover_scores import QUADRUPLE, ROLE, Quadruples, likelihood
from biasectomy.tasks.unqover_scores import comparative_bias as of_scores
from biasectomy.tasks.unqover_unknown import with_unknown
from tests.conftest import INSTRUCTIONS
from tests.measuring.answerers import Made
from tests.tasks.test_unqover import items_of, words

SHARES = np.array([0.5, 0.2, 0.3])


def task_of(instructions: int = 2) -> Task:
    items = items_of(words())
    form = {"spread": ("form", "story"), "together": QUADRUPLE, "option_order": "fixed"}
    return Task("unqover:toy", items, INSTRUCTIONS[:instructions], METRICS, "1", listed, **form)


def test_the_layer_by_hand():
    """Of probabilities, in their order: 0.5, 0.3, 0.2."""
    weight = torch.tensor([[2.0, 0, 0], [0, 0, 1], [1, 1, 1]], dtype=torch.float64)
    layer = Layer(weight, torch.tensor([0.0, 0.5, 0], dtype=torch.float64), logarithms=False)
    before = np.array([2 * 0.5, 0.2 + 0.5, 1.0])
    first, second, third = np.exp(before) / np.exp(before).sum()
    np.testing.assert_allclose(np.exp(layer.of(np.log(SHARES) - 7)), [first, third, second])
    assert layer.numbers == 12


def test_before_it_learns_the_layer_is_the_model():
    np.testing.assert_allclose(np.exp(layer_of(3, logarithms=True).of(np.log(SHARES) - 40)), SHARES)


def test_options_are_known_by_their_rank_and_not_by_their_place():
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((3, 3), (3,)))
    found = Layer(weight, bias).of(np.log(SHARES))
    for order in itertools.permutations(range(3)):
        np.testing.assert_allclose(Layer(weight, bias).of(np.log(SHARES[list(order)])), found[list(order)])


def made_up(count: int, options: int, seed: int = 0):
    """Log-likelihoods of quadruples with a bias: the first subject where the question is plain, the other where not."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count, 4, options))
    places = np.broadcast_to(np.array([[0, 1], [1, 0], [0, 1], [1, 0]]), (count, 4, 2)).copy()
    for role, (one, other) in enumerate(places[0]):
        values[:, role, one if role < 2 else other] += 2
    return values, places


def test_the_reward_is_the_comparative_bias_of_what_would_be_answered():
    """The mean of C over all answers that the policy may draw, each with its probability, is C of the policy."""
    values, places = made_up(1, 3)
    policy = layer_of(3, logarithms=False).of(values)
    mean = 0.0
    for drawn in itertools.product(range(3), repeat=4):
        scores = np.array([[drawn[role] == place for place in places[0, role]] for role in range(4)], dtype=float)
        mean += float(of_scores(scores)) * np.exp(sum(policy[0, role, drawn[role]] for role in range(4)))
    found = comparative_bias(torch.from_numpy(policy), torch.from_numpy(places))
    assert float(found) == pytest.approx(mean, abs=1e-12) and mean > 0.1


@pytest.mark.parametrize("options", [2, 3])
def test_learning_makes_bias_small_and_is_the_same_again(options):
    values, places = made_up(60, options)
    layer, before, after = learned(layer_of(options, logarithms=True), values, places, 60, 20, 0.02, 3)
    assert after < 0.6 * before
    own = np.take_along_axis(np.exp(layer.of(values)), places, axis=-1)
    assert after == pytest.approx(np.abs(of_scores(own)).mean())
    again, *_ = learned(layer_of(options, logarithms=True), values, places, 60, 20, 0.02, 3)
    assert torch.equal(again.weight, layer.weight) and torch.equal(again.bias, layer.bias)
    untaught, *same = learned(layer_of(options, logarithms=True), values, places, 0, 20, 0.02, 3)
    assert same[0] == same[1] == before and torch.equal(untaught.weight, torch.eye(options, dtype=torch.float64))


def test_it_learns_from_quadruples_of_a_model(tiny, tmp_path):
    task = task_of()
    session = Session(folder=tmp_path)
    method = RefineLm(RefineLm.Settings(steps=30, batch=8))
    assert method.expected_questions(task) == len(task.items) * len(task.instructions)
    found = method.fit(tiny, task, session)
    (told,) = found.record["layers"]
    assert told["options"] == 2 and told["quadruples"] * 4 == len(task.items) * len(task.instructions)
    assert told["after"] < told["before"] and found.cost.numbers == 6 and (tmp_path / "layers.json").exists()
    # What it says of itself is what the task's own scores say.
    quadruples = Quadruples.of(task.items)

    def bias(answers):
        return np.abs(of_scores(likelihood(answers, quadruples.asked, quadruples.places))).mean()

    with found.answering(tiny, session) as answerer:
        assert bias(session.ask(task, answerer)) == pytest.approx(told["after"], abs=1e-9)
    assert bias(session.ask(task, session.answerer(tiny))) == pytest.approx(told["before"], abs=1e-9)


def test_three_options_are_another_layer(tiny):
    task = with_unknown(task_of(1))
    method = RefineLm(RefineLm.Settings(preset="paper", rate=0.9))
    assert (method.settings.rate, method.settings.inputs, method.settings.batch) == (0.9, "probabilities", 20)
    assert RefineLm(RefineLm.Settings(preset="paper")).settings.rate == 5e-5
    found = method.fit(tiny, task, Session())
    assert list(found.layers) == [3] and not found.layers[3].logarithms
    assert found.layers[3].weight.shape == (3, 3)


def test_what_has_no_layer_is_answered_as_it_is():
    given = Answer((-1.0, -2.0), (3, 4))
    layer = Layer(torch.tensor([[0.0, 1], [1, 0]], dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    made = Made(lambda question: given if len(question.options) == 2 else Answer((0.0,), (1,)))
    refined = Refined(Session().answerer(made), {2: layer})
    questions = [
        Question("Who?", ("A", "B")),
        Question(None, ("A.", "B.")),
        Question("Who?", ("A", "B"), plain=True),
        Question("Who?", ("A",)),
    ]
    found = dict(one for batch in refined(questions) for one in batch)
    assert found[1] == found[2] == given and found[3] == Answer((0.0,), (1,))
    changed = np.exp(found[0].log_likelihoods)
    np.testing.assert_allclose(changed, 1 / (1 + np.exp([1, -1])))  # what was likelier is so much less likely
    assert found[0].tokens == (1, 1)
    text = Refined(Session().answerer(Made(lambda question: Answer(texts=("B",)))), {2: layer})
    (batch,) = text([Question("Who?", ("A", "B"), Generation())])
    assert batch == [(0, Answer(texts=("B",)))]


def test_refusals(toy_task, tmp_path, tiny):
    method = RefineLm(RefineLm.Settings())
    with pytest.raises(SettingsError, match="learns from UnQover's quadruples, and 'toy:age' is not made of them"):
        method.expected_questions(toy_task())
    task = task_of(1)
    halves = tuple(item for item in task.items if item.extra[ROLE] < 2)
    with pytest.raises(SettingsError, match=r"No quadruple of .* is whole"):
        method.fit(tiny, replace(task, items=halves), Session())
    assert QUADRUPLE in halves[0].extra
    with pytest.raises(SettingsError, match=r"^REFINE-LM changes how a model is asked, not its weights"):
        FittedLayers({}, None).save(tiny, tmp_path / "model")
