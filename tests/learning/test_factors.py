"""Factors that are learned, in every family: the same as an edit, the gradient of finite differences, nothing left."""

import pytest
import torch

from biasectomy.learning.factors import Factors
from biasectomy.neurons.discovery import discover_neurons
from biasectomy.neurons.edits import edited
from tests.reading import encoder_decoders
from tests.reading.architectures import ARCHITECTURES, MIXTURES

TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3], [6, 99, 42, 17, 11, 13]])
DEFINITIONS = ("ffn-hidden", "linear-output", "ia3")
STEP = 2e-3  # norms compute in float32, whatever the weights are in
FAMILIES = [*ARCHITECTURES, *encoder_decoders.CONFIGURATIONS]


def build(name: str):
    return ARCHITECTURES[name]() if name in ARCHITECTURES else encoder_decoders.build(name)


def logits(model) -> torch.Tensor:
    labels = {"decoder_input_ids": TOKENS.flip(1)} if model.config.is_encoder_decoder else {}
    return model(input_ids=TOKENS, use_cache=False, **labels).logits


def drawn(factors: Factors, seed: int = 0) -> None:
    """Factors between -0.5 and 2."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        factors.values.copy_(torch.rand(len(factors.values), generator=generator) * 2.5 - 0.5)
        factors.values.masked_fill_(~factors.free, 1.0)


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("name", FAMILIES)
def test_factors_in_force_are_the_edit_they_become(name, definition):
    model = build(name)
    factors = Factors(model, discover_neurons(model, definition))
    with torch.no_grad():
        before = logits(model)
        drawn(factors)
        with factors.in_force():
            learned = logits(model)
        with edited(model, factors.neuron_set(factors.values.detach())):
            torch.testing.assert_close(logits(model), learned, rtol=1e-3, atol=1e-3)
        assert torch.equal(logits(model), before)  # no hook is left
    assert (learned - before).abs().max() > 1e-2
    assert len(factors) == len(discover_neurons(model, definition)) == int(factors.free.sum())


@pytest.mark.parametrize("name", ["llama", "gpt2", *MIXTURES, *encoder_decoders.CONFIGURATIONS])
def test_gradients_are_those_of_finite_differences(name):
    model = build(name).double()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    factors = Factors(model, discover_neurons(model, "ffn-hidden"))
    factors.values = factors.values.detach().double().requires_grad_(True)

    def loss() -> torch.Tensor:
        with factors.in_force():
            return torch.log_softmax(logits(model).double(), dim=-1)[:, -1, 7].sum()

    loss().backward()
    gradient = factors.values.grad.clone()
    assert gradient.isfinite().all() and gradient.abs().max() > 0
    for index in [int(gradient.abs().argmax()), *range(3, len(gradient), len(gradient) // 4)]:
        with torch.no_grad():
            around = []
            for step in (STEP, -STEP):
                factors.values[index] += step
                around.append(loss())
                factors.values[index] -= step
        found = (around[0] - around[1]) / (2 * STEP)
        torch.testing.assert_close(found, gradient[index], rtol=1e-2, atol=1e-3 * float(gradient.abs().max()))


def test_those_that_are_not_kept_are_1_and_the_graph_ends_at_the_lowest_that_is():
    model = ARCHITECTURES["llama"]()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    factors = Factors(model, discover_neurons(model, "ffn-hidden"))
    drawn(factors)
    chosen = torch.zeros_like(factors.free)
    chosen[[41, 60]] = True  # both in the second layer
    factors.keep(chosen)
    assert len(factors) == 2 and (factors.values[~chosen] == 1).all() and (factors.values[chosen] != 1).all()
    seen = []
    for layer in model.model.layers:
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output.requires_grad))
    with factors.in_force():
        logits(model)
    assert seen == [False, True]
    found = factors.neuron_set(factors.values.detach())
    assert {(neuron.module, neuron.unit) for neuron in found} == {
        ("model.layers.1.mlp.down_proj", unit) for unit in (1, 20)
    }
    assert [neuron.score for neuron in found] == sorted((abs(neuron.factor - 1) for neuron in found), reverse=True)
    assert torch.equal(factors.mask_of(found), chosen)
