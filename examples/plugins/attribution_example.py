"""An attribution of your own: the length of each neuron's weights. It asks nothing of the model."""

import torch

from biasectomy import ATTRIBUTIONS
from biasectomy.neurons.weights import owned_slices
from biasectomy.options import Options


@ATTRIBUTIONS.register("weight-norm")
class WeightNorm:
    """The Euclidean norm of the weights that are a neuron's own."""

    Settings = Options  # no options of its own

    def __init__(self, settings):
        self.settings = settings

    def check(self, development):
        """Any items will do."""

    def scores(self, model, neurons, development, session):
        return {group.module: norms(model.model, group) for group in neurons}

    def record(self, development, seed):
        return {}


def norms(model, group):
    matrix = next(owned_slices(model, group, torch.arange(group.units)))  # rows, or columns of a down projection
    return matrix.read().double().norm(dim=1 - matrix.dimension)
