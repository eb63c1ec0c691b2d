"""Random scores: the floor that every other attribution must beat."""

from collections.abc import Sequence

import torch
from torch import Tensor

from biasectomy.attribution.rule import ATTRIBUTIONS, Rule, RuleSettings, Span


@ATTRIBUTIONS.register("random")
def random(settings: RuleSettings) -> Rule:
    """Random scores, drawn with the run's seed: the floor that every attribution must beat."""
    return Random(settings)


class Random:
    """Scores drawn uniformly from 0 to 1."""

    needs_gradients = False
    mean_over_instances = False
    group = 1
    keeps_products = False

    def __init__(self, settings: RuleSettings) -> None:
        self._settings = settings

    def gold(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        raise NotImplementedError("random scores need no gradients")

    def biased(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        raise NotImplementedError("random scores need no gradients")

    def finish(self) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(self._settings.seed)
        return {
            group.module: torch.rand(group.units, generator=generator, dtype=torch.float64)
            for group in self._settings.neurons
        }
