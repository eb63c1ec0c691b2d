"""Models with random weights and prompts of random tokens, for what depends on shapes alone."""

import random
from collections.abc import Sequence
from typing import Any

import torch

from biasectomy.attribution.products.engine import Instance
from biasectomy.reading.prompts import EncodedPrompt

END = 1  # the end-of-sequence token of T5
OPTION_LENGTHS = (2, 3, 4, 5)


def flan_t5_base() -> Any:
    """An encoder-decoder of the shape of Flan-T5-base."""
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "d_model": 768,
        "d_kv": 64,
        "d_ff": 2048,
        "num_layers": 12,
        "num_decoder_layers": 12,
        "num_heads": 12,
    }
    special: dict[str, Any] = {"pad_token_id": 0, "eos_token_id": END, "decoder_start_token_id": 0}
    family: dict[str, Any] = {"vocab_size": 32128, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
    model: Any = T5ForConditionalGeneration(T5Config(**shape, **special, **family))
    model.eval().requires_grad_(False)
    # An untied head starts out so large that the probability of a label would not be a number above zero.
    model.lm_head.weight.mul_(shape["d_model"] ** -0.5)
    return model


def small_decoder(layers: int = 4, vocabulary: int = 2048) -> Any:
    """A decoder of Llama's shape that computes a prompt in milliseconds."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
    )
    model: Any = LlamaForCausalLM(config)
    return model.eval().requires_grad_(False)


def encoder_decoder_instances(lengths: Sequence[int], vocabulary: int = 32128, seed: int = 0) -> list[Instance]:
    """Instances with inputs of the given lengths and three options, each ended as T5 ends labels."""
    generator = random.Random(seed)
    instances = []
    for number, length in enumerate(lengths):
        prompt = (*_tokens(generator, length - 1, vocabulary), END)
        options = tuple((*_tokens(generator, generator.choice(OPTION_LENGTHS), vocabulary), END) for _ in range(3))
        instances.append(Instance(f"made-up/{number}", EncodedPrompt(prompt, options), generator.randrange(3)))
    return instances


def decoder_instances(
    items: int, instructions: int, options: int, length: int, vocabulary: int = 2048, seed: int = 0
) -> list[Instance]:
    """Instances of which those under one instruction begin alike, as real prompts do; a quarter of each is that."""
    generator = random.Random(seed)
    instances = []
    for number in range(instructions):
        instruction = _tokens(generator, length // 4, vocabulary)
        for item in range(items):
            prompt = (*instruction, *_tokens(generator, length - len(instruction), vocabulary))
            answers = tuple(_tokens(generator, 4, vocabulary) for _ in range(options))
            instances.append(Instance(f"made-up/{number}/{item}", EncodedPrompt(prompt, answers), item % options))
    return instances


def _tokens(generator: random.Random, count: int, vocabulary: int) -> tuple[int, ...]:
    return tuple(generator.randrange(3, vocabulary) for _ in range(count))
