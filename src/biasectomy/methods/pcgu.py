"""Partitioned contrastive gradient unlearning: only the weights move whose gradients tell two answers apart.

Yu, Jeoung, Kasi, Yu and Ji 2023, "Unlearning Bias in Language Models by Partitioning Gradients" (Findings of ACL), made
for masked models. For a pair of answers, gradients of both log-likelihoods are taken; of the partitions of the weights
(section 3.2; see `learning.partitions`) the k with the lowest cosine similarity are moved, all others stay. The pairs
are development items that have a right answer and another that is the biased one. Of the authors' released code are:
all parameters, k = 10,000, input aggregation, batches of 16 pairs whose gradients are summed, plain gradient descent at
1e-5 that lowers the likelihood of the favoured answer (here the biased one), no scheduler. `preset: paper` is that, for
75 steps (five rounds of WinoGender's 240 pairs, fewer where pronouns are cut off or parted) and without a budget. They
take the gradient of the one masked token's logit; an answer of several tokens has none, so the log-likelihood stands
here. Partitions that a gradient does not reach, which they count as cosine 0 and so often choose to no effect, are
never chosen.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from biasectomy.learning.settings import QUESTIONS_A_LEARNED_ITEM
from biasectomy.methods.base import METHODS, Cost, Profile
from biasectomy.methods.learned_adapter import FittedAdapter
from biasectomy.narration import heading
from biasectomy.options import Options, with_preset

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task

NAME = "pcgu"
PAPER: dict[str, Any] = {
    "partitions": 10_000, "aggregation": "input", "update": "lower-target", "rate": 1e-5, "steps": 75,
    "pairs_a_step": 16, "perplexity": math.inf,
}  # fmt: skip


@METHODS.register(NAME)
class PartitionedUnlearning:
    """Moves the weights whose gradients differ most between the biased and the right answer (Yu et al. 2023)."""

    title: ClassVar[str] = "PCGU"
    profile: ClassVar[Profile] = Profile(
        "weights",
        "two backward passes a step through all weights, with both gradients in memory",
        ("weights", "gradients", "pairs"),
        checkpoint=True,
    )

    class Settings(Options):
        """Options of the method."""

        presets: ClassVar[Mapping[str, Any]] = {"quick": {"steps": 25}}

        preset: Literal["default", "paper"] = Field(
            "default", description="The authors' settings (paper) have no budget but that of --drift."
        )
        partitions: int = Field(10_000, ge=1, description="How many partitions a step moves, at most.")
        aggregation: Literal["input", "output"] = Field(
            "input",
            description="What a partition of a matrix is: all that goes into one output unit, or all that one input "
            "unit goes to.",
        )
        update: Literal["lower-target", "raise-gold", "both"] = Field(
            "lower-target", description="Make the biased answer less likely, the right one more likely, or both."
        )
        rate: float = Field(1e-5, gt=0, le=1, description="Rate of all steps (gradient descent).")
        steps: int = Field(75, ge=1, description="Steps, at most.")
        pairs_a_step: int = Field(16, ge=1, description="Pairs in a step; their gradients are summed.")
        items: int | None = Field(None, ge=1, description="Learn from at most so many items. [default: all]")
        perplexity: float = Field(
            1.1, ge=1, description="Largest perplexity on neutral texts, as a multiple of the original's."
        )
        chosen_by: int = Field(
            40,
            ge=0,
            description="Pairs of other templates, not learned from, by which the best step is chosen; 0: by those "
            "that are learned from.",
        )
        judged_every: int = Field(5, ge=1, description="Steps after which drift and perplexity are judged.")

    def __init__(self, settings: "PartitionedUnlearning.Settings") -> None:
        self.settings = with_preset(settings, {"paper": PAPER})

    def expected_questions(self, development: "Task") -> float:
        """Every step takes two gradients of some pairs.

        Raises:
            SettingsError: no item has two sides, or the task sets no goal.
        """
        from biasectomy.learning.contrast import loss_of_pairs, pairs_of

        loss_of_pairs(pairs_of(development), development.goal())
        return self.settings.steps * self.settings.pairs_a_step * QUESTIONS_A_LEARNED_ITEM * 2

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedAdapter:
        """Moves the weights by the pairs among the development items, and keeps the best within the budget.

        Raises:
            SettingsError: no item has two sides, or the weights are quantised.
            DataError: the pairs have only one template, so that none could choose.
            ScoreError: a log-likelihood is not finite.
        """
        from biasectomy.learning.batches import Batches
        from biasectomy.learning.budgeted import Budget, train_within
        from biasectomy.learning.contrast import PartitionedTraining, learned_and_told, loss_of_pairs, pairs_of
        from biasectomy.learning.full_weights import FullWeights
        from biasectomy.learning.partitions import Partitions
        from biasectomy.learning.within_budget import mean_loss

        settings, seed = self.settings, session.seed
        pairs = pairs_of(development)
        learning, told = learned_and_told(pairs, settings.chosen_by, seed)
        learning = learning.limited(settings.items, seed=seed)
        loss = loss_of_pairs(pairs, session.goal(development))
        weights = FullWeights(model, None, self.title)
        named = dict(zip(weights.names, weights.values, strict=True))
        partitions = Partitions.of(model.model, named, settings.aggregation)
        heading(f"Moving {min(settings.partitions, len(partitions)):,} of {len(partitions):,} partitions a step")
        training = PartitionedTraining(
            model,
            Batches(learning, settings.pairs_a_step, seed),
            loss,
            weights.in_force,
            weights.values,
            session.processes,
            0.0,
            partitions=partitions,
            chosen=settings.partitions,
            update=settings.update,
        )
        budget = Budget.of(session, settings.preset, settings.perplexity, settings.judged_every)
        trained = train_within(
            training,
            settings.steps,
            settings.rate,
            session,
            budget,
            judge=(lambda: mean_loss(model, told, loss)) if told is not None else None,
            last_rate=1.0,
        )
        trained.tell()
        change = weights.learned()
        moved, numbers = partitions.moved(model.model, change.values)
        record = {
            "pairs": len(learning.items),
            "chosen_by": len(told.steps[0][1]) if told else 0,
            "partitions": len(partitions),
            "partitions_moved": moved,
        }
        cost = Cost(session.asked.questions + trained.taken * settings.pairs_a_step, 1.0, numbers)
        return FittedAdapter(change, cost, record | trained.record())
