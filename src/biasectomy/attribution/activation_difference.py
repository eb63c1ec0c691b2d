"""Activation difference: how differently a neuron is active where the biased answer is read, and where another one is.

The score of neuron i is |mean over items of (mean of h_i over the tokens of the biased answer, behind the prompt or as
a whole text, less the same of the other answer)|. No gradient is needed; nothing says that a neuron which tells two
answers apart also makes the model choose between them. Differences of mean activations between two kinds of texts are
what concept and steering directions are made of (Rimsky et al. 2024, "Steering Llama 2 via Contrastive Activation
Addition") and what tools for pruning biased neurons rank by (optipfair's differences between paired prompts).

Modules that see no token of an answer, such as an encoder's, score 0.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from biasectomy.attribution.base import ATTRIBUTIONS
from biasectomy.attribution.contrasts import AGAINST, Against, Contrasting, ContrastSettings

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.discovery import Neurons
    from biasectomy.reading.prompts import EncodedPrompt
    from biasectomy.tasks.base import Task

NAME = "activation-difference"
NEVER_READ = 0  # a token behind an answer: the last one is only ever predicted, and the answer is to be read


@ATTRIBUTIONS.register(NAME)
class ActivationDifference(Contrasting):
    """Difference of mean activations between the biased answer and another one."""

    name: ClassVar[str] = NAME
    gradients: ClassVar[bool] = False
    passes = 1

    class Settings(ContrastSettings):
        """Options of the attribution."""

        against: Against = Field("other", description=AGAINST)

    def __init__(self, settings: "ActivationDifference.Settings") -> None:
        self.settings = settings

    def scores(
        self, model: "LanguageModel", neurons: "Neurons", development: "Task", session: "Session"
    ) -> "dict[str, Tensor]":
        """Sizes of the mean differences over items and instructions, kept in the session's folder.

        Raises:
            ScoreError: a log-likelihood is not finite; names the item.
            ModelError: the memory is too small even for one item.
        """
        from biasectomy.attribution.products.slopes import MeanActivations

        found = self.means(model, neurons, development, session, MeanActivations)
        return {module: differences.abs() for module, differences in found.items()}

    def adapted(self, model: "LanguageModel", encoded: "EncodedPrompt") -> "EncodedPrompt":
        """With one token more behind each answer; an encoder-decoder has an end token there already."""
        if getattr(model.model.config, "is_encoder_decoder", False):
            return encoded
        return replace(encoded, options=tuple((*option, NEVER_READ) for option in encoded.options))
