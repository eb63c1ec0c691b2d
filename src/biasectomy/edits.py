"""Setting the factors of neurons: reversibly by hooks, or for good in the weights.

For a factor of 0 both give the same model to the last bit: the unit's output is zero for every token
(`linear-output`), or its column of the down projection contributes nothing (`ffn-hidden`).
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.errors import ModelError
from biasectomy.neuron_set import Neuron, NeuronSet


@contextlib.contextmanager
def edited(model: nn.Module, neuron_set: NeuronSet) -> Iterator[None]:
    """While the block lasts, `model` computes with the set's factors; afterwards it is as before, errors included.

    Raises:
        NeuronSetError: the set names neurons that the model does not have.
    """
    neuron_set.check(model)
    handles = []
    try:
        for name, neurons in neuron_set.by_module().items():
            module = model.get_submodule(name)
            units = torch.tensor([neuron.unit for neuron in neurons])
            factors = torch.tensor([neuron.factor for neuron in neurons])
            if neuron_set.definition == "ffn-hidden":
                handles.append(module.register_forward_pre_hook(_InputHook(units, factors)))
            else:
                handles.append(module.register_forward_hook(_OutputHook(units, factors)))
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Scaling:
    """Multiplies some units of the last dimension by their factors."""

    def __init__(self, units: Tensor, factors: Tensor) -> None:
        self.units, self.factors = units, factors
        self._vector: Tensor | None = None

    def scaled(self, values: Tensor) -> Tensor:
        """`values` [..., units] times each unit's factor."""
        if self._vector is None or self._vector.device != values.device or self._vector.dtype != values.dtype:
            vector = torch.ones(values.shape[-1], dtype=values.dtype)
            vector[self.units] = self.factors.to(values.dtype)
            self._vector = vector.to(values.device)
        return values * self._vector


class _OutputHook(_Scaling):
    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return self.scaled(output)


class _InputHook(_Scaling):
    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self.scaled(inputs[0]), *inputs[1:])


@contextlib.contextmanager
def baked(model: nn.Module, neuron_set: NeuronSet) -> Iterator[None]:
    """While the block lasts, the factors are in the weights; afterwards the old weights are back, bit for bit.

    Raises:
        NeuronSetError: the set names neurons that the model does not have.
        ModelError: a weight to be changed is shared with another module, which would change too.
    """
    neuron_set.check(model)
    saved: list[tuple[Tensor, Any, Tensor]] = []
    try:
        with torch.no_grad():
            for name, neurons in neuron_set.by_module().items():
                for parameter, index, factors in _slices(model, name, neurons, neuron_set.definition):
                    saved.append((parameter, index, parameter[index].clone()))
                    parameter[index] = parameter[index] * factors
        yield
    finally:
        with torch.no_grad():
            for parameter, index, values in reversed(saved):
                parameter[index] = values


def _slices(
    model: nn.Module, name: str, neurons: list[Neuron], definition: str
) -> Iterator[tuple[Tensor, Any, Tensor]]:
    """(parameter, index, factors) for each slice of weights that the neurons own."""
    module: Any = model.get_submodule(name)
    weight: Tensor = module.weight
    if not weight.is_floating_point():
        raise ModelError(
            f"'{name}' holds quantised weights ({weight.dtype}); load the full-precision model to edit it."
        )
    _refuse_shared(model, name, module)
    units = torch.tensor([neuron.unit for neuron in neurons], device=weight.device)
    factors = torch.tensor([neuron.factor for neuron in neurons], dtype=weight.dtype, device=weight.device)
    rows_are_outputs = isinstance(module, nn.Linear)
    if (definition == "linear-output") == rows_are_outputs:
        yield weight, units, factors[:, None]
    else:
        yield weight, (slice(None), units), factors
    if definition == "linear-output" and module.bias is not None:
        yield module.bias, units, factors


def _refuse_shared(model: nn.Module, name: str, module: nn.Module) -> None:
    own = {id(parameter) for parameter in module.parameters(recurse=False)}
    for path, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) in own and path.rpartition(".")[0] != name:
            raise ModelError(f"The weight of '{name}' is shared with '{path}'; changing one would change the other.")
