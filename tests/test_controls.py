"""Random neurons that match a neuron set."""

from collections import Counter

import pytest

from biasectomy.controls import random_neurons
from biasectomy.neuron_set import Neuron, NeuronSet

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
