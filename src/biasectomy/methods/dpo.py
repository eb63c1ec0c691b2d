"""Direct preference optimization on pairs of development items: the right answer is preferred over the wrong ones.

Rafailov et al. 2023, "Direct Preference Optimization: Your Language Model is Secretly a Reward Model" (NeurIPS),
equation 7: -log sigmoid(beta ((log pi(y_w | x) - log ref(y_w | x)) - (log pi(y_l | x) - log ref(y_l | x)))), with beta
0.1 and the model itself as the reference. The rejected answers y_l are all wrong ones, each a pair with the right one.
Where only the biased one is rejected (`rejected biased`), nothing keeps "unknown" from winning everywhere.

By default LoRA is trained, with the drift term that all methods here have that learn, within a budget of drift and
perplexity. `preset paper` trains all weights on 64 pairs a step at 0.000001, without that term and without a budget, as
the authors do; with Adam where they take RMSprop, and without the first 150 steps in which their rate rises.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from biasectomy.errors import DataError, SettingsError
from biasectomy.learning.settings import LAST_RATE, QUESTIONS_A_LEARNED_ITEM, BudgetedSettings, validated_questions
from biasectomy.methods.base import METHODS, Cost, Profile
from biasectomy.methods.learned_adapter import FittedAdapter
from biasectomy.narration import heading, warn
from biasectomy.options import with_preset

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.learning.within_budget import Lesson
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task

NAME = "dpo"
VALIDATION_SHARE = 0.2  # of the templates
TRIED = {"peft": 3e-3}  # on BBQ Age better than a third of it; at a tenth little is learned in as many steps
PAPER = {
    "kind": "full", "rate": 1e-6, "items_a_step": 64, "drift_weight": 0.0, "perplexity": math.inf, "variants": False,
}  # fmt: skip


@METHODS.register(NAME)
class Dpo:
    """Prefers right answers over wrong ones, relative to the model as it was (DPO, Rafailov et al. 2023)."""

    title: ClassVar[str] = "DPO"
    profile: ClassVar[Profile] = Profile(
        "weights",
        "some hundred steps of training, and each of their questions once before",
        ("weights", "gradients", "pairs"),
        checkpoint=True,
    )

    class Settings(BudgetedSettings):
        """Options of the method."""

        presets: ClassVar[Mapping[str, Any]] = {"quick": {"steps": 30}}

        beta: float = Field(
            0.1, gt=0, allow_inf_nan=False, description="How strongly the model is held to the reference."
        )
        rejected: Literal["every", "biased"] = Field(
            "every",
            description="What the right answer is preferred over: every other, or the biased one (the other person "
            "where that is right).",
        )
        rate: float | None = Field(
            None, gt=0, le=1, description="Rate of the first step (Adam). [default: by kind: 0.003, 0.00002, 0.00005]"
        )
        steps: int = Field(80, ge=1, description="Steps of training.")

    def __init__(self, settings: "Dpo.Settings") -> None:
        self.settings = with_preset(settings, {"paper": PAPER})

    def expected_questions(self, development: "Task") -> float:
        """Every step learns from some items, whose questions were asked once; others choose every few steps.

        Raises:
            SettingsError: no item has a right answer and another.
        """
        settings = self.settings
        pairs = _pairs(development)
        judged = validated_questions(pairs, VALIDATION_SHARE, settings.validation_items)
        learned = settings.steps * min(settings.items_a_step, len(pairs.items)) * (1 + QUESTIONS_A_LEARNED_ITEM)
        return learned + settings.steps / settings.judged_every * judged

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedAdapter:
        """Learns from the development items.

        Raises:
            SettingsError: the model has nothing that could be trained so, `peft` is not installed, or no item has a
                right answer and another.
            ScoreError: a loss is not finite.
        """
        from biasectomy.learning.objectives import EVEN
        from biasectomy.learning.within_budget import taught

        settings = self.settings
        heading(f"Learning {self.title}")
        goal = development.goals and session.goal(development).judged(development.metrics)
        if goal and goal.best == EVEN:
            warn(f"'{development.name}' asks for even odds, and DPO knows no end: it may go beyond them.")
        lesson = self._lesson(model, _pairs(development), session)
        learned, found = taught(self.title, settings, model, session, lesson)
        chosen = sum(len(items) for _, items in lesson.choosing.steps)
        asked = found.taken * settings.items_a_step + len(found.judged) * chosen
        record = {
            "learned_from": len(lesson.learning.task.items),
            "kind": settings.kind,
            "beta": settings.beta,
            "rejected": settings.rejected,
            "numbers": len(learned),
        }
        return FittedAdapter(learned, Cost(session.asked.questions + asked, 1.0, len(learned)), record | found.record())

    def _lesson(self, model: "LanguageModel", pairs: "Task", session: "Session") -> "Lesson":
        """What is learned, in which steps, and what chooses."""
        from biasectomy.learning.batches import Batches
        from biasectomy.learning.budgeted import Budget
        from biasectomy.learning.preferences import preference, referenced
        from biasectomy.learning.setting_up import learned_and_validated
        from biasectomy.learning.within_budget import RATES, Lesson

        settings, seed = self.settings, session.seed
        try:
            learning, choosing = learned_and_validated(
                pairs, VALIDATION_SHARE, settings.items, max(1, settings.validation_items), seed
            )
            asked = [(instruction, list(choosing.items)) for instruction in choosing.instructions]
        except DataError:  # of too few templates: what is learned from chooses too
            learning, asked = pairs.limited(settings.items, seed=seed), []
        variants = tuple(learning.variants) if settings.variants else ()
        batches = Batches(learning, settings.items_a_step, seed, variants)
        steps = [batches.at(step) for step in range(settings.steps)]
        return Lesson(
            referenced(model, learning, steps, session, settings.rejected),
            referenced(model, pairs, asked if settings.validation_items else [], session, settings.rejected),
            preference(settings.beta),
            Budget.of(session, settings.preset, settings.perplexity, settings.judged_every),
            settings.rate or (RATES | TRIED)[settings.kind],
            LAST_RATE,
        )


def _pairs(development: "Task") -> "Task":
    """The items that have a right answer and another.

    Raises:
        SettingsError: there are none.
    """
    from dataclasses import replace

    from biasectomy.learning.preferences import can_be_preferred

    items = tuple(item for item in development.items if can_be_preferred(item))
    if not items:
        raise SettingsError(
            f"No item of '{development.name}' has a right answer and another one, so none can be preferred; a task "
            "whose items have, such as bbq:age, would be right."
        )
    return replace(development, items=items)
