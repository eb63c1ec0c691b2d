"""Edits by hook and in the weights: equal, exact, reversible."""

import contextlib

import pytest
import torch

from biasectomy.errors import ModelError, NeuronSetError, RunError
from biasectomy.models.language_model import load
from biasectomy.neurons import discovery, edits
from biasectomy.neurons.discovery import discover_neurons
from biasectomy.neurons.edits import baked, edited
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from tests.conftest import build_llama
from tests.reading.architectures import ARCHITECTURES, MIXTURES

TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3]])


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=TOKENS).logits.clone()


def some_of_each_kind(model, definition: str, factor: float) -> NeuronSet:
    groups = list(discover_neurons(model, definition))
    return NeuronSet(
        tuple(Neuron(g.module, unit, 1.0, factor) for g in groups for unit in (0, g.units - 1)), definition
    )


@contextlib.contextmanager
def multiplied(model, neuron_set):
    """Hooks that multiply units of each module's output, or of its input for hidden units of feed-forward blocks."""
    handles = []
    for name, neurons in neuron_set.by_module().items():
        module, units = model.get_submodule(name), [one.unit for one in neurons]
        factors = torch.tensor([one.factor for one in neurons])

        def changed(values, units=units, factors=factors):
            values = values.clone()
            values[..., units] = values[..., units] * factors
            return values

        if neuron_set.definition == "ffn-hidden":
            hook = lambda module, inputs, changed=changed: (changed(inputs[0]), *inputs[1:])  # noqa: E731
            handles.append(module.register_forward_pre_hook(hook))
        else:
            hook = lambda module, inputs, output, changed=changed: changed(output)  # noqa: E731
            handles.append(module.register_forward_hook(hook))
    yield
    for handle in handles:
        handle.remove()


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


MODELS = ARCHITECTURES | {"tied llama": llama, "tied gpt2": gpt2}


@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
@pytest.mark.parametrize("name", [name for name in MODELS if name not in MIXTURES])
@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5])
def test_edited_weights_compute_what_a_hook_on_each_module_does(name, definition, factor):
    """The hooks know nothing of weights: they multiply what comes out of a map, or what goes into one."""
    model = MODELS[name]()
    neuron_set = some_of_each_kind(model, definition, factor)
    before = logits(model)
    with multiplied(model, neuron_set):
        expected = logits(model)
    with edited(model, neuron_set):
        found = logits(model)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert (before - expected).abs().max() > 1e-2 * expected.abs().max()


@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5])
def test_both_ways_agree_to_the_last_bit_and_are_undone(name, definition, factor):
    model = MODELS[name]()
    before, weights = logits(model), {key: value.clone() for key, value in model.state_dict().items()}
    neuron_set = some_of_each_kind(model, definition, factor)
    with edited(model, neuron_set):
        for_a_while = logits(model)
    with baked(model, neuron_set):
        by_weights = logits(model)
    assert not torch.equal(for_a_while, before)
    assert torch.equal(for_a_while, by_weights)
    assert torch.equal(logits(model), before)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert hooks_of(model) == 0


@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
@pytest.mark.parametrize("name", MODELS)
def test_activations_are_scaled_where_weights_cannot_be(name, definition, monkeypatch):
    model = MODELS[name]()
    before = logits(model)
    for factor in (0.0, 1.5):
        neuron_set = some_of_each_kind(model, definition, factor)
        with baked(model, neuron_set):
            by_weights = logits(model)
        with monkeypatch.context() as patch:
            patch.setattr(edits, "not_editable", lambda *arguments: "quantised")
            with pytest.raises(ModelError, match="quantised"), baked(model, neuron_set):
                pass
            with edited(model, neuron_set):
                weights = [parameter.clone() for parameter in model.parameters()]
                torch.testing.assert_close(logits(model), by_weights, rtol=0, atol=1e-5)
        assert all(map(torch.equal, weights, model.parameters()))
        assert torch.equal(logits(model), before)
        assert hooks_of(model) == 0


@pytest.mark.parametrize("way", [edited, baked])
@pytest.mark.parametrize("name", ["llama", "mixtral", "gpt-oss"])
@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
@pytest.mark.parametrize("in_weights", [True, False])
def test_an_error_inside_leaves_the_model_as_it_was(way, name, definition, in_weights, monkeypatch):
    model = MODELS[name]()
    before, configuration = logits(model), model.config.to_dict()
    neuron_set = some_of_each_kind(model, definition, 0.0)
    if not in_weights and way is edited:
        monkeypatch.setattr(edits, "not_editable", lambda *arguments: "quantised")
    with pytest.raises(KeyError), way(model, neuron_set):
        raise KeyError
    assert torch.equal(logits(model), before)
    assert model.config.to_dict() == configuration
    assert hooks_of(model) == 0


@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_edited_model_survives_its_checkpoint(name, definition, tmp_path):
    from transformers import AutoModelForCausalLM

    model = MODELS[name]()
    neuron_set = some_of_each_kind(model, definition, 0.5)
    with edited(model, neuron_set):
        expected = logits(model)
    with baked(model, neuron_set):
        model.save_pretrained(tmp_path)
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path)), expected)


def test_a_shared_weight_is_edited_in_one_place_only():
    model, apart = llama(), llama()
    for each in (model, apart):
        second = each.model.layers[1].mlp.up_proj
        second.weight = each.model.layers[0].mlp.up_proj.weight
    second.weight = torch.nn.Parameter(second.weight.detach().clone())
    before = logits(model)
    neuron_set = NeuronSet((Neuron("model.layers.0.mlp.up_proj", 3, 1.0),))
    with edited(model, neuron_set), baked(apart, neuron_set):
        assert torch.equal(logits(model), logits(apart))
        assert not torch.equal(logits(model), before)


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
    with pytest.raises(RunError, match=r"not what was to be written; it was not kept"):
        tiny.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def walks(monkeypatch):
    """The models that were searched for neurons, once for each search."""
    searched = []
    stacks = discovery.stacks
    monkeypatch.setattr(discovery, "stacks", lambda model: searched.append(model) or stacks(model))
    return searched


def test_neurons_that_are_known_are_not_discovered_again(walks):
    model = llama()
    neuron_set = some_of_each_kind(model, "linear-output", 0.0)
    known = discover_neurons(model)
    before = logits(model)
    walks.clear()
    with edited(model, neuron_set, known):
        with_known = logits(model)
    assert not walks
    with edited(model, neuron_set):
        assert torch.equal(logits(model), with_known)
    assert len(walks) == 1 and not torch.equal(with_known, before)


def test_a_known_model_is_still_asked_whether_it_has_the_neurons(walks):
    model = llama()
    known = discover_neurons(model)
    walks.clear()
    wrong = NeuronSet((Neuron("model.layers.5.mlp.up_proj", 1, 1.0),))
    with pytest.raises(NeuronSetError, match="does not have"), edited(model, wrong, known):
        pass
    assert not walks


def test_an_edit_of_a_loaded_model_discovers_its_neurons_once_for_all_edits(tiny, walks):
    neuron_set = NeuronSet((Neuron("model.layers.0.mlp.up_proj", 3, 1.0),))
    for _ in range(3):
        with tiny.edited(neuron_set):
            logits(tiny.model)
    assert len(walks) == 1
