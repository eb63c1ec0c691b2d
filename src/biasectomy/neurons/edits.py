"""Setting the factors of neurons: for a while, or for good in the weights.

A neuron's factor multiplies its unit's output (`linear-output`), or what its column of the down projection
adds (`ffn-hidden`). `edited` puts the factors where `baked` does, in the weights, and puts the old weights
back afterwards, so that the model that is measured is the one that is saved, to the last bit and for every
factor. Where weights cannot be changed for a while (quantised ones, shared ones, ones that are not in
memory, ones that are spread over processes), it multiplies the activations instead.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.errors import ModelError
from biasectomy.neurons.discovery import NeuronGroup, Neurons
from biasectomy.neurons.experts import Observer, Side, observed
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.neurons.weights import Slice, not_editable, owned_slices, shared_weights

Edit = tuple[NeuronGroup, Sequence[Neuron]]


@contextlib.contextmanager
def edited(model: nn.Module, neuron_set: NeuronSet, known: Neurons | None = None) -> Iterator[None]:
    """While the block lasts, `model` computes with the set's factors; afterwards it is as before, errors included.

    Args:
        known: the model's neurons under the set's definition, where they have been discovered before.

    Raises:
        NeuronSetError: the set names neurons that the model does not have.
    """
    edits = _edits(model, neuron_set, known)
    shared = shared_weights(model)
    in_weights = [edit for edit in edits if not not_editable(model, edit[0], shared)]
    with _in_weights(model, in_weights), _in_activations(model, [edit for edit in edits if edit not in in_weights]):
        yield


@contextlib.contextmanager
def baked(model: nn.Module, neuron_set: NeuronSet) -> Iterator[None]:
    """While the block lasts, the factors are in the weights; afterwards the old weights are back, bit for bit.

    Raises:
        NeuronSetError: the set names neurons that the model does not have.
        ModelError: a weight to be changed is shared with another module, which would change too, or is not
            there in full precision.
    """
    edits = _edits(model, neuron_set)
    shared = shared_weights(model)
    for group, _ in edits:
        reason = not_editable(model, group, shared)
        if reason:
            raise ModelError(reason)
    with _in_weights(model, edits):
        yield


def _edits(model: nn.Module, neuron_set: NeuronSet, known: Neurons | None = None) -> list[Edit]:
    known = neuron_set.check(model, known)
    groups = [(known.group(name), neurons) for name, neurons in neuron_set.by_module().items()]
    return [(group, neurons) for group, neurons in groups if group is not None]


@contextlib.contextmanager
def _in_weights(model: nn.Module, edits: Sequence[Edit]) -> Iterator[None]:
    saved: list[tuple[Slice, Tensor]] = []
    try:
        with torch.no_grad():
            for group, neurons in edits:
                units = torch.tensor([neuron.unit for neuron in neurons])
                factors = torch.tensor([neuron.factor for neuron in neurons])
                for owned in owned_slices(model, group, units):
                    values = owned.read()
                    saved.append((owned, values))
                    owned.write(values * owned.shaped(factors))
        yield
    finally:
        with torch.no_grad():
            for owned, values in reversed(saved):
                owned.write(values)


@contextlib.contextmanager
def _in_activations(model: nn.Module, edits: Sequence[Edit]) -> Iterator[None]:
    handles = []
    experts: dict[nn.Module, dict[tuple[str, str, int], _Scaling]] = {}
    try:
        for group, neurons in edits:
            module, scaling = model.get_submodule(group.owner), _Scaling(neurons)
            if group.expert is not None:
                experts.setdefault(module, {})[group.parameter, group.side, group.expert] = scaling
            elif group.side == "input":
                handles.append(module.register_forward_pre_hook(scaling.on_input))
            else:
                handles.append(module.register_forward_hook(scaling.on_output))
        with observed({module: _observer(scalings) for module, scalings in experts.items()}):
            yield
    finally:
        for handle in handles:
            handle.remove()


class _Scaling:
    """Multiplies some units of the last dimension by their factors."""

    def __init__(self, neurons: Sequence[Neuron]) -> None:
        self._units = torch.tensor([neuron.unit for neuron in neurons])
        self._factors = torch.tensor([neuron.factor for neuron in neurons])
        self._vector: Tensor | None = None

    def scaled(self, values: Tensor) -> Tensor:
        """`values` [..., units] times each unit's factor."""
        if self._vector is None or self._vector.device != values.device or self._vector.dtype != values.dtype:
            vector = torch.ones(values.shape[-1], dtype=values.dtype)
            vector[self._units] = self._factors.to(values.dtype)
            self._vector = vector.to(values.device)
        return values * self._vector

    def on_output(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return self.scaled(output)

    def on_input(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self.scaled(inputs[0]), *inputs[1:])


def _observer(scalings: dict[tuple[str, str, int], _Scaling]) -> Observer:
    def observer(parameter: str, side: Side, expert: int, tokens: Tensor, values: Tensor) -> Tensor:
        scaling = scalings.get((parameter, side, expert))
        return values if scaling is None else scaling.scaled(values)

    return observer
