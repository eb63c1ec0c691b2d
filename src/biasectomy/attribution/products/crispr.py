"""How CRISPR reduces products of activation and gradient to scores: the two formulas (see `attribution.crispr`)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biasectomy.attribution.products.rule import Span
from biasectomy.reading.layouts import Positions


@dataclass(frozen=True)
class Parts:
    """Which parts of the formulas are in force: the mean over tokens for the maximum, weight, what is subtracted."""

    mean: bool = False
    confusion: bool = True
    disentangle: bool = True

    def over(self, rows: Tensor) -> Tensor:
        """The maximum, or the mean, over positions: [positions, units] -> [units]."""
        return rows.mean(0) if self.mean else rows.amax(0)

    def weight(self, span: Span) -> float:
        """The logarithm of what an instance weighs."""
        return span.log_biased if self.confusion else 0.0


ALL = Parts()


class Paper:
    """The rule as published. Scores are summed over instances."""

    mean_over_instances = False
    group = 1
    keeps_products = True

    def __init__(self, parts: Parts = ALL) -> None:
        self._parts = parts
        self._gold: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self._sums: dict[str, Tensor] = {}

    def gold(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        kept = []
        for span in spans:
            shared = span.gold.of_shared(product).clamp_(min=0)  # [shared positions, units]
            own = span.gold.of_own(product)
            of_own = self._parts.over(own).clamp(min=0) if len(own) else product.new_zeros(1)
            kept.append((shared, of_own) if self._parts.disentangle else (shared.zero_(), torch.zeros_like(of_own)))
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
            best, counts = [], [len(rows) for rows in (shared, own) if len(rows)]
            if len(shared):
                best.append(self._parts.over(shared.sub_(gold_shared)))  # [units]
            if len(own):
                best.append(self._parts.over(own) - gold_own)
            total += math.exp(self._parts.weight(span) + larger) * _joined(best, counts, self._parts).double()

    def finish(self) -> dict[str, Tensor]:
        return self._sums


class Authors:
    """The rule of the released code, with the clamp on groups of `clamp_group` consecutive instances."""

    mean_over_instances = True
    keeps_products = False

    def __init__(self, clamp_group: int, parts: Parts = ALL) -> None:
        self.group = clamp_group
        self._parts = parts
        self._gold: dict[str, list[Tensor]] = {}
        self._open: dict[str, list[tuple[Tensor, Tensor]]] = {}  # (biased, gold) of a group not yet full
        self._sums: dict[str, Tensor] = {}

    def gold(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        self._gold[module] = [_over_tokens(product, span.gold, self._parts).double() for span in spans]

    def biased(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        group = self._open.setdefault(module, [])
        for span, gold in zip(spans, self._gold.pop(module), strict=True):
            confusion = math.exp(self._parts.weight(span))
            group.append((confusion * _over_tokens(product, span.biased, self._parts).double(), confusion * gold))
            if len(group) == self.group:
                self._close(module)

    def _close(self, module: str) -> None:
        group = self._open[module]
        if group:
            biased, gold = (torch.stack(terms).sum(0) for terms in zip(*group, strict=True))
            score = biased - gold.clamp(min=0) if self._parts.disentangle else biased
            self._sums[module] = self._sums[module] + score if module in self._sums else score
            group.clear()

    def finish(self) -> dict[str, Tensor]:
        for module in self._open:
            self._close(module)
        return self._sums


def _over_tokens(product: Tensor, positions: Positions, parts: Parts) -> Tensor:
    """Maximum, or mean, over all positions of a label; [units]."""
    rows = [some for some in (positions.of_shared(product), positions.of_own(product)) if len(some)]
    return _joined([parts.over(some) for some in rows], [len(some) for some in rows], parts)


def _joined(of_some: Sequence[Tensor], counts: Sequence[int], parts: Parts) -> Tensor:
    """What is taken over all positions, from what was taken over some and how many these are; [units]."""
    if not parts.mean:
        return torch.stack(list(of_some)).amax(0)
    return sum(one * count for one, count in zip(of_some, counts, strict=True)) / sum(counts)  # type: ignore[return-value]
