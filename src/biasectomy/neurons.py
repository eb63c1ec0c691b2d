"""Which neurons a model has, and selections of them.

A neuron is one output unit of a linear map inside a transformer block (`linear-output`), or one input
unit of a feed-forward down projection (`ffn-hidden`). Embeddings, norms and the language-model head
have none (Yang et al. 2024, section 3; counts for Flan-T5 in the tests).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn
from transformers.pytorch_utils import Conv1D

from biasectomy.errors import ModelError, UnknownNameError
from biasectomy.layouts import Place

Definition = Literal["linear-output", "ffn-hidden"]
DEFINITIONS: dict[str, str] = {
    "linear-output": "output units of every linear map in the blocks (the paper's)",
    "ffn-hidden": "input units of the feed-forward down projections",
}

# Parts of a multimodal model that do not read or write language.
_NOT_LANGUAGE = re.compile(r"(^|\.)(vision|visual|image|audio|speech|vision_tower|multi_modal_projector)\w*(\.|$)")
_ATTENTION = re.compile(
    r"(^|[._])(self_?attn|attn|self_?attention|attention|enc_?dec_?attention|cross_?attn)", re.IGNORECASE
)
_CROSS_ATTENTION = re.compile(r"enc_?dec_?attention|encoder_attn|cross_?attn|cross_?attention", re.IGNORECASE)
_KEY_OR_VALUE = re.compile(r"(^|\.)(k|v|key|value|k_proj|v_proj)$")


@dataclass(frozen=True, slots=True)
class NeuronGroup:
    """The neurons of one module: `units` of its outputs, or of its inputs when `side` is "input"."""

    module: str
    units: int
    side: Literal["output", "input"]
    kind: str  # the module's name within its block, such as "mlp.gate_proj"
    layer: int
    stack: str  # the list of blocks it stands in, such as "model.layers"
    place: Place = "whole"  # which tokens it sees


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
        return sum(group.units for group in self.groups)

    def __iter__(self) -> Iterator[NeuronGroup]:
        return iter(self.groups)

    def group(self, module: str) -> NeuronGroup | None:
        """The group of a module, or None where the module has no neurons."""
        return self._by_module.get(module)

    def kinds(self) -> dict[str, int]:
        """Number of neurons by kind of module, in the order of the block."""
        counts: dict[str, int] = {}
        for group in self.groups:
            counts[group.kind] = counts.get(group.kind, 0) + group.units
        return counts

    @property
    def layers(self) -> int:
        """Number of blocks that hold neurons."""
        return len({(group.stack, group.layer) for group in self.groups})


def discover_neurons(model: nn.Module, definition: str = "linear-output") -> Neurons:
    """Finds every neuron of a model from its modules, not from a list of architectures.

    Raises:
        UnknownNameError: there is no such definition.
        ModelError: the model has no blocks, or a block yields no neurons (its linear maps have a form
            that is not known), which is never passed over in silence.
    """
    if definition not in DEFINITIONS:
        raise UnknownNameError("neuron definition", definition, DEFINITIONS)
    name = type(model).__name__
    width = int(model.get_input_embeddings().embedding_dim)  # type: ignore[operator]
    left_out: list[tuple[str, str]] = []
    groups: list[NeuronGroup] = []
    for stack, blocks in _stacks(model):
        if _NOT_LANGUAGE.search(stack):
            left_out.append((stack, "not a language part"))
            continue
        for layer, block in enumerate(blocks):
            maps = [(path, module) for path, module in block.named_modules() if linear_shape(module)]
            if definition == "ffn-hidden":
                maps = [(path, module) for path, module in maps if is_down_projection(path, module, block, width)]
            if not maps:
                raise ModelError(
                    f"{name}: block {stack}.{layer} ({type(block).__name__}) yields no {definition} neurons; "
                    "none of its modules is a linear map of a known form."
                )
            left_out += [(f"{stack}.{layer}.{path}", "a fused parameter of unknown form") for path in _unread(block)]
            for path, module in maps:
                inputs, outputs = linear_shape(module) or (0, 0)
                side: Literal["output", "input"] = "input" if definition == "ffn-hidden" else "output"
                units = inputs if side == "input" else outputs
                module_name = f"{stack}.{layer}.{path}".rstrip(".")
                groups.append(NeuronGroup(module_name, units, side, path, layer, stack, place_of(model, stack, path)))
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
    return "cross-input" if _CROSS_ATTENTION.search(path) and _KEY_OR_VALUE.search(path) else "label"


def linear_shape(module: nn.Module) -> tuple[int, int] | None:
    """(inputs, outputs) of a linear map; None for any other module."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, Conv1D):
        inputs, outputs = module.weight.shape  # transposed against nn.Linear
        return int(inputs), int(outputs)
    return None


def is_down_projection(path: str, module: nn.Module, block: nn.Module, width: int) -> bool:
    """Whether a linear map of a block is the one that leads out of its feed-forward part.

    It is the map outside attention that puts out the residual stream's `width` and takes in what another
    map of the same part puts out; where all widths are equal, the last such map.
    """
    parent = path.rpartition(".")[0]
    inputs, outputs = linear_shape(module) or (0, 0)
    if _ATTENTION.search(path) or outputs != width:
        return False
    siblings = {
        name: linear_shape(other) or (0, 0)
        for name, other in block.named_modules()
        if linear_shape(other) and not _ATTENTION.search(name) and name.rpartition(".")[0] == parent
    }
    if inputs == outputs:
        return len(siblings) > 1 and list(siblings)[-1] == path
    return any(shape[0] == width and shape[1] % inputs == 0 for shape in siblings.values())


def _stacks(model: nn.Module) -> Iterator[tuple[str, nn.ModuleList]]:
    """The outermost lists of modules that hold linear maps: the stacks of blocks."""
    found: list[str] = []
    for name, module in model.named_modules():
        if not isinstance(module, nn.ModuleList) or any(name.startswith(f"{outer}.") for outer in found):
            continue
        if any(linear_shape(child) for child in module.modules()):
            found.append(name)
            yield name, module


def _unread(block: nn.Module) -> Iterator[str]:
    """Matrices of a block that belong to no linear map (fused experts, for example)."""
    covered = {
        id(parameter) for module in block.modules() if linear_shape(module) for parameter in module.parameters(False)
    }
    for path, parameter in block.named_parameters():
        if parameter.dim() >= 2 and id(parameter) not in covered:
            yield path
