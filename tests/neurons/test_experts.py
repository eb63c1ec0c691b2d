"""Fused experts: found, watched without changing a bit, and attributed for the tokens routed to them."""

import itertools

import pytest
import torch

from biasectomy.attribution.products.engine import Instance, accumulate
from biasectomy.errors import ModelError
from biasectomy.neurons.activations import captured
from biasectomy.neurons.discovery import discover_neurons
from biasectomy.neurons.experts import _WATCHES, expert_shape, is_experts, observed
from biasectomy.reading.prompts import EncodedPrompt
from tests.attribution.test_attribution import Recorder
from tests.reading.architectures import ARCHITECTURES, MIXTURES, family

TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3], [6, 99, 42, 17, 11, 13]])


def experts_of(model) -> dict[str, torch.nn.Module]:
    return {name: module for name, module in model.named_modules() if is_experts(module)}


def logits(model, tokens=TOKENS) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=tokens, use_cache=False).logits


def unchanged(parameter, side, expert, tokens, values):
    return values


@pytest.mark.parametrize(
    ("name", "per_layer", "hidden"),
    [("mixtral", 4 * (80 + 16), 4 * 40), ("gpt-oss", 4 * (80 + 16), 4 * 40), ("qwen3-moe", 4 * (24 + 16), 4 * 12)],
)
def test_each_expert_has_its_own_neurons(name, per_layer, hidden):
    model = ARCHITECTURES[name]()
    neurons = discover_neurons(model)
    assert len(neurons) == 2 * (16 + 8 + 8 + 16 + per_layer)
    group = neurons.group("model.layers.1.mlp.experts.gate_up_proj.3")
    assert (group.owner, group.parameter, group.expert) == ("model.layers.1.mlp.experts", "gate_up_proj", 3)
    assert group.kind == "mlp.experts.gate_up_proj"
    assert {reason for _, reason in neurons.left_out} == {"router"}
    assert len(discover_neurons(model, "ffn-hidden")) == 2 * hidden


def test_shared_experts_are_neurons_and_their_gate_is_a_router():
    neurons = discover_neurons(ARCHITECTURES["qwen2-moe"]())
    assert neurons.kinds()["mlp.shared_expert.up_proj"] == 40
    assert [path for path, reason in neurons.left_out if reason == "router"] == [
        f"model.layers.{layer}.mlp.{part}.weight" for layer in (0, 1) for part in ("gate", "shared_expert_gate")
    ]
    kinds = discover_neurons(ARCHITECTURES["deepseek-v3"](), "ffn-hidden").kinds()
    assert kinds == {"mlp.down_proj": 40, "mlp.experts.down_proj": 48, "mlp.shared_experts.down_proj": 12}


def test_routers_of_other_forms():
    ernie = family(
        "Ernie4_5_Moe",
        {"vocab_size": 120, "hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 2}
        | {"num_attention_heads": 4, "num_key_value_heads": 2, "moe_num_experts": 4, "moe_k": 2}
        | {"moe_intermediate_size": 12, "moe_layer_start_index": 1, "pad_token_id": 0},
    )()
    assert dict(discover_neurons(ernie).left_out)["model.layers.1.mlp.gate.weight"] == "router"

    class Router(torch.nn.Sequential):
        """A router of two layers."""

    model = ARCHITECTURES["mixtral"]()
    model.model.layers[0].mlp.gate = Router(torch.nn.Linear(16, 16), torch.nn.Linear(16, 4))
    assert [path for path, reason in discover_neurons(model).left_out if reason == "router"] == [
        "model.layers.0.mlp.gate.0.weight",
        "model.layers.0.mlp.gate.1.weight",
        "model.layers.1.mlp.gate.weight",
    ]


def test_experts_of_unknown_form_are_an_error():
    model = ARCHITECTURES["mixtral"]()
    experts = model.model.layers[1].mlp.experts
    experts.down_proj = torch.nn.Parameter(experts.down_proj[:, :, :-1].clone())
    with pytest.raises(ModelError, match=r"layers\.1\.mlp\.experts\.gate_up_proj \(4 x 80 x 16\)"):
        discover_neurons(model)


@pytest.mark.parametrize(
    ("implementation", "tolerance"),
    # The batched function multiplies token by token, which rounds differently; the grouped one does on some processors.
    [("grouped_mm", 1e-5), ("eager", 0.0), ("batched_mm", 1e-5)],
)
@pytest.mark.parametrize("name", MIXTURES)
def test_watching_changes_nothing(name, implementation, tolerance):
    model = ARCHITECTURES[name]()
    model.set_experts_implementation(implementation)
    before = logits(model)
    with observed(dict.fromkeys(experts_of(model).values(), unchanged)):
        assert model.config._experts_implementation not in ("grouped_mm", "eager", "batched_mm")
        assert (logits(model) - before).abs().max() <= tolerance
        with observed(dict.fromkeys(experts_of(model).values(), unchanged)):
            assert (logits(model) - before).abs().max() <= tolerance
    assert model.config._experts_implementation == implementation
    assert torch.equal(logits(model), before)
    assert not _WATCHES


def test_an_error_leaves_the_experts_as_they_were():
    model = ARCHITECTURES["mixtral"]()
    before, implementation = logits(model), model.config._experts_implementation

    def broken(parameter, side, expert, tokens, values):
        raise KeyError

    with pytest.raises(KeyError), observed(dict.fromkeys(experts_of(model).values(), broken)):
        logits(model)
    assert model.config._experts_implementation == implementation
    assert torch.equal(logits(model), before)
    assert not _WATCHES


def test_an_observer_sees_the_tokens_that_the_router_sent():
    model = ARCHITECTURES["gpt-oss"]()
    routed, seen = {}, {}
    router = model.model.layers[0].mlp.router
    handle = router.register_forward_hook(lambda module, inputs, output: routed.update(index=output[-1]))
    experts = model.model.layers[0].mlp.experts

    def observer(parameter, side, expert, tokens, values):
        seen[parameter, side, expert] = (tokens.tolist(), values.shape[1])
        return values

    with observed({experts: observer}):
        logits(model)
    handle.remove()
    for expert in range(4):
        tokens = (routed["index"] == expert).any(1).nonzero().flatten().tolist()
        assert sorted(seen["gate_up_proj", "output", expert][0]) == tokens
        assert [seen[key][1] for key in seen if key[2] == expert] == [80, 40, 16]
    assert expert_shape(experts, "gate_up_proj") == (16, 80)


def products(model, neurons, tokens, objective) -> dict[str, torch.Tensor]:
    """Activation times gradient, [rows, tokens, units] by group."""
    with captured(model, neurons) as activations:
        value = objective(model(input_ids=tokens, use_cache=False).logits)
        kept = list(activations.values())
        gradients = torch.autograd.grad(value, [one.tensor for one in kept])
        return {
            one.module: one.spread(one.tensor.detach() * gradient)
            for one, gradient in zip(kept, gradients, strict=True)
        }


def objective(logits):
    return logits[0, -1].log_softmax(-1)[7] + logits[1, -1].log_softmax(-1)[9]


@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
@pytest.mark.parametrize("name", MIXTURES)
def test_products_of_experts_equal_finite_differences(name, definition):
    model = ARCHITECTURES[name]().double()
    neurons = discover_neurons(model, definition)
    found = products(model, neurons, TOKENS, objective)
    assert {module: tuple(product.shape) for module, product in found.items()} == {
        group.module: (2, 6, group.units) for group in neurons
    }
    step, checked = 1e-2, 0  # norms compute in single precision, so a smaller step drowns in rounding
    last = [group for group in neurons if group.expert is not None and group.layer == 1]
    for group, token in itertools.product(last, (5, 11)):  # the last token of either row
        unit, product = group.units // 2, found[group.module].flatten(0, 1)
        values = {}

        def move(parameter, side, expert, tokens, values_, sign, group=group, unit=unit, token=token, kept=values):
            if (parameter, side, expert) != (group.parameter, group.side, group.expert) or token not in tokens:
                return values_
            row = tokens.tolist().index(token)
            kept["activation"] = float(values_[row, unit])
            shift = torch.zeros_like(values_)
            shift[row, unit] = sign * step
            return values_ + shift

        shifted = []
        for sign in (-1, 1):
            watch = {model.get_submodule(group.owner): lambda *shown, sign=sign: move(*shown, sign)}
            with observed(watch):
                shifted.append(float(objective(logits(model))))
        if "activation" not in values:
            assert torch.all(product[token] == 0)  # not routed there
            continue
        expected = values["activation"] * (shifted[1] - shifted[0]) / (2 * step)
        assert float(product[token, unit]) == pytest.approx(expected, rel=5e-3, abs=2e-4)
        checked += 1
    assert checked == 2 * 2 * len({group.kind for group in last})  # two tokens go to two experts each


def test_an_expert_without_tokens_has_products_of_zero():
    model = ARCHITECTURES["mixtral"]()
    neurons = discover_neurons(model)
    recorder = Recorder()
    instance = Instance("a", EncodedPrompt((5,), ((7,), (8,))), 0)
    list(accumulate(model, neurons, [instance], recorder, budget=100))
    for side in ("gold", "biased"):
        assert {name: tuple(product[0].shape) for name, product in recorder.products[side].items()} == {
            group.module: (1, group.units) for group in neurons
        }
    silent = [
        group.module
        for group in neurons
        if group.expert is not None and not recorder.products["gold"][group.module][0].any()
    ]
    assert len(silent) == 2 * 2 * 2  # two of four experts, in two layers, with two matrices each
    assert not _WATCHES
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())
