"""Weights of a model that are trained themselves: all of them, or those of its last blocks.

The model's own weights are never written to. What is trained stands in their place while a block lasts, wherever a
weight that is tied stands, and the model is given back as it was because its own are put back. Half-precision weights
are trained in float32 and rounded where they stand.
"""

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from biasectomy.errors import SettingsError
from biasectomy.kept_tensors import checksum_of, keep_tensors, kept_tensors
from biasectomy.models.language_model import LanguageModel

FULL_PRECISION = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class FullWeights:
    """Weights that can be trained; `values` are the leaves, as large as the weights themselves.

    Args:
        model: whose weights.
        names: of those that are trained, as `named_parameters` has them; None for all.
        title: of the method, for messages.

    Raises:
        SettingsError: the weights are quantised or not in memory.
    """

    def __init__(self, model: LanguageModel, names: Collection[str] | None = None, title: str = "Training") -> None:
        own = dict(model.model.named_parameters())
        self.names = [name for name in own if names is None or name in names]
        quantised = model.weights is not None and model.weights.quantization is not None
        if quantised or any(own[name].is_meta or own[name].dtype not in FULL_PRECISION for name in self.names):
            raise SettingsError(
                f"{title} changes the weights themselves, and this model's are quantised or not in memory; an adapter "
                "beside them (LoRA), or the model loaded whole and in full precision, would be right."
            )
        self.model = model.model
        self._own = {name: own[name] for name in self.names}
        half = (torch.float16, torch.bfloat16)
        self.values = [
            nn.Parameter(one.detach().to(torch.float32 if one.dtype in half else one.dtype, copy=True))
            for one in self._own.values()
        ]

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """A block in which the model computes with what is trained, and gradients flow to it."""
        given = zip(self._own.items(), self.values, strict=True)
        with replaced(self.model, {name: value.to(own.dtype) for (name, own), value in given}):
            yield

    @torch.no_grad()
    def learned(self) -> "TrainedWeights":
        """A copy of those that differ from the model's own, in the model's number format."""
        found = {}
        for (name, own), value in zip(self._own.items(), self.values, strict=True):
            rounded = value.detach().to(own.dtype, copy=True)
            if not torch.equal(rounded, own):
                found[name] = rounded.cpu()
        return TrainedWeights(found)


@dataclass(frozen=True)
class TrainedWeights:
    """Weights that take the place of a model's own, by name; those that are not named stay as they are."""

    values: dict[str, Tensor]

    def __len__(self) -> int:
        """How many numbers are changed."""
        return sum(one.numel() for one in self.values.values())

    @cached_property
    def key(self) -> list[str]:
        """What answers under them are kept by."""
        return ["weights", checksum_of(self.values)]

    @contextlib.contextmanager
    def merged(self, model: LanguageModel) -> Iterator[None]:
        """A block in which they are the model's weights; afterwards its own are back, bit for bit."""
        own = dict(model.model.named_parameters())
        given = {
            name: nn.Parameter(value.to(own[name].device), requires_grad=own[name].requires_grad)
            for name, value in self.values.items()
        }
        with replaced(model.model, given):
            yield

    def save(self, file: Path) -> None:
        """Writes them as safetensors.

        Raises:
            RunError: the file cannot be written.
        """
        keep_tensors(file, self.values)

    @classmethod
    def load(cls, file: Path | None) -> "TrainedWeights | None":
        """What `save` wrote; None where it is not there or not as it was written."""
        kept = kept_tensors(file)
        return None if kept is None else cls(kept)


@contextlib.contextmanager
def replaced(model: nn.Module, given: Mapping[str, Tensor]) -> Iterator[None]:
    """A block in which other tensors stand wherever some of a model's weights do, by the weights' names.

    No values are copied, so the memory is that of the given tensors, and nothing is left when they are taken away.
    """
    places: dict[int, list[tuple[nn.Module, str]]] = defaultdict(list)
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                places[id(weight)].append((module, name))
    own = dict(model.named_parameters())
    done: list[tuple[nn.Module, str, nn.Parameter]] = []
    try:
        for path, tensor in given.items():
            for module, name in places[id(own[path])]:
                done.append((module, name, own[path]))
                module._parameters[name] = tensor  # type: ignore[assignment]  # setattr takes parameters only
        yield
    finally:
        for module, name, weight in done:
            module._parameters[name] = weight


def last_blocks(model: LanguageModel, count: int) -> list[str]:
    """Names of the weights in the last `count` blocks of each stack; embeddings, last norms and the head are in none.

    Raises:
        SettingsError: a stack has no more blocks than that, so that none would be frozen.
    """
    stacks: dict[str, set[int]] = defaultdict(set)
    for group in model.neurons("linear-output"):
        stacks[group.stack].add(group.layer)
    chosen = []
    for stack, layers in stacks.items():
        if count >= len(layers):
            raise SettingsError(
                f"'{stack}' has {len(layers)} blocks, so training the last {count} freezes none; fewer would be right."
            )
        chosen += [f"{stack}.{layer}." for layer in sorted(layers)[-count:]]
    return [name for name, _ in model.model.named_parameters() if name.startswith(tuple(chosen))]
