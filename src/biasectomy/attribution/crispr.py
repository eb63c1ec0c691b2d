"""CRISPR: neurons that raise the confused answer and do not serve the right one.

Yang, Kang, Choi, Lee, Jung: Mitigating Biases for Instruction-following Language Models via Bias
Neurons Elimination, ACL 2024. With A_i(c) = h_i * dP(c)/dh_i at every token, y the gold option and
y^ the likeliest wrong one, the score of neuron i is the sum over instances of

    `paper`    P(y^) * max over tokens of [ A_i(y^) - max(0, A_i(y)) ]
    `authors`  P(y^) * max over tokens of h_i * dlogP(y^)/dh_i
               - max(0, P(y^) * max over tokens of h_i * dlogP(y)/dh_i),  divided by the number of instances

`authors` is what the code its first author published computes; there the clamp acts on the sum over a
batch of 4, which `clamp_group=4` reproduces.

What the paper's ablation leaves out can be left out of both: `tokens="mean"` takes the mean over tokens in place of the
maximum, `confusion_weight=False` leaves out the factor P(y^) in front (of `authors`, which has one in all, what is left
is dlogP), and `skill_disentanglement=False` all that is said of the right answer.

Tokens: of a decoder-only model all whose output can influence a label's probability, which are the prompt,
where both labels stand at the same positions, and each label's own tokens but its last. Of an
encoder-decoder the input tokens for the encoder's modules and for the keys and values of cross-attention,
and the label's tokens for all other modules of the decoder. Where positions are a label's own, each label's
maximum (or mean) is taken first.
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from biasectomy.attribution.base import ATTRIBUTED, ATTRIBUTIONS
from biasectomy.errors import SettingsError
from biasectomy.options import Options

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.discovery import Neurons
    from biasectomy.tasks.base import Task


NAME = "crispr"


@ATTRIBUTIONS.register(NAME)
class Crispr:
    """CRISPR (Yang et al. 2024): confusion score, skill disentanglement, maximum over tokens."""

    class Settings(Options):
        """Options of the attribution."""

        variant: Literal["paper", "authors"] = Field(
            "paper", description="The formula of the paper or of its authors' code."
        )
        instances: int = Field(20, ge=1, description="Development items scored in one trial.")
        trials: int = Field(3, ge=1, description="Trials, each with its own draw of items.")
        tokens: Literal["max", "mean"] = Field(
            "max", description="What is taken over tokens: the maximum, or the mean, as in the paper's ablation."
        )
        confusion_weight: bool = Field(True, description="Weigh instances by the probability of the wrong answer.")
        skill_disentanglement: bool = Field(True, description="Subtract what serves the right answer.")
        clamp_group: int = Field(1, ge=1, description="Instances clamped together (variant authors; their code has 4).")

        @model_validator(mode="after")
        def _refuse_contradictions(self) -> "Crispr.Settings":
            if self.clamp_group > 1 and self.variant != "authors":
                raise SettingsError(
                    f"--crispr.clamp-group {self.clamp_group} needs --crispr.variant authors; the paper clamps each "
                    "instance."
                )
            return self

    def __init__(self, settings: "Crispr.Settings") -> None:
        self.settings = settings

    def check(self, development: "Task") -> None:
        """Refuses a task whose items have no right answer, and more instances than there are items.

        Raises:
            SettingsError: says what would be enough.
        """
        here, wanted = len(development.items), self.settings.instances
        if any(item.gold is None or len(item.options) < 2 for item in development.items):
            raise SettingsError(
                f"CRISPR compares a right with a wrong answer, and items of {development.name} have no right one; "
                "'biasectomy ls methods' has others."
            )
        if here < wanted:
            raise SettingsError(
                f"{development.name} has {here} development items, fewer than --crispr.instances {wanted}; use "
                f"--crispr.instances {here}, more --max-items or a larger --development-share."
            )

    def expected_questions(self, development: "Task") -> float:
        """About how many questions' time the scores take."""
        return ATTRIBUTED * self.settings.instances * self.settings.trials * len(development.instructions)

    def scores(
        self, model: "LanguageModel", neurons: "Neurons", development: "Task", session: "Session"
    ) -> "dict[str, Tensor]":
        """Mean over trials and instructions of the score of the drawn instances.

        Scores of each trial and instruction are kept in the session's folder, and taken from there.

        Raises:
            ScoreError: a log-likelihood is not finite; names the item.
            ModelError: the memory is too small even for one item.
        """
        from biasectomy.attribution.products.crispr import Authors, Paper, Parts
        from biasectomy.attribution.products.trials import Trials

        settings = self.settings
        parts = Parts(settings.tokens == "mean", settings.confusion_weight, settings.skill_disentanglement)

        def make_rule() -> Paper | Authors:
            return Paper(parts) if settings.variant == "paper" else Authors(settings.clamp_group, parts)

        trials = Trials(model, neurons, development, session, make_rule)
        return trials.scores(self.drawn(development, session.seed))

    def drawn(self, development: "Task", seed: int) -> list[list[int]]:
        """Indices of each trial's items, drawn without replacement within a trial."""
        import numpy as np

        here, wanted = len(development.items), self.settings.instances
        return [
            np.random.default_rng([seed, trial]).choice(here, wanted, replace=False).tolist()
            for trial in range(self.settings.trials)
        ]

    def record(self, development: "Task", seed: int) -> dict[str, Any]:
        """What is noted beside the neurons that were found."""
        names = [item.identifier for item in development.items]
        return {"drawn": [[names[index] for index in trial] for trial in self.drawn(development, seed)]}
