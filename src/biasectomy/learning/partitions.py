"""Weights in partitions, and those whose gradients for two answers point in the most different directions.

Yu et al. 2023, "Unlearning Bias in Language Models by Partitioning Gradients" (Findings of ACL), section 3.2: a matrix
is parted into the vectors that make one output unit out of all inputs (input aggregation), or that lead from one input
unit to all outputs (output aggregation); a bias or a norm's gains are one part. Partitions whose two gradients have the
lowest cosine similarity are where the two answers come apart. One that neither answer's gradient reaches, such as the
embedding of a token that is not there, has no direction and is never among them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

Aggregation = Literal["input", "output"]
Gradients = Mapping[str, Tensor]  # by the parameter's name


@dataclass(frozen=True)
class Partitions:
    """The partitions of some parameters, numbered in the order of their names.

    `lengthwise` is the dimension that runs along a partition's vector, for each parameter of two dimensions or more.
    """

    parameters: Mapping[str, Tensor]
    lengthwise: Mapping[str, int]

    @classmethod
    def of(cls, model: nn.Module, parameters: Mapping[str, Tensor], aggregation: Aggregation = "input") -> "Partitions":
        """Of tensors that stand for some of a model's parameters, by the parameters' names."""
        lengthwise = {}
        for name, parameter in parameters.items():
            if parameter.dim() > 1:
                module = model.get_submodule(name.rpartition(".")[0])
                turned = isinstance(module, Conv1D)  # which keeps its matrix transposed
                lengthwise[name] = -1 if (aggregation == "input") != turned else -2
        return cls(parameters, lengthwise)

    def __len__(self) -> int:
        return sum(self._count(name) for name in self.parameters)

    def _count(self, name: str) -> int:
        parameter = self.parameters[name]
        return parameter.numel() // parameter.shape[self.lengthwise[name]] if name in self.lengthwise else 1

    def similarities(self, first: Gradients, second: Gradients) -> Tensor:
        """Cosine similarity of two gradients in each partition, [partitions]; infinite where either is zero."""
        return torch.cat([self._of_one(name, first[name], second[name]) for name in self.parameters])

    def _of_one(self, name: str, first: Tensor, second: Tensor) -> Tensor:
        dimension = self.lengthwise.get(name, 0)
        if name not in self.lengthwise:
            first, second = first.reshape(-1), second.reshape(-1)
        first, second = first.float(), second.float()
        lengths = first.norm(dim=dimension) * second.norm(dim=dimension)
        found = (first * second).sum(dim=dimension) / lengths
        return torch.where(lengths > 0, found, torch.inf).reshape(-1).cpu()

    def lowest(self, similarities: Tensor, count: int) -> Tensor:
        """Numbers of the partitions with the lowest similarities, at most `count`, ascending."""
        order = torch.argsort(similarities, stable=True)[:count]
        return order[torch.isfinite(similarities[order])].sort().values

    def masks(self, chosen: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Of each parameter with a chosen partition: its name, and a mask that stretches over its shape."""
        start = 0
        for name, parameter in self.parameters.items():
            count = self._count(name)
            own = chosen[(chosen >= start) & (chosen < start + count)] - start
            start += count
            if not len(own):
                continue
            mask = torch.zeros(count, dtype=torch.bool)
            mask[own] = True
            if name in self.lengthwise:
                dimension = self.lengthwise[name] % parameter.dim()
                shape = [size if place != dimension else 1 for place, size in enumerate(parameter.shape)]
            else:
                shape = [1] * parameter.dim()
            yield name, mask.reshape(shape).to(parameter.device)

    def moved(self, model: nn.Module, changed: Mapping[str, Tensor]) -> tuple[int, int]:
        """How many partitions, and how many weights, are not the model's own, by the changed parameters' values."""
        partitions = weights = 0
        for name, own in model.named_parameters():
            if name in changed:
                differs = changed[name].to(own.device) != own
                dimension = self.lengthwise.get(name)
                partitions += int((differs.any() if dimension is None else differs.any(dim=dimension)).sum())
                weights += int(differs.sum())
        return partitions, weights
