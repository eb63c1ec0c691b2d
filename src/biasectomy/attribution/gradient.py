"""Gradient times activation: how much the odds of the biased answer hang on each neuron, to first order.

The score of neuron i is the mean over items of

    sum over tokens of  h_i * d[log P(biased) - log P(other)] / dh_i

which is the derivative of the log odds of the two answers by the factor that an edit gives the neuron, at the factor 1:
an edit by the factor f moves them by about (f - 1) times the score. The biased answer is the item's target; the other
is the right one (`against right`, for items whose right answer is not the biased one) or the other person (`other`).

Activation times gradient of inputs is Shrikumar et al.'s (2016, "Not Just a Black Box", section 2.4), as first-order
effect of removing a unit Molchanov et al.'s (2017, "Pruning Convolutional Neural Networks for Resource Efficient
Inference", eq. 6), and of the parts of language models attribution patching's (Nanda 2023; Syed et al. 2023).
"""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from biasectomy.attribution.base import ATTRIBUTIONS
from biasectomy.attribution.contrasts import AGAINST, Against, Contrasting, SlopeSettings

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.discovery import Neurons
    from biasectomy.tasks.base import Task

NAME = "gradient"


@ATTRIBUTIONS.register(NAME)
class Gradient(Contrasting):
    """Activation times gradient: the slope of the biased answer's odds in each neuron's factor."""

    name: ClassVar[str] = NAME

    class Settings(SlopeSettings):
        """Options of the attribution."""

        against: Against = Field("right", description=AGAINST)

    def __init__(self, settings: "Gradient.Settings") -> None:
        self.settings = settings

    def scores(
        self, model: "LanguageModel", neurons: "Neurons", development: "Task", session: "Session"
    ) -> "dict[str, Tensor]":
        """Mean slopes over items and instructions, kept in the session's folder.

        Raises:
            ScoreError: a log-likelihood is not finite; names the item.
            ModelError: the memory is too small even for one item.
        """
        from biasectomy.attribution.products.slopes import Slopes

        probability = self.settings.of == "probability"
        return self.means(model, neurons, development, session, lambda: Slopes(probability))
