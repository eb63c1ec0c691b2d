"""Which neurons are found, and sets of them on disk."""

import json

import pytest
import torch
from torch import nn

from biasectomy.errors import DataError, ModelError, NeuronSetError, SourceError, UnknownNameError
from biasectomy.neurons.discovery import discover_neurons
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from tests.conftest import build_llama
from tests.reading.architectures import ARCHITECTURES, MIXTURES


def test_a_llama_has_the_output_units_of_seven_maps_in_each_layer():
    neurons = discover_neurons(build_llama(300, layers=3))
    assert neurons.kinds() == {
        "self_attn.q_proj": 48,
        "self_attn.k_proj": 24,
        "self_attn.v_proj": 24,
        "self_attn.o_proj": 48,
        "mlp.gate_proj": 120,
        "mlp.up_proj": 120,
        "mlp.down_proj": 48,
    }
    assert len(neurons) == 3 * 144
    assert neurons.layers == 3
    assert neurons.left_out == ()


def test_hidden_units_are_the_inputs_of_the_down_projections():
    neurons = discover_neurons(build_llama(300), "ffn-hidden")
    assert neurons.kinds() == {"mlp.down_proj": 80}
    assert {group.side for group in neurons} == {"input"}


def test_hidden_units_where_the_feed_forward_part_is_as_wide_as_the_model():
    assert discover_neurons(build_llama(300, intermediate_size=16), "ffn-hidden").kinds() == {"mlp.down_proj": 32}


def test_transposed_maps_count_by_their_outputs():
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=50))
    assert discover_neurons(model).kinds() == {"attn.c_attn": 96, "attn.c_proj": 32, "mlp.c_fc": 128, "mlp.c_proj": 32}
    assert discover_neurons(model, "ffn-hidden").kinds() == {"mlp.c_proj": 128}


@pytest.mark.parametrize(
    ("size", "width", "hidden", "layers", "heads", "total"),
    [
        ("small", 512, 1024, 8, 6, 80_896),
        ("base", 768, 2048, 12, 12, 227_328),
        ("large", 1024, 2816, 24, 16, 614_400),
        ("xl", 2048, 5120, 24, 32, 1_179_648),
    ],
)
def test_flan_t5_has_the_published_number_of_neurons(size, width, hidden, layers, heads, total):
    """The percentages in Yang et al. (2024) rest on these totals: 11 of 227,328 is their 0.005 %."""
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        d_model=width, d_ff=hidden, num_layers=layers, num_decoder_layers=layers, num_heads=heads, d_kv=64,
        feed_forward_proj="gated-gelu", vocab_size=100,
    )  # fmt: skip
    with torch.device("meta"):
        model = T5ForConditionalGeneration(config)
    assert len(discover_neurons(model)) == total


@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_family_has_neurons_in_every_block_and_loses_only_routers(name, definition):
    model = ARCHITECTURES[name]()
    neurons = discover_neurons(model, definition)
    assert neurons.layers == 2
    assert {reason for _, reason in neurons.left_out} == ({"router"} if name in MIXTURES else set())
    assert len({group.module for group in neurons}) == len(neurons.groups)
    # Every matrix of a block is either a router or gives neurons.
    blocks = {f"{group.stack}.{group.layer}." for group in neurons}
    held = {f"{group.owner}.{group.parameter}" for group in discover_neurons(model)}
    held |= {path for path, _ in neurons.left_out}
    matrices = {
        path
        for path, parameter in model.named_parameters()
        if path.startswith(tuple(blocks)) and parameter.dim() > 1 and not path.endswith("_bias")
    }
    assert matrices == held


class Odd(nn.Module):
    """A model whose second block has no linear map of a known form."""

    def __init__(self, second: nn.Module) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(5, 4)
        self.blocks = nn.ModuleList([nn.Linear(4, 4), second])

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings


def test_a_block_without_neurons_is_an_error():
    with pytest.raises(ModelError, match=r"blocks\.1 \(LayerNorm\) yields no linear-output neurons"):
        discover_neurons(Odd(nn.LayerNorm(4)))


def test_a_model_without_blocks_is_an_error():
    model = Odd(nn.Linear(4, 4))
    del model.blocks
    with pytest.raises(ModelError, match="no transformer blocks"):
        discover_neurons(model)


def test_a_matrix_of_unknown_form_is_an_error():
    second = nn.Sequential(nn.Linear(4, 4))
    second.register_parameter("experts", nn.Parameter(torch.zeros(3, 4, 4)))
    with pytest.raises(ModelError, match=r"matrices of unknown form: blocks\.1\.experts \(3 x 4 x 4\)"):
        discover_neurons(Odd(second))


def test_what_holds_no_neurons_is_left_out_with_a_reason():
    second = nn.Sequential(nn.Linear(4, 4), nn.Embedding(5, 4), nn.Conv1d(4, 4, 3))
    second.register_parameter("table", nn.Parameter(torch.zeros(7, 2)))
    assert discover_neurons(Odd(second)).left_out == (
        ("blocks.1.table", "a table that neither reads nor writes the residual stream"),
        ("blocks.1.1.weight", "an embedding, not a linear map"),
        ("blocks.1.2.weight", "a convolution, not a linear map"),
    )


def test_an_unknown_definition_suggests_the_right_one():
    with pytest.raises(UnknownNameError, match="did you mean 'linear-output'"):
        discover_neurons(build_llama(300), "linear-outputs")


SET = NeuronSet((Neuron("model.layers.0.mlp.up_proj", 3, 1.5, 0.0), Neuron("model.layers.1.mlp.up_proj", 0, 0.5, 0.25)))


def test_a_set_survives_its_file(tmp_path):
    SET.save(tmp_path / "set.json")
    assert NeuronSet.load(tmp_path / "set.json") == SET


def broken(tmp_path, **changes):
    SET.save(tmp_path / "set.json")
    content = json.loads((tmp_path / "set.json").read_text()) | changes
    (tmp_path / "set.json").write_text(json.dumps(content))
    return tmp_path / "set.json"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neurons": 3}, "has no list 'neurons'"),
        ({"schema_version": 7}, "schema_version 7"),
        ({"definition": "axon"}, "'axon'"),
        ({"neurons": [{"module": "a", "unit": 1}]}, "neuron 1: expected an object"),
        ({"neurons": [{"module": "a", "unit": "1", "factor": 0}]}, "neuron 1: .*'unit' an integer"),
        ({"neurons": [{"module": "a", "unit": 1, "factor": 0}] * 2}, "neuron 2: unit 1 of 'a' is named twice"),
    ],
)
def test_a_damaged_set_says_where(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        NeuronSet.load(broken(tmp_path, **changes))


def test_a_missing_set(tmp_path):
    with pytest.raises(SourceError, match="There is no file"):
        NeuronSet.load(tmp_path / "none.json")


def test_a_set_for_another_model_says_what_differs():
    model = build_llama(300)
    SET.check(model)
    with pytest.raises(NeuronSetError, match="num hidden layers is 9; this model's is 2"):
        NeuronSet(SET.neurons, model={"name": "big", "shape": {"num_hidden_layers": 9}}).check(model)
    with pytest.raises(NeuronSetError, match="does not have"):
        NeuronSet((Neuron("model.layers.7.mlp.up_proj", 0, 1.0),)).check(model)
    with pytest.raises(NeuronSetError, match="units 0 to 39"):
        NeuronSet((Neuron("model.layers.0.mlp.up_proj", 40, 1.0),)).check(model)
