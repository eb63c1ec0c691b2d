"""Random scores: the floor that every other attribution must beat."""

from typing import TYPE_CHECKING

from biasectomy.attribution.base import ATTRIBUTIONS, ReadsNoItems

if TYPE_CHECKING:
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.discovery import Neurons
    from biasectomy.tasks.base import Task


@ATTRIBUTIONS.register("random")
class Random(ReadsNoItems):
    """Random scores, drawn with the run's seed: the floor that every attribution must beat."""

    def scores(
        self, model: "LanguageModel", neurons: "Neurons", development: "Task", session: "Session"
    ) -> "dict[str, Tensor]":
        """Scores drawn uniformly from 0 to 1."""
        import torch

        generator = torch.Generator().manual_seed(session.seed)
        return {group.module: torch.rand(group.units, generator=generator, dtype=torch.float64) for group in neurons}
