"""The weights that belong to neurons: rows or columns of a matrix, with the entries of its bias."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.errors import ModelError
from biasectomy.neurons.discovery import NeuronGroup
from biasectomy.neurons.experts import expert_bias, expert_matrix
from biasectomy.reading.memory import is_sharded

_FULL_PRECISION = {torch.float64, torch.float32, torch.float16, torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows (`dimension` 0) or columns (1) of a view of a parameter."""

    weight: Tensor
    dimension: int
    units: Tensor

    def read(self) -> Tensor:
        """A copy of the values."""
        return self.weight.index_select(self.dimension, self.units)

    def write(self, values: Tensor) -> None:
        """Puts values in their place."""
        self.weight.index_copy_(self.dimension, self.units, values)

    def shaped(self, factors: Tensor) -> Tensor:
        """One factor for each unit, in a shape that multiplies the values."""
        factors = factors.to(self.weight)
        return factors if self.dimension == self.weight.dim() - 1 else factors[:, None]


def owned_slices(model: nn.Module, group: NeuronGroup, units: Tensor) -> Iterator[Slice]:
    """The weights that some units of a group own: to scale them is to scale the units.

    Raises:
        ModelError: they are spread over processes.
    """
    module: Any = model.get_submodule(group.owner)
    if is_sharded(module):
        raise ModelError(
            f"The weights of '{group.owner}' are spread over processes, and what is asked for needs them whole; leave "
            "--shard out."
        )
    bias: Tensor | None
    if group.expert is not None:
        matrix = expert_matrix(module, group.parameter, group.expert)
        bias = expert_bias(module, group.parameter, group.expert)
    else:
        # Every linear map but nn.Linear is a Conv1D, which holds its matrix transposed.
        matrix = module.weight if isinstance(module, nn.Linear) else module.weight.T
        bias = module.bias
    units = units.to(matrix.device)
    if group.side == "input":
        yield Slice(matrix, 1, units)
        return
    yield Slice(matrix, 0, units)
    if bias is not None:
        yield Slice(bias, 0, units)


def shared_weights(model: nn.Module) -> dict[int, list[str]]:
    """Paths of the parameters that stand in several places, by their identity."""
    paths: dict[int, list[str]] = {}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        paths.setdefault(id(parameter), []).append(path)
    return {identity: places for identity, places in paths.items() if len(places) > 1}


def not_editable(model: nn.Module, group: NeuronGroup, shared: Mapping[int, list[str]]) -> str:
    """Why the weights of a group cannot be changed, as a sentence; empty where they can."""
    module = model.get_submodule(group.owner)
    for name in (group.parameter, "bias" if group.expert is None else f"{group.parameter}_bias"):
        weight = getattr(module, name, None)
        if weight is None:
            continue
        if weight.dtype not in _FULL_PRECISION:
            return (
                f"'{group.owner}' holds quantised weights ({weight.dtype}); load the full-precision model to edit it."
            )
        if weight.device.type == "meta":
            return f"The weights of '{group.owner}' are not in memory; load the whole model to edit it."
        if is_sharded(weight):
            return f"The weights of '{group.owner}' are spread over processes; leave --shard out to change them."
        own = f"{group.owner}.{name}"
        for place in shared.get(id(weight), []):
            if place != own:
                return f"The weight of '{group.owner}' is shared with '{place}'; changing one would change the other."
    return ""
