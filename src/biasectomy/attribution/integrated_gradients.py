"""Integrated gradients: what each neuron adds to the odds of the biased answer on the way from nothing to the model.

Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks, ICML 2017, with the neurons' factors m as inputs, from
the baseline 0 (they are all removed) to 1 (the model as it is):

    score of i  =  integral over a from 0 to 1 of  d[log P(biased) - log P(other)] / dm_i  at  m = a * (1, ..., 1)

All scores add up to how far the log odds of the model are from those of the model without these neurons (completeness).
With `path layers` only the neurons of one block go from 0 to 1 at a time, as in Dai et al. 2022 ("Knowledge Neurons in
Pretrained Transformers", eq. 2), who take one token, P of one answer and 20 steps of a plain sum. The scores of a block
then add up to what the block's neurons are worth, and reading takes as many times as long as there are blocks. With
`against other` and `of probability` it is the gap between two groups of Liu et al. 2024 ("The Devil is in the Neurons:
Interpreting and Mitigating Social Biases in Language Models"), summed over tokens. The integral is read at the nodes of
Gauss and Legendre, which need fewer steps than a plain sum.
"""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from biasectomy.attribution.base import ATTRIBUTED, ATTRIBUTIONS
from biasectomy.attribution.contrasts import AGAINST, Against, Contrasting, SlopeSettings

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.discovery import NeuronGroup, Neurons
    from biasectomy.neurons.neuron_set import NeuronSet
    from biasectomy.tasks.base import Task

NAME = "integrated-gradients"
BLOCKS = 24  # what a forecast takes a model to have, which it does not see


class PathSettings(SlopeSettings):
    """Options of the way from no neuron to all."""

    instances: int = Field(20, ge=1, description="Development items that are read, at most.")
    steps: int = Field(8, ge=1, le=256, description="Points between no neuron and all at which slopes are read.")
    path: Literal["together", "layers"] = Field(
        "together", description="Whether all neurons go from 0 to 1 together, or those of one layer at a time."
    )


@ATTRIBUTIONS.register(NAME)
class IntegratedGradients(Contrasting):
    """Integrated gradients (Sundararajan et al. 2017) of the biased answer's odds, from no neuron to all."""

    name: ClassVar[str] = NAME
    alone: ClassVar[bool] = False  # whether the one answer counts by itself, without the one it is compared with

    class Settings(PathSettings):
        """Options of the attribution."""

        against: Against = Field("right", description=AGAINST)

    def __init__(self, settings: PathSettings) -> None:
        self.settings = settings
        self.passes = ATTRIBUTED * settings.steps * (BLOCKS if settings.path == "layers" else 1)

    def scores(
        self, model: "LanguageModel", neurons: "Neurons", development: "Task", session: "Session"
    ) -> "dict[str, Tensor]":
        """Mean over items and instructions; what each step gives is kept in the session's folder.

        Raises:
            ScoreError: a log-likelihood is not finite; names the item.
            ModelError: the memory is too small even for one item.
        """
        import numpy as np
        import torch

        from biasectomy.attribution.products.slopes import Slopes
        from biasectomy.neurons.discovery import Neurons

        rule = functools.partial(Slopes, self.settings.of == "probability", alone=self.alone)
        nodes, lengths = np.polynomial.legendre.leggauss(self.settings.steps)  # on -1 to 1
        sums = {group.module: torch.zeros(group.units, dtype=torch.float64) for group in neurons}
        for number, groups in enumerate(self._paths(neurons)):
            some = Neurons(neurons.definition, groups)
            for step, (node, length) in enumerate(zip(nodes.tolist(), lengths.tolist(), strict=True)):
                factor, kept = (1 + node) / 2, f"attribution/{number}-{step}"
                with model.edited(_with_factor(some, factor)):
                    found = self.means(model, some, development, session, rule, kept)
                for module, slopes in found.items():
                    # What is multiplied by the gradient there is the activation times the factor.
                    sums[module] += length / 2 * slopes / factor
        return sums

    def _paths(self, neurons: "Neurons") -> "Iterator[tuple[NeuronGroup, ...]]":
        """The groups that go from 0 to 1 together."""
        if self.settings.path == "together":
            yield neurons.groups
            return
        blocks: dict[tuple[str, int], list[NeuronGroup]] = {}
        for group in neurons:
            blocks.setdefault((group.stack, group.layer), []).append(group)
        yield from map(tuple, blocks.values())


def _with_factor(neurons: "Neurons", factor: float) -> "NeuronSet":
    from biasectomy.neurons.neuron_set import Neuron, NeuronSet

    found = [
        Neuron(group.module, unit, 0.0, factor) for group in neurons for unit in group.mask.nonzero().flatten().tolist()
    ]
    return NeuronSet(tuple(found), neurons.definition)
