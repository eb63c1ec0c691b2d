"""What is computed on a CUDA device is what the processor computes: scores, texts, neurons, factors, whole runs.

Everything here skips where there is no such device. Random tiny models are compared in float32 on both.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.base import Settings
from benchmarks.suite import BENCHMARKS
from biasectomy.attribution import ATTRIBUTIONS
from biasectomy.attribution.scores import Scores, attribute
from biasectomy.errors import SettingsError
from biasectomy.measuring.session import Session
from biasectomy.methods import METHODS
from biasectomy.models.language_model import ACCELERATOR_BATCH_TOKENS, LanguageModel, load
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.reading.likelihood import layout_for
from biasectomy.reading.memory import is_out_of_memory
from tests.methods.test_families import ADAPTERS, CHOSEN, FAMILIES, SETTINGS, few_texts_and_pairs, opened
from tests.reading.architectures import MIXTURES

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
ROOT = Path(__file__).parents[1]
DEVICE = "cuda"
CLOSE = 2e-3  # nats of a log-likelihood in float32, after sums in another order
FEW_FAMILIES = ("llama", "gpt2", "bloom", "mixtral", "t5", "bart")
TWICE = ("self-debias-explain", "self-debias-reprompt", "self-help", "think-first")
INFERENCE = ("fair-prompt", "cc", "dc", "self-debias-decoding", *TWICE)
ATTRIBUTED: dict[str, dict[str, Any]] = {
    "activation-difference": {"instances": 4},
    "bias-knowledge": {"instances": 3, "steps": 2},
    "counterfactual": {},
    "crispr": {"instances": 4, "trials": 1},
    "gradient": {"instances": 4},
    "integrated-gradients": {"instances": 3, "steps": 2},
    "weight-magnitude": {},
}
assert few_texts_and_pairs  # a fixture that every test here uses


def on_device(name: str) -> LanguageModel:
    """The tiny model of a family on the device, read in the layout that is found there."""
    model = opened(name)
    model.model.to(DEVICE)
    model.layout = layout_for(model.model, model.model.get_input_embeddings().weight.shape[0])
    return model


def both(name: str) -> tuple[LanguageModel, LanguageModel]:
    """The same tiny model on the processor and on the device."""
    return opened(name), on_device(name)


def log_likelihoods(model: Any, task: Any) -> Any:
    return Session().ask(task, model).log_likelihoods


@pytest.mark.parametrize("name", FAMILIES)
class TestEveryFamily:
    def test_it_is_read_in_the_same_layout_with_the_same_log_likelihoods(self, name, toy_task):
        processor, device = both(name)
        assert device.layout.name == processor.layout.name
        task = toy_task(clusters=4)
        # Where the head is not scaled down, as in Flan-T5, log-likelihoods are of hundreds of nats.
        np.testing.assert_allclose(
            log_likelihoods(device, task), log_likelihoods(processor, task), rtol=5e-5, atol=CLOSE
        )

    def test_it_writes_the_same_texts(self, name, toy_task):
        task = toy_task(clusters=2, instructions=1).with_answer_rule("generation")
        found, expected = (Session().ask(task, model).texts.ravel().tolist() for model in both(name)[::-1])
        assert sum(one == other for one, other in zip(found, expected, strict=True)) >= 0.8 * len(expected)

    @pytest.mark.parametrize("attribution", ["crispr", "gradient"])
    def test_neurons_get_the_same_scores(self, name, attribution, toy_task):
        compare_scores(name, attribution, "linear-output", toy_task(clusters=3, instructions=1))

    def test_factors_are_learned(self, name, toy_task):
        compare_methods(name, "learned-factors", toy_task(clusters=4, instructions=1))


def compare_scores(name: str, attribution: str, definition: str, task: Any) -> None:
    kind = ATTRIBUTIONS[attribution]
    found: list[Scores] = []
    for model in both(name):
        try:
            settings = kind.Settings(**ATTRIBUTED[attribution])
            found.append(attribute(model, task, kind(settings), definition=definition))
        except SettingsError as error:
            pytest.skip(f"{attribution} cannot score these items: {error}")
    expected, own = found
    scale = max(float(values.abs().max()) for values in expected.by_module.values())
    assert all(values.device.type == "cpu" for values in own.by_module.values())
    for module, values in expected.by_module.items():
        assert float((own.by_module[module] - values).abs().max()) <= 5e-3 * scale, module
    first, second = ({(one.module, one.unit) for one in scores.top(CHOSEN)} for scores in found)
    assert len(first & second) >= 0.8 * CHOSEN


def compare_methods(name: str, method: str, task: Any) -> None:
    """Fitted on the device, a method changes answers as it does on the processor, and gives the model back."""
    kind, answers, sets = METHODS[method], [], []
    plain = None
    for model in both(name):
        session = Session(neurons=CHOSEN, drift=1e9)
        fitted = kind(kind.Settings(**SETTINGS[method])).fit(model, task, session)
        plain = log_likelihoods(model, task)
        with fitted.answering(model, session, 0) as answerer:
            answers.append(session.ask(task, answerer).log_likelihoods)
        assert (log_likelihoods(model, task) == plain).all()
        sets.append(fitted.neuron_set)
    expected, found = (one - plain for one in answers)
    assert np.isfinite(found).all()
    # Adam's first steps go by the signs of gradients, so that those near 0 may go either way.
    if np.abs(found - expected).max() > 0.2 * np.abs(expected).max() + CLOSE:
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9
    if sets[0] is not None:
        first, second = ({(one.module, one.unit) for one in chosen} for chosen in sets)
        assert len(first & second) >= 0.7 * len(first)


@pytest.mark.parametrize("definition", ["linear-output", "ffn-hidden"])
@pytest.mark.parametrize("attribution", ATTRIBUTED)
@pytest.mark.parametrize("name", FEW_FAMILIES)
def test_every_attribution_gives_the_same_scores(name, attribution, definition, toy_task):
    compare_scores(name, attribution, definition, toy_task(clusters=3, instructions=1))


@pytest.mark.parametrize("method", [one for one in SETTINGS if one != "learned-factors"])
@pytest.mark.parametrize("name", FEW_FAMILIES)
def test_every_method_changes_the_same(name, method, toy_task):
    if (method in ADAPTERS and name in MIXTURES) or (method, name) == ("shira", "gpt2"):
        pytest.skip("no adapter for fused experts, or for transposed weights")
    compare_methods(name, method, toy_task(clusters=4, instructions=1))


@pytest.mark.parametrize("method", INFERENCE)
@pytest.mark.parametrize("name", ["llama", "t5"])
def test_methods_that_only_ask_otherwise_answer_alike(name, method, toy_task):
    kind, found, task = METHODS[method], [], toy_task(clusters=1, instructions=1)
    for model in both(name):
        session = Session()
        settings = kind.Settings(**({"new_tokens": 8} if "new_tokens" in kind.Settings.model_fields else {}))
        with kind(settings).fit(model, task, session).answering(model, session) as answerer:
            found.append(session.ask(task, answerer).log_likelihoods)
    # Those that ask about what they wrote may have written another word.
    apart = np.abs(found[0] - found[1]).max(axis=-1)
    assert np.isfinite(found[1]).all() and (np.median(apart) if method in TWICE else apart.max()) < CLOSE


def test_a_model_is_loaded_on_the_device_by_itself_and_saved_from_there(tiny_folder, toy_task, tmp_path):
    processor, device = load(str(tiny_folder), device="cpu"), load(str(tiny_folder))
    assert (device.model.device.type, device.batch_tokens) == ("cuda", ACCELERATOR_BATCH_TOKENS)
    assert device.description() == processor.description() and device.key == processor.key
    task = toy_task(clusters=4)
    assert np.abs(log_likelihoods(device, task) - log_likelihoods(processor, task)).max() < CLOSE
    kind = ATTRIBUTIONS["crispr"]
    scores = attribute(device, task, kind(kind.Settings(instances=4, trials=1)))
    chosen = NeuronSet(scores.top(30).neurons, "linear-output")
    with device.edited(chosen):
        expected = log_likelihoods(device, task)
    assert device.save(tmp_path / "saved", chosen) < 1e-4
    saved = log_likelihoods(load(str(tmp_path / "saved"), device="cpu"), task)
    assert np.abs(saved - expected).max() < CLOSE and np.abs(saved - log_likelihoods(processor, task)).max() > CLOSE


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_reads_scores_and_learns(tiny_folder, toy_task, dtype):
    model, task = load(str(tiny_folder), dtype=dtype), toy_task(clusters=4, instructions=1)
    assert model.layout.name == "packed" and np.isfinite(log_likelihoods(model, task)).all()
    kind = METHODS["learned-factors"]
    fitted = kind(kind.Settings(**SETTINGS["learned-factors"])).fit(model, task, Session(neurons=CHOSEN))
    assert len(fitted.neuron_set) == CHOSEN


def test_weights_for_a_while_in_another_number_format(tiny_folder, toy_task):
    model, kind = load(str(tiny_folder)), METHODS["learned-factors"]
    settings = kind.Settings(**SETTINGS["learned-factors"], dtype="bfloat16")
    before = log_likelihoods(model, toy_task(clusters=2))
    fitted = kind(settings).fit(model, toy_task(clusters=4, instructions=1), Session(neurons=CHOSEN))
    assert len(fitted.neuron_set) == CHOSEN and (log_likelihoods(model, toy_task(clusters=2)) == before).all()


def test_a_device_without_room_is_known_from_its_error():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**48, dtype=torch.uint8, device=DEVICE)
    assert is_out_of_memory(raised.value)


@pytest.mark.parametrize("quantization", ["4bit", "8bit"])
def test_a_quantised_model_answers_and_is_edited(tiny_folder, toy_task, quantization):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    model, task = load(str(tiny_folder), quantization=quantization), toy_task(clusters=2)
    before = log_likelihoods(model, task)
    kind = ATTRIBUTIONS["crispr"]
    chosen = attribute(model, task, kind(kind.Settings(instances=4, trials=1))).top(30)
    with model.edited(chosen):
        assert np.abs(log_likelihoods(model, task) - before).max() > CLOSE
    assert (log_likelihoods(model, task) == before).all()


@pytest.mark.parametrize("name", ["scoring", "attribution", "learning"])
def test_a_benchmark_tells_the_memory_of_the_device(name):
    benchmark = BENCHMARKS[name]
    try:
        benchmark.refuse_missing()
    except SettingsError as error:
        pytest.skip(str(error))
    settings = Settings(threads=1, quick=True, items=4, device=DEVICE, shape="tiny", dtype="float32")
    lines = benchmark.run(settings)
    assert all(line.met is not False for line in lines if line.unit == "difference")
    peaks = [line.value for line in lines if "peak device memory" in line.what]
    assert len(peaks) >= 2 and min(peaks) > 1


def test_a_whole_run_on_the_device_finds_the_same_neurons(tmp_path):
    """`mitigate organism --device cuda` as somebody types it, beside the same on the processor."""
    few = ["--max-items", "60", "--crispr.instances", "10", "--crispr.trials", "1", "--crispr.grid", "3,8,20"]
    words = [
        "organism",
        "--task",
        "organism:bias",
        "--method",
        "crispr",
        "--beside",
        "none",
        "--also",
        "perplexity",
        *few,
    ]
    found, recorded = [], []
    for device in ("cpu", DEVICE):
        folder = tmp_path / device
        done = subprocess.run(
            [sys.executable, "-m", "biasectomy", "mitigate", *words, "--device", device, "--out", str(folder)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found.append({(one.module, one.unit) for one in NeuronSet.load(folder / "neurons.json")})
        recorded.append(json.loads((folder / "results.json").read_text())["device"])
        assert (folder / "report.html").stat().st_size and (folder / "model" / "model.safetensors").stat().st_size
    assert recorded[0] == "cpu" and recorded[1].startswith(DEVICE)
    assert found[0] and len(found[0] & found[1]) >= 0.8 * len(found[0] | found[1])
