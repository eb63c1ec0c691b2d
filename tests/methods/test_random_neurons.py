"""Random neurons that match a neuron set."""

from collections import Counter

import pytest

from biasectomy.errors import SettingsError
from biasectomy.measuring.session import Session
from biasectomy.methods.neuron_edit import FittedNeurons
from biasectomy.methods.original import Original
from biasectomy.methods.random_neurons import RandomNeurons, any_neurons, random_neurons
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.options import Options

QUERY, UP = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj"


@pytest.fixture
def found() -> NeuronSet:
    neurons = [Neuron(UP, unit, 1.0, 0.5) for unit in range(5)] + [Neuron(QUERY, 3, 0.5, 0.0)]
    return NeuronSet(tuple(neurons), model={"name": "tiny"})


def test_as_many_of_each_module_with_the_same_factors_and_none_of_the_set(tiny, found):
    control = random_neurons(tiny.neurons(), found)
    assert [(neuron.module, neuron.factor) for neuron in control] == [(n.module, n.factor) for n in found]
    drawn, chosen = ({(neuron.module, neuron.unit) for neuron in one} for one in (control, found))
    assert len(drawn) == len(found) and drawn.isdisjoint(chosen)
    control.check(tiny.model)


def test_draws_differ_and_can_be_made_again(tiny, found):
    neurons = tiny.neurons()

    def units(**settings):
        return [neuron.unit for neuron in random_neurons(neurons, found, **settings)]

    assert units(draw=1, seed=4) == units(draw=1, seed=4)
    assert len({tuple(units(draw=draw, seed=seed)) for draw in range(3) for seed in range(3)}) == 9


def test_every_other_unit_can_be_drawn(tiny, found):
    neurons = tiny.neurons()
    counts = Counter(n.unit for draw in range(200) for n in random_neurons(neurons, found, draw=draw) if n.module == UP)
    assert set(counts) == set(range(5, 40))


@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
def test_a_module_with_too_few_others_still_gives_distinct_neurons(tiny, definition):
    neurons = tiny.neurons(definition)
    group = next(iter(neurons))
    most = NeuronSet(tuple(Neuron(group.module, unit, 0.0) for unit in range(group.units - 1)), definition)
    control = random_neurons(neurons, most)
    assert len({neuron.unit for neuron in control}) == group.units - 1
    control.check(tiny.model)


def fitted(tiny, toy_task, found: dict, **settings):
    session = Session(fitted=found, seed=3)
    return RandomNeurons(RandomNeurons.Settings(**settings)).fit(tiny, toy_task(), session)


def test_the_method_matches_the_last_one_that_edits_neurons(tiny, toy_task, found):
    other = FittedNeurons(found.top(2))
    others = {"original": Original(Options()), "first": FittedNeurons(found), "second": other}
    drawn = fitted(tiny, toy_task, others, draws=4)
    assert drawn.draws == 4 and drawn.cost.numbers == 2
    alone = random_neurons(tiny.neurons(), found.top(2), draw=1, seed=3)
    assert [neuron.unit for neuron in drawn.drawn[1]] == [neuron.unit for neuron in alone]
    assert fitted(tiny, toy_task, others, like="first").cost.numbers == len(found)
    with pytest.raises(SettingsError, match="names 'original', which edits no neurons"):
        fitted(tiny, toy_task, others, like="original")


def test_without_a_method_to_match_neurons_are_drawn_from_all(tiny, toy_task):
    drawn = fitted(tiny, toy_task, {}, draws=2, count=30)
    for one in drawn.drawn:
        one.check(tiny.model)
        assert len({(neuron.module, neuron.unit) for neuron in one}) == 30
    assert drawn.drawn[0] != drawn.drawn[1]
    everything = any_neurons(tiny.neurons(), 10**6)
    assert len(everything) == len(tiny.neurons())
