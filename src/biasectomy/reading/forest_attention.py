"""Attention within a forest: the tokens of a prompt look at their ancestors, not at a whole masked row.

A mask over the whole row would be right too, but most of what is computed under it is thrown away: a row of
five prompts computes five times the pairs that are seen.
"""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from biasectomy.reading.forest import Forest, additive_mask

NAME = "biasectomy-forest"
REPLACED = "sdpa"  # the one implementation that computes what the stretches do


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring tokens of a forest, all tokens that any of them sees, and who sees whom."""

    own: slice
    seen: npt.NDArray[np.intp]  # indices, rising
    visible: npt.NDArray[np.bool_]  # [own, seen]


class Alone:
    """Attention of one stretch: nothing is computed for nothing, which is what a processor wants."""

    def __init__(self, stretch: Stretch, dtype: torch.dtype) -> None:
        self.own, seen = stretch.own, stretch.seen
        together = len(seen) == seen[-1] + 1 - seen[0]  # copied nowhere where nothing lies in between
        self.seen = slice(int(seen[0]), int(seen[-1]) + 1) if together else torch.from_numpy(seen)
        self.mask = additive_mask(stretch.visible, dtype)
        self._tiled: dict[int, Tensor] = {}

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """Query, key, value [1, heads, tokens, size] of the whole forest to [own, heads, size].

        Query heads that share a key are stacked over tokens, so that no key needs to be repeated for them.
        """
        heads, own = query.shape[1], self.own.stop - self.own.start
        groups = heads // key.shape[1]
        if groups not in self._tiled:
            self._tiled[groups] = self.mask.repeat(groups, 1)
        stacked = query[:, :, self.own].reshape(1, key.shape[1], groups * own, -1)
        found = F.scaled_dot_product_attention(
            stacked, key[:, :, self.seen], value[:, :, self.seen], self._tiled[groups], scale=scaling
        )
        return found.reshape(heads, own, -1).transpose(0, 1)


class Together:
    """Attention of several stretches, padded to the longest: few calls, which is what an accelerator wants."""

    def __init__(self, stretches: Sequence[Stretch], dtype: torch.dtype, device: torch.device) -> None:
        shape = (max(len(one.visible) for one in stretches), max(len(one.seen) for one in stretches))
        visible = np.zeros((len(stretches), *shape), dtype=bool)
        own, seen = (np.zeros((len(stretches), size), dtype=np.int64) for size in shape)
        for row, one in enumerate(stretches):
            tokens, ancestors = one.visible.shape
            own[row, :tokens] = np.arange(one.own.start, one.own.stop)
            seen[row, :ancestors] = one.seen
            visible[row, :tokens, :ancestors] = one.visible
            visible[row, tokens:, 0] = True  # a row that sees nothing would be NaN
        real = np.concatenate([row * shape[0] + np.arange(len(one.visible)) for row, one in enumerate(stretches)])
        self.shape = (len(stretches), *shape)
        self.own, self.seen, self.real = (torch.from_numpy(one.ravel()).to(device) for one in (own, seen, real))
        self.mask = additive_mask(visible, dtype, device)[:, None]  # [stretches, 1, own, seen]
        self._tiled: dict[int, Tensor] = {}

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
        """See `Alone`; the tokens of all stretches, one stretch after the other."""
        count, own, seen = self.shape
        heads, keys = query.shape[1], key.shape[1]
        groups = heads // keys
        if groups not in self._tiled:
            self._tiled[groups] = self.mask.repeat(1, 1, groups, 1)
        stacked = query[0][:, self.own].reshape(heads, count, own, -1).transpose(0, 1)
        key, value = (one[0][:, self.seen].reshape(keys, count, seen, -1).transpose(0, 1) for one in (key, value))
        stacked = stacked.reshape(count, keys, groups * own, -1)
        found = F.scaled_dot_product_attention(stacked, key, value, self._tiled[groups], scale=scaling)
        return found.reshape(count, heads, own, -1).transpose(1, 2).reshape(count * own, heads, -1)[self.real]


def attended(
    stretches: Sequence[Stretch], dtype: torch.dtype, device: torch.device
) -> tuple[Sequence[Alone | Together], Tensor | None]:
    """What is computed together, and where each token of the forest then stands; None where it is in order."""
    if device.type == "cpu":
        return [Alone(one, dtype) for one in stretches], None
    alike: dict[int, list[Stretch]] = {}
    for one in stretches:  # at most twice as long as each other, so that at most half of it is padding
        alike.setdefault(len(one.visible).bit_length(), []).append(one)
    parts = [Together(some, dtype, device) for some in alike.values()]
    order = np.concatenate([np.arange(one.own.start, one.own.stop) for some in alike.values() for one in some])
    return parts, torch.from_numpy(np.argsort(order)).to(device)


@dataclass(frozen=True, slots=True)
class _Attention:
    """What is in force: the number of tokens, their stretches, and all configurations with what they named before."""

    tokens: int
    parts: Sequence[Alone | Together]
    order: Tensor | None
    named: Sequence[tuple[Any, str | None]]


_in_force: ContextVar[_Attention | None] = ContextVar("forest attention", default=None)


def stretches_of(forest: Forest, visible: npt.NDArray[np.bool_]) -> list[Stretch]:
    """One stretch for each prompt that brought tokens of its own.

    Args:
        visible: which tokens each token sees, [tokens, tokens].
    """
    found = []
    for start, end in zip(forest.starts, [*forest.starts[1:], len(forest)], strict=True):
        if start < end:
            seen = np.flatnonzero(visible[start:end, :end].any(0))
            found.append(Stretch(slice(start, end), seen, visible[start:end, seen]))
    return found


@contextlib.contextmanager
def forest_attention(
    model: nn.Module, forest: Forest, visible: npt.NDArray[np.bool_], dtype: torch.dtype, device: torch.device
) -> Iterator[None]:
    """While the block lasts, modules of `model` that use scaled dot-product attention compute it stretch by stretch."""
    found = {id(config): config for module in model.modules() if (config := getattr(module, "config", None))}
    named = [(one, one._attn_implementation) for one in found.values() if hasattr(one, "_attn_implementation")]
    stretches = stretches_of(forest, visible) if any(name == REPLACED for _, name in named) else []
    attention = _Attention(len(forest), *attended(stretches, dtype, device), named) if len(stretches) > 1 else None
    with _entered(attention):
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
    outputs = torch.cat([one.attend(query, key, value, settings.get("scaling")) for one in known.parts])
    return (outputs if known.order is None else outputs[known.order])[None], None


AttentionInterface.register(NAME, _attention)
