"""Unlearning of hate speech against one group, by gradient ascent on its harmful tokens.

Lu, Isonuma, Mori and Sakata 2024, "Towards Transfer Unlearning: Empirical Evidence of Cross-Domain Bias Mitigation"
(arXiv 2407.16951): the loss is log P(x_i | context) of the harmful tokens x_i of hate speech against women, which is
made small; bias against others is then measured, to see whether unlearning transfers. Theirs is GPT-2 on data of Vidgen
et al. (2021), with nothing that holds the model where it was: `preset: paper` takes the term and the budget away. Their
rates, steps and batches are not known to us. Here the context of a token is what stands left of it, which is what a
model has that writes from left to right; the data are HateXplain's, whose annotators marked the harmful words; and of
what is within a budget of drift and perplexity the best is kept.
"""

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from biasectomy.learning.harmful_settings import HarmfulSettings, check, selected_texts
from biasectomy.learning.settings import QUESTIONS_A_LEARNED_ITEM
from biasectomy.methods.base import METHODS, Cost, Profile
from biasectomy.methods.learned_adapter import FittedAdapter
from biasectomy.narration import heading, say
from biasectomy.options import with_preset

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task

NAME = "unlearn"
PAPER: dict[str, Any] = {"kind": "full", "tokens": "rationale", "drift_weight": 0.0, "perplexity": math.inf}


@METHODS.register(NAME)
class Unlearn:
    """Makes the harmful tokens of hate speech against one group unlikely, by gradient ascent (Lu et al. 2024)."""

    title: ClassVar[str] = "Unlearning"
    profile: ClassVar[Profile] = Profile(
        "weights", "some hundred steps of training on texts", ("weights", "gradients", "data"), checkpoint=True
    )

    class Settings(HarmfulSettings):
        """Options of the method."""

        presets: ClassVar[Mapping[str, Any]] = {"quick": {"steps": 30}}

        preset: Literal["default", "paper"] = Field(
            "default", description="With paper all weights, no drift term, no budget but that of --drift."
        )
        drift_weight: float = Field(
            1.0, ge=0, allow_inf_nan=False, description="Weight of the drift from the original on neutral texts."
        )
        perplexity: float = Field(
            1.1, ge=1, description="Largest perplexity on neutral texts, as a multiple of the original's."
        )
        judged_every: int = Field(
            5, ge=1, description="Steps after which drift and perplexity are judged; ascent goes far in few."
        )

    def __init__(self, settings: "Unlearn.Settings") -> None:
        self.settings = with_preset(settings, {"paper": PAPER})

    @property
    def groups(self) -> Collection[str]:
        """See `OfGroups`."""
        from biasectomy.tasks.harmful_texts import GROUPS

        return GROUPS

    @property
    def chooses_on_items(self) -> bool:
        """No: held-out texts choose."""
        return False

    def expected_questions(self, development: "Task") -> float:
        """Every step learns from some texts, whatever the development items are.

        Raises:
            UnknownNameError, SettingsError: there is no such group, or no lexicon where one is needed.
        """
        check(self.settings)
        return self.settings.steps * self.settings.items_a_step * QUESTIONS_A_LEARNED_ITEM

    def check_data(self, data_folder: Path | None) -> None:
        """See `ReadsData`."""
        selected_texts(self.settings, data_folder)

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedAdapter:
        """Unlearns the group's texts; nothing is learned from the development items.

        Raises:
            SourceError, DataError: the texts are not there, cannot be read, or are too few.
            SettingsError: this part of the model cannot be trained.
            ScoreError: a loss is not finite.
        """
        from biasectomy.learning.batches import Batches
        from biasectomy.learning.budgeted import Budget, train_within
        from biasectomy.learning.harmful_tokens import learned_and_held_out
        from biasectomy.learning.text_training import TextTraining, mean_log_probability, no_loss, texts_as_task
        from biasectomy.learning.within_budget import RATES, trained_part

        settings, seed = self.settings, session.seed
        heading(f"Unlearning hate speech against {settings.group}")
        texts = selected_texts(settings, session.data)
        learned, held_out = learned_and_held_out(model, texts.texts, whole=settings.tokens == "all")
        told = list(held_out.values())
        before = mean_log_probability(model, told)
        budget = Budget.of(session, settings.preset, settings.perplexity, settings.judged_every)
        with trained_part(self.title, settings.part, model, seed) as part:
            training = TextTraining(
                model,
                Batches(texts_as_task(NAME, learned), settings.items_a_step, seed),
                no_loss,
                part.change,
                part.parameters,
                session.processes,
                settings.drift_weight,
                prompts=learned,
            )
            trained = train_within(
                training,
                settings.steps,
                settings.rate or RATES[settings.kind],
                session,
                budget,
                judge=lambda: mean_log_probability(model, told),
            )
            change = part.learned()
        trained.tell()
        after = trained.best.loss if trained.best is not None else before
        say(
            f"log P of harmful tokens {before:.2f} -> {after:.2f} nats, on {len(told)} texts that were not learned from"
        )
        record = {
            "group": settings.group,
            "named_by": texts.named,
            "tokens": settings.tokens,
            "learned_from": len(learned),
            "held_out": len(told),
            "log_probability": {"before": before, "after": after},
            "sources": list(texts.sources),
        }
        cost = Cost(session.asked.questions + trained.taken * settings.items_a_step, 1.0, len(change))
        return FittedAdapter(change, cost, record | trained.record())
