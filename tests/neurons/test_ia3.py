"""The definition `ia3`: keys, values and what goes into down projections; of a fused matrix only what belongs to it."""

import contextlib

import pytest
import torch
from torch import nn

from biasectomy.attribution.scores import Scores
from biasectomy.errors import ModelError, NeuronSetError
from biasectomy.methods.random_neurons import any_neurons, random_neurons
from biasectomy.neurons.discovery import discover_neurons
from biasectomy.neurons.edits import edited
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from tests.conftest import build_llama
from tests.neurons.test_discovery import Odd
from tests.reading.architectures import ARCHITECTURES, MIXTURES
from tests.reading.encoder_decoders import CONFIGURATIONS, build

TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3]])


def model_of(name):
    return ARCHITECTURES[name]() if name in ARCHITECTURES else build(name)


def logits(model) -> torch.Tensor:
    more = {"decoder_input_ids": TOKENS[:, :3]} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(input_ids=TOKENS, **more).logits.clone()


def test_grouped_heads_have_fewer_keys_than_queries():
    # 2 heads of 4 units for keys, as many for values, and 40 inputs of the down projection, in each of 2 layers.
    neurons = discover_neurons(build_llama(300), "ia3")
    assert neurons.kinds() == {"self_attn.k_proj": 16, "self_attn.v_proj": 16, "mlp.down_proj": 80}
    assert len(neurons) == 2 * (8 + 8 + 40)
    assert {group.kind: group.side for group in neurons} == {
        "self_attn.k_proj": "output",
        "self_attn.v_proj": "output",
        "mlp.down_proj": "input",
    }


def test_of_a_fused_matrix_only_keys_and_values_count():
    # GPT-2 has 16 queries, then 16 keys, then 16 values; its feed-forward part is four times as wide as the model.
    neurons = discover_neurons(ARCHITECTURES["gpt2"](), "ia3")
    group = neurons.group("transformer.h.1.attn.c_attn")
    assert group.mask.tolist() == [False] * 16 + [True] * 32
    assert (group.units, len(group)) == (48, 32)
    assert neurons.kinds() == {"attn.c_attn": 64, "mlp.c_proj": 128} and len(neurons) == 2 * (32 + 64)


def test_an_encoder_decoder_has_those_of_both_attentions():
    # 4 heads of 4 units. The encoder's 2 blocks have one attention, the decoder's 2 have two; all have 40 hidden units.
    neurons = discover_neurons(build("t5"), "ia3")
    assert len(neurons) == 2 * (16 + 16 + 40) + 2 * (2 * (16 + 16) + 40)
    cross = neurons.group("decoder.block.0.layer.1.EncDecAttention.k")
    assert (len(cross), cross.side, cross.place) == (16, "output", "cross-input")


def test_latent_attention_has_keys_in_two_places():
    # 4 heads with 4 keys and 6 values each, and 4 keys that are turned and that all heads share; 8 units are no keys.
    neurons = discover_neurons(ARCHITECTURES["deepseek-v3"](), "ia3")
    assert len(neurons.group("model.layers.0.self_attn.kv_b_proj")) == 4 * (4 + 6)
    shared = neurons.group("model.layers.0.self_attn.kv_a_proj_with_mqa")
    assert shared.mask.tolist() == [False] * 8 + [True] * 4


@pytest.mark.parametrize("name", [*ARCHITECTURES, *CONFIGURATIONS])
def test_every_block_of_every_family_has_keys_values_and_a_down_projection(name):
    neurons = discover_neurons(model_of(name), "ia3")
    blocks: dict[str, set[str]] = {}
    for group in neurons:
        held = blocks.setdefault(f"{group.stack}.{group.layer}", set())
        held |= {"hidden"} if group.side == "input" else set(group.roles)
        last = group.kind.rpartition(".")[2]
        held |= {"key"} if last in ("k", "k_proj") else {"value"} if last in ("v", "v_proj") else set()
        assert len(group) == sum(group.mask.tolist()) > 0
    assert len(blocks) == (4 if name in CONFIGURATIONS else 2)
    assert all(held == {"key", "value", "hidden"} for held in blocks.values()), blocks
    # What goes into a down projection is the whole of `ffn-hidden`, and no query is among the rest.
    hidden = [group.module for group in neurons if group.side == "input"]
    assert hidden == [group.module for group in discover_neurons(model_of(name), "ffn-hidden")]


@contextlib.contextmanager
def units_scaled(module: nn.Module, units: list[int], factors: torch.Tensor, side: str):
    def changed(values):
        values = values.clone()
        values[..., units] *= factors
        return values

    if side == "output":
        handle = module.register_forward_hook(lambda module, inputs, output: changed(output))
    else:
        handle = module.register_forward_pre_hook(lambda module, inputs: (changed(inputs[0]), *inputs[1:]))
    yield
    handle.remove()


@pytest.mark.parametrize("name", [name for name in [*ARCHITECTURES, *CONFIGURATIONS] if name not in MIXTURES])
def test_a_factor_scales_what_comes_out_of_keys_and_values_and_what_goes_into_down_projections(name):
    model = model_of(name)
    drawn = torch.Generator().manual_seed(3)
    neurons, before = [], logits(model)
    with contextlib.ExitStack() as hooks:
        for group in discover_neurons(model, "ia3"):
            units = torch.nonzero(group.mask).flatten().tolist()[::2]
            factors = torch.rand(len(units), generator=drawn) * 2.5 - 0.5
            neurons += [Neuron(group.module, unit, 0.0, float(f)) for unit, f in zip(units, factors, strict=True)]
            hooks.enter_context(units_scaled(model.get_submodule(group.module), units, factors, group.side))
        expected = logits(model)
    with edited(model, NeuronSet(tuple(neurons), "ia3")):
        found = logits(model)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert (before - expected).abs().max() > 1e-2 * expected.abs().max()
    assert torch.equal(logits(model), before)


def test_queries_are_refused():
    model = ARCHITECTURES["gpt2"]()
    NeuronSet((Neuron("transformer.h.0.attn.c_attn", 16, 0.0, 0.5),), "ia3").check(model)
    with pytest.raises(NeuronSetError, match=r"unit 15 of .*c_attn', whose role here is query; .* only key and value"):
        NeuronSet((Neuron("transformer.h.0.attn.c_attn", 15, 0.0, 0.5),), "ia3").check(model)
    NeuronSet((Neuron("transformer.h.0.attn.c_attn", 15, 0.0, 0.5),)).check(model)


def test_random_neurons_and_rankings_leave_the_others_alone():
    model = ARCHITECTURES["gpt2"]()
    neurons = discover_neurons(model, "ia3")
    everything = any_neurons(neurons, len(neurons))
    everything.check(model, neurons)
    assert len(set(everything)) == len(everything) == len(neurons)
    like = NeuronSet(tuple(Neuron("transformer.h.0.attn.c_attn", unit, 0.0, 0.5) for unit in range(16, 40)), "ia3")
    random_neurons(neurons, like).check(model, neurons)  # too few others, so of all keys and values
    few = like.top(3)
    drawn = random_neurons(neurons, few)
    drawn.check(model, neurons)
    assert {one.unit for one in drawn}.isdisjoint(one.unit for one in few)
    # Queries have the highest scores here, and are no candidates.
    scores = {group.module: -torch.arange(group.units, dtype=torch.float64) for group in neurons}
    best = Scores(neurons, scores).top(len(neurons))
    best.check(model, neurons)
    assert len(best) == len(neurons) and best.neurons[0].module == "transformer.h.0.mlp.c_proj"
    first = next(one for one in best if one.module == "transformer.h.1.attn.c_attn")
    assert (first.unit, first.score) == (16, -16.0)


class Unnamed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.ModuleDict({"mix_a": nn.Linear(4, 4), "mix_b": nn.Linear(4, 4), "mix_c": nn.Linear(4, 4)})
        self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 4)


def test_keys_and_values_that_cannot_be_told_from_the_rest_are_an_error():
    model = Odd(Unnamed())
    model.blocks[0] = Unnamed()
    assert len(discover_neurons(model, "ffn-hidden")) == 16
    with pytest.raises(ModelError, match=r"block blocks\.0 \(Unnamed\) yields no ia3 neurons that are keys or values;"):
        discover_neurons(model, "ia3")
