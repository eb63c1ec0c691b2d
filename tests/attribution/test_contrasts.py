"""Attributions that compare two answers: against captum, finite differences of what an edit does, and by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients as Captum

from biasectomy.attribution import ATTRIBUTIONS
from biasectomy.attribution.activation_difference import ActivationDifference
from biasectomy.attribution.bias_knowledge import BiasKnowledge, questions
from biasectomy.attribution.counterfactual import Counterfactual
from biasectomy.attribution.gradient import Gradient
from biasectomy.attribution.integrated_gradients import IntegratedGradients
from biasectomy.attribution.products.engine import Instance
from biasectomy.attribution.products.rule import Span
from biasectomy.attribution.products.slopes import MeanActivations, Slopes
from biasectomy.attribution.scores import attribute
from biasectomy.attribution.weight_magnitude import WeightMagnitude
from biasectomy.errors import SettingsError
from biasectomy.measuring.session import Session
from biasectomy.neurons.edits import edited
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.options import Options
from biasectomy.reading.layouts import Positions
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.tasks.pairs import own_twin, whole_texts
from biasectomy.tasks.swapping import swapped, twin_of, two_people
from tests.attribution.test_attribution import by_hand, scores_of

PROMPT = EncodedPrompt((0,), ((0,), (1,), (2,)))  # of a network whose three answers have 0.5, 0.3 and 0.15
HIDDEN = "ffn-hidden"


def answered(model, encoded, option) -> torch.Tensor:
    """log P of one option, by the plainest interface."""
    ids = torch.tensor([encoded.prompt + encoded.options[option]])
    logits = model(input_ids=ids).logits[0].log_softmax(-1)
    start = len(encoded.prompt) - 1
    return sum(logits[start + place, token] for place, token in enumerate(encoded.options[option]))


def odds(model, task, item, biased, other) -> torch.Tensor:
    """log P(biased) - log P(other)."""
    encoded = model.encode(task.question(task.instructions[0], item))
    return answered(model.model, encoded, biased) - answered(model.model, encoded, other)


def slope(model, neuron, function, step=0.01, at=1.0, others=()) -> float:
    """The derivative of a number by a neuron's factor, while others have theirs."""
    ends = []
    for factor in (at - step, at + step):
        with torch.no_grad(), edited(model.model, NeuronSet((replace(neuron, factor=factor), *others), HIDDEN)):
            ends.append(float(function()))
    return (ends[1] - ends[0]) / (2 * step)


def some_neurons(model, units=(7, 23)):
    return [Neuron(group.module, unit, 0.0) for group in model.neurons(HIDDEN) for unit in units]


def values(scores) -> torch.Tensor:
    return torch.cat(list(scores.by_module.values()))


@pytest.fixture
def model(tiny):
    tiny.model.double()
    return tiny


@pytest.fixture
def task(toy_task):
    return replace(toy_task(clusters=3, instructions=1), twin=swapped)


def test_slopes_by_hand():
    def found(rule, *weights):
        return scores_of(rule, [Instance(str(n), PROMPT, 2, 0, weight) for n, weight in enumerate(weights)])

    odds_of_both = by_hand(0) - by_hand(2)
    assert found(Slopes(), 1.0) == pytest.approx(odds_of_both.tolist(), rel=1e-5)
    assert found(Slopes(), 0.5, 1.5) == pytest.approx(odds_of_both.tolist(), rel=1e-5)
    assert found(Slopes(), 0.5) == pytest.approx((odds_of_both / 2).tolist(), rel=1e-5)
    probabilities = 0.5 * by_hand(0) - 0.15 * by_hand(2)
    assert found(Slopes(probability=True), 1.0) == pytest.approx(probabilities.tolist(), rel=1e-5)


def test_tokens_of_slopes_and_of_activations_by_hand():
    """Two prompt tokens, two own tokens of the right label and one of the biased one; a single unit."""
    span = Span(Positions([0, 1], [2, 3]), Positions([0, 1], [4]), 0.0, 0.0)
    gold = torch.tensor([[1.0], [2.0], [4.0], [8.0], [100.0]])
    biased = torch.tensor([[0.5], [0.25], [100.0], [100.0], [3.0]])
    slopes, means = Slopes(), MeanActivations()
    for rule in (slopes, means):
        rule.gold("m", gold.clone(), [span])
        rule.biased("m", biased.clone(), [span])
    assert float(slopes.finish()["m"]) == (0.5 + 0.25 + 3) - (1 + 2 + 4 + 8)
    assert float(means.finish()["m"]) == 3 - (4 + 8) / 2


@pytest.mark.parametrize("against", ["right", "other"])
def test_the_gradient_says_what_an_edit_does_to_the_odds(model, task, against):
    task = replace(task, items=task.items[:4])
    found = attribute(model, task, Gradient(Gradient.Settings(against=against)), definition=HIDDEN)
    read = [item for item in task.items if against == "other" or item.gold != item.target]
    assert found.found_with["drawn"] == [item.identifier for item in read]

    def mean_odds():
        total = 0.0
        for item in read:
            other = item.gold if against == "right" else sum(two_people(item)) - item.target
            total += odds(model, task, item, item.target, other)
        return total / len(read)

    for neuron in some_neurons(model):
        expected = slope(model, neuron, mean_odds)
        assert float(found.by_module[neuron.module][neuron.unit]) == pytest.approx(expected, abs=2e-3, rel=0.01)


@pytest.mark.parametrize("path", ["together", "layers"])
def test_integrated_gradients_equal_captums_and_add_up(model, task, path):
    task = replace(task, items=task.items[:1])
    (item,), other = task.items, task.items[0].gold
    groups = list(model.neurons(HIDDEN))
    factors = torch.ones(len(groups), groups[0].units, dtype=torch.float64)

    def with_factors(wanted):
        """The odds under factors [rows, layers, units], one row after the other."""
        found = []
        for row in wanted:
            handles = [
                model.model.get_submodule(group.owner).register_forward_pre_hook(
                    lambda module, inputs, own=own: (inputs[0] * own,)
                )
                for group, own in zip(groups, row, strict=True)
            ]
            found.append(odds(model, task, item, item.target, other))
            for handle in handles:
                handle.remove()
        return torch.stack(found)

    settings = IntegratedGradients.Settings(steps=6, path=path)
    found = attribute(model, task, IntegratedGradients(settings), definition=HIDDEN)
    starts = [torch.zeros_like(factors)]
    if path == "layers":
        starts = [torch.ones_like(factors) for _ in groups]
        for number, start in enumerate(starts):
            start[number] = 0
    expected = sum(
        Captum(with_factors).attribute(factors[None], baselines=start[None], n_steps=6, method="gausslegendre")[0]
        for start in starts
    )
    scale = float(expected.abs().max())
    for group, own in zip(groups, expected, strict=True):
        torch.testing.assert_close(found.by_module[group.module], own.detach(), atol=1e-4 * scale, rtol=1e-3)
    many = IntegratedGradients(settings.model_copy(update={"steps": 48}))
    total = float(values(attribute(model, task, many, definition=HIDDEN)).sum())
    with torch.no_grad():
        gained = sum(float(with_factors(factors[None]) - with_factors(start[None])) for start in starts)
    assert total == pytest.approx(gained, rel=0.01, abs=0.01)


def test_integrating_gives_the_model_back_and_keeps_what_it_found(tiny, task, tmp_path):
    before = {name: weight.clone() for name, weight in tiny.model.state_dict().items()}
    attribution = IntegratedGradients(IntegratedGradients.Settings(steps=2, instances=3))
    first = attribute(tiny, task, attribution, session=Session(folder=tmp_path))
    assert all(torch.equal(weight, before[name]) for name, weight in tiny.model.state_dict().items())
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2
    tiny.model.lm_head.weight.data.zero_()  # what is kept is not computed again
    second = attribute(tiny, task, attribution, session=Session(folder=tmp_path))
    assert torch.equal(values(first), values(second)) and bool(values(first).any())


def test_activations_are_compared_over_the_whole_answers(model, task):
    found = attribute(model, task, ActivationDifference(ActivationDifference.Settings()), definition=HIDDEN)
    for group in model.neurons(HIDDEN):
        differences = []
        for item in task.items:
            encoded = model.encode(task.question(task.instructions[0], item))
            means = []
            for option in (item.target, sum(two_people(item)) - item.target):
                seen = []
                handle = model.model.get_submodule(group.owner).register_forward_pre_hook(
                    lambda module, inputs, seen=seen: seen.append(inputs[0][0])
                )
                with torch.no_grad():
                    model.model(input_ids=torch.tensor([encoded.prompt + encoded.options[option]]))
                handle.remove()
                means.append(seen[0][len(encoded.prompt) :].mean(0))
            differences.append(means[0] - means[1])
        expected = torch.stack(differences).mean(0).abs()
        torch.testing.assert_close(found.by_module[group.module], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("definition", ["linear-output", HIDDEN])
def test_weights_that_an_edit_scales_have_the_length_it_gives_them(tiny, task, definition):
    attribution = WeightMagnitude(Options())
    before = attribute(tiny, task, attribution, definition=definition).by_module
    neurons = [Neuron(group.module, 3, 0.0, factor=-3.0) for group in tiny.neurons(definition)]
    with tiny.edited(NeuronSet(tuple(neurons), definition)):
        after = attribute(tiny, task, attribution, definition=definition).by_module
    for module, norms in after.items():
        expected = before[module].clone()
        expected[3] *= 3
        torch.testing.assert_close(norms, expected)
    owner = tiny.model.model.layers[0].mlp.down_proj.weight.double()
    norms = owner.norm(dim=0 if definition == HIDDEN else 1)
    torch.testing.assert_close(before["model.layers.0.mlp.down_proj"], norms.detach())


def counterfactual(model, task, **settings):
    return attribute(model, task, Counterfactual(Counterfactual.Settings(**settings)), definition=HIDDEN)


def test_the_counterfactual_is_half_the_difference_of_slopes_between_item_and_twin(model, task):
    task = replace(task, items=task.items[:2])
    found = counterfactual(model, task, steps=2)
    assert found.found_with["drawn"] == [
        name for item in task.items for name in (item.identifier, f"{item.identifier}/swapped")
    ]
    assert (found.found_with["with_twin"], found.found_with["of_items"]) == (2, 2)

    def leaning():
        total = 0.0
        for item in task.items:
            twin, b, c = swapped(item), item.target, sum(two_people(item)) - item.target
            total += (odds(model, task, item, b, c) - odds(model, task, twin, b, c)) / 2
        return total / len(task.items)

    every = [Neuron(group.module, unit, 0.0) for group in model.neurons(HIDDEN) for unit in range(group.units)]
    (one, two), lengths = np.polynomial.legendre.leggauss(2)
    assert tuple(lengths) == pytest.approx((1, 1))
    for neuron in some_neurons(model):
        expected = 0.0
        for factor in ((1 + one) / 2, (1 + two) / 2):
            others = [replace(other, factor=factor) for other in every if other != neuron]
            expected += slope(model, neuron, leaning, at=factor, others=others) / 2
        assert float(found.by_module[neuron.module][neuron.unit]) == pytest.approx(expected, abs=2e-3, rel=0.01)


def test_the_opposite_stereotype_has_the_opposite_scores(model, task):
    one = values(counterfactual(model, task, steps=1))
    turned = replace(task, items=tuple(twin_of(item, two_people(item)) for item in task.items))
    assert one.abs().max() > 0.01
    torch.testing.assert_close(values(counterfactual(model, turned, steps=1)), -one, atol=1e-6, rtol=1e-5)


def test_a_neuron_that_does_the_same_whoever_it_is_about_scores_0(model, task):
    """Where who somebody is makes no difference to the text, nothing is left, though single slopes are large."""
    same = replace(task, twin=lambda item: twin_of(item, two_people(item)))
    assert float(values(attribute(model, same, Gradient(Gradient.Settings()), definition=HIDDEN)).abs().max()) > 0.01
    assert float(values(counterfactual(model, same, steps=2)).abs().max()) < 1e-6


def test_what_a_word_is_worth_cancels_over_both_polarities(model, task):
    """Questions that are the same to the model, one for each target: what is left of a word for a person is nothing."""
    items = [item for item in task.items if item.labels["polarity"] == "negative"][:2]
    asked = []
    for item in items:
        other = replace(twin_of(item, two_people(item)), identifier=f"{item.identifier}-positive")
        asked += [item, replace(other, labels={**item.labels, "polarity": "non-negative"})]
    assert float(values(counterfactual(model, replace(task, items=tuple(asked)), steps=2)).abs().max()) < 1e-6
    # Three items of the one polarity and one of the other still weigh alike.
    compared = Counterfactual(Counterfactual.Settings()).compared(replace(task, items=(*items, *asked[1:2])), 0)
    weights: dict[str, float] = {}
    for one in compared:
        polarity = one.item.labels["polarity"]
        weights[polarity] = weights.get(polarity, 0) + one.weight
    assert weights == {"negative": pytest.approx(3), "non-negative": pytest.approx(3)}


def test_both_polarities_of_a_story_are_drawn_together(toy_task):
    items = []
    for item in toy_task(clusters=6, instructions=1).items[::2]:
        context = item.context + f" Once {item.identifier[-1]}."
        items += [replace(item, context=context), replace(item, context=context, identifier=f"{item.identifier}b")]
    task = replace(toy_task(), items=tuple(items), twin=swapped)
    for seed in range(3):
        drawn = Counterfactual(Counterfactual.Settings(instances=6)).record(task, seed)["drawn"]
        names = {name.removesuffix("/swapped") for name in drawn}
        assert len(names) == 6 and {name.removesuffix("b") for name in names} == {
            name for name in names if name[-1] != "b"
        }


def test_a_pair_of_texts_is_its_own_twin(model, task):
    first = replace(
        task.items[0], options=("The old man forgot.", "The young man forgot."), gold=0, target=1, unknown=None
    )
    pairs = replace(task, items=(first,), instructions=("",), form=whole_texts, twin=own_twin)
    scores = counterfactual(model, pairs)
    assert scores.found_with["drawn"] == [first.identifier]
    other = IntegratedGradients.Settings(against="other", steps=4)
    alone = attribute(model, pairs, IntegratedGradients(other), definition=HIDDEN)
    assert torch.equal(values(scores), values(alone))


@pytest.mark.parametrize("name", ["gradient", "integrated-gradients", "activation-difference", "counterfactual"])
def test_items_without_a_biased_answer_are_refused(tiny, task, name):
    attribution = ATTRIBUTIONS[name](ATTRIBUTIONS[name].Settings())
    blank = replace(task, items=tuple(replace(item, target=None) for item in task.items))
    with pytest.raises(
        SettingsError, match=f"'{name}' compares the biased answer with another one, and no item of toy"
    ):
        attribute(tiny, blank, attribution)


def test_tasks_without_twins_are_refused(tiny, toy_task):
    with pytest.raises(SettingsError, match="toy:age has no rule for that; bbq, organism, crows_pairs and stereoset"):
        counterfactual(tiny, toy_task())


def test_forecasts_count_what_is_read(task):
    def expected(kind, **settings):
        return kind(kind.Settings(**settings)).expected_questions(task)

    right = sum(item.gold != item.target for item in task.items)
    assert expected(Gradient) == 4 * right
    assert expected(IntegratedGradients, steps=5, against="other") == 4 * 5 * 12
    assert expected(ActivationDifference, instances=3) == 3
    assert expected(Counterfactual) == 4 * 4 * 2 * 12
    assert expected(BiasKnowledge, instances=10, steps=3) == 4 * 3 * 10


def test_scores_do_not_depend_on_the_seed_where_all_items_are_read(tiny, task):
    found = [attribute(tiny, task, Gradient(Gradient.Settings()), session=Session(seed=seed)) for seed in (1, 2)]
    assert np.array_equal(*(values(one).numpy() for one in found))


def test_knowledge_of_bias_is_what_raises_right_answers_about_it(model, task):
    """All scores add up to what P of the right answers gains from none of the neurons to all."""
    attribution = BiasKnowledge(BiasKnowledge.Settings(instances=4, steps=24))
    found = attribute(model, task, attribution, definition=HIDDEN)
    asked = [item for item in questions().items if item.identifier in found.found_with["drawn"]]
    assert sorted(item.options[item.gold] for item in asked) == ["No", "No", "Yes", "Yes"]
    every = [Neuron(group.module, unit, 0.0) for group in model.neurons(HIDDEN) for unit in range(group.units)]

    def right():
        with torch.no_grad():
            encoded = [model.encode(questions().question(questions().instructions[0], item)) for item in asked]
            answers = [answered(model.model, one, item.gold).exp() for one, item in zip(encoded, asked, strict=True)]
        return float(sum(answers)) / len(asked)

    after = right()
    with edited(model.model, NeuronSet(tuple(every), HIDDEN)):
        before = right()
    assert float(values(found).sum()) == pytest.approx(after - before, rel=0.02, abs=1e-6)
