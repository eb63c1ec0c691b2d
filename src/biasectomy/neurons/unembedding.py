"""How a direction of the residual stream becomes a value for each token: the norms on the way, and the unembedding.

This is the logit lens for what one unit adds (nostalgebraist 2020; Geva et al. 2022, arXiv 2203.14680, section 3): the
direction as it would act if nothing behind it changed. Which norms it passes is seen in one forward pass over three
tokens, not read from names; what a norm does to a direction is found by giving it two vectors.
"""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.errors import ModelError
from biasectomy.neurons.linear_maps import stacks
from biasectomy.reading.layouts.base import placement

TOKENS = (1, 2, 3)  # any will do: what passes where does not depend on them
ALIKE = 0.999  # cosine of two tensors of which one is the other, perhaps times a number
ROWS_AT_ONCE = 8192  # of the unembedding, in single precision


@dataclass(frozen=True)
class Norm:
    """What a norm does to a direction, but for the length of what it is added to: gains, and perhaps the mean off."""

    gain: Tensor  # [width]
    centres: bool

    def __call__(self, directions: Tensor) -> Tensor:
        """Directions [width, number] behind the norm."""
        if self.centres:
            directions = directions - directions.mean(dim=0)
        return self.gain.to(directions.device)[:, None] * directions


@dataclass(frozen=True)
class Unembedding:
    """What stands between the residual stream and the logits of a model."""

    weight: Tensor  # [vocabulary, width]
    last: Norm | None  # in front of it
    behind: dict[str, Norm] = field(default_factory=dict)  # of modules whose output a norm takes before it is added

    def __call__(self, directions: Tensor, module: str, vocabulary: int) -> Tensor:
        """Values [vocabulary, number] of directions [width, number] that a module puts out."""
        directions = directions.float()
        for norm in (self.behind.get(module), self.last):
            directions = norm(directions) if norm is not None else directions
        directions = directions.to(self.weight.device)
        rows = torch.split(self.weight[:vocabulary], ROWS_AT_ONCE)
        return torch.cat([part.float() @ directions for part in rows]).cpu()


@torch.no_grad()
def unembedding(model: nn.Module, writers: Collection[str]) -> Unembedding:
    """The unembedding of a model, and the norms in front of it and behind some modules that write into the stream.

    Raises:
        ModelError: the model has no unembedding of the stream's width, or what stands in front of it is not known.
    """
    untyped: Any = model
    head = untyped.get_output_embeddings()
    name, width = type(model).__name__, int(untyped.get_input_embeddings().embedding_dim)
    weight = getattr(head, "weight", None)
    if weight is None or weight.dim() != 2 or not weight.is_floating_point():
        raise ModelError(
            f"{name} has no unembedding whose weights can be read, so its neurons write towards no tokens."
        )
    if weight.shape[1] != width:
        raise ModelError(
            f"The unembedding of {name} reads {weight.shape[1]} units, its residual stream has {width}; what stands "
            "between them is not known, so its neurons are not told by the tokens they write towards."
        )
    norms = [one for one in model.modules() if "norm" in type(one).__name__.lower() and not list(one.children())]
    blocks = [block for _, stack in stacks(model) for block in stack]
    modules = {module: model.get_submodule(module) for module in writers}
    with _watched([head, *norms, *blocks, *modules.values()]) as seen:
        untyped(**_inputs(untyped))
    if head not in seen:
        raise ModelError(f"{name} does not use its unembedding, so its neurons are not told by tokens.")
    given = seen[head][0]
    found = [one for one in norms if one in seen and _alike(seen[one][1], given)]
    if not found and not any(block in seen and _alike(seen[block][1], given) for block in blocks):
        raise ModelError(
            f"What stands between the blocks of {name} and its unembedding is not known, so its neurons are not told "
            "by the tokens they write towards."
        )
    takers = {_place(seen[norm][0]): norm for norm in norms if norm in seen}
    behind = {path: takers[_place(seen[one][1])] for path, one in modules.items() if _passes(one, seen, takers)}
    probed = {norm: _probed(norm, width, model) for norm in {*found[-1:], *behind.values()}}
    last = probed[found[-1]] if found else None
    return Unembedding(weight.detach(), last, {path: probed[norm] for path, norm in behind.items()})


Seen = dict[nn.Module, tuple[Tensor, Tensor]]


@contextlib.contextmanager
def _watched(modules: list[nn.Module]) -> Iterator[Seen]:
    """What goes into and comes out of modules, the last time each computes; kept, so that no memory is used anew."""
    seen: Seen = {}

    def hook(module: nn.Module, inputs: Any, named: Any, output: Any) -> None:
        tensors = [value for value in (*inputs, *named.values()) if isinstance(value, Tensor)]
        output = output[0] if isinstance(output, tuple) else output
        if tensors and isinstance(output, Tensor):
            seen[module] = (tensors[0], output)

    handles = [module.register_forward_hook(hook, with_kwargs=True) for module in dict.fromkeys(modules)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _inputs(model: Any) -> dict[str, Any]:
    tokens = torch.tensor([TOKENS], device=placement(model)[0])
    labels = {"decoder_input_ids": tokens} if getattr(model.config, "is_encoder_decoder", False) else {}
    return {"input_ids": tokens, "use_cache": False, **labels}


def _alike(one: Tensor, other: Tensor) -> bool:
    if one.numel() != other.numel():
        return False
    left, right = (tensor.float().flatten().cpu() for tensor in (one, other))
    return float(torch.cosine_similarity(left, right, dim=0)) > ALIKE


def _place(tensor: Tensor) -> tuple[int, int]:
    """Where a tensor's values lie in memory, which views of it share."""
    return tensor.data_ptr(), tensor.numel()


def _passes(module: nn.Module, seen: Seen, takers: dict[tuple[int, int], nn.Module]) -> bool:
    """Whether a norm takes what a module puts out."""
    return module in seen and _place(seen[module][1]) in takers


def _probed(norm: nn.Module, width: int, model: nn.Module) -> Norm:
    """What a norm does, by its answers to a vector of mean zero, to its negative, and to the vector moved by one."""
    device, dtype = placement(norm) if list(norm.parameters()) else placement(model)
    half = width // 2
    vector = torch.tensor([1.0] * half + [-half / (width - half)] * (width - half), device=device)
    answers = [norm(one.to(dtype)[None, None]).float().flatten() for one in (vector, -vector, vector + 1)]
    gain = (answers[0] - answers[1]) / (2 * vector)
    return Norm(gain.cpu(), bool((answers[2] - answers[0]).abs().max() < 0.01 * gain.abs().max()))
