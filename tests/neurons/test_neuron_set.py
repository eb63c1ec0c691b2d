"""The file of a neuron set."""

import json

import pytest

from biasectomy.errors import DataError, NeuronSetError
from biasectomy.neurons.neuron_set import Neuron, NeuronSet

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


@pytest.mark.parametrize("change", [{"schema_version": 9}, {"neurons": [{"module": "m"}]}, {"neurons": 5}])
def test_a_file_that_is_no_set_is_refused_and_named(tmp_path, change):
    path = tmp_path / "neurons.json"
    path.write_text(json.dumps(VERSION_1 | change))
    with pytest.raises((DataError, NeuronSetError), match=r"neurons\.json"):
        NeuronSet.load(path)
