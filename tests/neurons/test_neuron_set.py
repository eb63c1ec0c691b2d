"""The file of a neuron set, and its strength."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biasectomy.errors import DataError, NeuronSetError, SettingsError
from biasectomy.neurons.neuron_set import LARGEST_FACTOR, Neuron, NeuronSet

VERSION_1 = {
    "schema_version": 1,
    "definition": "linear-output",
    "model": {
        "name": "smollm2",
        "shape": {"architecture": "LlamaForCausalLM", "hidden_size": 576, "num_hidden_layers": 30},
        "fingerprint": "0" * 64,
    },
    "found_with": {"attribution": "crispr", "variant": "paper", "task": "bbq:age", "instances": 20, "seed": 0},
    "neurons": [
        {"module": "model.layers.29.mlp.down_proj", "unit": 31, "score": 3.72, "factor": 0.0},
        {"module": "model.layers.28.mlp.experts.gate_up_proj.3", "unit": 507, "score": 1.64, "factor": 0.5},
    ],
}


def test_a_set_of_version_1_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "neurons.json"
    path.write_text(json.dumps(VERSION_1))
    found = NeuronSet.load(path)
    assert found.neurons == (
        Neuron("model.layers.29.mlp.down_proj", 31, 3.72, 0.0),
        Neuron("model.layers.28.mlp.experts.gate_up_proj.3", 507, 1.64, 0.5),
    )
    assert found.definition == "linear-output" and found.found_with["instances"] == 20
    found.save(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == VERSION_1


NEURON = {"module": "m", "unit": 1, "score": 1.0, "factor": 0.0}


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 9},
        {"schema_version": []},
        {"neurons": [{"module": "m"}]},
        {"neurons": 5},
        {"neurons": [[]]},
        {"neurons": [NEURON | {"factor": 1e30}]},
        {"neurons": [NEURON | {"factor": 10**400}]},
        {"neurons": [NEURON | {"unit": 1.5}]},
        {"neurons": [NEURON | {"module": 3}]},
        {"definition": ["linear-output"]},
        {"definition": {}},
        {"model": "smollm2"},
        {"model": {"shape": [1]}},
        {"found_with": 3},
    ],
)
def test_a_file_that_is_no_set_is_refused_and_named(tmp_path, change):
    path = tmp_path / "neurons.json"
    path.write_text(json.dumps(VERSION_1 | change))
    with pytest.raises((DataError, NeuronSetError), match=r"neurons\.json"):
        NeuronSet.load(path)


def test_json_without_end_is_one_sentence(tmp_path):
    path = tmp_path / "neurons.json"
    path.write_text("[" * 200_000)
    with pytest.raises(DataError, match=r"neurons\.json: not usable JSON"):
        NeuronSet.load(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from([*VERSION_1, *NEURON]), json_values)
def test_any_value_anywhere_is_read_or_refused(tmp_path, place, value):
    document = VERSION_1 | ({place: value} if place in VERSION_1 else {"neurons": [NEURON | {place: value}]})
    path = tmp_path / "neurons.json"
    path.write_text(json.dumps(document))
    try:
        assert all(abs(neuron.factor) <= LARGEST_FACTOR for neuron in NeuronSet.load(path))
    except (DataError, NeuronSetError) as error:
        assert "neurons.json" in str(error)


@pytest.mark.parametrize(
    ("strength", "factors"),
    [
        (0, [1, 1, 1, 1]),
        (1, [0, 0.25, 1, 1.7]),
        (0.5, [0.5, 0.625, 1, 1.35]),
        (-1, [2, 1.75, 1, 0.3]),
        (2, [-1, -0.5, 1, 2.4]),
    ],
)
def test_strength_moves_every_factor_so_far_from_one(strength, factors):
    whole = NeuronSet(tuple(Neuron("m", unit, 0.0, factor) for unit, factor in enumerate([0, 0.25, 1, 1.7])))
    assert [one.factor for one in whole.with_strength(strength)] == pytest.approx(factors, abs=1e-15)


@given(st.floats(-5, 5), st.floats(-2, 2), st.floats(-2, 2))
def test_strengths_multiply(factor, first, second):
    one = NeuronSet((Neuron("m", 0, 0.0, factor),))
    twice, once = one.with_strength(first).with_strength(second), one.with_strength(first * second)
    assert twice.neurons[0].factor == pytest.approx(once.neurons[0].factor, abs=1e-12)
    assert twice.found_with.get("strength", 1) == pytest.approx(first * second)


def test_full_strength_is_the_set_to_the_last_bit():
    whole = NeuronSet((Neuron("m", 0, 0.0, 0.1), Neuron("m", 1, 0.0, 1e-9)), found_with={"seed": 3})
    assert whole.with_strength(1) == whole
    assert whole.with_strength(0.5).found_with == {"seed": 3, "strength": 0.5}


@pytest.mark.parametrize("strength", [10.5, -11, float("nan"), float("inf")])
def test_strength_has_bounds(strength):
    with pytest.raises(SettingsError, match=r"The strength is .*; it must lie between -10 and 10\."):
        NeuronSet((Neuron("m", 0, 0.0),)).with_strength(strength)


def test_strength_moves_no_factor_out_of_range():
    with pytest.raises(NeuronSetError, match="gives unit 7 of 'm' the factor 1991; it must lie between"):
        NeuronSet((Neuron("m", 7, 0.0, 200.0),)).with_strength(10)
