"""What a benchmark measures: a model and a task, real ones, or made-up ones of a known shape on any device."""

from typing import Any, Literal, cast

import torch

from benchmarks.base import Settings
from benchmarks.made_up_task import made_up_task, made_up_tokenizer
from biasectomy import load, load_task
from biasectomy.errors import UnknownNameError
from biasectomy.models.language_model import ACCELERATOR_BATCH_TOKENS, CPU_BATCH_TOKENS, LanguageModel
from biasectomy.models.loading import named_device, number_format
from biasectomy.reading.likelihood import layout_for
from biasectomy.reading.prompts import prompt_format
from biasectomy.tasks import Task

_LLAMA_3: dict[str, Any] = {
    "vocab_size": 128_256,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131_072,
    "rms_norm_eps": 1e-5,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_STRETCHED = {
    "rope_type": "llama3",
    "rope_theta": 500_000.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "vocab_size": 512,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "llama-1b": _LLAMA_3  # Llama 3.2 1B
    | {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "head_dim": 64,
        "tie_word_embeddings": True,
        "rope_parameters": _STRETCHED | {"factor": 32.0},
    },
    "llama-8b": _LLAMA_3  # Llama 3.1 8B
    | {
        "hidden_size": 4096,
        "intermediate_size": 14_336,
        "num_hidden_layers": 32,
        "rope_parameters": _STRETCHED | {"factor": 8.0},
    },
}
"""By name, the configuration of a decoder."""


def shape_of(name: str) -> dict[str, Any]:
    """The configuration of a shape.

    Raises:
        UnknownNameError: there is no such shape.
    """
    if name not in SHAPES:
        raise UnknownNameError("shape", name, SHAPES)
    return SHAPES[name]


def language_model(
    settings: Settings, dtype: str = "float32", prompt: Literal["auto", "plain"] = "auto"
) -> LanguageModel:
    """The model that is measured, frozen: the settings' own, or one of the shape, with random weights."""
    if settings.shape is None:
        return load(settings.model, prompt=prompt, dtype=dtype, device=settings.device)
    return made_up_language_model(settings.shape, dtype, settings.device)


def task(settings: Settings) -> Task:
    """The task that is measured: the settings' own, or items of random words in its shape."""
    if settings.shape is None:
        return load_task(settings.task)
    return made_up_task(shape_of(settings.shape)["vocab_size"])


def made_up_language_model(shape: str, dtype: str = "float32", device: str = "cpu", seed: int = 0) -> LanguageModel:
    """A model of a shape with random weights, made where it computes, and a tokenizer of whole words.

    Raises:
        UnknownNameError: there is no such shape or number format.
        ModelError: there is no such device.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    wanted, family = shape_of(shape), cast(Any, LlamaForCausalLM)
    torch.manual_seed(seed)
    where = named_device(device)
    with where:
        model = family._from_config(LlamaConfig(**wanted), dtype=number_format(dtype))
    model.eval().requires_grad_(False)
    tokenizer = made_up_tokenizer(wanted["vocab_size"])
    found = LanguageModel(
        model,
        tokenizer,
        prompt_format(tokenizer, model.config, "plain"),
        shape,
        batch_tokens=CPU_BATCH_TOKENS if where.type == "cpu" else ACCELERATOR_BATCH_TOKENS,
    )
    found.layout = layout_for(model, wanted["vocab_size"])
    return found
