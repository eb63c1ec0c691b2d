"""`--as adapter` of `apply` and `mitigate`, and `--strength`."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from biasectomy.commands import apply, mitigate
from biasectomy.commands.settings_loading import explicit_command, load_settings
from biasectomy.commands.settings_measuring import MitigateSettings
from biasectomy.commands.settings_neurons import ApplySettings
from biasectomy.errors import NeuronSetError, RunError, SettingsError
from biasectomy.files import read_json
from biasectomy.models.adapters import CONFIG, WEIGHTS
from biasectomy.models.manifest import is_as_written
from biasectomy.neurons.neuron_set import NeuronSet
from tests.commands.cases import chosen_in
from tests.conftest import build_tokenizer
from tests.reading.architectures import ARCHITECTURES

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks for it

TOKENS = torch.tensor([[5, 9, 2, 7, 11, 3]])


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=TOKENS).logits.clone()


@pytest.fixture(scope="module")
def adapted(case, tmp_path_factory) -> Path:
    """A run that leaves an adapter."""
    out = tmp_path_factory.mktemp("adapted") / "run"
    case.mitigate(out, save_as="adapter")
    assert chosen_in(out) > 0
    return out


def test_the_adapter_of_a_run_stands_where_its_checkpoint_would(adapted, finished, tiny):
    assert not (adapted / "model").exists() and is_as_written(adapted / "adapter")
    assert (adapted / "neurons.json").read_bytes() == (finished / "neurons.json").read_bytes()
    assert 0 <= read_json(adapted / "record.json")["reload_difference"] <= 1e-4
    with tiny.edited(NeuronSet.load(adapted / "neurons.json")):
        expected = logits(tiny.model)
    assert (logits(tiny.model) - expected).abs().max() > 1e-2
    found = logits(PeftModel.from_pretrained(tiny.model, adapted / "adapter"))
    assert (found - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


def test_measuring_comes_to_the_same(adapted, finished):
    of_adapter, of_checkpoint = (read_json(folder / "results.json") for folder in (adapted, finished))
    assert of_adapter["metrics"] == of_checkpoint["metrics"]
    assert set(of_adapter["settings"]) == set(of_checkpoint["settings"])


def test_a_resumed_run_finds_its_adapter_or_writes_it_anew(adapted, case, tmp_path, monkeypatch, caplog):
    out = tmp_path / "run"
    shutil.copytree(adapted, out)
    before = (out / "adapter" / WEIGHTS).read_bytes()
    (out / "adapter" / WEIGHTS).write_bytes(before[:-1])
    case.mitigate(out, resume=True, save_as="adapter")
    assert "is not as this run wrote it; it is written anew" in caplog.text
    assert (out / "adapter" / WEIGHTS).read_bytes() == before
    monkeypatch.setattr(mitigate, "save_adapter", None)
    case.mitigate(out, resume=True, save_as="adapter")
    assert 0 <= read_json(out / "record.json")["reload_difference"] <= 1e-4
    with pytest.raises(RunError, match="save-as was 'adapter' and is 'checkpoint' now"):
        case.mitigate(out, resume=True)
    (out / "adapter" / "mine").write_text("x")
    with pytest.raises(RunError, match="holds mine, which this run did not write there"):
        case.mitigate(out, resume=True, save_as="adapter")
    with pytest.raises(RunError, match="it holds adapter/mine, which no run wrote"):
        case.mitigate(out, overwrite=True)
    assert (out / "adapter" / "mine").exists()


def test_a_method_without_factors_has_no_adapter(case, tmp_path, caplog):
    case.mitigate(tmp_path / "run", method="fair-prompt", save_as="adapter")
    said = "sets no factors of neurons: there is no (IA)^3 adapter to write;"
    assert f"'fair-prompt' {said} leave --as adapter out." in caplog.text
    assert not (tmp_path / "run" / "adapter").exists() and (tmp_path / "run" / "results.json").exists()
    case.mitigate(tmp_path / "lora", method="lora", lora={"steps": 2, "items_a_step": 4}, save_as="adapter")
    kept = tmp_path / "lora" / "methods" / "lora" / "adapter"
    assert f"'lora' {said} what it learned is in {kept}." in caplog.text and (kept / CONFIG).exists()


def test_where_nothing_is_taken_out_there_is_nothing_to_hold(case, tmp_path, caplog):
    case.mitigate(tmp_path / "run", crispr={"grid": (0,)}, save_as="adapter")
    assert "No factor of this neuron set differs from 1" in caplog.text
    assert not (tmp_path / "run" / "adapter").exists() and (tmp_path / "run" / "report.md").exists()


def applied(case, finished, out: Path, **changes) -> Path:
    return apply.run(case.settings(ApplySettings, neurons_file=finished / "neurons.json", out=out, **changes))


@pytest.mark.parametrize("strength", [0.5, 1.0, -1.0])
def test_half_the_way_as_checkpoint_and_as_adapter(case, finished, tiny, tmp_path, strength):
    from transformers import AutoModelForCausalLM

    neurons = NeuronSet.load(finished / "neurons.json")
    with tiny.edited(neurons.with_strength(strength)):
        expected = logits(tiny.model)
    checkpoint = applied(case, finished, tmp_path / "checkpoint", strength=strength)
    adapter = applied(case, finished, tmp_path / "adapter", strength=strength, save_as="adapter")
    bound = 1e-5 * max(1.0, float(expected.abs().max()))
    assert (logits(AutoModelForCausalLM.from_pretrained(checkpoint)) - expected).abs().max() <= bound
    assert (logits(PeftModel.from_pretrained(tiny.model, adapter)) - expected).abs().max() <= bound


def test_no_strength_leaves_the_model(case, finished, tiny, tmp_path):
    from transformers import AutoModelForCausalLM

    checkpoint = applied(case, finished, tmp_path / "checkpoint", strength=0)
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(checkpoint)), logits(tiny.model))
    with pytest.raises(NeuronSetError, match="No factor of this neuron set differs from 1"):
        applied(case, finished, tmp_path / "adapter", strength=0, save_as="adapter")
    assert not (tmp_path / "adapter").exists()


def test_an_adapter_is_replaced_when_it_may_be(case, finished, tmp_path):
    out = applied(case, finished, tmp_path / "adapter", save_as="adapter", count=1)
    few = read_json(out / CONFIG)["target_modules"]
    with pytest.raises(RunError, match="is not empty; add --overwrite"):
        applied(case, finished, out, save_as="adapter")
    applied(case, finished, out, save_as="adapter", overwrite=True)
    assert len(read_json(out / CONFIG)["target_modules"]) > len(few)
    # One may stand where the other was: both were written here.
    applied(case, finished, out, overwrite=True)
    assert (out / "config.json").exists() and not (out / CONFIG).exists()
    (out / "mine").write_text("x")
    with pytest.raises(RunError, match="it holds mine, which was not written here"):
        applied(case, finished, out, save_as="adapter", overwrite=True)


def test_fused_experts_are_refused_before_anything_is_written(case, tmp_path):
    ARCHITECTURES["mixtral"]().save_pretrained(tmp_path / "mixture")
    build_tokenizer().save_pretrained(tmp_path / "mixture")
    neuron = {"module": "model.layers.0.mlp.experts.down_proj.1", "unit": 3, "score": 1.0, "factor": 0.5}
    content = {"schema_version": 1, "definition": "ffn-hidden", "neurons": [neuron]}
    (tmp_path / "n.json").write_text(json.dumps(content))
    settings = {"neurons_file": tmp_path / "n.json", "model": str(tmp_path / "mixture"), "out": tmp_path / "out"}
    with pytest.raises(NeuronSetError, match=r"has factors of fused experts, .* --as checkpoint"):
        apply.run(ApplySettings.of(save_as="adapter", **settings))
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_where_the_form_and_the_strength_are_said(tmp_path, monkeypatch):
    given = {"neurons_file": "n.json"}
    assert load_settings(ApplySettings, given).save_as == "checkpoint"
    (tmp_path / "c.toml").write_text('save_as = "adapter"\nstrength = 0.25\n')
    settings = load_settings(ApplySettings, given, tmp_path / "c.toml")
    assert (settings.save_as, settings.strength) == ("adapter", 0.25)
    assert explicit_command(settings) == "biasectomy apply n.json smollm2 --as adapter --strength 0.25"
    monkeypatch.setenv("BIASECTOMY_SAVE_AS", "adapter")
    assert load_settings(MitigateSettings, {}).save_as == "adapter"
    assert load_settings(MitigateSettings, {"save_as": "checkpoint"}).save_as == "checkpoint"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"save_as": "adaptor"}, r"--as is 'adaptor'; it must be one of checkpoint, adapter \(did you mean 'adapter'"),
        ({"save_as": "adapter", "save_dtype": "bfloat16"}, "--save-dtype bfloat16 is for checkpoints; .*--as checkp"),
        ({"strength": "10.5"}, "--strength is '10.5'; it must be at most 10"),
        ({"strength": "-11"}, "--strength is '-11'; it must be at least -10"),
        ({"strength": "nan"}, "--strength is 'nan'"),
        ({"strength": "half"}, "--strength is 'half'; it must be a number"),
    ],
)  # fmt: skip
def test_a_form_or_a_strength_that_is_none(given, said):
    with pytest.raises(SettingsError, match=said):
        load_settings(ApplySettings, {"neurons_file": "n.json"} | given)
    if "strength" not in given:
        with pytest.raises(SettingsError, match=said):
            load_settings(MitigateSettings, given)


def test_several_processes_all_hear_that_there_is_nothing_to_write(case, tmp_path):
    """Only the main process writes; the others must not wait for what it was refused."""
    from tests.commands.test_processes import end, launch

    words = case.words(MitigateSettings, method="fair-prompt", save_as="adapter", out=tmp_path / "run")
    ended = end(launch([*words, "--device", "cpu", "--threads", "1"]))
    assert ended.code == 0 and ended.errors.count("there is no (IA)^3 adapter to write") == 1, ended.errors
    assert read_json(tmp_path / "run" / "record.json")["status"] == "finished"
