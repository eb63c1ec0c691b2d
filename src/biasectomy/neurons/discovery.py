"""Which neurons a model has, and selections of them.

A neuron is one output unit of a linear map inside a transformer block (`linear-output`), one input unit of a
feed-forward down projection (`ffn-hidden`), or either what comes out of a key or value projection of attention
or goes into a down projection (`ia3`; Liu et al. 2022, arXiv 2205.05638, section 3.3). Embeddings, norms,
routers and the language-model head have none (Yang et al. 2024, section 3; counts for Flan-T5 in the tests).
Every expert of a mixture has its own: the matrix of expert 3 is the module
`model.layers.0.mlp.experts.gate_up_proj.3`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from biasectomy.errors import ModelError, UnknownNameError
from biasectomy.neurons.experts import expert_shape, gate_and_up, is_experts, matrices
from biasectomy.neurons.fused import Pattern, pattern
from biasectomy.neurons.linear_maps import (
    in_attention,
    is_down_projection,
    linear_shape,
    other_matrices,
    routers,
    stacks,
)
from biasectomy.reading.layouts import Place

Definition = Literal["linear-output", "ffn-hidden", "ia3"]
DEFINITIONS: dict[str, str] = {
    "linear-output": "output units of every linear map in the blocks (the paper's)",
    "ffn-hidden": "input units of the feed-forward down projections",
    "ia3": "output units of the key and value projections, input units of the down projections ((IA)^3's)",
}

# Parts of a multimodal model that do not read or write language.
_NOT_LANGUAGE = re.compile(r"(^|\.)(vision|visual|image|audio|speech|vision_tower|multi_modal_projector)\w*(\.|$)")

_CROSS_ATTENTION = re.compile(r"enc_?dec_?attention|encoder_attn|cross_?attn|cross_?attention", re.IGNORECASE)
_BY_NAME = {
    "key": re.compile(r"(^|\.)(k|key|k_proj|key_proj)$"),
    "value": re.compile(r"(^|\.)(v|value|v_proj|value_proj)$"),
}
KEYS_AND_VALUES = tuple(_BY_NAME)


@dataclass(frozen=True, slots=True)
class NeuronGroup:
    """The neurons of one module: `units` of its outputs, or of its inputs when `side` is "input".

    Where `roles` names some of a fused matrix, its other units are no neurons. For fused experts, `module` names the
    experts, their parameter and the number of one expert.
    """

    module: str
    units: int
    side: Literal["output", "input"]
    kind: str  # the module's name within its block, such as "mlp.gate_proj"
    layer: int
    stack: str  # the list of blocks it stands in, such as "model.layers"
    expert: int | None = None
    pattern: Pattern = ()
    place: Place = "whole"  # which tokens it sees
    roles: tuple[str, ...] = ()  # whose units are neurons; none: all units are

    @property
    def owner(self) -> str:
        """The path of the torch module that holds the weights."""
        return self.module if self.expert is None else self.module.rsplit(".", 2)[0]

    @property
    def parameter(self) -> str:
        """The name of the weights in that module."""
        return "weight" if self.expert is None else self.module.rsplit(".", 2)[1]

    def role(self, unit: int) -> str:
        """What a unit of a fused matrix is: query, key, value, gate or up; empty where the matrix is of one kind."""
        place = unit % (sum(size for _, size in self.pattern) or 1)
        for name, size in self.pattern:
            if place < size:
                return name
            place -= size
        return ""

    @property
    def mask(self) -> Tensor:
        """Which units are neurons: bool [units]."""
        if not self.roles:
            return torch.ones(self.units, dtype=torch.bool)
        return torch.tensor([self.role(unit) in self.roles for unit in range(self.units)])

    def __len__(self) -> int:
        """How many units are neurons."""
        return int(self.mask.sum()) if self.roles else self.units


@dataclass(frozen=True)
class Neurons:
    """All neurons of a model under one definition; `len` is their number."""

    definition: str
    groups: tuple[NeuronGroup, ...]
    left_out: tuple[tuple[str, str], ...] = ()  # module, reason
    _by_module: dict[str, NeuronGroup] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._by_module.update({group.module: group for group in self.groups})

    def __len__(self) -> int:
        return sum(len(group) for group in self.groups)

    def __iter__(self) -> Iterator[NeuronGroup]:
        return iter(self.groups)

    def group(self, module: str) -> NeuronGroup | None:
        """The group of a module, or None where the module has no neurons."""
        return self._by_module.get(module)

    def kinds(self) -> dict[str, int]:
        """Number of neurons by kind of module, in the order of the block."""
        counts: dict[str, int] = {}
        for group in self.groups:
            counts[group.kind] = counts.get(group.kind, 0) + len(group)
        return counts

    @property
    def layers(self) -> int:
        """Number of blocks that hold neurons."""
        return len({(group.stack, group.layer) for group in self.groups})


def discover_neurons(model: nn.Module, definition: str = "linear-output") -> Neurons:
    """Finds every neuron of a model from its modules, not from a list of architectures.

    Raises:
        UnknownNameError: there is no such definition.
        ModelError: the model has no blocks, a block yields no neurons, its keys and values are not told from the
            rest of its attention under `ia3`, or it holds a matrix of a form that is not known, which is never
            passed over in silence.
    """
    if definition not in DEFINITIONS:
        raise UnknownNameError("neuron definition", definition, DEFINITIONS)
    name = type(model).__name__
    width = int(model.get_input_embeddings().embedding_dim)  # type: ignore[operator]
    left_out: list[tuple[str, str]] = []
    groups: list[NeuronGroup] = []
    for stack, blocks in stacks(model):
        if _NOT_LANGUAGE.search(stack):
            left_out.append((stack, "not a language part"))
            continue
        for layer, block in enumerate(blocks):
            where = f"{stack}.{layer}"
            others = [(f"{where}.{path}", reason) for path, reason in other_matrices(block, width)]
            unknown = [path for path, reason in others if not reason]
            if unknown:
                shapes = [" x ".join(map(str, model.get_parameter(path).shape)) for path in unknown]
                named = ", ".join(f"{path} ({shape})" for path, shape in zip(unknown, shapes, strict=True))
                raise ModelError(
                    f"{name}: the neurons of {where} cannot be found; it holds matrices of unknown form: {named}."
                )
            left_out += others
            found = list(_in_block(block, definition, width, stack, layer))
            if not found:
                raise ModelError(
                    f"{name}: block {where} ({type(block).__name__}) yields no {definition} neurons; "
                    "none of its modules is a linear map of a known form."
                )
            if definition == "ia3" and (lacking := _lacking(block, found)):
                raise ModelError(
                    f"{name}: block {where} ({type(block).__name__}) yields no {definition} neurons that are "
                    f"{lacking}; linear-output and ffn-hidden do not need to know them."
                )
            groups += (replace(group, place=place_of(model, stack, group.kind)) for group in found)
    if not groups:
        raise ModelError(f"{name} has no transformer blocks in which to look for neurons.")
    return Neurons(definition, tuple(groups), tuple(left_out))


def place_of(model: nn.Module, stack: str, path: str) -> Place:
    """Which tokens a module of an encoder-decoder sees; "whole" in any other model."""
    config: Any = getattr(model, "config", None)
    if not getattr(config, "is_encoder_decoder", False):
        return "whole"
    if re.search(r"(^|\.)encoder\.", f"{stack}."):
        return "input"
    return "cross-input" if _CROSS_ATTENTION.search(path) and _by_name(path) else "label"


def _by_name(path: str) -> set[str]:
    """What a module that is called a key or a value projection puts out; nothing for any other."""
    return {role for role, name in _BY_NAME.items() if name.search(path)}


def _in_block(block: nn.Module, definition: str, width: int, stack: str, layer: int) -> Iterator[NeuronGroup]:
    """The groups of one block, in the order of its modules."""
    outputs = definition == "linear-output"
    of_routers = {path.rpartition(".")[0] for path in routers(block)}

    def group(name: str, shape: tuple[int, int], kind: str, expert: int | None = None) -> NeuronGroup:
        if outputs:
            return NeuronGroup(name, shape[1], "output", kind, layer, stack, expert)
        return NeuronGroup(name, shape[0], "input", kind, layer, stack, expert)

    for path, module in block.named_modules():
        place = f"{stack}.{layer}.{path}".rstrip(".")
        shape = linear_shape(module)
        if is_experts(module):
            for parameter in matrices(module) if outputs else matrices(module)[1:]:
                roles = gate_and_up(module) if parameter == matrices(module)[0] else ()
                kind = f"{path}.{parameter}".lstrip(".")
                for expert in range(len(getattr(module, parameter))):
                    name = f"{place}.{parameter}.{expert}"
                    yield replace(group(name, expert_shape(module, parameter), kind, expert), pattern=roles)
        elif not shape or path in of_routers:
            continue
        elif outputs:
            yield replace(group(place, shape, path), pattern=pattern(path, block))
        elif is_down_projection(path, module, block, width):
            yield group(place, shape, path)
        elif definition == "ia3" and in_attention(path):
            roles = pattern(path, block)
            fused = tuple(role for role, _ in roles if role in KEYS_AND_VALUES)
            if fused or _by_name(path):
                yield NeuronGroup(place, shape[1], "output", path, layer, stack, None, roles, roles=fused)


def _lacking(block: nn.Module, groups: Sequence[NeuronGroup]) -> str:
    """Which of keys, values and hidden units of a feed-forward part a block with attention does not yield."""
    found = {role for group in groups for role in (*group.roles, *_by_name(group.kind))}
    attends = any(in_attention(path) and linear_shape(module) for path, module in block.named_modules())
    lacking = [f"{role}s" for role in KEYS_AND_VALUES if attends and role not in found]
    lacking += [] if any(group.side == "input" for group in groups) else ["inputs of a down projection"]
    return " or ".join(lacking)
