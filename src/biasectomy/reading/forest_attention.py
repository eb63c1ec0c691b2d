"""Attention within a forest: the tokens of a prompt look at their ancestors, not at a whole masked row.

A mask over the whole row would be right too, but most of what is computed under it is thrown away: a row of
five prompts computes five times the pairs that are seen.
"""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from biasectomy.reading.forest import Forest

NAME = "biasectomy-forest"
REPLACED = "sdpa"  # the one implementation that computes what the stretches do


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring tokens of a forest, all tokens that any of them sees, and who sees whom."""

    own: slice
    seen: Tensor | slice  # indices
    mask: Tensor  # additive, [1, 1, own, seen]
    _tiled: dict[tuple[int, torch.device], Tensor] = field(default_factory=dict, repr=False)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """Query, key, value [1, heads, tokens, size] of the whole forest to [1, own, heads, size].

        Query heads that share a key are stacked over tokens, so that no key needs to be repeated for them.
        """
        heads, own = query.shape[1], self.own.stop - self.own.start
        groups = heads // key.shape[1]
        if (groups, query.device) not in self._tiled:
            self._tiled[groups, query.device] = self.mask.repeat(1, 1, groups, 1).to(query.device)
        stacked = query[:, :, self.own].reshape(1, key.shape[1], groups * own, -1)
        mask = self._tiled[groups, query.device]
        found = F.scaled_dot_product_attention(
            stacked, key[:, :, self.seen], value[:, :, self.seen], mask, scale=scaling
        )
        return found.reshape(1, heads, own, -1).transpose(1, 2)


@dataclass(frozen=True, slots=True)
class _Attention:
    """What is in force: the number of tokens, their stretches, and all configurations with what they named before."""

    tokens: int
    stretches: Sequence[Stretch]
    named: Sequence[tuple[Any, str | None]]


_in_force: ContextVar[_Attention | None] = ContextVar("forest attention", default=None)


def stretches_of(forest: Forest, mask: Tensor) -> list[Stretch]:
    """One stretch for each prompt that brought tokens of its own.

    Args:
        mask: the forest's attention mask, [1, 1, tokens, tokens].
    """
    found = []
    for start, end in zip(forest.starts, [*forest.starts[1:], len(forest)], strict=True):
        own = slice(start, end)
        if start == end:
            continue
        seen = (mask[0, 0, own] == 0).any(0).nonzero()[:, 0]
        together = slice(int(seen[0]), int(seen[-1]) + 1)  # copied nowhere where nothing lies in between
        indices = together if together.stop - together.start == len(seen) else seen
        found.append(Stretch(own, indices, mask[:, :, own][..., indices].contiguous()))
    return found


@contextlib.contextmanager
def forest_attention(model: nn.Module, forest: Forest, mask: Tensor) -> Iterator[None]:
    """While the block lasts, modules of `model` that use scaled dot-product attention compute it stretch by stretch."""
    found = {id(config): config for module in model.modules() if (config := getattr(module, "config", None))}
    named = [(one, one._attn_implementation) for one in found.values() if hasattr(one, "_attn_implementation")]
    stretches = stretches_of(forest, mask) if any(name == REPLACED for _, name in named) else []
    with _entered(_Attention(len(forest), stretches, named) if len(stretches) > 1 else None):
        yield


@contextlib.contextmanager
def _entered(attention: _Attention | None) -> Iterator[None]:
    named = attention.named if attention else ()
    token = _in_force.set(attention)
    try:
        # Outer configurations first: setting one sets those in it too.
        for config, name in named:
            config._attn_implementation = NAME if name == REPLACED else name
        yield
    finally:
        for config, name in named:
            config._attn_implementation = name
        _in_force.reset(token)


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **settings: Any
) -> tuple[Tensor, None]:
    """Scaled dot-product attention; query, key, value [1, heads, tokens, size] to [1, tokens, heads, size]."""
    known = _in_force.get()
    special = any(settings.get(name) is not None for name in ("position_bias", "softcap"))
    if known is None or special or not query.shape[2] == key.shape[2] == known.tokens:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    outputs = [one.attend(query, key, value, settings.get("scaling")) for one in known.stretches]
    return torch.cat(outputs, dim=1), None


AttentionInterface.register(NAME, _attention)
