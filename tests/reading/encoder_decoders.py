"""Every family of encoder-decoders that the tests go through, as tiny configurations."""

from collections.abc import Callable
from typing import Any

import torch

VOCABULARY = 400
T5 = {"d_model": 16, "d_ff": 40, "d_kv": 4, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 0}


def t5(**more: Any):
    from transformers import T5Config

    return T5Config(vocab_size=VOCABULARY, **(T5 | SPECIAL | more))


def mt5():
    from transformers import MT5Config

    return MT5Config(vocab_size=VOCABULARY, **(T5 | SPECIAL))


def umt5():
    from transformers import UMT5Config

    return UMT5Config(vocab_size=VOCABULARY, **(T5 | SPECIAL))


def bart():
    from transformers import BartConfig

    sizes = dict.fromkeys(("encoder_layers", "decoder_layers"), 2) | dict.fromkeys(
        ("encoder_attention_heads", "decoder_attention_heads"), 4
    )
    widths = dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), 40)
    special = SPECIAL | {"decoder_start_token_id": 2}
    return BartConfig(
        vocab_size=VOCABULARY, d_model=16, max_position_embeddings=300, init_std=0.3, **sizes, **widths, **special
    )


def t5gemma():
    from transformers import T5GemmaConfig

    module = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "head_dim": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 300,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "initializer_range": 0.3,
    }
    return T5GemmaConfig(
        encoder=module, decoder=module | {"cross_attention_hidden_size": 16}, vocab_size=VOCABULARY, **SPECIAL
    )


CONFIGURATIONS: dict[str, Callable[[], Any]] = {
    "t5": t5,
    "flan-t5": lambda: t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    "mt5": mt5,
    "umt5": umt5,
    "bart": bart,
    "t5gemma": t5gemma,
}


def build(name: str):
    """A random model of a family, with weights large enough for its answers to differ."""
    from transformers import AutoModelForSeq2SeqLM

    torch.manual_seed(0)
    model = AutoModelForSeq2SeqLM.from_config(CONFIGURATIONS[name]()).eval()
    with torch.no_grad():
        for path, parameter in model.named_parameters():
            if parameter.dim() > 1 and "relative" not in path:
                parameter.mul_(3)
    return model
