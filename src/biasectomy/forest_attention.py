"""Attention within a forest: the tokens of a prompt look at their ancestors, not at a whole masked row.

A mask over the whole row would be right too, but most of what is computed under it is thrown away: a row of
five prompts computes five times the pairs that are seen.
"""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from biasectomy.forest import Forest

NAME = "biasectomy-forest"
REPLACED = "sdpa"  # the one implementation that computes what the parts do


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring tokens of a forest, all tokens that any of them sees, and who sees whom."""

    own: slice
    seen: Tensor | slice  # indices
    mask: Tensor  # additive, [1, 1, own, seen]


_parts: ContextVar[tuple[int, Sequence[Part]] | None] = ContextVar("parts", default=None)


def parts_of(forest: Forest, mask: Tensor) -> list[Part]:
    """One part for each prompt that brought tokens of its own.

    Args:
        mask: the forest's attention mask, [1, 1, tokens, tokens].
    """
    parts = []
    for start, end in zip(forest.starts, [*forest.starts[1:], len(forest)], strict=True):
        own = slice(start, end)
        if start == end:
            continue
        seen = (mask[0, 0, own] == 0).any(0).nonzero()[:, 0]
        together = slice(int(seen[0]), int(seen[-1]) + 1)  # copied nowhere where nothing lies in between
        indices = together if together.stop - together.start == len(seen) else seen
        parts.append(Part(own, indices, mask[:, :, own][..., indices].contiguous()))
    return parts


@contextlib.contextmanager
def forest_attention(model: nn.Module, forest: Forest, mask: Tensor) -> Iterator[None]:
    """While the block lasts, modules of `model` that use scaled dot-product attention compute it part by part."""
    configs = {id(module.config): module.config for module in model.modules() if hasattr(module, "config")}
    replaced: list[Any] = [
        config for config in configs.values() if getattr(config, "_attn_implementation", "") == REPLACED
    ]
    parts = parts_of(forest, mask)
    token = _parts.set((len(forest), parts) if len(parts) > 1 else None)
    try:
        for config in replaced:
            config._attn_implementation = NAME
        yield
    finally:
        for config in replaced:
            config._attn_implementation = REPLACED
        _parts.reset(token)


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **settings: Any
) -> tuple[Tensor, None]:
    """Scaled dot-product attention; query, key, value [1, heads, tokens, size] to [1, tokens, heads, size]."""
    known = _parts.get()
    if known is None or settings.get("position_bias") is not None or not query.shape[2] == key.shape[2] == known[0]:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    outputs = [
        sdpa_attention_forward(
            module,
            query[:, :, part.own],
            key[:, :, part.seen],
            value[:, :, part.seen],
            part.mask.to(query.device),
            **settings,
        )[0]
        for part in known[1]
    ]
    return torch.cat(outputs, dim=1), None


AttentionInterface.register(NAME, _attention)
