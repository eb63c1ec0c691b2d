"""Tokens that neurons write towards: by hand, by the model's own logits, and the reasons where there are none."""

import numpy as np
import pytest
import torch

from biasectomy.neurons.discovery import discover_neurons
from biasectomy.neurons.experts import observed
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.neurons.written_tokens import written_tokens
from tests.conftest import build_llama
from tests.reading import encoder_decoders
from tests.reading.architectures import ARCHITECTURES, MIXTURES, VOCABULARY


def told(model, module: str, unit: int, definition: str = "ffn-hidden", **options):
    chosen = NeuronSet((Neuron(module, unit, 0.0),), definition)
    return written_tokens(model, chosen, discover_neurons(model, definition), **options)[0]


def ranked(values: np.ndarray, count: int) -> tuple[list, list]:
    """Tokens with the highest and lowest values, and the values in standard deviations from their mean."""
    standard = (values - values.mean()) / values.std()
    order = np.argsort(-standard)
    return [(int(t), standard[t]) for t in order[:count]], [(int(t), standard[t]) for t in order[::-1][:count]]


def same(found, expected) -> None:
    for one, other in zip((found.highest, found.lowest), expected, strict=True):
        assert [token for token, _ in one] == [token for token, _ in other]
        assert [value for _, value in one] == pytest.approx([value for _, value in other], abs=1e-4)


def test_a_hidden_unit_of_a_llama_is_its_column_times_the_last_norm_and_the_tied_embeddings():
    model = build_llama(60)
    with torch.no_grad():
        model.model.norm.weight.copy_(torch.linspace(-1, 3, 16))
    column = model.model.layers[1].mlp.down_proj.weight[:, 7].detach().numpy()
    values = model.model.embed_tokens.weight.detach().numpy() @ (model.model.norm.weight.detach().numpy() * column)
    same(told(model, "model.layers.1.mlp.down_proj", 7, count=4), ranked(values, 4))
    # Rows of the embeddings that stand for no token are not told.
    same(told(model, "model.layers.1.mlp.down_proj", 7, count=4, vocabulary=40), ranked(values[:40], 4))


def test_conv1d_holds_its_matrix_transposed_and_a_layer_norm_takes_the_mean_off():
    model = ARCHITECTURES["gpt2"]()
    row = model.transformer.h[0].mlp.c_proj.weight[5].detach().numpy()
    gain = model.transformer.ln_f.weight.detach().numpy()
    values = model.lm_head.weight.detach().numpy() @ (gain * (row - row.mean()))
    same(told(model, "transformer.h.0.mlp.c_proj", 5, count=3), ranked(values, 3))


def test_a_decoder_of_t5_writes_and_its_encoder_does_not():
    model = encoder_decoders.build("t5")
    column = model.decoder.block[0].layer[2].DenseReluDense.wo.weight[:, 3].detach().numpy()
    gain = model.decoder.final_layer_norm.weight.detach().numpy()
    values = model.lm_head.weight.detach().numpy() @ (gain * column)
    same(told(model, "decoder.block.0.layer.2.DenseReluDense.wo", 3, count=3), ranked(values, 3))
    silent = told(model, "encoder.block.0.layer.1.DenseReluDense.wo", 3)
    assert not silent.highest and "encoder" in silent.reason


def test_an_output_unit_of_what_writes_into_the_stream_is_a_direction_of_the_stream():
    model = build_llama(60)
    unit = np.eye(16)[9]
    values = model.model.embed_tokens.weight.detach().numpy() @ (model.model.norm.weight.detach().numpy() * unit)
    for module in ("self_attn.o_proj", "mlp.down_proj"):
        same(told(model, f"model.layers.0.{module}", 9, "linear-output", count=3), ranked(values, 3))
    for module in ("self_attn.q_proj", "self_attn.v_proj", "mlp.gate_proj"):
        silent = told(model, f"model.layers.0.{module}", 5, "linear-output")
        assert not silent.lowest and silent.reason.startswith("it does not write into the residual stream")


@pytest.mark.parametrize(("name", "stored_less"), [("gemma2", 1.0), ("olmo2", 0.0)])
def test_a_norm_that_takes_what_a_part_puts_out_is_passed_first(name, stored_less):
    model = ARCHITECTURES[name]()
    layer = model.model.layers[0]
    with torch.no_grad():
        layer.post_feedforward_layernorm.weight.copy_(torch.linspace(-2, 2, 16))
        layer.post_attention_layernorm.weight.copy_(torch.linspace(3, -1, 16))
    last = model.model.norm.weight.detach().numpy() + stored_less
    table = model.lm_head.weight.detach().numpy()
    behind = layer.post_feedforward_layernorm.weight.detach().numpy() + stored_less
    column = layer.mlp.down_proj.weight[:, 7].detach().numpy()
    same(told(model, "model.layers.0.mlp.down_proj", 7, count=4), ranked(table @ (last * behind * column), 4))
    behind = layer.post_attention_layernorm.weight.detach().numpy() + stored_less
    found = told(model, "model.layers.0.self_attn.o_proj", 2, "linear-output", count=4)
    same(found, ranked(table @ (last * behind * np.eye(16)[2]), 4))


@pytest.mark.parametrize("name", [*ARCHITECTURES, *encoder_decoders.CONFIGURATIONS])
def test_tokens_are_those_that_a_little_of_the_direction_raises_in_the_model_itself(name):
    """Where a unit of the last feed-forward part is raised a little, in every family: norms behind it included."""
    model = (ARCHITECTURES[name]() if name in ARCHITECTURES else encoder_decoders.build(name)).double()
    if name in MIXTURES:
        model.set_experts_implementation("eager")  # the other functions know no double precision
    group = [one for one in discover_neurons(model, "ffn-hidden") if one.place != "input"][-1]
    found = told(model, group.module, 3, count=VOCABULARY * 10)
    assert not found.reason
    values = np.zeros(len(found.highest))
    for token, value in found.highest:
        values[token] = value
    owner = model.get_submodule(group.owner)
    expected = logits_moved(model, group, owner, 3)
    expected = expected - expected.mean()
    cosine = values @ expected / np.linalg.norm(values) / np.linalg.norm(expected)
    assert cosine > 0.9, cosine  # not 1: a norm also shortens what it is given along where it was


def logits_moved(model, group, owner, unit: int) -> np.ndarray:
    """By how much the logits of 20 tokens move together where a hidden unit is raised."""
    tokens = {"input_ids": torch.arange(5, 25)[None]}
    if model.config.is_encoder_decoder:
        tokens["decoder_input_ids"] = tokens["input_ids"]

    def raised(by: float):
        if group.expert is not None:

            def observer(parameter, side, expert, routed, values):
                if (parameter, side, expert) != (group.parameter, group.side, group.expert):
                    return values
                return values + by * torch.nn.functional.one_hot(torch.tensor(unit), values.shape[-1])

            with torch.no_grad(), observed({owner: observer}):
                return model(**tokens, use_cache=False).logits
        move = by * torch.nn.functional.one_hot(torch.tensor(unit), group.units)
        handle = owner.register_forward_pre_hook(lambda module, inputs: (inputs[0] + move,))
        try:
            with torch.no_grad():
                return model(**tokens, use_cache=False).logits
        finally:
            handle.remove()

    moved = (raised(1e-2) - raised(-1e-2))[0]
    return moved.sum(dim=0).numpy()


@pytest.mark.parametrize("name", [one for one in MIXTURES if one != "deepseek-v3"])
def test_experts_write_by_their_own_matrices(name):
    model = ARCHITECTURES[name]()
    first, second = (
        told(model, f"model.layers.1.mlp.experts.down_proj.{expert}", 2, count=5).highest for expert in (0, 3)
    )
    assert len(first) == 5 and first != second
    assert told(model, "model.layers.1.mlp.experts.down_proj.0", 2, "linear-output").highest
    gate = next(one for one in discover_neurons(model) if one.expert == 0 and one.parameter != "down_proj")
    assert "residual stream" in told(model, gate.module, 2, "linear-output").reason


def test_a_column_of_zeros_and_a_model_without_unembedding_say_so():
    from transformers import LlamaModel

    model = build_llama(60)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight[:, 4] = 0
    assert told(model, "model.layers.0.mlp.down_proj", 4).reason.startswith("it writes nothing")
    bare = LlamaModel(model.config).eval()
    assert "no unembedding" in told(bare, "layers.0.mlp.down_proj", 4).reason
