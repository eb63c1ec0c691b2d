"""The file of a neuron set."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biasectomy.errors import DataError, NeuronSetError
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
