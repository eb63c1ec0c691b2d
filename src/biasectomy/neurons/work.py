"""How much a computation does: tokens, and floating-point operations of its matrix products.

Counted are linear maps at the tokens that really go through them, the vocabulary product at the tokens whose
logits are computed, and attention over the pairs of tokens that see each other. Padding counts in the first
(it is computed), not in the last. Elementwise work counts as nothing: it is what keeps a share below one.

`counted` counts what passes do; `Operations` foretells the same of a batch from its `Size`, without a pass.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.neurons.discovery import place_of
from biasectomy.neurons.experts import expert_shape, is_experts, matrices
from biasectomy.neurons.linear_maps import linear_shape, stacks
from biasectomy.reading.layouts import Size


@dataclass
class Work:
    """Passes, tokens read, and operations of all forward passes (a multiplication with its addition is two)."""

    passes: int = 0
    tokens: int = 0
    linear: int = 0
    vocabulary: int = 0
    attention: int = 0

    @property
    def forward(self) -> int:
        """Operations of all forward passes."""
        return self.linear + self.vocabulary + self.attention

    @property
    def tokens_per_pass(self) -> int:
        """How many tokens went through the model at once, on average."""
        return self.tokens // self.passes

    def with_backward(self, passes: int) -> int:
        """Operations with so many backward passes to activations only.

        The gradient of a linear map's input is one more product of the same size; both products of
        attention have two inputs, so they cost twice.
        """
        return (1 + passes) * (self.linear + self.vocabulary) + (1 + 2 * passes) * self.attention


@dataclass(frozen=True)
class Operations:
    """What each thing costs that a `Size` counts, in operations of one forward pass; a model's own numbers.

    `token`, `input` and `seen` are of one token in all linear maps that read it: those of the decoder (or of the whole
    model), of the encoder, and the keys and values that the decoder makes of the encoder's tokens. Of fused experts
    those count that a token is sent to.
    """

    token: int
    logit: int
    pair: int
    input: int = 0
    seen: int = 0
    input_pair: int = 0
    crossed: int = 0

    @classmethod
    def of(cls, model: nn.Module) -> "Operations":
        """Those of a model, which may be without weights (on the device "meta")."""
        untyped: Any = model
        config, head = untyped.config, untyped.get_output_embeddings()
        places = dict.fromkeys(("whole", "input", "cross-input", "label"), 0)
        for stack, blocks in stacks(model):
            for block in blocks:
                for path, module in block.named_modules():
                    places[place_of(model, stack, path)] += _operations_of(module, config)
        inputs, outputs = linear_shape(head) or (0, 0)
        logit = 2 * inputs * outputs
        if not getattr(config, "is_encoder_decoder", False):
            layers, width = _decoder(config)
            return cls(places["whole"], logit, layers * _attention(1, width))
        width = config.num_heads * config.d_kv if hasattr(config, "d_kv") else config.d_model
        above, below = getattr(config, "num_decoder_layers", None), getattr(config, "num_layers", None)
        above, below = above or config.decoder_layers, below or config.encoder_layers
        own, others = above * _attention(1, width), below * _attention(1, width)
        return cls(places["label"], logit, own, places["input"], places["cross-input"], others, own)

    def work(self, size: Size) -> Work:
        """What passes over a batch of some size do."""
        return Work(
            size.passes,
            size.tokens + size.inputs,
            self.token * size.tokens + self.input * size.inputs + self.seen * size.seen,
            self.logit * size.logits,
            self.pair * size.pairs + self.input_pair * size.input_pairs + self.crossed * size.crossed,
        )


def _operations_of(module: nn.Module, config: Any) -> int:
    """Of one token in a linear map, or in those of some fused experts that it is sent to."""
    if is_experts(module):
        text = config.get_text_config()
        chosen = getattr(text, "num_experts_per_tok", None) or getattr(text, "moe_topk", None) or 1
        shapes = [expert_shape(module, name) for name in matrices(module)]
        return 2 * int(chosen) * sum(inputs * outputs for inputs, outputs in shapes)
    inputs, outputs = linear_shape(module) or (0, 0)
    return 2 * inputs * outputs


class Counter:
    """Counts by name: `counter(name, model)` is a block in which a model's work goes to `counter.work[name]`."""

    def __init__(self) -> None:
        self.work: dict[str, Work] = {}

    @contextlib.contextmanager
    def __call__(self, name: str, model: nn.Module) -> Iterator[None]:
        with counted(model) as self.work[name]:
            yield


@contextlib.contextmanager
def counted(model: nn.Module) -> Iterator[Work]:
    """Counts what forward passes of a model inside the block do."""
    work = Work()
    head: Any = model.get_output_embeddings()  # type: ignore[operator]
    handles = []
    for module in model.modules():
        shape = linear_shape(module)
        if shape is not None:
            handles.append(module.register_forward_hook(_count_linear(work, *shape, is_head=module is head)))
    untyped: Any = model
    if getattr(untyped.config, "is_encoder_decoder", False):
        for stack in (untyped.get_encoder(), untyped.get_decoder()):
            handles.append(stack.register_forward_pre_hook(_count_stack(work, untyped.config), with_kwargs=True))
    else:
        handles.append(model.register_forward_pre_hook(_count_decoder(work, untyped.config), with_kwargs=True))
    try:
        yield work
    finally:
        for handle in handles:
            handle.remove()


def _count_linear(work: Work, inputs: int, outputs: int, *, is_head: bool) -> Any:
    def hook(module: nn.Module, arguments: Any, output: Tensor) -> None:
        operations = 2 * inputs * output.numel()
        if is_head:
            work.vocabulary += operations
        else:
            work.linear += operations

    return hook


def _count_decoder(work: Work, config: Any) -> Any:
    """For a decoder-only model: its mask says which tokens see each other; without one every earlier token is seen."""
    layers, width = _decoder(config)

    def hook(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        tokens: Tensor = named["input_ids"] if "input_ids" in named else arguments[0]
        work.passes += 1
        work.tokens += tokens.numel()
        mask: Tensor | None = named.get("attention_mask")
        if mask is not None and mask.dim() == 4:
            pairs = int((mask == 0).sum())  # additive: zero is visible
        else:
            pairs = sum(length * (length + 1) // 2 for length in _lengths(tokens, mask))
        work.attention += layers * _attention(pairs, width)

    return hook


def _count_stack(work: Work, config: Any) -> Any:
    """For the encoder or the decoder of a model of T5's kind."""
    width = config.num_heads * config.d_kv

    def hook(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        tokens: Tensor = named["input_ids"]
        work.tokens += tokens.numel()
        mask: Tensor | None = named.get("attention_mask")
        pairwise = mask if mask is not None and mask.dim() == 4 else None
        lengths = _lengths(tokens, None if pairwise is not None else mask)
        encoded: Tensor | None = named.get("encoder_hidden_states")
        if encoded is None:
            work.passes += 1
            work.attention += config.num_layers * _attention(sum(length**2 for length in lengths), width)
            return
        seen = _lengths(encoded[..., 0], named.get("encoder_attention_mask"))
        pairs = sum(length * (length + 1) // 2 for length in lengths)
        if pairwise is not None:
            pairs = int(torch.eq(pairwise, 0).sum())
        pairs += sum(own * others for own, others in zip(lengths, seen, strict=True))
        work.attention += config.num_decoder_layers * _attention(pairs, width)

    return hook


def _decoder(config: Any) -> tuple[int, int]:
    """Layers of a decoder-only model, and the width of all heads of one."""
    text = config.get_text_config()
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return int(text.num_hidden_layers), int(width * text.num_attention_heads)


def _lengths(tokens: Tensor, mask: Tensor | None) -> list[int]:
    rows, length = tokens.shape
    return [length] * rows if mask is None else [int(value) for value in mask.sum(-1)]


def _attention(pairs: int, width: int) -> int:
    """Operations of one layer: each pair is a product of a query with a key, and one of a weight with a value."""
    return 4 * pairs * width
