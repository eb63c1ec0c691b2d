"""Negation of a task vector: the model is taught what it should not do, and what that changed is taken off.

Ilharco et al. 2023, "Editing Models with Task Arithmetic" (ICLR), section 3: with tau = theta_fine-tuned - theta, the
model becomes theta - lambda tau, and lambda is chosen on held-out data. Theirs for language is GPT-2, all weights of it
fine-tuned on toxic comments; Dige et al. 2024 ("Can Machine Unlearning Reduce Social Bias in Language Models?", EMNLP)
take it to social bias. Learned from are the biased answers of development items, or hate speech (`source: texts`).
`preset: paper`: all weights, whole texts, no drift term, lambdas from 0.05 to 1 in steps of 0.05. Of several, lambda is
chosen on development items by the task's goal, among those within the budget of drift: the smallest whose gain is clear
and within one standard error of the best. Where there is none it is 0, and the model stays as it is.
"""

import math
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from biasectomy.errors import DataError
from biasectomy.learning.harmful_settings import HarmfulSettings, check, selected_texts
from biasectomy.learning.settings import DRIFT, QUESTIONS_A_LEARNED_ITEM, VALIDATION_WORDINGS
from biasectomy.methods.base import METHODS, Cost, Profile
from biasectomy.methods.learned_adapter import FittedAdapter
from biasectomy.narration import heading, say, warn
from biasectomy.options import with_preset

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.learning.full_weights import TrainedWeights
    from biasectomy.learning.training import Training
    from biasectomy.learning.within_budget import Part
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task
    from biasectomy.tasks.metrics import Answers

NAME = "task-vector"
PAPER: dict[str, Any] = {
    "source": "texts", "kind": "full", "tokens": "all", "drift_weight": 0.0,
    "strengths": tuple(round(0.05 * step, 2) for step in range(1, 21)),
}  # fmt: skip


def _parse_strengths(value: object) -> object:
    pieces = [piece.strip() for piece in value.split(",") if piece.strip()] if isinstance(value, str) else value
    try:
        found = sorted({float(piece) for piece in pieces})  # type: ignore[attr-defined]
    except (ValueError, TypeError):
        found = []
    if not found or not all(0 < strength < math.inf for strength in found):
        raise ValueError("numbers above 0 joined by commas, such as 0.25,0.5,1")
    return tuple(found)


Strengths = Annotated[tuple[float, ...], BeforeValidator(_parse_strengths)]


@METHODS.register(NAME)
class TaskVector:
    """Fine-tunes on biased answers or hateful texts, and takes off what that changed (Ilharco et al. 2023)."""

    title: ClassVar[str] = "Task vector"
    profile: ClassVar[Profile] = Profile(
        "weights", "some hundred steps of training, then answers for each strength", ("weights", "gradients"), True
    )

    class Settings(HarmfulSettings):
        """Options of the method."""

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
            description="How many times what was learned is taken off (lambda), joined by commas; development items "
            "choose, and one alone is settled.",
        )
        drift_weight: float = Field(
            0.0, ge=0, allow_inf_nan=False, description="Weight of the drift from the original while it is taught."
        )
        chosen_by: int = Field(
            200, ge=1, description="Development items that choose the strength; of 'items' they are not learned from."
        )
        learned_share: float = Field(
            0.7, gt=0, lt=1, description="With items: share of their templates that is learned from."
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
        asked = min(settings.chosen_by, len(development.items)) * min(
            VALIDATION_WORDINGS, len(development.instructions)
        )
        return settings.steps * settings.items_a_step * QUESTIONS_A_LEARNED_ITEM + asked * (1 + len(settings.strengths))

    def check_data(self, data_folder: Path | None) -> None:
        """See `ReadsData`."""
        if self.settings.source == "texts":
            selected_texts(self.settings, data_folder)

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedAdapter:
        """Teaches, then chooses how much of it is taken off.

        Raises:
            SourceError, DataError: texts are wanted and not there, or there are too few items.
            SettingsError: this part of the model cannot be trained, or the task sets no goal.
            ScoreError: a loss is not finite.
        """
        from biasectomy.learning.budgeted import Budget, train_within
        from biasectomy.learning.negation import negated, task_vector
        from biasectomy.learning.setting_up import learned_and_validated
        from biasectomy.learning.within_budget import RATES, trained_part

        settings, seed = self.settings, session.seed
        learning, choosing = development, development.limited(settings.chosen_by, VALIDATION_WORDINGS, seed)
        if settings.source == "items" and len(settings.strengths) > 1:
            try:
                learning, choosing = learned_and_validated(
                    development, 1 - settings.learned_share, None, settings.chosen_by, seed
                )
            except DataError as error:
                raise DataError(
                    f"'{development.name}' has too few templates among its {len(development.items)} development items "
                    "to learn from some and choose the strength by others; more items would be right, or a single "
                    "strength."
                ) from error
        heading("Teaching what is then taken off")
        with trained_part(self.title, settings.part, model, seed) as part:
            training, record = self._training(model, learning, session, part)
            trained = train_within(training, settings.steps, settings.rate or RATES[settings.kind], session, Budget())
            vector = task_vector(model, part.learned())
        strength, tried = self._strength(model, choosing, session, vector)
        taken = negated(model, vector, strength)
        record |= {"source": settings.source, "strength": strength, "tried": tried}
        cost = Cost(session.asked.questions + trained.taken * settings.items_a_step, 1.0, len(taken))
        return FittedAdapter(taken, cost, record | trained.record())

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

    def _strength(
        self, model: "LanguageModel", choosing: "Task", session: "Session", vector: "dict[str, Tensor]"
    ) -> tuple[float, list[dict[str, Any]]]:
        """The strength that serves the goal within the budget, 0 where none does; and what was found of each."""
        from biasectomy.learning.negation import negated
        from biasectomy.methods.search import choose_count

        budget = DRIFT if session.drift is None else session.drift
        strengths = (0.0, *self.settings.strengths)
        drifts = self._drifts(model, session, vector)
        allowed = [place for place, drift in enumerate(drifts) if drift <= budget]
        tried = [
            {"strength": strength, "drift": drift if math.isfinite(drift) else None}
            for strength, drift in zip(strengths, drifts, strict=True)
        ]
        if len(allowed) < 2:
            warn(f"Nothing is taken off: every strength is beyond the budget of {budget:g} nats of drift.")
            return 0.0, tried
        if len(strengths) == 2:
            say(f"Taken off {strengths[1]:g} times: drift {drifts[1]:.3f} nats")
            return strengths[1], tried

        heading("Choosing the strength on development items")

        def examine(some: "Task", place: int) -> "Answers":
            taken = negated(model, vector, strengths[place])
            who = {"method": NAME, "strength": strengths[place]}
            with model.changed(lambda: taken.merged(model), taken.key if place else None):
                return session.ask(some, session.answerer(model), split="development", who=who)

        goal = session.goal(choosing)
        choice = choose_count(examine, choosing, allowed, goal, level=session.level, seed=session.seed)
        for one in choice.candidates:
            tried[one.neurons] |= {name: value for name, value in one.record().items() if name != "n"}
        strength = strengths[choice.neurons]
        if strength:
            best = choice.best
            say(f"Taken off {strength:g} times: {goal.metric.replace('_', ' ')} {best.value:.3f} on development items")
        else:
            warn(f"Nothing is taken off: no strength improves {goal.metric.replace('_', ' ')} clearly.")
        return strength, tried

    def _drifts(self, model: "LanguageModel", session: "Session", vector: "dict[str, Tensor]") -> list[float]:
        """Mean drift under every strength, 0 first; nats a token."""
        from biasectomy.learning.negation import negated
        from biasectomy.learning.neutral import judged_by

        texts = judged_by(model)

        def of(taken: "TrainedWeights") -> float:
            with model.changed(lambda: taken.merged(model), taken.key):
                return texts.mean_drift()

        def all_of() -> list[float]:
            return [0.0, *(of(negated(model, vector, strength)) for strength in self.settings.strengths)]

        return session.processes.once(all_of)
