"""Negation of a task vector: the model is taught what it should not do, and what that changed is taken off.

Ilharco et al. 2023, "Editing Models with Task Arithmetic" (ICLR), section 3: with tau = theta_fine-tuned - theta, the
model becomes theta - lambda tau, and lambda is chosen on held-out data. Theirs for language is GPT-2, all weights of it
fine-tuned on toxic comments; Dige et al. 2024 ("Can Machine Unlearning Reduce Social Bias in Language Models?", EMNLP)
take it to social bias. Learned from are the biased answers of development items, or hate speech (`source: texts`).
`preset: paper`: all weights, whole texts, no drift term, lambdas from 0.05 to 1 in steps of 0.05: the 21 points from 0
to 1 of the code by Ortiz-Jimenez et al. 2023, who take it up for images. Of several, lambda is chosen on validation
items by the task's goal, among those within the drift allowed. Where none clearly helps, the model stays as it is.
"""

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from biasectomy.learning.harmful_settings import HarmfulSettings, check, selected_texts
from biasectomy.learning.settings import QUESTIONS_A_LEARNED_ITEM
from biasectomy.methods.base import METHODS, Cost, Profile
from biasectomy.methods.chosen_change import ChoosingSettings, Drifts, FittedChange, expected, fit_chosen
from biasectomy.methods.layer_choice import numbers_in
from biasectomy.narration import heading
from biasectomy.options import with_preset

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.learning.training import Training
    from biasectomy.learning.within_budget import Part
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task

NAME = "task-vector"
PAPER: dict[str, Any] = {
    "source": "texts", "kind": "full", "tokens": "all", "drift_weight": 0.0,
    "strengths": tuple(round(0.05 * step, 2) for step in range(1, 21)),
}  # fmt: skip
Strengths = Annotated[
    tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...], numbers_in(float, "0.25,0.5,1"), Field(min_length=1)
]


@METHODS.register(NAME)
class TaskVector:
    """Fine-tunes on biased answers or hateful texts, and takes off what that changed (Ilharco et al. 2023)."""

    title: ClassVar[str] = "Task vector"
    profile: ClassVar[Profile] = Profile(
        "weights", "some hundred steps of training, then answers for each strength", ("weights", "gradients"), True
    )

    class Settings(ChoosingSettings, HarmfulSettings):
        """Options of the method."""

        presets: ClassVar[Mapping[str, Any]] = {"quick": {"steps": 30}}

        preset: Literal["default", "paper"] = Field(
            "default",
            description="With paper all weights learn whole texts, without a drift term; twenty strengths up to 1.",
        )
        source: Literal["items", "texts"] = Field(
            "items",
            description="What is taught: the biased answers of development items, or hate speech against the group.",
        )
        strengths: Strengths = Field(
            (0.2, 0.4, 0.6, 0.8, 1.0),
            description="How many times what was learned is taken off (lambda), joined by commas; validation items "
            "choose, and one alone is settled.",
        )
        drift_weight: float = Field(
            0.0, ge=0, allow_inf_nan=False, description="Weight of the drift from the original while it is taught."
        )

    def __init__(self, settings: "TaskVector.Settings") -> None:
        self.settings = with_preset(settings, {"paper": PAPER})

    @property
    def groups(self) -> Collection[str]:
        """See `OfGroups`."""
        from biasectomy.tasks.harmful_texts import GROUPS

        return GROUPS if self.settings.source == "texts" else ()

    @property
    def chooses_on_items(self) -> bool:
        """Yes: they choose the strength."""
        return True

    def expected_questions(self, development: "Task") -> float:
        """Steps of training, then some items under every strength.

        Raises:
            SettingsError: no item has a biased answer, or there is no such group.
        """
        from biasectomy.learning.negation import biased_answers

        settings = self.settings
        check(settings) if settings.source == "texts" else biased_answers(development)
        development.goal()
        learned = settings.steps * settings.items_a_step * QUESTIONS_A_LEARNED_ITEM
        return learned + expected(settings, len(settings.strengths), development)

    def check_data(self, data_folder: Path | None) -> None:
        """See `ReadsData`."""
        if self.settings.source == "texts":
            selected_texts(self.settings, data_folder)

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedChange:
        """Teaches, then chooses how much of it is taken off.

        Raises:
            SourceError: texts are wanted and not there.
            DataError: texts cannot be read, or there are too few templates to learn from some and choose by others.
            SettingsError: this part of the model cannot be trained, or the task sets no goal.
            ScoreError: a loss is not finite.
        """
        from biasectomy.learning.budgeted import Budget, train_within
        from biasectomy.learning.negation import task_vector
        from biasectomy.learning.within_budget import RATES, trained_part

        settings = self.settings
        record: dict[str, Any] = {"source": settings.source}
        steps = 0

        def made(learning: "Task", drifts: Drifts) -> list[TakenOff]:
            nonlocal steps
            heading("Teaching what is then taken off")
            with trained_part(self.title, settings.part, model, session.seed) as part:
                training, taught = self._training(model, learning, session, part)
                rate = settings.rate or RATES[settings.kind]
                trained = train_within(training, settings.steps, rate, session, Budget())
                vector = task_vector(model, part.learned())
            steps = trained.taken
            record.update(taught | trained.record())
            return [TakenOff(vector, strength) for strength in sorted(set(settings.strengths))]

        several = len(set(settings.strengths)) > 1
        settled = f"one strength (--{NAME}.strengths 1)" if several else None
        fitted = fit_chosen(NAME, model, development, session, settings, made, settled=settled)
        numbers = fitted.change.numbers if fitted.change is not None else 0
        cost = Cost(session.asked.questions + steps * settings.items_a_step, 1.0, numbers)
        return replace(fitted, cost=cost, record=fitted.record | record)

    def _training(
        self, model: "LanguageModel", learning: "Task", session: "Session", part: "Part"
    ) -> "tuple[Training, dict[str, Any]]":
        from biasectomy.learning.batches import Batches
        from biasectomy.learning.harmful_tokens import learned_and_held_out
        from biasectomy.learning.negation import biased_answers, likely
        from biasectomy.learning.text_training import TextTraining, no_loss, texts_as_task
        from biasectomy.learning.training import Training

        settings = self.settings
        common = (part.change, part.parameters, session.processes, settings.drift_weight)
        if settings.source == "items":
            answers = biased_answers(learning)
            batches = Batches(answers, settings.items_a_step, session.seed)
            return Training(model, batches, likely, *common), {"learned_from": len(answers.items)}
        texts = selected_texts(settings, session.data)
        learned, _ = learned_and_held_out(model, texts.texts, whole=settings.tokens == "all")
        batches = Batches(texts_as_task(NAME, learned), settings.items_a_step, session.seed)
        training = TextTraining(model, batches, no_loss, *common, prompts=learned, ascending=False)
        described = {"group": texts.group, "named_by": texts.named, "tokens": settings.tokens}
        return training, {**described, "learned_from": len(learned), "sources": list(texts.sources)}


@dataclass(frozen=True)
class TakenOff:
    """A vector of weights, by name, that is taken off so many times."""

    vector: "dict[str, Tensor]"
    strength: float
    by_itself = True

    @property
    def key(self) -> Any:
        """See `Change`."""
        from biasectomy.kept_tensors import checksum_of

        return [NAME, self.strength, checksum_of(self.vector)]

    @property
    def described(self) -> dict[str, Any]:
        """See `Change`."""
        return {"strength": self.strength}

    @property
    def numbers(self) -> int:
        """See `Change`."""
        return sum(one.numel() for one in self.vector.values())

    def made(self, model: "LanguageModel") -> AbstractContextManager[None]:
        """See `Change`; the weights are made when they are wanted, since each strength's take a model's memory."""
        from biasectomy.learning.negation import negated

        return negated(model, self.vector, self.strength).merged(model)

    def save(self, model: "LanguageModel", folder: Path, dtype: str) -> float | None:
        """Writes a plain checkpoint."""
        with model.changed(lambda: self.made(model), self.key):
            return model.save(folder, dtype=dtype)
