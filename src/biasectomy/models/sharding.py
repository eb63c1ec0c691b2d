"""A model that no single device holds: each of several processes has a part of every weight (FSDP2).

The main process reads the whole model into main memory, and hands it out block by block; no device ever holds more than
its part and one block. A pass gathers the weights of a block, uses them and lets go of them, so that all processes must
pass through the model at the same time: see `Processes.together`. Weights stay as they were loaded: edits act on
activations, and a checkpoint is made from the files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor, nn

from biasectomy.errors import ModelError
from biasectomy.models.fingerprints import fingerprint, weights_checksum
from biasectomy.models.loading import Weights, named_device
from biasectomy.neurons.linear_maps import stacks
from biasectomy.processes import PATIENCE, Processes, lost
from biasectomy.reading.layouts import Layout, RepeatedCacheLayout, RowLayout
from biasectomy.reading.likelihood import layout_for

Described = Sequence[tuple[str, tuple[int, ...], torch.dtype]]


@dataclass(frozen=True)
class Whole:
    """What the main process knows of a whole model, and tells the others."""

    checksum: str
    fingerprint: str
    layout: Layout
    tensors: Described
    generation: Any  # how it writes


def load_sharded(weights: Weights, processes: Processes) -> tuple[Any, Any, Any, Whole]:
    """Configuration, model with a part of its weights, tokenizer, and what is known of the whole.

    Raises:
        ModelError: see `Weights.load`; or a model of this kind cannot be spread so.
    """
    device = named_device(processes.device or weights.device)
    on_cpu = replace(weights, device="cpu")
    loaded = on_cpu.load() if processes.main else None
    if loaded is not None:
        refuse_unsplit(loaded[1], weights.source.name)
    whole = processes.once(lambda: _known(loaded[1]) if loaded is not None else None)
    assert whole is not None
    config, model, tokenizer = loaded or on_cpu.load_empty()
    if (strange := _apart(whole.tensors, model)) is not None:
        raise ModelError(f"'{weights.source.name}' cannot be spread over processes: '{strange}' is not in all of them.")
    model.generation_config = whole.generation
    _spread(model, processes, device)
    return config, model, tokenizer, whole


def refuse_unsplit(model: Any, name: str) -> None:
    """Refuses a model whose parts are not always used together.

    Raises:
        ModelError: says what would be right.
    """
    if model.config.is_encoder_decoder:
        raise ModelError(
            f"'{name}' is an encoder-decoder, whose two parts are read apart from each other, so it cannot be spread "
            "over processes; leave --shard out, or use --device-map."
        )


def _known(model: Any) -> Whole:
    layout = layout_for(model, model.get_input_embeddings().weight.shape[0])
    if isinstance(layout, RepeatedCacheLayout):
        layout = RowLayout()  # as many passes for any batch
    return Whole(weights_checksum(model), fingerprint(model), layout, _described(model), model.generation_config)


def _described(model: nn.Module) -> Described:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return [(name, tuple(one.shape), one.dtype) for name, one in tensors]


def _apart(described: Described, model: nn.Module) -> str | None:
    """The first tensor of a model that is not as it was described; None where all are."""
    own = _described(model)
    names = [name for name, _, _ in described]
    if lacking := {*names} ^ {name for name, _, _ in own}:
        return min(lacking)
    return next((one[0] for one, other in zip(described, own, strict=True) if one[:2] != other[:2]), None)


def _spread(model: Any, processes: Processes, device: torch.device) -> None:
    """Leaves this process's part of every weight, on its device."""
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import fully_shard

    if device.type == "cuda":
        torch.cuda.set_device(device)
    # A group of its own: what the processes tell one another stays apart from what they gather, and is in main memory.
    group = distributed.new_group(backend="nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    mesh = DeviceMesh.from_group(group, device.type)
    blocks = [block for _, some in stacks(model) for block in some]
    within = {module for block in blocks for module in block.modules()}
    others = [module for module in model.modules() if module not in within]
    for part, modules in (*((block, list(block.modules())) for block in blocks), (model, others)):
        _handed_out(modules, processes.main, device, group)
        name = type(part).__name__
        fully_shard(part, mesh=mesh, reshard_after_forward=True)
        type(part).__name__ = name  # by which it is known
    # What is gathered gets its memory in the first pass, which must not be one that knows no gradients at all.
    with torch.no_grad(), lost():
        model(input_ids=torch.zeros(1, 2, dtype=torch.long, device=device), use_cache=False)


def _handed_out(modules: Sequence[nn.Module], main: bool, device: torch.device, group: Any) -> None:
    """Puts the main process's parameters and buffers of some modules in their place, in every process."""
    made: dict[int, Tensor] = {}  # those that are tied stay one

    def received(value: Tensor) -> Tensor:
        found = value.detach().to(device).contiguous() if main else torch.empty_like(value, device=device)
        with lost():
            distributed.broadcast(found, src=0, group=group)
        return found

    for module in modules:
        for name, parameter in module._parameters.items():
            if parameter is not None:
                if id(parameter) not in made:
                    made[id(parameter)] = nn.Parameter(received(parameter), requires_grad=False)
                module._parameters[name] = made[id(parameter)]  # type: ignore[assignment]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                if id(buffer) not in made:
                    made[id(buffer)] = received(buffer)
                module._buffers[name] = made[id(buffer)]
