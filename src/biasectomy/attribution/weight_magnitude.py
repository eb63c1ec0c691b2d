"""Weight magnitude: the length of each neuron's weights. What is large may matter; it says nothing of bias.

The usual score of structured pruning (Li et al. 2017, "Pruning Filters for Efficient ConvNets"), and so a floor for
attributions that read items: a set that does no better was found by size.
"""

from typing import TYPE_CHECKING

from biasectomy.attribution.base import ATTRIBUTIONS, ReadsNoItems
from biasectomy.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.discovery import NeuronGroup, Neurons
    from biasectomy.tasks.base import Task


@ATTRIBUTIONS.register("weight-magnitude")
class WeightMagnitude(ReadsNoItems):
    """Euclidean norm of the weights that an edit of the neuron scales; asks nothing of the model."""

    def scores(
        self, model: "LanguageModel", neurons: "Neurons", development: "Task", session: "Session"
    ) -> "dict[str, Tensor]":
        """Norms of rows with their bias (outputs), or of columns of a down projection (inputs).

        Raises:
            ModelError: the weights are quantised.
        """
        return {group.module: _norms(model.model, group) for group in neurons}


def _norms(model: "nn.Module", group: "NeuronGroup") -> "Tensor":
    import torch

    from biasectomy.neurons.weights import owned_slices

    if not getattr(model.get_submodule(group.owner), group.parameter).is_floating_point():
        raise ModelError(f"'{group.owner}' holds quantised weights; load the full-precision model to see their size.")
    squares = torch.zeros(group.units, dtype=torch.float64)
    for owned in owned_slices(model, group, torch.arange(group.units)):
        values = owned.read().detach().double().cpu().square()  # [units, ...] or [..., units]; of a bias [units]
        squares += values if values.dim() == 1 else values.sum(dim=1 - owned.dimension)
    return squares.sqrt()
