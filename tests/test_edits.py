"""Edits by hook and in the weights: equal, exact, reversible."""

import pytest
import torch

from biasectomy.edits import baked, edited
from biasectomy.errors import ModelError, NeuronSetError, RunError
from biasectomy.language_model import load
from biasectomy.neuron_set import Neuron, NeuronSet
from biasectomy.neurons import discover_neurons
from tests.conftest import build_llama

TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3]])


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=TOKENS).logits.clone()


def some_of_each_kind(model, definition: str, factor: float) -> NeuronSet:
    groups = list(discover_neurons(model, definition))
    return NeuronSet(
        tuple(Neuron(g.module, unit, 1.0, factor) for g in groups for unit in (0, g.units - 1)), definition
    )


def hooks_of(model) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def llama(bias: bool = False):
    model = build_llama(300, attention_bias=bias, mlp_bias=bias)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    return model


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=300, initializer_range=0.5)).eval()


MODELS = {"llama": llama, "llama with biases": lambda: llama(bias=True), "gpt2": gpt2}


@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("factor", "tolerance"), [(0.0, 0.0), (0.5, 0.0), (1.5, 1e-4)])
def test_hook_and_weights_agree_and_both_are_undone(name, definition, factor, tolerance):
    model = MODELS[name]()
    before, weights = logits(model), {key: value.clone() for key, value in model.state_dict().items()}
    neuron_set = some_of_each_kind(model, definition, factor)
    with edited(model, neuron_set):
        by_hook = logits(model)
    with baked(model, neuron_set):
        by_weights = logits(model)
    assert not torch.equal(by_hook, before)
    assert (by_hook - by_weights).abs().max() <= tolerance
    assert torch.equal(logits(model), before)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert hooks_of(model) == 0


@pytest.mark.parametrize("way", [edited, baked])
def test_an_error_inside_leaves_the_model_as_it_was(way):
    model = llama()
    before = logits(model)
    with pytest.raises(KeyError), way(model, some_of_each_kind(model, "linear-output", 0.0)):
        raise KeyError
    assert torch.equal(logits(model), before)
    assert hooks_of(model) == 0


@pytest.mark.parametrize("way", [edited, baked])
def test_a_set_of_another_model_changes_nothing(way):
    model = llama()
    before = logits(model)
    wrong = NeuronSet((Neuron("model.layers.0.mlp.up_proj", 1, 1.0), Neuron("model.layers.5.mlp.up_proj", 1, 1.0)))
    with pytest.raises(NeuronSetError), way(model, wrong):
        pass
    assert torch.equal(logits(model), before)
    assert hooks_of(model) == 0


def test_a_removed_unit_puts_out_nothing():
    model = llama(bias=True)
    seen = []
    name = "model.layers.1.self_attn.q_proj"
    model.get_submodule(name).register_forward_hook(lambda module, inputs, output: seen.append(output))
    with baked(model, NeuronSet((Neuron(name, 4, 1.0),))):
        logits(model)
    assert torch.all(seen[0][..., 4] == 0)
    assert torch.all(seen[0][..., 3] != 0)


def test_a_shared_weight_is_not_changed():
    model = llama()
    model.model.layers[0].mlp.up_proj.weight = model.model.layers[1].mlp.up_proj.weight
    with pytest.raises(ModelError, match="shared with"), baked(model, some_of_each_kind(model, "linear-output", 0.0)):
        pass


def test_a_saved_model_is_the_edited_one(tiny, tmp_path):
    from transformers import AutoModelForCausalLM

    neuron_set = some_of_each_kind(tiny.model, "linear-output", 0.0)
    with tiny.edited(neuron_set):
        expected = logits(tiny.model)
    assert tiny.save(tmp_path / "model", neuron_set) <= 1e-4
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "model")), expected)
    assert load(str(tmp_path / "model")).prompt_format.chat
    with pytest.raises(RunError, match="not empty"):
        tiny.save(tmp_path / "model", neuron_set)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_checkpoint_that_differs_is_not_kept(tiny, tmp_path, monkeypatch):
    """A tied head that the checkpoint loses would be such a case; here a value is changed on its way to disk."""
    save = type(tiny.model).save_pretrained

    def damaged(self, folder, **options):
        weight = self.model.layers[0].mlp.up_proj.weight
        with torch.no_grad():
            weight += 1
            save(self, folder, **options)
            weight -= 1

    monkeypatch.setattr(type(tiny.model), "save_pretrained", damaged)
    with pytest.raises(RunError, match=r"differ by .* it was not kept"):
        tiny.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
