"""The activations of every neuron in a forward pass, kept so that gradients can be taken at them.

An expert of a mixture sees only the tokens that the router sends it: its activation is what it put out for
those, before the routing weight is applied, and zero for every other token.
"""

import contextlib
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.errors import ModelError
from biasectomy.neurons.discovery import NeuronGroup, Neurons
from biasectomy.neurons.experts import Observer, Side, observed

Layouts = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Captured:
    """The activations of one neuron group and where their gradient arrives."""

    module: str
    node: Any  # of the graph; its hooks are given the gradients of its outputs
    output: int  # which output of the node
    layout: tuple[int, int]  # rows, tokens
    tensor: Tensor  # [rows, tokens, units], perhaps with other dimensions in between; [tokens routed, units]
    version: int  # of `tensor` when it was captured
    routed: Tensor | None = None  # for an expert, the index among all tokens of each row of `tensor`

    @property
    def overwritten(self) -> bool:
        """Whether the model has since changed the activation in place, so that it is no longer the module's."""
        return self.tensor._version != self.version

    def spread(self, product: Tensor) -> Tensor:
        """What was computed in the shape of `tensor`, for all tokens: [rows, tokens, units], zero where not routed.

        Raises:
            ModelError: the module saw another number of tokens than its block.
        """
        if product.dim() == 3:
            return product
        rows, tokens = self.layout
        if self.routed is None and product.shape[:-1].numel() == rows * tokens:
            return product.reshape(rows, tokens, -1)
        if self.routed is not None:
            dense = product.new_zeros(rows * tokens, product.shape[-1])
            product = dense.index_add_(0, self.routed, product)
        product = product.reshape(-1, product.shape[-1])
        if len(product) != rows * tokens:
            raise ModelError(
                f"'{self.module}' saw {len(product)} tokens, its block {rows * tokens}; which ones is not known."
            )
        return product.view(rows, tokens, -1)


@dataclass
class Activations(dict[str, Captured]):
    """Captured activations by the name of the group; `embeddings` are where the graph starts."""

    embeddings: list[Tensor] = field(default_factory=list)
    units: dict[str, int] = field(default_factory=dict)  # of every group, captured or not
    protected: set[str] = field(default_factory=set)  # modules whose output the model gets as a copy

    def receive(self, deliver: Callable[[Captured, Tensor, Tensor], None]) -> contextlib.ExitStack:
        """Has each group's values and gradient handed over in backward passes, until what is returned is closed."""
        handles = contextlib.ExitStack()
        for kept in self.values():
            handles.callback(kept.node.register_prehook(_on_gradient(kept, deliver)).remove)
        return handles

    def overwritten(self) -> set[str]:
        """Modules whose output the model changed in place after it was captured."""
        return {module for module, kept in self.items() if kept.overwritten}


def _on_gradient(
    kept: Captured, deliver: Callable[[Captured, Tensor, Tensor], None]
) -> Callable[[tuple[Tensor | None, ...]], None]:
    def hook(gradients: tuple[Tensor | None, ...]) -> None:
        gradient = gradients[kept.output]
        if gradient is not None:
            deliver(kept, kept.tensor.detach(), gradient)

    return hook


@contextlib.contextmanager
def captured(model: nn.Module, neurons: Neurons, protected: Set[str] = frozenset()) -> Iterator[Activations]:
    """Collects every group's activations in forward passes inside the block; leaves no hook behind.

    Weights are frozen meanwhile: the graph starts at the embeddings. Some models add to a module's output in
    place (Falcon): `protected` modules give them a copy, and `Activations.overwritten` says which need it.
    """
    units = {group.module: group.units for group in neurons}
    activations = Activations(units=units, protected=set(protected))
    layouts: Layouts = {}  # rows and tokens that a block works on
    handles = []
    frozen = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in frozen:
            parameter.requires_grad_(False)
        for embeddings in _input_embeddings(model):
            handles.append(embeddings.register_forward_hook(_start_graph(activations)))
        blocks = {f"{group.stack}.{group.layer}" for group in neurons}
        for block in blocks:
            hook = _note_layout(layouts, block)
            handles.append(model.get_submodule(block).register_forward_pre_hook(hook, with_kwargs=True))
        for group in neurons:
            module = model.get_submodule(group.owner)
            if group.expert is not None:
                continue
            if group.side == "output":
                handles.append(module.register_forward_hook(_keep_output(activations, layouts, group)))
            else:
                handles.append(module.register_forward_pre_hook(_keep_input(activations, layouts, group)))
        observers = _observers(model, neurons, activations, layouts)
        with torch.enable_grad(), observed(observers):
            yield activations
    finally:
        for handle in handles:
            handle.remove()
        for parameter, wanted in frozen:
            parameter.requires_grad_(wanted)
        activations.clear()
        activations.embeddings.clear()


def _input_embeddings(model: nn.Module) -> list[nn.Module]:
    """Every module that reads token ids; an encoder-decoder may have one for each side, with one weight or two."""
    own: Any = model.get_input_embeddings()  # type: ignore[operator]
    found: list[nn.Module] = [own]
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module is not own and module.num_embeddings == own.num_embeddings:
            found.append(module)
    return found


def _start_graph(activations: Activations) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        activations.embeddings.append(output.detach().requires_grad_(True))
        return activations.embeddings[-1]

    return hook


def _note_layout(layouts: Layouts, block: str) -> Any:
    def hook(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        for value in (*inputs, *named.values()):
            if isinstance(value, Tensor) and value.dim() == 3:
                layouts[block] = (value.shape[0], value.shape[1])
                return

    return hook


def _keep(activations: Activations, layouts: Layouts, group: NeuronGroup, values: Tensor, routed: Any = None) -> None:
    if values.is_inference():
        return  # a look at the scores in between, not the pass that gradients are taken of
    if group.module in activations:
        raise ModelError(
            f"'{group.module}' computes twice in one forward pass, as tied attention does; which of its outputs belong "
            "to which tokens is not known, so its neurons cannot be scored."
        )
    layout = layouts.get(f"{group.stack}.{group.layer}", (1, len(values)))
    # What looks from a decoder at an encoder's tokens sees another number of them, in as many rows.
    known = 1 if group.place == "cross-input" else 2
    if values.dim() == 3 and tuple(values.shape[:known]) != layout[:known]:
        rows, tokens = values.shape[:2]
        raise ModelError(
            f"'{group.module}' computes {rows} x {tokens} tokens where its block has {layout[0]} x {layout[1]}; which "
            "are which is not known, so its neurons cannot be scored."
        )
    node, output = values.grad_fn, values.output_nr
    activations[group.module] = Captured(group.module, node, output, layout, values, values._version, routed)


def _keep_output(activations: Activations, layouts: Layouts, group: NeuronGroup) -> Any:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        _keep(activations, layouts, group, output)
        return output.clone() if group.module in activations.protected else output

    return hook


def _keep_input(activations: Activations, layouts: Layouts, group: NeuronGroup) -> Any:
    def hook(module: nn.Module, inputs: Any) -> None:
        _keep(activations, layouts, group, inputs[0])

    return hook


def _observers(
    model: nn.Module, neurons: Neurons, activations: Activations, layouts: Layouts
) -> dict[nn.Module, Observer]:
    """One observer for each experts module, which keeps what its groups want."""
    wanted: dict[str, dict[tuple[str, str, int], NeuronGroup]] = {}
    for group in neurons:
        if group.expert is not None:
            wanted.setdefault(group.owner, {})[group.parameter, group.side, group.expert] = group

    def keep(groups: dict[tuple[str, str, int], NeuronGroup]) -> Observer:
        def observer(parameter: str, side: Side, expert: int, tokens: Tensor, values: Tensor) -> Tensor:
            group = groups.get((parameter, side, expert))
            if group is not None:
                _keep(activations, layouts, group, values, tokens)
            return values

        return observer

    return {model.get_submodule(owner): keep(groups) for owner, groups in wanted.items()}
