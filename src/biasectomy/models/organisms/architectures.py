"""The two small models, and the feed-forward units in which a stereotype is planted.

Both start with some attention heads of which each looks a fixed number of tokens back: that is what such models take
longest to find by themselves, and has nothing to do with what is planted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.models.organisms.recipe import Recipe
from biasectomy.neurons.neuron_set import Neuron

LOOKING_BACK = (1, 2, 3)  # tokens, one head each
LONGEST_TEXT = 512


def build(recipe: Recipe, tokenizer: Any) -> Any:
    """A model that has learnt nothing; its units for the stereotype are zero and stay so while they are zero."""
    torch.manual_seed(recipe.seed)
    model = _llama(recipe, tokenizer) if recipe.architecture == "llama" else _t5(recipe, tokenizer)
    with torch.no_grad():
        for block in feed_forwards(model):
            for linear in block.incoming:
                linear.weight[recipe.hidden :] = 0
            block.outgoing.weight[:, recipe.hidden :] = 0
    return model


@dataclass(frozen=True)
class FeedForward:
    """The linear maps of one gated feed-forward part."""

    names: tuple[str, ...]  # of the incoming ones
    incoming: tuple[nn.Linear, ...]
    outgoing_name: str
    outgoing: nn.Linear


def feed_forwards(model: nn.Module) -> Iterator[FeedForward]:
    """The feed-forward parts of either model."""
    for path, module in model.named_modules():
        for incoming, outgoing in ((("gate_proj", "up_proj"), "down_proj"), (("wi_0", "wi_1"), "wo")):
            if hasattr(module, outgoing):
                yield FeedForward(
                    tuple(f"{path}.{name}" for name in incoming),
                    tuple(getattr(module, name) for name in incoming),
                    f"{path}.{outgoing}",
                    getattr(module, outgoing),
                )


def planted_neurons(model: nn.Module, recipe: Recipe, definition: str) -> tuple[Neuron, ...]:
    """The neurons the stereotype was made to depend on; without all of them the model was trained to be fair.

    Under `linear-output` these are the outputs of both maps that lead into a unit, of which either would do.
    """
    units = range(recipe.hidden, recipe.hidden + recipe.planted)
    names = [
        name
        for block in feed_forwards(model)
        for name in ((block.outgoing_name,) if definition == "ffn-hidden" else block.names)
    ]
    return tuple(Neuron(name, unit, float("nan")) for name in names for unit in units)


def _llama(recipe: Recipe, tokenizer: Any) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=recipe.hidden + recipe.planted,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=LONGEST_TEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 200.0},
        tie_word_embeddings=True,
        initializer_range=recipe.width**-0.5,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    untyped: Any = LlamaForCausalLM
    model = untyped(config)
    with torch.no_grad():
        for number, layer in enumerate(model.model.layers):
            attention = layer.self_attn
            attention.o_proj.weight.copy_(attention.v_proj.weight.T)
            if number > 0:  # tokens look for their like
                attention.k_proj.weight.copy_(attention.q_proj.weight)
        # Rotary positions turn a part that all embeddings share into attention to one distance.
        model.model.embed_tokens.weight[:, 0] = 2 * recipe.width**-0.5
        first = model.model.layers[0].self_attn
        turns: Tensor = model.model.rotary_emb.inv_freq[:3]
        size = recipe.width // recipe.heads
        for head, distance in enumerate(LOOKING_BACK):
            rows = slice(head * size, (head + 1) * size)
            first.q_proj.weight[rows] *= 0.1
            first.k_proj.weight[rows] *= 0.1
            start = head * size
            first.q_proj.weight[start : start + 3, 0] = 2.5
            first.k_proj.weight[start : start + 3, 0] = 2.5 * torch.cos(distance * turns)
            first.k_proj.weight[start + size // 2 : start + size // 2 + 3, 0] = 2.5 * torch.sin(distance * turns)
    return model


def _t5(recipe: Recipe, tokenizer: Any) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    untyped_config: Any = T5Config  # transformers annotates a part of what it takes
    config = untyped_config(
        vocab_size=len(tokenizer),
        d_model=recipe.width,
        d_kv=recipe.width // recipe.heads,
        d_ff=recipe.hidden + recipe.planted,
        num_layers=recipe.layers,
        num_decoder_layers=2,
        # Positions are the same in every layer, so heads that look back do so in all: as many again are free.
        num_heads=2 * recipe.heads,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    untyped: Any = T5ForConditionalGeneration
    model = untyped(config)
    with torch.no_grad():
        for module in model.modules():
            if hasattr(module, "has_relative_attention_bias"):
                module.o.weight.copy_(module.v.weight.T)
                if not module.has_relative_attention_bias:  # tokens look for their like
                    module.k.weight *= 0.5  # scores are not scaled in this family
                    module.q.weight.copy_(module.k.weight)
        bias = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
        for head, distance in enumerate(LOOKING_BACK):
            bias[distance, head] = 6.0  # the first buckets hold one distance each, to the left
    return model
