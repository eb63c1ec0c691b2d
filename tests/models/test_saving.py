"""Checkpoints: the number format they keep, the proof that they are what was meant, what a killed process leaves."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from biasectomy.errors import RunError
from biasectomy.files import read_json
from biasectomy.models.language_model import load
from biasectomy.models.saving import size_in_words
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from tests.conftest import build_llama, build_tokenizer
from tests.reading.encoder_decoders import CONFIGURATIONS, build

MODULE = "model.layers.1.mlp.up_proj"
REMOVED = NeuronSet((Neuron(MODULE, 3, 1.0),))
DAMPENED = NeuronSet((Neuron(MODULE, 3, 1.0, 0.3),))


@pytest.fixture
def stored(tmp_path: Path):
    """Makes a checkpoint in a number format."""

    def make(dtype: torch.dtype = torch.float32, **config) -> Path:
        folder = tmp_path / str(dtype)
        tokenizer = build_tokenizer()
        build_llama(len(tokenizer), **config).to(dtype).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


def formats(folder: Path) -> set[torch.dtype]:
    return {value.dtype for value in load_file(folder / "model.safetensors").values()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("tied", [True, False])
def test_the_number_format_of_the_source_is_kept(stored, tmp_path, dtype, tied):
    source = stored(dtype, tie_word_embeddings=tied)
    model = load(str(source))
    assert model.model.dtype == torch.float32
    assert model.save(tmp_path / "saved", REMOVED) <= 1e-4  # what was stored in half precision is stored again exactly
    assert formats(tmp_path / "saved") == {dtype}
    assert read_json(tmp_path / "saved" / "config.json")["dtype"] == str(dtype).removeprefix("torch.")
    before, after = (folder / "model.safetensors" for folder in (source, tmp_path / "saved"))
    assert after.stat().st_size == pytest.approx(before.stat().st_size, rel=0.02)
    kept, changed = load_file(before), load_file(after)
    assert [name for name in kept if not torch.equal(kept[name], changed[name])] == [f"{MODULE}.weight"]


def test_another_number_format_is_chosen_and_what_it_costs_is_told(stored, tmp_path):
    model = load(str(stored()))
    cost = model.save(tmp_path / "half", DAMPENED, dtype="bfloat16")
    assert formats(tmp_path / "half") == {torch.bfloat16} and size_in_words(tmp_path / "half").startswith("bfloat16, ")
    assert 1e-4 < cost < 1
    assert model.save(tmp_path / "full", DAMPENED, dtype="float32") <= 1e-4
    kept = load_file(tmp_path / "full" / "model.safetensors")
    for name, value in load_file(tmp_path / "half" / "model.safetensors").items():
        assert torch.equal(value, kept[name].to(torch.bfloat16)), name


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_encoder_decoders_in_another_format(name, tmp_path):
    build(name).save_pretrained(tmp_path / "source")
    build_tokenizer(chat=False).save_pretrained(tmp_path / "source")
    model = load(str(tmp_path / "source"))
    assert model.save(tmp_path / "half", dtype="float16") < 1
    assert formats(tmp_path / "half") == {torch.float16}


def test_a_checkpoint_that_was_written_otherwise_is_not_kept(stored, tmp_path, monkeypatch):
    model = load(str(stored()))
    real = type(model.model).save_pretrained

    def careless(self, folder, **options):
        real(self, folder, **options)
        from safetensors.torch import save_file

        weights = load_file(folder / "model.safetensors")
        weights["model.norm.weight"][0] += 1e-3
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    monkeypatch.setattr(type(model.model), "save_pretrained", careless)
    with pytest.raises(RunError, match=r"its 'model\.norm\.weight' is not what was to be written; it was not kept"):
        model.save(tmp_path / "saved", REMOVED)
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        Exception("No space left on device (os error 28)"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_disk_that_fills_up_while_the_tokenizer_is_saved(stored, tmp_path, monkeypatch, error):
    model = load(str(stored()))

    def full(folder):
        raise error

    monkeypatch.setattr(model.tokenizer, "save_pretrained", full)
    with pytest.raises(RunError, match=r"[Tt]he disk (is )?full"):
        model.save(tmp_path / "saved")
    assert not list(tmp_path.glob(".saved*")) and not (tmp_path / "saved").exists()


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_makes_is_not(stored, tmp_path):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = {
        "dead": tmp_path / f".saved.{platform.node()}-{int(gone.stdout)}.x1",
        "living": tmp_path / f".saved.{platform.node()}-{os.getppid()}.x2",
        "elsewhere": tmp_path / ".saved.another.machine-1.x3",
    }
    for folder in left.values():
        folder.mkdir()
        (folder / "model.safetensors").touch()
    load(str(stored())).save(tmp_path / "saved")
    assert {name for name, folder in left.items() if folder.exists()} == {"living", "elsewhere"}
