"""Neuron sets as adapters, with `peft` as the judge of what they do."""

import builtins
import math
from pathlib import Path

import pytest
import torch
from peft import IA3Config, PeftModel
from safetensors.torch import load_file, save_file

from biasectomy.errors import NeuronSetError, RunError
from biasectomy.files import read_json
from biasectomy.models import adapters
from biasectomy.models.adapters import CONFIG, WEIGHTS, adapter_vectors, save_adapter
from biasectomy.models.language_model import LanguageModel, load
from biasectomy.models.manifest import is_as_written, strange_files
from biasectomy.neurons.discovery import DEFINITIONS
from biasectomy.neurons.edits import edited
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from tests.conftest import build_llama, build_tokenizer
from tests.reading.architectures import ARCHITECTURES
from tests.reading.encoder_decoders import CONFIGURATIONS, build

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks for it

TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3], [6, 99, 42, 17, 11, 13]])


def llama_with_biases():
    model = build_llama(400, attention_bias=True, mlp_bias=True)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    return model


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=400, initializer_range=0.5)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


MODELS = {"llama": llama_with_biases, "gpt2": gpt2, "t5": lambda: build("t5")}


@pytest.fixture
def opened(tmp_path: Path):
    """Loads a model as a user would, after it was stored with a tokenizer."""

    def of(model, **options) -> LanguageModel:
        model.save_pretrained(tmp_path / "base")
        build_tokenizer(chat=False).save_pretrained(tmp_path / "base")
        return load(str(tmp_path / "base"), **options)

    return of


def logits(model) -> torch.Tensor:
    more = {"decoder_input_ids": TOKENS[:, :3]} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(input_ids=TOKENS, **more).logits.clone()


def some_neurons(model: LanguageModel, definition: str, share: float = 0.5) -> NeuronSet:
    """About such a share of the model's neurons, with factors from -0.5 to 2; hidden ones of the last layer only."""
    drawn = torch.Generator().manual_seed(5)
    found = []
    for group in model.neurons(definition):
        for unit in torch.nonzero(group.mask).flatten().tolist():
            factor = float(torch.rand((), generator=drawn)) * 2.5 - 0.5
            if float(torch.rand((), generator=drawn)) < share and (group.layer or group.side == "output"):
                found.append(Neuron(group.module, unit, 0.0, factor))
    return NeuronSet(tuple(found), definition)


@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("name", MODELS)
def test_peft_computes_what_the_edit_does(name, definition, opened, tmp_path):
    model = opened(MODELS[name]())
    neurons = some_neurons(model, definition)
    original = logits(model.model)
    with model.edited(neurons):
        expected = logits(model.model)
    assert (expected - original).abs().max() > 1e-2
    difference = save_adapter(model, tmp_path / "adapter", neurons)
    assert difference is not None and difference < 1e-4
    base = type(model.model).from_pretrained(tmp_path / "base").eval()
    adapted = PeftModel.from_pretrained(base, tmp_path / "adapter")
    bound = 1e-5 * max(1.0, float(expected.abs().max()))
    assert (logits(adapted) - expected).abs().max() <= bound
    with adapted.disable_adapter():
        assert torch.equal(logits(adapted), original)
    merged = adapted.merge_and_unload()
    assert (logits(merged) - expected).abs().max() <= bound
    assert type(merged) is type(model.model)


@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_as_before_to_the_last_bit(name, opened, tmp_path):
    model = opened(MODELS[name]())
    inner = model.model
    inner.get_input_embeddings().requires_grad_(True)
    before = {key: value.clone() for key, value in inner.state_dict().items()}
    modules = [(path, id(module), len(module._forward_hooks)) for path, module in inner.named_modules()]
    wanted = [parameter.requires_grad for parameter in inner.parameters()]
    attributes, config, answers = set(vars(inner)), inner.config.to_dict(), logits(inner)
    save_adapter(model, tmp_path / "adapter", some_neurons(model, "linear-output"))
    assert modules == [(path, id(module), len(module._forward_hooks)) for path, module in inner.named_modules()]
    after = inner.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[key], before[key]) for key in before)
    assert wanted == [parameter.requires_grad for parameter in inner.parameters()] and True in wanted
    assert set(vars(inner)) == attributes and inner.config.to_dict() == config and not inner.training
    assert torch.equal(logits(inner), answers)


def test_the_files_are_those_of_an_adapter(opened, tmp_path):
    model = opened(gpt2())
    neurons = NeuronSet(
        (
            Neuron("transformer.h.1.mlp.c_proj", 3, 0.0, 0.25),
            Neuron("transformer.h.0.attn.c_attn", 40, 0.0, -0.5),
            Neuron("transformer.h.0.mlp.c_proj", 3, 0.0, 1.0),
        ),
        "ia3",
    )
    save_adapter(model, tmp_path / "adapter", neurons)
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == {WEIGHTS, CONFIG, "biasectomy.json"}
    assert is_as_written(tmp_path / "adapter") and not strange_files(tmp_path / "adapter")
    tensors = load_file(tmp_path / "adapter" / WEIGHTS)
    hidden = "base_model.model.transformer.h.1.mlp.c_proj.ia3_l"
    attention = "base_model.model.transformer.h.0.attn.c_attn.ia3_l"
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {hidden: (1, 64), attention: (48, 1)}
    assert tensors[hidden][0].tolist() == [0.25 if unit == 3 else 1.0 for unit in range(64)]
    assert tensors[attention][:, 0].tolist() == [-0.5 if unit == 40 else 1.0 for unit in range(48)]
    config = read_json(tmp_path / "adapter" / CONFIG)
    assert config == {
        "auto_mapping": None,
        "base_model_name_or_path": str(tmp_path / "base"),
        "exclude_modules": None,
        "fan_in_fan_out": True,
        "feedforward_modules": ["transformer.h.1.mlp.c_proj"],
        "inference_mode": True,
        "init_ia3_weights": True,
        "modules_to_save": None,
        "peft_type": "IA3",
        "revision": None,
        "target_modules": ["transformer.h.1.mlp.c_proj", "transformer.h.0.attn.c_attn"],
        "task_type": "CAUSAL_LM",
    }
    # peft knows every field, and has no other that it needs.
    assert config.keys() == IA3Config().to_dict().keys() - {"peft_version"}
    assert IA3Config.from_pretrained(str(tmp_path / "adapter")).target_modules == set(config["target_modules"])


def test_the_task_type_of_an_encoder_decoder(opened, tmp_path):
    model = opened(build("t5"))
    save_adapter(model, tmp_path / "adapter", some_neurons(model, "ffn-hidden"))
    config = read_json(tmp_path / "adapter" / CONFIG)
    assert config["task_type"] == "SEQ_2_SEQ_LM" and config["fan_in_fan_out"] is False


def test_a_factor_scales_a_bias_too_as_the_adapter_does(opened, tmp_path):
    model = opened(llama_with_biases())
    path = "model.layers.0.mlp.up_proj"
    save_adapter(model, tmp_path / "adapter", NeuronSet((Neuron(path, 7, 0.0, 0.0),)))
    base = type(model.model).from_pretrained(tmp_path / "base").eval()
    assert base.get_submodule(path).bias[7].abs() > 1e-3
    adapted, seen = PeftModel.from_pretrained(base, tmp_path / "adapter"), []
    handle = base.get_submodule(path).register_forward_hook(lambda module, inputs, output: seen.append(output))
    logits(adapted)
    handle.remove()
    assert not seen[0][..., 7].any() and seen[0][..., 8].any()
    merged = adapted.merge_and_unload().get_submodule(path)
    assert merged.bias[7] == 0 and merged.bias[8] == model.model.get_submodule(path).bias[8]


@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden", "ia3"])
def test_factors_of_fused_experts_need_a_checkpoint(definition):
    model = ARCHITECTURES["mixtral"]()
    expert = Neuron("model.layers.1.mlp.experts.down_proj.3", 2, 0.0, 0.5)
    with pytest.raises(NeuronSetError, match=r"'model\.layers\.1\.mlp\.experts\.down_proj\.3', .* --as checkpoint"):
        adapter_vectors(model, NeuronSet((expert,), definition))
    if definition == "ffn-hidden":
        return
    # What attention has is no expert's, and a factor of 1 is none to be written.
    key = Neuron("model.layers.1.self_attn.k_proj", 2, 0.0, 0.5)
    idle = Neuron(expert.module, 2, 0.0, 1.0)
    assert list(adapter_vectors(model, NeuronSet((key, idle), definition))) == [key.module]


@pytest.mark.parametrize("neurons", [NeuronSet(()), NeuronSet((Neuron("model.layers.1.mlp.up_proj", 3, 0.0, 1.0),))])
def test_nothing_to_hold(tiny, tmp_path, neurons):
    with pytest.raises(NeuronSetError, match="No factor of this neuron set differs from 1"):
        save_adapter(tiny, tmp_path / "adapter", neurons)
    assert not list(tmp_path.iterdir())


REMOVED = NeuronSet((Neuron("model.layers.1.mlp.up_proj", 3, 1.0),))


def test_what_is_there_is_kept_unless_it_may_be_replaced(tiny, tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "mine").write_text("x")
    with pytest.raises(RunError, match="exists and is not empty"):
        save_adapter(tiny, tmp_path / "adapter", REMOVED)
    assert (tmp_path / "adapter" / "mine").exists()
    save_adapter(tiny, tmp_path / "adapter", REMOVED, overwrite=True)
    assert not strange_files(tmp_path / "adapter")


def careless(change):
    def save(tensors, path, metadata):
        save_file({name: change(tensor) for name, tensor in tensors.items()}, path, metadata)

    return save


def test_an_adapter_that_was_written_otherwise_is_not_kept(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(adapters, "save_file", careless(lambda tensor: tensor + 1e-6))
    with pytest.raises(RunError, match="is not what was to be written; it was not kept"):
        save_adapter(tiny, tmp_path / "adapter", REMOVED)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("factor", [1.0, math.nan])
def test_an_adapter_that_peft_reads_otherwise_is_not_kept(tiny, tmp_path, monkeypatch, factor):
    real = adapters.adapter_vectors

    def wrong(*given):
        vectors = real(*given)
        return {module: torch.full_like(vector, factor) for module, vector in vectors.items()}

    monkeypatch.setattr(adapters, "adapter_vectors", wrong)
    monkeypatch.setattr(torch, "equal", lambda left, right: True)  # a NaN is not equal to itself
    before = logits(tiny.model)
    with pytest.raises(RunError, match=r"as peft loads it, its log-likelihoods are .* off; it was not kept"):
        save_adapter(tiny, tmp_path / "adapter", REMOVED)
    monkeypatch.undo()
    assert not list(tmp_path.iterdir()) and torch.equal(logits(tiny.model), before)


def test_a_peft_that_fails_midway_leaves_the_model_alone(tiny, tmp_path, monkeypatch):
    before = [id(module) for module in tiny.model.modules()]

    def failing(*arguments, **options):
        tiny.model.model.layers[1].mlp.up_proj = torch.nn.Linear(1, 1)
        tiny.model.peft_config = {}
        raise ValueError("a shape of another model")

    monkeypatch.setattr(PeftModel, "from_pretrained", failing)
    with pytest.raises(ValueError, match="a shape"):
        save_adapter(tiny, tmp_path / "adapter", REMOVED)
    assert [id(module) for module in tiny.model.modules()] == before and not hasattr(tiny.model, "peft_config")
    assert not list(tmp_path.iterdir())


def test_without_peft_the_adapter_is_written_and_not_tried(tiny, tmp_path, monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name == "peft":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert save_adapter(tiny, tmp_path / "without", REMOVED) is None
    monkeypatch.undo()
    assert save_adapter(tiny, tmp_path / "with", REMOVED) < 1e-4
    assert (tmp_path / "without" / WEIGHTS).read_bytes() == (tmp_path / "with" / WEIGHTS).read_bytes()


def test_in_half_precision_the_difference_is_told(opened, tmp_path):
    model = opened(build_llama(400), dtype="bfloat16")
    assert 0 <= save_adapter(model, tmp_path / "adapter", some_neurons(model, "ia3")) < 3
    assert {tensor.dtype for tensor in load_file(tmp_path / "adapter" / WEIGHTS).values()} == {torch.float32}


def test_partial_strength_lies_between(opened, tmp_path):
    model = opened(gpt2())
    neurons = some_neurons(model, "ia3", share=0.2)
    save_adapter(model, tmp_path / "adapter", neurons.with_strength(0.5))
    halved = NeuronSet(tuple(Neuron(n.module, n.unit, n.score, (1 + n.factor) / 2) for n in neurons), "ia3")
    with edited(model.model, halved):
        expected = logits(model.model)
    adapted = logits(PeftModel.from_pretrained(model.model, tmp_path / "adapter"))
    assert (adapted - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("name", [*ARCHITECTURES, *CONFIGURATIONS])
def test_every_family_calls_the_modules_that_peft_wraps(name, tmp_path, monkeypatch):
    """A model that used a map's weights by itself would pass its adapter by."""
    monkeypatch.setattr(adapters, "_tried", lambda *given: None)  # the probe's tokens are not in these vocabularies
    inner = ARCHITECTURES[name]() if name in ARCHITECTURES else build(name)
    model = LanguageModel(inner, None, None, name)
    neurons = some_neurons(model, "ia3")
    neurons = NeuronSet(tuple(one for one in neurons if ".experts." not in one.module), "ia3")
    original = logits(inner)
    with model.edited(neurons):
        expected = logits(inner)
    save_adapter(model, tmp_path / "adapter", neurons)
    adapted = logits(PeftModel.from_pretrained(inner, tmp_path / "adapter"))
    scale = expected.abs().max()
    assert (adapted - expected).abs().max() <= 1e-4 * scale < 1e-2 * (expected - original).abs().max()
