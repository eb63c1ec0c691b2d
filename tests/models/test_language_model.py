"""Loading models: what works, and the sentence for what does not."""

import dataclasses
import json
import shutil

import pytest
import torch

from biasectomy.commands.forecast import fitting_batch_tokens
from biasectomy.errors import ModelError, SourceError
from biasectomy.models import loading
from biasectomy.models.fingerprints import fingerprint
from biasectomy.models.language_model import load
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.reading import likelihood
from biasectomy.reading.layouts import PackedLayout
from tests.conftest import build_llama, save_tiny


@pytest.fixture
def copy(tiny_folder, tmp_path):
    """A checkpoint that a test may damage."""
    return shutil.copytree(tiny_folder, tmp_path / "model")


def test_a_folder_is_loaded_frozen_and_ready(tiny):
    assert not tiny.model.training
    assert not any(parameter.requires_grad for parameter in tiny.model.parameters())
    assert tiny.layout.name == "packed" and tiny.prompt_format.chat
    assert len(tiny.neurons()) == 288


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_number_format_is_the_users(tiny_folder, dtype):
    assert load(str(tiny_folder), dtype=dtype).model.dtype == getattr(torch, dtype)


def test_truncated_weights(copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(str(copy))


def test_a_configuration_of_no_known_architecture(copy):
    (copy / "config.json").write_text('{"model_type": "abacus"}')
    with pytest.raises(ModelError, match=r"cannot be loaded: .*abacus"):
        load(str(copy))


def test_a_folder_without_a_tokenizer(copy):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(str(copy))


def test_a_hub_id_that_cannot_be_reached():
    with pytest.raises((ModelError, SourceError), match="'nobody/no-such-model'"):
        load("nobody/no-such-model")


def test_code_of_a_repository_is_not_run_unasked(copy):
    config = json.loads((copy / "config.json").read_text())
    config |= {"auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}, "model_type": "own"}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "code.py").write_text("raise SystemExit('the code was run')")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(str(copy))


def test_a_model_larger_than_the_memory_is_refused_before_it_is_read(tiny_folder, monkeypatch):
    monkeypatch.setattr(loading, "available_memory", lambda: 1000)
    with pytest.raises(ModelError, match=r"needs 0\.0 GiB for its weights in float32; 0\.0 GiB are free"):
        load(str(tiny_folder))


def test_a_device_that_is_not_here(tiny_folder):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ModelError, match="There is no device 'cuda:7' here"):
        load(str(tiny_folder), device="cuda:7")


def test_chat_prompts_need_a_template(tmp_path):
    folder = save_tiny(tmp_path / "plain", chat=False)
    assert not load(str(folder)).prompt_format.chat
    with pytest.raises(ModelError, match="no chat template; use --prompt plain"):
        load(str(folder), prompt="chat")


def test_the_fingerprint_is_of_the_weights():
    first, same, other = build_llama(300), build_llama(300), build_llama(300, seed=1)
    assert fingerprint(first) == fingerprint(same) != fingerprint(other)


def test_a_batch_that_memory_is_too_small_for_is_halved(tiny, toy_task, monkeypatch):
    questions = toy_task(3, instructions=1).questions()
    (batch,) = dataclasses.replace(tiny, batch_tokens=100_000).plan(questions)
    whole, score, sizes = tiny.answer(batch, questions), likelihood.score, []

    def short_of_memory(model, batch, layout):
        sizes.append(len(batch.prompts))
        if len(batch.prompts) > 3:
            torch.empty(10**15)  # the allocator's own complaint
        return score(model, batch, layout)

    monkeypatch.setattr(likelihood, "score", short_of_memory)
    for found, expected in zip(tiny.answer(batch, questions), whole, strict=True):
        assert found.log_likelihoods == pytest.approx(expected.log_likelihoods, abs=1e-4)
    assert sizes[0] == len(questions) > 3 and max(sizes[-2:]) <= 3
    monkeypatch.setattr(likelihood, "score", lambda *arguments: torch.empty(2).view(3))
    with pytest.raises(RuntimeError, match=r"shape .* is invalid"):
        tiny.answer(batch, questions)


def test_the_token_budget_is_what_fits(tiny, toy_task, monkeypatch):
    read = PackedLayout.read

    def short_of_memory(self, model, batch, *, separate=False):
        if len(batch.prompts) > 3:
            torch.empty(10**15)
        return read(self, model, batch, separate=separate)

    monkeypatch.setattr(PackedLayout, "read", short_of_memory)
    tiny.batch_tokens = 100_000
    questions = toy_task(4, instructions=1).questions()
    budget, seconds = fitting_batch_tokens(tiny, questions)
    assert tiny.batch_tokens == 100_000 and seconds > 0  # who forecasts changes nothing
    fitting = dataclasses.replace(tiny, batch_tokens=budget)
    assert max(len(batch.prompts) for batch in fitting.plan(questions)) <= 3 < len(questions)
    assert 64 < budget < 100_000


def test_the_forecast_of_generation_times_generation(tiny, toy_task, monkeypatch):
    """Not the scoring of options, which takes a fraction of the time."""
    generated = []
    generate = type(tiny.model).generate
    monkeypatch.setattr(
        type(tiny.model), "generate", lambda model, **inputs: generated.append(1) or generate(model, **inputs)
    )
    monkeypatch.setattr(likelihood, "score", None)
    fitting_batch_tokens(tiny, toy_task(4, instructions=1).with_answer_rule("generation").questions())
    assert generated


def test_the_key_is_of_weights_and_edits_and_of_nothing_else(tiny, tiny_folder):
    first, second = (NeuronSet((Neuron("model.layers.0.mlp.up_proj", unit, 1.0),)) for unit in (1, 2))
    alone = tiny.key
    with tiny.edited(first):
        edited = tiny.key
    with tiny.edited(second):
        assert len({alone, edited, tiny.key}) == 3  # as many neurons, under one name
    with tiny.edited(dataclasses.replace(first, found_with={"seed": 5})):
        assert tiny.key == edited  # it does the same
    assert tiny.key == alone == load(str(tiny_folder), prompt="plain", batch_tokens=7).key
    assert load(str(tiny_folder), dtype="bfloat16").key != alone


def test_a_sharded_checkpoint(tiny, tmp_path):
    tiny.model.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    tiny.tokenizer.save_pretrained(tmp_path / "sharded")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1
    assert fingerprint(load(str(tmp_path / "sharded")).model) == fingerprint(tiny.model)


def test_a_device_map_places_the_model(tiny_folder, tiny):
    mapped = load(str(tiny_folder), device_map="auto")
    tokens = torch.tensor([[5, 6, 7]], device=mapped.model.device)
    with torch.no_grad():
        assert torch.equal(mapped.model(tokens).logits.cpu(), tiny.model(tokens.cpu()).logits)


def test_quantised_models_need_a_device_that_can(tiny_folder):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(ModelError, match="--quantization 4bit needs a CUDA device"):
        load(str(tiny_folder), quantization="4bit")


def test_what_a_quantised_model_saves_is_the_full_precision_one(tiny_folder, tmp_path):
    """The weights in memory stand for quantised ones here: what is saved comes from the source."""
    language_model = load(str(tiny_folder))
    original = fingerprint(language_model.model)
    language_model.weights = dataclasses.replace(language_model.weights, quantization="8bit")
    with torch.no_grad():
        language_model.model.model.layers[0].mlp.up_proj.weight.mul_(1.01)
    chosen = NeuronSet((Neuron("model.layers.1.mlp.up_proj", 3, 1.0),))
    assert language_model.save(tmp_path / "plain") <= 1e-4
    assert fingerprint(load(str(tmp_path / "plain")).model) == original
    assert language_model.save(tmp_path / "edited", chosen) <= 1e-4
    saved = load(str(tmp_path / "edited")).model.model.layers[1].mlp.up_proj.weight
    assert torch.all(saved[3] == 0) and torch.all(saved[2] != 0)
