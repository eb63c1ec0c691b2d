"""Fused experts: modules that hold the matrices of all experts of a layer as 3-D parameters.

transformers runs such modules through a registry of functions (`ALL_EXPERTS_FUNCTIONS`), chosen by the
configuration. `observed` chooses one of ours for a while: the same computation, expert by expert, in which
what goes into and comes out of every expert's matrices can be seen and changed. What a module looks like is
read from the attributes that transformers gives it (`has_gate`, `has_bias`, `is_transposed`,
`is_concatenated`), so every family that uses the registry is served.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

Side = Literal["input", "output"]

# (parameter, side, expert, indices of the tokens routed to it, values [tokens routed, units]) -> values to go on with
Observer = Callable[[str, Side, int, Tensor, Tensor], Tensor]

_IMPLEMENTATION = "biasectomy"
_EAGER = "eager"


def is_experts(module: nn.Module) -> bool:
    """Whether a module holds fused experts of the form that transformers' registry runs."""
    count = getattr(module, "num_experts", None)
    if not isinstance(count, int) or not hasattr(module, "_apply_gate") or not hasattr(module, "is_transposed"):
        return False
    names = matrices(module)
    parameters = [getattr(module, name, None) for name in names]
    if not all(isinstance(matrix, Tensor) and matrix.dim() == 3 and len(matrix) == count for matrix in parameters):
        return False
    (width, raised), (hidden, out) = (expert_shape(module, name) for name in names)
    return width == out and raised == (2 * hidden if _flag(module, "has_gate") else hidden)


def matrices(module: nn.Module) -> tuple[str, str]:
    """Names of the parameters that lead into and out of the experts' hidden layers."""
    return ("gate_up_proj" if _flag(module, "has_gate") else "up_proj"), "down_proj"


def expert_shape(module: nn.Module, parameter: str) -> tuple[int, int]:
    """(inputs, outputs) of each expert's matrix."""
    first, second = getattr(module, parameter).shape[1:]
    return (int(first), int(second)) if _flag(module, "is_transposed") else (int(second), int(first))


def expert_matrix(module: nn.Module, parameter: str, expert: int) -> Tensor:
    """One expert's matrix as a view [outputs, inputs] of the fused parameter."""
    matrix: Tensor = getattr(module, parameter)[expert]
    return matrix.T if _flag(module, "is_transposed") else matrix


def expert_bias(module: nn.Module, parameter: str, expert: int) -> Tensor | None:
    """One expert's bias as a view [outputs], or None."""
    return getattr(module, f"{parameter}_bias")[expert] if _flag(module, "has_bias") else None


def gate_and_up(module: nn.Module) -> tuple[tuple[str, int], ...]:
    """How gate and up units follow one another in the fused matrix: (part, number of units), to be repeated."""
    if not _flag(module, "has_gate"):
        return ()
    size = expert_shape(module, "down_proj")[0] if getattr(module, "is_concatenated", True) else 1
    return ("gate", size), ("up", size)


def _flag(module: nn.Module, name: str) -> bool:
    return bool(getattr(module, name, False))


@dataclass
class _Watch:
    own: str | None  # the implementation the module would use by itself
    observers: list[Observer] = field(default_factory=list)

    def __call__(self, parameter: str, side: Side, expert: int, tokens: Tensor, values: Tensor) -> Tensor:
        for observer in self.observers:
            values = observer(parameter, side, expert, tokens, values)
        return values


_WATCHES: WeakKeyDictionary[nn.Module, _Watch] = WeakKeyDictionary()


@contextlib.contextmanager
def observed(observers: Mapping[nn.Module, Observer]) -> Iterator[None]:
    """While the block lasts, each experts module shows its observer what passes; nothing stays behind.

    Every expert is shown at every forward pass, one without tokens with no rows. Blocks may be nested.
    """
    configurations: list[tuple[Any, str | None]] = []
    watched: list[tuple[nn.Module, Observer]] = []
    try:
        for module, observer in observers.items():
            configuration: Any = module.config
            own = configuration._experts_implementation
            if own != _IMPLEMENTATION:
                configurations.append((configuration, own))
            if module not in _WATCHES:
                # Layers share one configuration, which an earlier one has perhaps been given ours already.
                before = [name for changed, name in configurations if changed is configuration]
                _WATCHES[module] = _Watch(before[0] if before else own)
            _WATCHES[module].observers.append(observer)
            watched.append((module, observer))
            configuration._experts_implementation = _IMPLEMENTATION
        yield
    finally:
        for module, observer in watched:
            _WATCHES[module].observers.remove(observer)
            if not _WATCHES[module].observers:
                del _WATCHES[module]
        for configuration, own in configurations:
            configuration._experts_implementation = own


def _forward(module: Any, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    """transformers' own computation, expert by expert: the same products, summed in the same order."""
    watch = _WATCHES.get(module) or _Watch(None)
    raising, lowering = matrices(module)
    count, places = top_k_index.shape
    # The order of rows and of sums decides the last bits, and transformers' loop and its other functions differ.
    eager = watch.own == _EAGER
    routes = torch.argsort((top_k_index.T if eager else top_k_index).reshape(-1), stable=True)
    tokens, choices = (routes % count, routes // count) if eager else (routes // places, routes % places)
    # Identifiers beyond the last expert stand for experts on other devices.
    sizes = torch.bincount(top_k_index.reshape(-1), minlength=module.num_experts)[: module.num_experts].tolist()
    total = torch.zeros_like(hidden_states)
    pieces, start = [], 0
    for expert, size in enumerate(sizes):
        token, choice = tokens[start : start + size], choices[start : start + size]
        start += size
        raised = _linear(module, raising, expert, hidden_states[token])
        raised = watch(raising, "output", expert, token, raised)
        hidden = module._apply_gate(raised) if _flag(module, "has_gate") else module.act_fn(raised)
        hidden = watch(lowering, "input", expert, token, hidden)
        lowered = watch(lowering, "output", expert, token, _linear(module, lowering, expert, hidden))
        if _flag(module, "has_post_expert_norm"):
            lowered = module.post_expert_norm(lowered)
        weighted = lowered * top_k_weights[token, choice, None]
        if eager:
            total = total.index_add(0, token, weighted.to(total.dtype))
        else:
            pieces.append(weighted)
    if eager:
        return total
    weighted = torch.cat(pieces)
    table = weighted.new_zeros(count * places, weighted.shape[-1]).index_copy(0, routes[:start], weighted)
    return table.view(count, places, -1).sum(dim=1).to(hidden_states.dtype)


def _linear(module: nn.Module, parameter: str, expert: int, values: Tensor) -> Tensor:
    matrix, bias = expert_matrix(module, parameter, expert), expert_bias(module, parameter, expert)
    out = nn.functional.linear(values.to(matrix.dtype), matrix)
    return out if bias is None else out + bias


ALL_EXPERTS_FUNCTIONS.register(_IMPLEMENTATION, _forward)
