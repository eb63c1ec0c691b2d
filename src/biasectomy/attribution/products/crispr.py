"""How CRISPR reduces products of activation and gradient to scores: the two formulas (see `attribution.crispr`)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from biasectomy.attribution.products.rule import Span
from biasectomy.reading.layouts import Positions


class Paper:
    """The rule as published. Scores are summed over instances."""

    mean_over_instances = False
    group = 1
    keeps_products = True

    def __init__(self) -> None:
        self._gold: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self._sums: dict[str, Tensor] = {}

    def gold(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        kept = []
        for span in spans:
            shared = span.gold.of_shared(product).clamp_(min=0)  # [shared positions, units]
            own = span.gold.of_own(product)
            kept.append((shared, own.amax(0).clamp(min=0) if len(own) else product.new_zeros(1)))
        self._gold[module] = kept

    def biased(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        total = self._sums.setdefault(module, product.new_zeros(product.shape[-1], dtype=torch.float64))
        for span, (gold_shared, gold_own) in zip(spans, self._gold.pop(module), strict=True):
            # P can be far below what float32 holds, so the larger one is taken out and put back in float64;
            # the products of the other one are scaled by what is left of it.
            larger = max(span.log_gold, span.log_biased)
            shared, own = span.biased.of_shared(product), span.biased.of_own(product)
            if span.log_biased < larger:
                shared.mul_(math.exp(span.log_biased - larger))
                own = own * math.exp(span.log_biased - larger)
            if span.log_gold < larger:
                gold_shared.mul_(math.exp(span.log_gold - larger))
                gold_own = gold_own * math.exp(span.log_gold - larger)
            best = []
            if len(shared):
                best.append(shared.sub_(gold_shared).amax(0))  # [units]
            if len(own):
                best.append(own.amax(0) - gold_own)
            total += math.exp(span.log_biased + larger) * torch.stack(best).amax(0).double()

    def finish(self) -> dict[str, Tensor]:
        return self._sums


class Authors:
    """The rule of the released code, with the clamp on groups of `clamp_group` consecutive instances."""

    mean_over_instances = True
    keeps_products = False

    def __init__(self, clamp_group: int) -> None:
        self.group = clamp_group
        self._gold: dict[str, list[Tensor]] = {}
        self._open: dict[str, list[tuple[Tensor, Tensor]]] = {}  # (biased, gold) of a group not yet full
        self._sums: dict[str, Tensor] = {}

    def gold(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        self._gold[module] = [_maximum(product, span.gold).double() for span in spans]

    def biased(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        group = self._open.setdefault(module, [])
        for span, gold in zip(spans, self._gold.pop(module), strict=True):
            confusion = math.exp(span.log_biased)
            group.append((confusion * _maximum(product, span.biased).double(), confusion * gold))
            if len(group) == self.group:
                self._close(module)

    def _close(self, module: str) -> None:
        group = self._open[module]
        if group:
            biased, gold = (torch.stack(terms).sum(0) for terms in zip(*group, strict=True))
            score = biased - gold.clamp(min=0)
            self._sums[module] = self._sums[module] + score if module in self._sums else score
            group.clear()

    def finish(self) -> dict[str, Tensor]:
        for module in self._open:
            self._close(module)
        return self._sums


def _maximum(product: Tensor, positions: Positions) -> Tensor:
    """Maximum over all positions of a label; [units]."""
    parts = [rows.amax(0) for rows in (positions.of_shared(product), positions.of_own(product)) if len(rows)]
    return torch.stack(parts).amax(0)
