"""GGUF files as kept checkpoints: converted once, whole or not at all, the same model as unpacked each time."""

import hashlib
import json
import os
import threading
import time
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from biasectomy import checksums
from biasectomy.checksums import remembered_sha256
from biasectomy.errors import ModelError, RunError
from biasectomy.models import conversions, loading
from biasectomy.models.conversions import MANIFEST, WEIGHTS, kept_conversion, unpacked_bytes
from biasectomy.models.fingerprints import fingerprint
from biasectomy.models.language_model import LanguageModel, load
from tests.conftest import build_llama, build_tokenizer

# What transformers calls a weight, and what a GGUF file does.
OUTSIDE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
INSIDE = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def write_gguf(path: Path, seed: int = 0, leave_out: str = "nothing") -> Path:
    """A Llama of two layers with eight-bit matrices, as llama.cpp would have it."""
    tokenizer = build_tokenizer(chat=True)
    model = build_llama(len(tokenizer), seed=seed, hidden_size=32, intermediate_size=64)
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    state = tokenizer.backend_tokenizer.to_str()
    merges = [" ".join(pair) for pair in json.loads(state)["model"]["merges"]]
    tokens = [tokenizer.convert_ids_to_tokens(place) for place in range(len(tokenizer))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    kinds = [
        gguf.TokenType.CONTROL if token in tokenizer.all_special_tokens else gguf.TokenType.NORMAL for token in tokens
    ]
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_chat_template(tokenizer.chat_template)
    for name, tensor in model.state_dict().items():
        outer = OUTSIDE.get(name)
        if outer is None and name.startswith("model.layers."):
            _, _, layer, rest = name.split(".", 3)
            outer = f"blk.{layer}.{INSIDE[rest.removesuffix('.weight')]}.weight"
        if outer is None or outer == leave_out:
            continue  # the output matrix is that of the embeddings
        values = tensor.float().numpy()
        if outer.endswith(("attn_q.weight", "attn_k.weight")):
            values = interleaved(
                values, config.num_attention_heads if "attn_q" in outer else config.num_key_value_heads
            )
        if values.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(outer, gguf.quants.quantize(np.ascontiguousarray(values), kind), raw_dtype=kind)
        else:
            writer.add_tensor(outer, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def interleaved(values, heads):
    """Rows of a head in the order of llama.cpp, whose rotation pairs neighbours."""
    rows, width = values.shape
    return values.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


@pytest.fixture(scope="module")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIASECTOMY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The list grows by one a conversion."""
    found: list[str] = []
    before = loading.unpacked

    def unpack(folder: Path, gguf_file: str):
        found.append(gguf_file)
        return before(folder, gguf_file)

    monkeypatch.setattr(loading, "unpacked", unpack)
    return found


def kept_in(cache: Path) -> list[Path]:
    return [path for path in (cache / "models").iterdir() if path.is_dir()]


def same(first: LanguageModel, second: LanguageModel) -> bool:
    questions = ["Who forgot the keys?", "<user> The grandfather <end>"]
    tokens = [[one.tokenizer(text).input_ids for text in questions] for one in (first, second)]
    templates = [one.tokenizer.chat_template for one in (first, second)]
    return fingerprint(first.model) == fingerprint(second.model) and tokens[0] == tokens[1] and len(set(templates)) == 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_kept_checkpoint_is_the_model_that_the_file_holds(tiny_gguf, made, cache, monkeypatch, dtype):
    first, second = (load(str(tiny_gguf), dtype=dtype) for _ in range(2))
    assert made == ["tiny.gguf"] and len(kept_in(cache)) == 1
    monkeypatch.setattr(loading, "converted", lambda *_: None)
    directly = load(str(tiny_gguf), dtype=dtype)
    assert same(first, second) and same(first, directly)
    assert first.weights.stored_dtype is None and first.source.checksums() == directly.source.checksums()
    assert (first.model.generate is not None) and first.model.dtype == getattr(torch, dtype)


def test_a_copy_with_another_name_is_the_same_and_a_changed_file_is_not(tiny_gguf, made, cache, tmp_path):
    load(str(tiny_gguf))
    copy = tmp_path / "another name.gguf"
    copy.write_bytes(tiny_gguf.read_bytes())
    load(str(copy))
    assert made == ["tiny.gguf"]
    write_gguf(copy, seed=1)
    load(str(copy))
    assert made == ["tiny.gguf", copy.name] and len(kept_in(cache)) == 2


@pytest.mark.parametrize("damage", ["weights", "manifest", "no weights"])
def test_a_damaged_conversion_is_made_again(tiny_gguf, made, cache, damage):
    before = fingerprint(load(str(tiny_gguf)).model)
    (folder,) = kept_in(cache)
    if damage == "manifest":
        (folder / MANIFEST).write_text("[]")
    elif damage == "weights":
        (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-4] + b"\0\0\0\1")
    else:
        (folder / WEIGHTS).unlink()
    assert fingerprint(load(str(tiny_gguf)).model) == before and len(made) == 2


@pytest.mark.parametrize(("limit", "value", "said"), [("LARGEST", 1000, "at most"), ("LEFT_FREE", 10**18, "are free")])
def test_what_is_too_large_is_not_kept_and_loads_all_the_same(
    tiny_gguf, cache, monkeypatch, caplog, limit, value, said
):
    monkeypatch.setattr(conversions, limit, value)
    assert load(str(tiny_gguf)).model.dtype == torch.float32
    assert not (cache / "models").exists() and said in caplog.text and "unpacked anew whenever" in caplog.text


def test_a_cache_that_cannot_be_written_is_done_without(tiny_gguf, cache, caplog):
    cache.write_text("a file where the folder would be")
    load(str(tiny_gguf))
    assert "unpacked anew whenever it is loaded" in caplog.text and "cannot be written" in caplog.text


@pytest.mark.parametrize("damage", ["cut off", "a weight is missing"])
def test_what_cannot_be_loaded_leaves_nothing(tiny_gguf, cache, tmp_path, damage):
    file = tmp_path / "bad.gguf"
    if damage == "cut off":
        file.write_bytes(tiny_gguf.read_bytes()[:-5000])
    else:
        write_gguf(file, leave_out="blk.1.ffn_up.weight")
    with pytest.raises(ModelError, match="damaged or cut off" if damage == "cut off" else "weights are missing"):
        load(str(file))
    assert kept_in(cache) == []


def test_the_bytes_are_those_of_the_weights(tiny_gguf, made, cache):
    load(str(tiny_gguf))
    (folder,) = kept_in(cache)
    head = int.from_bytes((folder / WEIGHTS).read_bytes()[:8], "little")
    assert unpacked_bytes(tiny_gguf) == (folder / WEIGHTS).stat().st_size - 8 - head


def test_of_several_at_once_one_converts(cache):
    made, found = [], []

    def convert(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.3)
        folder.mkdir()
        (folder / WEIGHTS).write_bytes(b"w")

    threads = [
        threading.Thread(target=lambda: found.append(kept_conversion("x", "ab" * 32, convert, ""))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and len(set(found)) == 1 and len(found) == 4


def test_an_interrupted_conversion_leaves_nothing_that_would_be_read(cache):
    def convert(folder: Path) -> None:
        folder.mkdir()
        (folder / WEIGHTS).write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept_conversion("x", "ab" * 32, convert, "")
    assert kept_in(cache) == []


def test_a_checksum_is_remembered_until_the_file_changes(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "LARGE", 4)
    hashed: list[Path] = []
    before = checksums.sha256_of
    monkeypatch.setattr(checksums, "sha256_of", lambda path: hashed.append(path) or before(path))
    file = tmp_path / "weights"
    for content in (b"first", b"other", b"longer"):
        file.write_bytes(content)
        os.utime(file, ns=(len(hashed), len(hashed)))
        for _ in range(2):
            assert remembered_sha256(file) == hashlib.sha256(content).hexdigest()
    assert len(hashed) == 3 and len([*(cache / "checksums").iterdir()]) == 1
    next((cache / "checksums").iterdir()).write_text("[]")
    assert remembered_sha256(file) == hashlib.sha256(b"longer").hexdigest() and len(hashed) == 4
    file.write_bytes(b"few")
    assert remembered_sha256(file) == hashlib.sha256(b"few").hexdigest()  # too small to be remembered


def test_smollm2_and_a_users_file_are_kept_by_one_mechanism(cache, monkeypatch):
    from biasectomy.models import sources

    asked = []

    def keep(name, sha256, convert, said):
        asked.append((name, sha256))
        raise RunError("enough")

    monkeypatch.setattr(sources, "kept_conversion", keep)
    with pytest.raises(RunError):
        sources.smollm2_folder()
    assert asked == [("smollm2", sources.SMOLLM2_SHA256)]
