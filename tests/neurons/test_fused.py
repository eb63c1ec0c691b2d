"""Parts of fused matrices, checked against what the model itself computes with them."""

import pytest
import torch

from biasectomy.neurons.discovery import NeuronGroup, discover_neurons
from biasectomy.neurons.edits import edited
from biasectomy.neurons.experts import is_experts, observed
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from tests.reading.architectures import ARCHITECTURES, MIXTURES, family

TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3], [6, 99, 42, 17, 11, 13]])
SMALL = {"vocab_size": 120, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
GPT2 = SMALL | {"n_embd": 16, "n_layer": 2, "n_head": 4}
# Families beyond those that every test goes through, whose layout differs.
OTHERS = {
    "gpt-bigcode": family("GPTBigCode", GPT2 | {"multi_query": True}),
    "gpt-bigcode with heads": family("GPTBigCode", GPT2 | {"multi_query": False}),
    "codegen": family("CodeGen", GPT2 | {"rotary_dim": 4}),
    "persimmon": family(
        "Persimmon",
        SMALL
        | {"hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 2}
        | {"num_attention_heads": 4, "qk_layernorm": False},
    ),
}
FUSED = ("gpt2", "gpt-neox", "bloom", "falcon", "falcon-40b", "falcon-rw", "mpt", "phi3", *OTHERS)


def model_of(name):
    return (ARCHITECTURES | OTHERS)[name]()


def run(model):
    with torch.no_grad():
        return model(input_ids=TOKENS, use_cache=False)


def whole_part(group: NeuronGroup, part: str, factor: float) -> NeuronSet:
    units = [unit for unit in range(group.units) if group.role(unit) == part]
    assert units
    return NeuronSet(tuple(Neuron(group.module, unit, 1.0, factor) for unit in units))


def fused_attention(model) -> NeuronGroup:
    (group,) = [g for g in discover_neurons(model) if g.layer == 1 and "query" in {g.role(u) for u in range(g.units)}]
    return group


def mixed_values(model, neuron_set: NeuronSet, output: str) -> torch.Tensor:
    """What the attention of the last layer hands to its output projection."""
    seen = []
    handle = model.get_submodule(output).register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with edited(model, neuron_set):
        run(model)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("name", FUSED)
def test_queries_keys_and_values(name):
    model = model_of(name)
    group = fused_attention(model)
    parent = group.module.rpartition(".")[0]
    beside = [g.module for g in discover_neurons(model) if g.module.startswith(f"{parent}.") and g != group]
    (output,) = beside
    original = mixed_values(model, NeuronSet(()), output)
    assert not mixed_values(model, whole_part(group, "value", 0.0), output).any()
    # Without queries and without keys, all scores are zero, so the attention is the same.
    no_queries = mixed_values(model, whole_part(group, "query", 0.0), output)
    no_keys = mixed_values(model, whole_part(group, "key", 0.0), output)
    torch.testing.assert_close(no_queries, no_keys, rtol=0, atol=1e-6)
    assert (no_keys - original).abs().max() > 1e-3
    assert {group.role(unit) for unit in range(group.units)} == {"query", "key", "value"}


def test_keys_and_values_of_latent_attention():
    model = model_of("deepseek-v3")
    group = discover_neurons(model).group("model.layers.1.self_attn.kv_b_proj")
    output = "model.layers.1.self_attn.o_proj"
    assert [group.role(unit) for unit in range(12)] == ["key"] * 4 + ["value"] * 6 + ["key"] * 2
    assert not mixed_values(model, whole_part(group, "value", 0.0), output).any()
    assert mixed_values(model, whole_part(group, "key", 0.0), output).any()


def test_gate_and_up_in_one_matrix():
    model = model_of("phi3")
    group = discover_neurons(model).group("model.layers.1.mlp.gate_up_proj")
    output = "model.layers.1.mlp.down_proj"
    original = mixed_values(model, NeuronSet(()), output)
    assert not mixed_values(model, whole_part(group, "gate", 0.0), output).any()
    # The hidden layer is linear in what goes up, and not in the gate.
    torch.testing.assert_close(mixed_values(model, whole_part(group, "up", 2.0), output), 2 * original)
    assert (mixed_values(model, whole_part(group, "gate", 2.0), output) - 2 * original).abs().max() > 1e-3


@pytest.mark.parametrize("name", MIXTURES)
def test_gate_and_up_of_experts(name):
    model = model_of(name)
    experts_path = next(n for n, m in model.named_modules() if is_experts(m) and ".1." in n)
    experts = model.get_submodule(experts_path)
    hidden = {}

    def keep(parameter, side, expert, tokens, values):
        if side == "input":
            hidden[expert] = values
        return values

    def of(neuron_set):
        with edited(model, neuron_set), observed({experts: keep}):
            run(model)
        return dict(hidden)

    original = of(NeuronSet(()))
    expert = max(original, key=lambda number: len(original[number]))
    group = discover_neurons(model).group(f"{experts_path}.gate_up_proj.{expert}")
    assert not of(whole_part(group, "gate", 0.0))[expert].any()
    if name == "gpt-oss":  # its hidden layer is (up + 1) * gate: removing what goes up leaves the gate
        without = of(whole_part(group, "up", 0.0))[expert]
        assert without.abs().min() > 0
    else:
        torch.testing.assert_close(of(whole_part(group, "up", 2.0))[expert], 2 * original[expert])


@pytest.mark.parametrize("name", ["llama", "opt", "gemma3", "stablelm"])
def test_maps_of_one_role_have_no_roles(name):
    assert {group.role(unit) for group in discover_neurons(model_of(name)) for unit in range(group.units)} == {""}


def test_hidden_units_have_no_parts():
    assert {group.pattern for group in discover_neurons(model_of("gpt-oss"), "ffn-hidden")} == {()}
