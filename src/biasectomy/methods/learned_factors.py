"""Learned factors: a factor for each neuron, trained with the weights frozen, of which few are kept.

The dense form, a factor for each hidden unit of the feed-forward blocks (or also for keys and values), is (IA)^3 (Liu
et al. 2022, "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning"). Few of them are
reached by gradual pruning while training (Zhu and Gupta 2017). Masks learned against bias are known of encoders (Joniak
and Aizawa 2022; Meissner et al. 2022, "Debiasing Masks"; Hauzenberger et al. 2023, "ModDiffy"), editing few activations
of a decoder for a task from JoLA (Lai et al. 2025). What is added here is a budget that is chosen by evidence, a term
that holds the model where it was elsewhere, and the balance of what is learned from.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field

from biasectomy.attribution import ATTRIBUTIONS
from biasectomy.errors import SettingsError
from biasectomy.learning.settings import (
    DRIFT,
    LAST_RATE,
    QUESTIONS_A_LEARNED_ITEM,
    TrainingSettings,
    validated_questions,
)
from biasectomy.methods.base import METHODS, Cost, Profile
from biasectomy.methods.neuron_edit import FittedNeurons, choose
from biasectomy.narration import heading, say, warn

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.learning.factors import Factors
    from biasectomy.learning.path import Path
    from biasectomy.learning.training import Progress
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.neuron_set import NeuronSet
    from biasectomy.tasks.base import Task

NAME = "learned-factors"
ALL: Literal["all"] = "all"


def _parse_budgets(value: object) -> object:
    pieces = [piece.strip() for piece in value.split(",") if piece.strip()] if isinstance(value, str) else value
    try:
        counts = [piece if piece == ALL else int(piece) for piece in pieces]  # type: ignore[attr-defined]
    except (ValueError, TypeError):
        counts = [0]
    if not counts or any(count != ALL and count < 1 for count in counts):
        raise ValueError("whole numbers of 1 or more joined by commas, such as all,3000,1000")
    return tuple(dict.fromkeys(counts))


Budgets = Annotated[tuple[int | Literal["all"], ...], BeforeValidator(_parse_budgets)]
BUDGETS: tuple[int | Literal["all"], ...] = (ALL, 10_000, 3_000, 1_000, 300, 100)


@METHODS.register(NAME)
class LearnedFactors:
    """Learns factors for few neurons, with the weights frozen, so that answers are kept where there is evidence."""

    title: ClassVar[str] = "Learned factors"
    usual_count: ClassVar[int] = 1000
    profile: ClassVar[Profile] = Profile(
        "weights", "some hundred steps of training", ("weights", "gradients"), checkpoint=True, sharded=True
    )

    class Settings(TrainingSettings):
        """Options of the method."""

        presets: ClassVar[Mapping[str, Any]] = {"quick": {"budgets": (1_000,), "first_steps": 20, "steps": 70}}

        definition: Literal["ffn-hidden", "linear-output", "ia3"] = Field(
            "ffn-hidden",
            description="What a neuron is: a hidden unit of a feed-forward block, an output of a linear map, or a "
            "hidden unit, a key or a value.",
        )
        budgets: Budgets = Field(
            BUDGETS,
            description="Numbers of neurons that are tried on one path from all to few, joined by commas.",
        )
        first_steps: int = Field(60, ge=1, description="Steps in which all neurons are learned.")
        steps: int = Field(40, ge=1, description="Steps for each further budget.")
        held: float = Field(
            0.5, ge=0, lt=1, description="Share of them in which the budget is held, after going down to it."
        )
        straight_steps: int = Field(
            120,
            ge=2,
            description="Steps in all where --neurons settles the number: a sixth with all neurons, then straight down "
            "to it.",
        )
        rate: float = Field(0.02, gt=0, le=1, description="Rate of the first step (Adam); it falls to a fifth.")
        importance: Literal["change", "loss"] = Field(
            "change",
            description="Which neurons stay: those that are changed most, or those whose change the loss feels most.",
        )
        among: str | None = Field(
            None,
            min_length=1,
            description="Choose neurons beforehand: those that an attribution puts first. [default: while learning]",
        )
        validation_share: float = Field(
            0.3, gt=0, lt=1, description="Share of development templates that only choose the number of neurons."
        )
        validation_items: int = Field(120, ge=1, description="At most so many items choose it.")

    def __init__(self, settings: "LearnedFactors.Settings") -> None:
        self.settings = settings
        if settings.among is not None:
            _ = ATTRIBUTIONS[settings.among]

    @property
    def definition(self) -> str:
        """What a neuron is."""
        return self.settings.definition

    def expected_questions(self, development: "Task") -> float:
        """Every step learns from some items; every candidate answers the validation items.

        Raises:
            SettingsError: nothing can be learned from the items.
        """
        from biasectomy.learning.objectives import loss_of

        settings, budgets = self.settings, len(self.settings.budgets)
        loss_of(development, development.goal())
        validated = validated_questions(development, settings.validation_share, settings.validation_items)
        return self._expected_of_learning(budgets - (ALL in settings.budgets)) + validated * (budgets + 1)

    def reading(self, items: int) -> Self:
        """Itself: it learns from all items."""
        return self

    def _expected_of_learning(self, budgets: int) -> float:
        steps = self.settings.first_steps + self.settings.steps * budgets
        return steps * self.settings.items_a_step * QUESTIONS_A_LEARNED_ITEM

    def expected_of_sets(self, development: "Task", counts: Sequence[int]) -> float:
        """See `OfAnySize`."""
        from biasectomy.learning.objectives import loss_of

        loss_of(development, development.goal())
        if len(counts) == 1:
            return self.settings.straight_steps * self.settings.items_a_step * QUESTIONS_A_LEARNED_ITEM
        return self._expected_of_learning(len(counts))

    def sets(
        self, model: "LanguageModel", development: "Task", session: "Session", counts: Sequence[int]
    ) -> "dict[int, NeuronSet]":
        """See `OfAnySize`: one path through all numbers, learned from all items; of one number, straight down to it."""
        learning = development.limited(self.settings.items, seed=session.seed)
        heading("Learning factors")
        total = len(model.neurons(self.definition))
        within = {count: min(count, total) for count in sorted(counts, reverse=True)}
        budgets = list(dict.fromkeys(within.values()))
        candidates, _ = self._learned(model, learning, session, budgets, straight=len(budgets) == 1)
        return {count: candidates[budget] for count, budget in within.items()}

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedNeurons:
        """Learns along the path, then chooses how many neurons are enough; `--neurons` settles that beforehand.

        Raises:
            SettingsError: the model has too few neurons, or nothing can be learned from the items.
            DataError: there are too few templates to learn from some and choose by others.
            ScoreError: the loss is not finite.
        """
        if session.neurons is not None:  # there is nothing to choose
            learning, validation = development.limited(self.settings.items, seed=session.seed), None
        else:
            learning, validation = self._split(development, session.seed)
        heading("Learning factors")
        budgets = self._budgets(len(model.neurons(self.definition)), session.neurons)
        straight = session.neurons is not None
        candidates, shown = self._learned(model, learning, session, budgets, straight=straight)
        record: dict[str, Any] = {"learned_from": len(learning.items), "candidates": shown}
        if session.neurons is not None:
            chosen = candidates[session.neurons]
        elif validation is not None:
            heading("Choosing the number of neurons on validation items")
            near = self._near(candidates, shown, session.drift or DRIFT)
            choice = choose(NAME, model, validation, session, near, racing=False, split="validation")
            record |= {"validated_on": len(validation.items), "search": [one.record() for one in choice.candidates]}
            chosen = near[choice.neurons] if choice.neurons else _none_of(model, self.definition)
        learned = sum(one["steps"] for one in shown[-1:]) * self.settings.items_a_step
        cost = Cost(session.asked.questions + learned, 1.0, len(chosen))
        return FittedNeurons(chosen, cost, record | {"chosen": len(chosen)})

    def _split(self, development: "Task", seed: int) -> "tuple[Task, Task]":
        from biasectomy.learning.setting_up import learned_and_validated

        settings = self.settings
        return learned_and_validated(
            development, settings.validation_share, settings.items, settings.validation_items, seed
        )

    def _learned(
        self,
        model: "LanguageModel",
        learning: "Task",
        session: "Session",
        budgets: list[int],
        *,
        straight: bool,
    ) -> "tuple[dict[int, NeuronSet], list[dict[str, Any]]]":
        """The candidates by their budget, all of which are kept, and what is recorded of each."""
        from biasectomy.learning.factors import Factors
        from biasectomy.learning.neutral import judged_by
        from biasectomy.learning.pruned import PrunedFactors
        from biasectomy.learning.setting_up import training_of
        from biasectomy.neurons.neuron_set import NeuronSet

        factors = Factors(model.model, model.neurons(self.definition))
        path = self._path(len(factors), budgets, straight=straight)
        self._chosen_beforehand(factors, model, learning, session, budgets)
        training = training_of(self.settings, model, learning, session, factors.in_force, [factors.values])
        pruned = PrunedFactors(training, factors, path, self.settings.importance, session)
        described = {
            "model": model.description(),
            "found_with": {"method": NAME, "task": learning.name, "settings": self.settings.model_dump(mode="json")},
        }
        found: dict[int, NeuronSet] = {}
        shown: list[dict[str, Any]] = []
        texts = judged_by(model)
        for stretch, values, progress in pruned.candidates():
            if stretch.budget not in budgets:
                continue  # the steps with all neurons only led the way
            candidate = factors.neuron_set(values, **described)
            with model.edited(candidate):
                drift = texts.mean_drift()
            kept = session.path(f"candidates/{stretch.budget}.json")
            if kept is not None and session.processes.main:
                candidate.save(kept)
            found[stretch.budget] = candidate
            shown.append(_shown(stretch.budget, len(candidate), stretch.end, drift, progress))
            say(f"{len(candidate):,} neurons: loss {progress.loss:.3f}, drift {drift:.3f} nats")
        return found, shown

    def _budgets(self, total: int, wanted: int | None) -> list[int]:
        """Numbers of neurons to try, or the one that is wanted.

        Raises:
            SettingsError: the model has fewer neurons than wanted.
        """
        if wanted is not None and wanted > total:
            raise SettingsError(f"--neurons {wanted:,} is more than the model has: {total:,} ({self.definition}).")
        if wanted is not None:
            return [wanted]
        return [total if one == ALL else min(int(one), total) for one in self.settings.budgets]

    def _path(self, total: int, budgets: list[int], *, straight: bool) -> "Path":
        from biasectomy.learning.path import path_to

        settings, first, each = self.settings, self.settings.first_steps, self.settings.steps
        if straight:
            first = max(1, settings.straight_steps // 6) if budgets[0] < total else settings.straight_steps
            each = settings.straight_steps - first
        return path_to(
            budgets,
            total,
            first=first,
            each=each,
            held=settings.held,
            rate=settings.rate,
            last_rate=LAST_RATE * settings.rate,
        )

    def _chosen_beforehand(
        self,
        factors: "Factors",
        model: "LanguageModel",
        learning: "Task",
        session: "Session",
        budgets: list[int],
    ) -> None:
        """Holds all factors but those of the neurons that an attribution puts first, where one is named."""
        if self.settings.among is None:
            return
        from biasectomy.attribution.scores import attribute

        kind = ATTRIBUTIONS[self.settings.among]
        most = max((one for one in budgets if one < len(factors)), default=len(factors))
        scores = attribute(
            model,
            learning,
            kind(kind.Settings()),
            definition=self.definition,
            session=session,
            name=self.settings.among,
        )
        factors.keep(factors.mask_of(scores.top(most)))

    def _near(
        self, candidates: "dict[int, NeuronSet]", shown: list[dict[str, Any]], drift: float
    ) -> "dict[int, NeuronSet]":
        """The candidates within a drift, by their number of neurons; the others are named."""
        near = {}
        for one in shown:
            if one["drift"] <= drift:
                near[one["neurons"]] = candidates[one["budget"]]
            else:
                found = f"their drift {one['drift']:.3f} is above {drift:g} nats"
                say(f"{one['neurons']:,} neurons are no candidate: {found}")
        if not near:
            warn(f"No candidate stays within a drift of {drift:g} nats; a larger --drift would allow some.")
        return near


def _shown(budget: int, neurons: int, steps: int, drift: float, progress: "Progress") -> dict[str, Any]:
    return {"budget": budget, "neurons": neurons, "steps": steps, "loss": progress.loss, "drift": drift}


def _none_of(model: "LanguageModel", definition: str) -> "NeuronSet":
    from biasectomy.neurons.neuron_set import NeuronSet

    return NeuronSet((), definition, model.description())
