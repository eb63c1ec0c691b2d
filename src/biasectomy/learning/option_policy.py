"""A policy over the options of a question: a linear layer over their ordered probabilities, trained by a reward.

See `methods.refine_lm`. The options stand in the order of their probability, so the layer knows ranks and not places.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """weight [options, options] and bias [options], float64, over logarithms or over probabilities."""

    weight: Tensor
    bias: Tensor
    logarithms: bool = True

    @property
    def numbers(self) -> int:
        """How many it is stored as."""
        return self.weight.numel() + self.bias.numel()

    def __call__(self, log_likelihoods: Tensor) -> Tensor:
        """Log-probabilities of the policy [..., options], of summed log-likelihoods [..., options]."""
        ordered, order = torch.sort(torch.log_softmax(log_likelihoods, dim=-1), dim=-1, descending=True, stable=True)
        seen = ordered if self.logarithms else ordered.exp()
        found = torch.log_softmax(seen @ self.weight.T + self.bias, dim=-1)
        return torch.gather(found, -1, torch.argsort(order, dim=-1))

    def of(self, log_likelihoods: Floats) -> Floats:
        """The same of arrays."""
        with torch.no_grad():
            found: Floats = self(torch.from_numpy(log_likelihoods)).numpy()
        return found

    def to_json(self) -> dict[str, Any]:
        """What it is, as JSON-like values."""
        return {"weight": self.weight.tolist(), "bias": self.bias.tolist(), "logarithms": self.logarithms}


def layer_of(count: int, *, logarithms: bool) -> Layer:
    """The layer of so many options that training begins with: the identity."""
    return Layer(torch.eye(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64), logarithms)


def comparative_bias(policy: Tensor, places: Tensor) -> Tensor:
    """C of log-probabilities [quadruples, 4, options] with two subjects' places [quadruples, 4, 2], [quadruples].

    Li et al. 2020; see `tasks.unqover_scores`.
    """
    scores = torch.gather(policy, -1, places).exp()
    bias = (scores[:, :2].sum(dim=1) - scores[:, 2:].sum(dim=1)) / 2
    return (bias[:, 0] - bias[:, 1]) / 2


def learned(
    layer: Layer, values: Floats, places: Any, steps: int, batch: int, rate: float, seed: int
) -> tuple[Layer, float, float]:
    """The layer after training by the mean reward -|C|, and the mean |C| before and after.

    Args:
        layer: that training begins with.
        values: summed log-likelihoods [quadruples, 4, options].
        places: of the subjects among the options, [quadruples, 4, 2].
        steps: of AdamW.
        batch: quadruples in a step.
        rate: of the steps.
        seed: of the order of quadruples.
    """
    given, where = torch.from_numpy(np.array(values)), torch.from_numpy(np.array(places))
    generator = torch.Generator().manual_seed(seed)

    def mean(one: Layer) -> float:
        with torch.no_grad():
            return float(comparative_bias(one(given), where).abs().mean())

    with torch.enable_grad():
        weight, bias = (one.clone().requires_grad_(True) for one in (layer.weight, layer.bias))
        trained = replace(layer, weight=weight, bias=bias)
        optimizer = torch.optim.AdamW([weight, bias], lr=rate)
        order = torch.empty(0, dtype=torch.long)
        for _ in range(steps):
            if not len(order):
                order = torch.randperm(len(given), generator=generator)
            chosen, order = order[:batch], order[batch:]
            # The mean over all answers that the policy may give of what each adds to C: no answer need be drawn.
            loss = comparative_bias(trained(given[chosen]), where[chosen]).abs().mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    found = replace(layer, weight=weight.detach(), bias=bias.detach())
    return found, mean(layer), mean(found)
