"""Factors of neurons that can be learned: in force while a block lasts, with gradients of their own.

The weights stay frozen and nothing is stored for them. Only modules with a neuron that may differ from 1 are touched,
so that a backward pass ends at the lowest of them.
"""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.neurons.discovery import Neurons
from biasectomy.neurons.experts import Observer, Side, observed
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.reading.layouts.base import placement


class Factors:
    """One factor for each neuron, [neurons] in the order of their groups; 1 at first.

    `free` says which may differ from 1, [neurons]; the others are held there.
    """

    def __init__(self, model: nn.Module, neurons: Neurons) -> None:
        self.model, self.neurons = model, neurons
        self.device, _ = placement(model)
        self.values = torch.ones(sum(group.units for group in neurons), device=self.device, requires_grad=True)
        self.free = torch.cat([group.mask for group in neurons]).to(self.device)
        self._sizes = [group.units for group in neurons]

    def __len__(self) -> int:
        return int(self.free.sum())

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """A block in which the model computes with the factors; no hook stays behind."""
        handles, experts = [], dict[nn.Module, dict[tuple[str, str, int], Tensor]]()
        _, dtype = placement(self.model)
        pieces = torch.split(self.values.to(dtype), self._sizes)
        try:
            for group, factors, free in zip(self.neurons, pieces, torch.split(self.free, self._sizes), strict=True):
                if not free.any():
                    continue
                module = self.model.get_submodule(group.owner)
                if group.expert is not None:
                    experts.setdefault(module, {})[group.parameter, group.side, group.expert] = factors
                elif group.side == "input":
                    handles.append(module.register_forward_pre_hook(_on_input(factors)))
                else:
                    handles.append(module.register_forward_hook(_on_output(factors)))
            with observed({module: _observer(factors) for module, factors in experts.items()}):
                yield
        finally:
            for handle in handles:
                handle.remove()

    @torch.no_grad()
    def keep(self, chosen: Tensor) -> None:
        """Holds all neurons at 1 but the chosen ones, [neurons] of booleans."""
        self.free &= chosen
        self.values.masked_fill_(~self.free, 1.0)

    def mask_of(self, chosen: NeuronSet) -> Tensor:
        """Which neurons are in a set, [neurons] of booleans."""
        starts = dict(
            zip((group.module for group in self.neurons), [0, *itertools.accumulate(self._sizes)], strict=False)
        )
        mask = torch.zeros_like(self.free)
        mask[[starts[neuron.module] + neuron.unit for neuron in chosen]] = True
        return mask

    def neuron_set(self, values: Tensor, **described: Any) -> NeuronSet:
        """The neurons whose factor is not 1, those with the largest changes first.

        Args:
            values: factors, [neurons].
            described: `model` and `found_with` of the set.
        """
        values = values.cpu()
        changes = (values - 1).abs()
        order = torch.argsort(changes, descending=True, stable=True)
        ends = torch.tensor(self._sizes).cumsum(0)
        groups = list(self.neurons)
        found = []
        for index in order[: int((changes > 0).sum())].tolist():
            place = int(torch.searchsorted(ends, index, right=True))
            unit = index - int(ends[place]) + groups[place].units
            found.append(Neuron(groups[place].module, unit, float(changes[index]), float(values[index])))
        return NeuronSet(tuple(found), self.neurons.definition, **described)


def _on_input(factors: Tensor) -> Any:
    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0] * factors, *inputs[1:])

    return hook


def _on_output(factors: Tensor) -> Any:
    def hook(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return output * factors

    return hook


def _observer(factors: dict[tuple[str, str, int], Tensor]) -> Observer:
    def observer(parameter: str, side: Side, expert: int, tokens: Tensor, values: Tensor) -> Tensor:
        found = factors.get((parameter, side, expert))
        return values if found is None else values * found

    return observer
