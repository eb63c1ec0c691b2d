"""Directions taken out of what a model's modules put out: in the values themselves, or in the weights they come from.

With orthonormal columns V [width, components], x - V V^T x has no part along them (Bolukbasi et al. 2016). A linear map
puts out just that when its matrix and its bias are treated so: W - V V^T W. In the weights it is exact, and free.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from biasectomy.errors import ModelError
from biasectomy.neurons.discovery import NeuronGroup, Neurons
from biasectomy.neurons.stream import Change
from biasectomy.neurons.weights import not_editable, owned_slices, shared_weights
from biasectomy.neurons.written_tokens import writes_into_stream

SMALLEST = 1e-6  # of the largest singular value: below it there is no direction, but rounding


def main_directions(differences: Tensor, count: int) -> Tensor:
    """At most so many principal directions of paired differences [pairs, width]: orthonormal columns, float32.

    Each pair is taken about its own middle, so the differences themselves are decomposed, without their mean taken off.
    """
    _, sizes, rows = torch.linalg.svd(differences.double(), full_matrices=False)
    there = int((sizes > SMALLEST * sizes[:1]).sum())
    found: Tensor = rows[: min(count, there)].T.float().contiguous()
    return found


def without(directions: Tensor, share: float = 1.0) -> Change:
    """What takes a share of the part along directions [width, components] out of values [..., width]."""

    def change(values: Tensor) -> Tensor:
        own = directions.to(values.device)
        changed: Tensor = (values.float() - share * (values.float() @ own) @ own.T).to(values.dtype)
        return changed

    return change


def writers(model: nn.Module, neurons: Neurons) -> dict[str, list[NeuronGroup]]:
    """By block, the maps whose outputs are added to the residual stream, experts' own ones included.

    Args:
        neurons: the model's, under the definition `linear-output`.
    """
    found: dict[str, list[NeuronGroup]] = {}
    for group in neurons:
        if group.place != "input" and writes_into_stream(model, group):
            found.setdefault(f"{group.stack}.{group.layer}", []).append(group)
    return found


@contextlib.contextmanager
def projected_weights(
    model: nn.Module,
    maps: Mapping[str, list[NeuronGroup]],
    directions: Mapping[str, Tensor],
    embeddings: Tensor | None = None,
    share: float = 1.0,
) -> Iterator[None]:
    """A block in which directions are taken out of weights; afterwards the old weights are back, bit for bit.

    Args:
        model: whose weights.
        maps: those that write into the stream, by block.
        directions: of each block whose maps are changed, [width, components].
        embeddings: of the token embeddings; None leaves them.
        share: of the part along the directions that is taken out.

    Raises:
        ModelError: a weight is quantised, not in memory, or shared with another module.
    """
    if reason := not_projectable(model, [one for path in directions for one in maps[path]], embeddings is not None):
        raise ModelError(reason)
    taken_back: list[Callable[[], object]] = []
    try:
        with torch.no_grad():
            for path, own in directions.items():
                for group in maps[path]:
                    for owned in owned_slices(model, group, torch.arange(group.units)):
                        values = owned.read()
                        taken_back.append(partial(owned.write, values))
                        owned.write(without(own, share)(values.t()).t())  # a bias is its own transpose
            if embeddings is not None:
                weight = model.get_input_embeddings().weight  # type: ignore[operator]
                taken_back.append(partial(weight.copy_, weight.detach().clone()))
                weight.copy_(without(embeddings, share)(weight))
        yield
    finally:
        with torch.no_grad():
            for put_back in reversed(taken_back):
                put_back()


def not_projectable(model: nn.Module, groups: list[NeuronGroup], embeddings: bool) -> str:
    """Why the weights cannot be changed, as a sentence; empty where they can."""
    shared = shared_weights(model)
    reasons = (not_editable(model, group, shared) for group in groups)
    if reason := next((one for one in reasons if one), ""):
        return reason
    if embeddings:
        weight = model.get_input_embeddings().weight  # type: ignore[operator]
        if weight is getattr(model.get_output_embeddings(), "weight", None):  # type: ignore[operator]
            return "The token embeddings are the unembedding too, which would change with them."
        if not weight.is_floating_point() or weight.device.type == "meta":
            return "The token embeddings are quantised or not in memory; the full-precision model can be changed."
    return ""
