"""A model's frozen weights in another number format for as long as a step of training takes."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class NumberFormat:
    """Weights of a model in a number format; a copy of those that have another is made once and held.

    Args:
        model: whose weights.
        dtype: the format; None leaves all as they are.
        trained: weights that stay as they are.
    """

    model: nn.Module
    dtype: torch.dtype | None
    trained: Sequence[Tensor]
    _copies: list[tuple[nn.Parameter, Tensor]] | None = field(default=None, repr=False)

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """A block in which the model computes in the format."""
        if self._copies is None:
            self._copies = [(weight, weight.data.to(self.dtype)) for weight in self._others()]
        own = [weight.data for weight, _ in self._copies]
        try:
            for weight, copy in self._copies:
                weight.data = copy
            yield
        finally:
            for (weight, _), values in zip(self._copies, own, strict=True):
                weight.data = values

    def _others(self) -> list[nn.Parameter]:
        kept = {id(one) for one in self.trained}
        found = [weight for weight in self.model.parameters() if weight.is_floating_point() and id(weight) not in kept]
        return [weight for weight in found if self.dtype not in (None, weight.dtype)]
