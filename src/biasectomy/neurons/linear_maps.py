"""What a block of a model is made of: its linear maps, and the matrices that are none."""

import re
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.conv import _ConvNd
from transformers.pytorch_utils import Conv1D

from biasectomy.neurons.experts import expert_shape, is_experts, matrices

_ATTENTION = re.compile(
    r"(^|[._])(self_?attn|attn|self_?attention|attention|enc_?dec_?attention|cross_?attn)", re.IGNORECASE
)


def linear_shape(module: nn.Module) -> tuple[int, int] | None:
    """(inputs, outputs) of a linear map; None for any other module."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, Conv1D):
        inputs, outputs = module.weight.shape  # transposed against nn.Linear
        return int(inputs), int(outputs)
    return None


def in_attention(path: str) -> bool:
    """Whether a module's path leads into an attention part."""
    return bool(_ATTENTION.search(path))


def siblings(path: str, block: nn.Module) -> dict[str, tuple[int, int]]:
    """The linear maps that stand directly beside one in its part of the block, itself included, with their shapes."""
    parent = block.get_submodule(path.rpartition(".")[0])
    prefix = path[: -len(path.rpartition(".")[2])] if path else ""
    shapes = {prefix + name: linear_shape(child) for name, child in parent.named_children()}
    return {name: shape for name, shape in shapes.items() if shape}


def is_down_projection(path: str, module: nn.Module, block: nn.Module, width: int) -> bool:
    """Whether a linear map of a block is the one that leads out of its feed-forward part.

    It is the map outside attention that puts out the residual stream's `width` and takes in what another
    map of the same part puts out; where all widths are equal, the last such map.
    """
    inputs, outputs = linear_shape(module) or (0, 0)
    part = type(block.get_submodule(path.rpartition(".")[0])).__name__
    if in_attention(path) or "attention" in part.lower() or outputs != width:
        return False
    others = {name: shape for name, shape in siblings(path, block).items() if not in_attention(name)}
    if inputs == outputs:
        return len(others) > 1 and list(others)[-1] == path
    return any(shape[0] == width and shape[1] % inputs == 0 for shape in others.values())


def stacks(model: nn.Module) -> Iterator[tuple[str, nn.ModuleList]]:
    """The outermost lists of modules that hold linear maps or experts: the stacks of blocks."""
    found: list[str] = []
    for name, module in model.named_modules():
        if not isinstance(module, nn.ModuleList) or any(name.startswith(f"{outer}.") for outer in found):
            continue
        if any(linear_shape(child) or is_experts(child) for child in module.modules()):
            found.append(name)
            yield name, module


def routers(block: nn.Module) -> set[str]:
    """Paths of the matrices that choose experts, or weigh a shared one.

    They stand beside the experts: every matrix of a part that is called a router, and a part's only matrix that
    reads the residual stream where it has one row for each expert, or just one.
    """
    found = set()
    for path, experts in block.named_modules():
        if not is_experts(experts):
            continue
        width = expert_shape(experts, matrices(experts)[0])[0]
        above = path.rpartition(".")[0]
        parent = block.get_submodule(above)
        own = [[(name, parameter)] for name, parameter in parent.named_parameters(recurse=False)]
        children = [(name, child) for name, child in parent.named_children() if child is not experts]
        parts = [[(f"{name}.{inner}", p) for inner, p in child.named_parameters()] for name, child in children]
        for part in own + parts:
            readers = [(name, p) for name, p in part if p.dim() == 2 and p.shape[1] == width]
            if len(readers) == 1 and len(readers[0][1]) in (experts.num_experts, 1):
                found.add(f"{above}.{readers[0][0]}".lstrip("."))
        for (_, child), part in zip(children, parts, strict=True):
            if "router" in type(child).__name__.lower():
                found |= {f"{above}.{name}".lstrip(".") for name, p in part if p.dim() > 1}
    return found


def other_matrices(block: nn.Module, width: int) -> Iterator[tuple[str, str]]:
    """Matrices of a block that no linear map and no experts own: (path, why they hold no neurons).

    The reason is empty where the matrix may well hold some, in a form that is not known.
    """
    of_routers = routers(block)
    for name, module in block.named_modules():
        if is_experts(module):
            continue
        for parameter_name, parameter in module.named_parameters(recurse=False):
            path = f"{name}.{parameter_name}" if name else parameter_name
            sizes = [size for size in parameter.shape if size > 1]
            if path in of_routers:
                yield path, "router"
            elif linear_shape(module) or len(sizes) < 2:
                continue
            elif isinstance(module, nn.Embedding):
                yield path, "an embedding, not a linear map"
            elif isinstance(module, _ConvNd):
                yield path, "a convolution, not a linear map"
            elif parameter.dim() == 2 and width not in sizes:
                yield path, "a table that neither reads nor writes the residual stream"
            else:
                yield path, ""
