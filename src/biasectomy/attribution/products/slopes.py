"""Rules that reduce an instance to two numbers for each neuron, one for either answer, and take the difference."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from biasectomy.attribution.products.rule import Span


class _Difference:
    """Weighted mean over instances of what the biased answer gives a neuron, less what the other one gives."""

    mean_over_instances = True
    group = 1
    keeps_products = False

    def __init__(self) -> None:
        self._gold: dict[str, list[Tensor]] = {}
        self._sums: dict[str, Tensor] = {}

    def gold(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        self._gold[module] = [self._reduced(product, span, biased=False) for span in spans]

    def biased(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        total = self._sums.setdefault(module, product.new_zeros(product.shape[-1], dtype=torch.float64))
        for span, other in zip(spans, self._gold.pop(module), strict=True):
            total += span.weight * (self._reduced(product, span, biased=True) - other)

    def finish(self) -> dict[str, Tensor]:
        return self._sums

    def _reduced(self, product: Tensor, span: Span, *, biased: bool) -> Tensor:
        """What one answer gives each neuron, float64 [units]."""
        raise NotImplementedError


class Slopes(_Difference):
    """The products summed over all tokens.

    h * dlogP/dh, summed over the tokens at which a neuron computes, is the derivative of log P by the factor that an
    edit gives the neuron, at the factor 1. The difference is that of the log odds of the two answers.

    Args:
        probability: slopes of P in place of log P.
        alone: the biased answer counts by itself.
    """

    def __init__(self, probability: bool = False, *, alone: bool = False) -> None:
        super().__init__()
        self.probability, self.alone = probability, alone

    def _reduced(self, product: Tensor, span: Span, *, biased: bool) -> Tensor:
        if self.alone and not biased:
            return product.new_zeros(product.shape[-1], dtype=torch.float64)
        positions, log_probability = (span.biased, span.log_biased) if biased else (span.gold, span.log_gold)
        slopes = positions.of_shared(product).sum(0).double() + positions.of_own(product).sum(0).double()
        return slopes * math.exp(log_probability) if self.probability else slopes


class MeanActivations(_Difference):
    """Activations averaged over the tokens of an answer; 0 for modules that see none of them."""

    def _reduced(self, product: Tensor, span: Span, *, biased: bool) -> Tensor:
        own = (span.biased if biased else span.gold).of_own(product)
        return own.double().mean(0) if len(own) else product.new_zeros(product.shape[-1], dtype=torch.float64)
