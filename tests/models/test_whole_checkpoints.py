"""Checkpoints that lack weights, that are no causal language models, or that are damaged: each is one sentence."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from biasectomy.errors import ModelError, SourceError
from biasectomy.models.fingerprints import fingerprint
from biasectomy.models.language_model import load
from tests.conftest import build_llama, build_tokenizer, save_tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "model")


def changed(folder: Path, **settings) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(str(folder))
    text = str(caught.value)
    assert "Traceback" not in text and "report above" not in text and "above report" not in text and "\n" not in text
    return text


def test_layers_that_the_file_does_not_hold_are_not_made_up(folder):
    said = refused(changed(folder, num_hidden_layers=4))
    assert "is not whole: 18 of its weights are missing: model.layers.2.input_layernorm.weight" in said


def test_a_weight_that_is_left_out_is_named(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "1 of its weights are missing: model.layers.1.mlp.up_proj.weight." in refused(folder)


def test_sizes_that_contradict_the_configuration_are_named(folder):
    said = refused(changed(folder, intermediate_size=44))
    assert "model.layers.0.mlp.down_proj.weight (16 x 40, where the configuration says 16 x 44)" in said


def test_weights_that_the_model_has_no_place_for_are_told(folder, caplog):
    assert load(str(changed(folder, num_hidden_layers=1))).model.config.num_hidden_layers == 1
    assert "9 weights of" in caplog.text and "model.layers.1.input_layernorm.weight" in caplog.text


def test_tied_weights_are_not_missing(folder, caplog):
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    load(str(folder))
    assert not caplog.text


def test_an_encoder_without_a_head_or_with_one_is_refused(tmp_path):
    from transformers import BertConfig, BertLMHeadModel, BertModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 20}
    config = BertConfig(vocab_size=400, is_decoder=False, **sizes)
    BertModel(config).save_pretrained(tmp_path / "bare")
    BertLMHeadModel(config).save_pretrained(tmp_path / "headed")
    for name in ("bare", "headed"):
        build_tokenizer().save_pretrained(tmp_path / name)
    assert "cls.predictions" in refused(tmp_path / "bare")
    assert "looks ahead" in refused(tmp_path / "headed")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_causal_model_does_not_look_ahead_in_any_format(folder, dtype):
    assert load(str(folder), dtype=dtype).model.dtype == getattr(torch, dtype)


def test_pickled_weights_are_not_read(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert "no weights in the safetensors format" in refused(folder)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_that_is_cut_off_is_called_damaged(folder, share):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert "safetensors file is damaged or cut off" in refused(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "{" * 100_000, "null"])
def test_a_configuration_that_is_none_is_one_sentence(folder, text):
    (folder / "config.json").write_text(text)
    refused(folder)


@pytest.mark.parametrize("row", range(0, 40, 5))
def test_the_fingerprint_sees_every_row(row):
    model = build_llama(300)
    before = fingerprint(model)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[row] = 0
    assert fingerprint(model) != before


def test_the_fingerprint_is_of_values_not_of_a_number_format(tiny):
    half = build_llama(300).to(torch.bfloat16)
    assert fingerprint(half) == fingerprint(half.float()) != fingerprint(build_llama(300))
    assert tiny.description()["fingerprint"] == fingerprint(tiny.model)


def without(*patterns):
    """Deletes files of a checkpoint."""
    return lambda folder: [path.unlink() for pattern in patterns for path in folder.glob(pattern)]


def config(**values):
    """Changes a configuration."""
    return lambda folder: changed(folder, **values)


def writing(name, text, *, instead_of=()):
    """Writes a file of a checkpoint."""

    def change(folder):
        without(*instead_of)(folder)
        (folder / name).write_text(text)

    return change


WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD = json.dumps({"metadata": {}, "weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}})
CODE = {"AutoConfig": "x.Y", "AutoModelForCausalLM": "x.Z"}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (config(model_type="foo"), "model type `foo`, which the installed transformers does not know"),
        (config(model_type=None), "which the installed transformers does not know"),
        (config(model_type="clip"), "no language model that could score texts, but a CLIP"),
        (config(hidden_size=-4), "its weights cannot be used"),
        (config(hidden_size="big"), "its configuration cannot be used"),
        (config(hidden_size=10**9), "GiB for its weights"),
        (config(num_hidden_layers=10**7), "says 10,000,000 layers; no model has so many"),
        (config(model_type="zzz", auto_map=CODE), "if you trust it, add --trust-remote-code"),
        (without("tok*"), "its tokenizer cannot be used"),
        (writing("tokenizer.json", "{"), "its tokenizer cannot be used"),
        (writing("tokenizer.json", ""), "its tokenizer cannot be used"),
        (writing("tokenizer.json", "null"), "its tokenizer cannot be used"),
        (writing("tokenizer_config.json", "[1]"), "its tokenizer cannot be used"),
        (writing(INDEX, SHARD, instead_of=[WEIGHTS]), "a file that it names is not there"),
        (writing(INDEX, "[", instead_of=[WEIGHTS]), "its weights cannot be used"),
        (writing("pytorch_model.bin", "x", instead_of=[WEIGHTS]), "no weights in the safetensors format"),
        (lambda folder: (without(WEIGHTS)(folder), (folder / WEIGHTS).mkdir()), "no weights in the safetensors format"),
    ],
)
def test_any_damage_is_one_sentence_that_names_the_part(folder, damage, said):
    damage(folder)
    message = refused(folder)
    assert said in message and "\n" not in message
    for nowhere in ("weights_only", "above report", "http"):
        assert nowhere not in message


def test_a_path_that_leads_nowhere(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, said in ((str(tmp_path / "loop"), "a link that leads to nothing"), ("~nosuch/x", "there is no user")):
        with pytest.raises(SourceError, match=said):
            load(name)
