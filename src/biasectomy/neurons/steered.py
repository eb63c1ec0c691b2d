"""A vector added to what comes out of a block: while it computes, or in a bias that does the same."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.errors import ModelError
from biasectomy.neurons.discovery import Neurons
from biasectomy.neurons.stream import stream_changed

ASKED = "logits_to_keep"  # what models call the tokens whose next one is asked for


@contextlib.contextmanager
def added(model: nn.Module, block: str, vector: Tensor, *, everywhere: bool) -> Iterator[None]:
    """A block in which a vector is added to what a model's block puts out; no hook stays behind.

    Args:
        model: whose block.
        block: its path.
        vector: [width].
        everywhere: whether at every token, or only at those whose next token is asked for, which is from a question's
            end on. Of an encoder-decoder all of the decoder's are.
    """
    asked: list[Any] = [None]

    def note(module: nn.Module, inputs: Any, named: dict[str, Any]) -> None:
        asked[0] = named.get(ASKED)

    def change(values: Tensor) -> Tensor:
        moved = vector.to(values)
        places = None if everywhere else _places(asked[0], values)
        if places is None:
            return values + moved
        changed = values.clone()
        changed[:, places] += moved
        return changed

    handle = model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        with stream_changed(model, {block: change}):
            yield
    finally:
        handle.remove()


def _places(asked: Any, values: Tensor) -> Any:
    """Which tokens of [rows, tokens, width] are asked for; None where all are.

    Raises:
        ModelError: rows have different ones, and which is not known.
    """
    if isinstance(asked, int):
        return slice(-asked, None) if asked else None
    if asked is None or len(asked) == values.shape[1]:
        return None
    if len(values) > 1 and int(asked.min()) > 0:
        raise ModelError(
            "Questions are too long to be read in one row, so it is not known where each ends; "
            "--steering.positions all would be right."
        )
    return asked


def bias_behind(model: nn.Module, hidden: Neurons, block: str) -> Tensor | None:
    """The bias of a block's only down projection; None where it has none, or several.

    Args:
        model: whose block.
        hidden: its neurons under the definition `ffn-hidden`.
        block: its path.
    """
    groups = [group for group in hidden if f"{group.stack}.{group.layer}" == block]
    if len(groups) != 1 or groups[0].expert is not None:
        return None
    bias: Tensor | None = getattr(model.get_submodule(groups[0].module), "bias", None)
    return bias if bias is not None and bias.is_floating_point() and bias.device.type != "meta" else None


@contextlib.contextmanager
def added_to_bias(bias: Tensor, vector: Tensor) -> Iterator[None]:
    """A block in which a vector is in a bias; afterwards the old one is back, bit for bit."""
    before = bias.detach().clone()
    try:
        with torch.no_grad():
            bias += vector.to(bias)
        yield
    finally:
        with torch.no_grad():
            bias.copy_(before)
