"""Overlap of neuron sets against chance, held against sums by hand and against simulation; what a set is made of."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.errors import NeuronSetError
from biasectomy.neurons.composition import by_place, composition
from biasectomy.neurons.discovery import NeuronGroup, Neurons
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.neurons.overlap import overlap, overlaps, shared_by_chance

KNOWN = Neurons(
    "ffn-hidden",
    tuple(NeuronGroup(f"m{layer}", units, "input", "mlp.down", layer, "blocks") for layer, units in enumerate((10, 4))),
)


def chosen(factors: dict[tuple[str, int], float], definition: str = "ffn-hidden") -> NeuronSet:
    return NeuronSet(tuple(Neuron(*key, 0.0, factor) for key, factor in factors.items()), definition)


def test_two_sets_by_hand():
    first = chosen({("m0", 0): 0.5, ("m0", 1): 1.5, ("m0", 2): -1.0, ("m1", 0): 0.0})
    second = chosen({("m0", 1): 1.25, ("m0", 2): 3.0, ("m1", 0): 0.5, ("m1", 1): 2.0})
    found = overlap({"a": first, "b": second}, KNOWN)
    assert (found.sizes, found.shared, found.jaccard) == ((4, 4), 3, 3 / 5)
    assert found.expected == pytest.approx(3 * 2 / 10 + 1 * 2 / 4)
    assert found.ratio == pytest.approx(3 / 1.1)
    # In m0 three of ten meet two, in m1 one of four meets two: all three shared needs 2 there and 1 here.
    assert found.probability == pytest.approx((3 / 45) * (2 / 4))
    assert found.same_direction == pytest.approx(2 / 3)
    assert found.correlation == pytest.approx(np.corrcoef([0.5, -2.0, -1.0], [0.25, 2.0, -0.5])[0, 1])


def test_pairs_and_all_together():
    sets = {
        "a": chosen({("m0", 0): 0.0, ("m0", 1): 0.0}),
        "b": chosen({("m0", 0): 0.0, ("m0", 2): 0.0}),
        "c": chosen({("m0", 0): 2.0, ("m1", 0): 0.0}),
    }
    found = overlaps(sets, KNOWN)
    assert [one.names for one in found] == [("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
    assert [one.shared for one in found] == [1, 1, 1, 1]
    assert found[-1].expected == pytest.approx(2 * 2 * 1 / 10**2) and found[-1].jaccard == 1 / 4
    assert found[0].same_direction == 1.0 and found[-1].same_direction == 0.0
    assert math.isnan(found[0].correlation) and "fewer than three" in found[0].reason


def test_equal_factors_have_no_correlation_and_empty_sets_no_ratio():
    same = chosen({("m0", unit): 0.0 for unit in range(4)})
    found = overlap({"a": same, "b": same}, KNOWN)
    assert (found.jaccard, found.same_direction) == (1.0, 1.0)
    assert math.isnan(found.correlation) and "all equal" in found.reason
    empty = overlap({"a": same, "b": chosen({})}, KNOWN)
    assert (empty.shared, empty.expected, empty.probability) == (0, 0.0, 1.0)
    assert math.isnan(empty.ratio) and math.isnan(empty.same_direction)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=3).flatmap(
        lambda units: st.tuples(
            st.just(units),
            st.lists(st.tuples(*(st.integers(0, one) for one in units)), min_size=2, max_size=3),
        )
    )
)
def test_chance_is_what_drawing_gives(case):
    units, counts = case
    generator = np.random.default_rng(0)
    shared = np.zeros(4000, dtype=int)
    for draw in range(len(shared)):
        for module, size in enumerate(units):
            drawn = [set(generator.permutation(size)[: one[module]].tolist()) for one in counts]
            shared[draw] += len(set.intersection(*drawn))
    by_module = [{str(module): number for module, number in enumerate(one)} for one in counts]
    found = shared_by_chance(by_module, {str(module): size for module, size in enumerate(units)})
    assert found.sum() == pytest.approx(1)
    places = np.arange(len(found))
    expected = sum(size * math.prod(one[module] / size for one in counts) for module, size in enumerate(units))
    assert found @ places == pytest.approx(expected)
    seen = np.bincount(shared, minlength=len(found)) / len(shared)
    assert len(seen) == len(found) and np.abs(seen - found).max() < 0.05


def test_small_probabilities_keep_their_digits():
    units = {f"m{layer}": 1536 for layer in range(30)}
    counts = dict.fromkeys(units, 33)
    found = shared_by_chance([counts, counts], units)
    assert found @ np.arange(len(found)) == pytest.approx(30 * 33 * 33 / 1536)
    assert 0 < found[200:].sum() < 1e-100


def test_sets_of_another_kind_or_model_are_refused():
    with pytest.raises(NeuronSetError, match="'b' is a set of linear-output neurons, the others are of ffn-hidden"):
        overlap({"a": chosen({}), "b": chosen({}, "linear-output")}, KNOWN)
    with pytest.raises(NeuronSetError, match="'b' has 1 neurons in 'm9'"):
        overlap({"a": chosen({}), "b": chosen({("m9", 0): 0.0})}, KNOWN)


def test_what_a_set_is_made_of():
    made = composition(chosen({("m0", 0): 0.0, ("m0", 3): -0.5, ("m1", 2): 1.5, ("m1", 3): 1.0}), KNOWN)
    assert made["layers"] == [
        {"stack": "blocks", "layer": "0", "neurons": 2, "of": 10, "weakened": 1, "strengthened": 0, "reversed": 1},
        {"stack": "blocks", "layer": "1", "neurons": 2, "of": 4, "weakened": 0, "strengthened": 1, "reversed": 0},
    ]
    assert made["kinds"] == [
        {"kind": "mlp.down", "neurons": 4, "of": 14, "weakened": 1, "strengthened": 1, "reversed": 1}
    ]
    assert made["factor_quantiles"]["0.5"] == 0.5 and made["factor_quantiles"]["0"] == -0.5
    assert math.isnan(composition(chosen({}), KNOWN)["factor_quantiles"]["0.5"])


def test_where_a_set_lies_layer_by_layer():
    several = Neurons("ffn-hidden", (*KNOWN, NeuronGroup("k0", 6, "output", "attn.key", 0, "blocks")))
    found = by_place(chosen({("m0", 0): 0.0, ("m1", 2): 1.5, ("m1", 3): 1.0, ("k0", 5): 0.5}), several)
    assert found == [
        {"stack": "blocks", "kind": "mlp.down", "layers": [0, 1], "neurons": [1, 2], "of": [10, 4]},
        {"stack": "blocks", "kind": "attn.key", "layers": [0], "neurons": [1], "of": [6]},
    ]
