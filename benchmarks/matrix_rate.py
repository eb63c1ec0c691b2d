"""How fast this machine multiplies matrices: the measure of what could be reached."""

import time
from dataclasses import dataclass, field

import torch
from torch import nn

from biasectomy.layouts.base import placement
from biasectomy.linear_maps import linear_shape

SIZE = 2048


@dataclass
class SquareRate:
    """Best rate seen of a product of two square matrices, in operations a second."""

    dtype: torch.dtype = torch.float32
    size: int = SIZE
    best: float = 0.0
    _operands: list[torch.Tensor] = field(default_factory=list, repr=False)

    def sample(self, repeats: int = 3) -> None:
        """Takes more samples; called between rounds, it sees the machine as the contestants do."""
        if not self._operands:
            self._operands = [torch.randn(self.size, self.size).to(self.dtype) for _ in range(2)]
            torch.mm(*self._operands)
        for _ in range(repeats):
            start = time.perf_counter()
            torch.mm(*self._operands)
            self.best = max(self.best, 2 * self.size**3 / (time.perf_counter() - start))


@dataclass
class OwnRate:
    """Best rate seen over all linear maps of a model's blocks, one after the other, on so many rows at once.

    This is lower than the rate of a square product where matrices are thin, rows few, or weights do not stay in
    the processor's cache: no way of computing the model in these batches can beat it.
    """

    model: nn.Module
    best: float = 0.0

    @torch.inference_mode()
    def sample(self, rows: int, repeats: int = 2) -> None:
        """Takes more samples; the first of all is slow, which the best does not see."""
        head = self.model.get_output_embeddings()  # type: ignore[operator]
        _, dtype = placement(self.model)
        inputs: dict[int, torch.Tensor] = {}
        maps = []
        operations = 0
        for module in self.model.modules():
            shape = linear_shape(module)
            if shape is not None and module is not head:
                inputs.setdefault(shape[0], torch.randn(rows, shape[0]).to(dtype))
                maps.append((module, inputs[shape[0]]))
                operations += 2 * rows * shape[0] * shape[1]
        for _ in range(repeats):
            start = time.perf_counter()
            for module, values in maps:
                module(values)
            self.best = max(self.best, operations / (time.perf_counter() - start))
