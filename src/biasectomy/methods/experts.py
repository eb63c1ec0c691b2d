"""Experts and anti-experts: what two further models say apart is added to what a model says next.

Liu et al.: DExperts, ACL 2021, section 2: with logits z of a model, z+ of an expert (a model of desired text) and z- of
an anti-expert (of undesired text),

    p(w | x) = softmax(z + alpha (z+ - z-)).

Expert and anti-expert may be models of their own with the same tokens, small ones beside a large one. Where none is
named, it is the model itself with a factor for each hidden unit of its feed-forward blocks ((IA)^3, Liu et al. 2022),
learned on development items: the expert towards the right answers, the anti-expert towards the biased ones, of the
items where these are not the same. Of pairs (`crows_pairs`) they are the less and the more stereotypical text.

Their alpha is 2.0 against toxicity (`--experts.preset paper`), 3.2 for sentiment, and their experts are fine-tuned with
all weights on many texts. Those here learn few numbers from few items, and how much of what they say apart a model
bears differs, so of several alphas validation items choose, among those within the drift allowed. As in their code,
tokens are written out of the model's own nucleus of 0.9; where options are scored, there is no nucleus, since an option
outside of it would be impossible. "anti-only" is
their variant without an expert, where the model itself is in its place; "expert-only" is the other way round.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from biasectomy.errors import SettingsError
from biasectomy.learning.settings import (
    DRIFT,
    JUDGED_BY,
    QUESTIONS_A_LEARNED_ITEM,
    TrainingSettings,
    validated_questions,
)
from biasectomy.methods.base import METHODS, Cost, OnlyInference, Profile
from biasectomy.methods.chosen_change import chosen_among, chosen_record, none_within
from biasectomy.methods.expert_models import ANTI_EXPERT, EXPERT, as_wide, in_words, items_of, opened
from biasectomy.methods.layer_choice import numbers_in
from biasectomy.narration import heading, say, warn
from biasectomy.options import with_preset

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.decoding import Companion
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.reading.questions import Answerer
    from biasectomy.tasks.base import Task

NAME = "experts"
PARTS = {"both": (EXPERT, ANTI_EXPERT), "anti-only": (ANTI_EXPERT,), "expert-only": (EXPERT,)}
PAPER: dict[str, Any] = {"alpha": (2.0,)}
Weights = Annotated[
    tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...], numbers_in(float, "0.5,1,2"), Field(min_length=1)
]


@METHODS.register(NAME)
class Experts:
    """Adds what an expert says more readily than an anti-expert to what the model says (DExperts, Liu et al. 2021)."""

    title: ClassVar[str] = "Experts"
    profile: ClassVar[Profile] = Profile(
        "decoding", "two further readings of each question, and training for experts that are not given", ("gradients",)
    )

    class Settings(TrainingSettings):
        """Options of the method."""

        presets: ClassVar[Mapping[str, Any]] = {"quick": {"steps": 20}}

        preset: Literal["default", "paper"] = Field(
            "default", description="With paper alpha is the authors' 2 against toxicity, and nothing is chosen."
        )
        expert: str | None = Field(
            None, min_length=1, description="A model of desired text. [default: the model, with learned factors]"
        )
        anti_expert: str | None = Field(
            None, min_length=1, description="A model of biased text. [default: the model, with learned factors]"
        )
        variant: Literal["both", "anti-only", "expert-only"] = Field(
            "both", description="Without one of them, the model itself takes its place."
        )
        alpha: Weights = Field(
            (0.1, 0.2, 0.5, 1.0),
            description="Weight of what they say apart, joined by commas; validation items choose, and one alone is "
            "settled. 0 leaves.",
        )
        nucleus: float = Field(
            0.9, gt=0, le=1, description="Share of the model's own probability whose tokens may be written."
        )
        steps: int = Field(60, ge=1, description="Steps of training of each that is learned.")
        rate: float = Field(0.02, gt=0, le=1, description="Rate of the first step (Adam); it falls to a fifth.")
        validation_share: float = Field(
            0.3,
            gt=0,
            lt=1,
            description="Share of development templates that only choose alpha, where there are several.",
        )
        validation_items: int = Field(60, ge=1, description="At most so many items choose.")

    def __init__(self, settings: "Experts.Settings") -> None:
        self.settings = settings = with_preset(settings, {"paper": PAPER})
        self.cost = Cost(questions_per_answer=1.0 + len(PARTS[settings.variant]))
        self.given = {EXPERT: settings.expert, ANTI_EXPERT: settings.anti_expert}
        for part, name in self.given.items():
            if name is not None and part not in PARTS[settings.variant]:
                raise SettingsError(
                    f"--experts.variant {settings.variant} reads no {in_words(part)}; leave --experts.{in_words(part)} "
                    "out."
                )

    def expected_questions(self, development: "Task") -> float:
        """Every step learns from some items.

        Raises:
            SettingsError: nothing can be learned from the items.
        """
        from biasectomy.learning.objectives import towards_gold

        learned = [part for part in PARTS[self.settings.variant] if self.given[part] is None]
        for part in learned:
            towards_gold(items_of(part, development))
        settings, alphas = self.settings, len(self.settings.alpha)
        asked = len(learned) * settings.steps * settings.items_a_step * QUESTIONS_A_LEARNED_ITEM
        if alphas == 1:
            return asked
        validated = validated_questions(development, settings.validation_share, settings.validation_items)
        return asked + (validated + JUDGED_BY) * alphas * self.cost.questions_per_answer

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> "FittedExperts":
        """Loads or learns the experts; what was learned is kept in the session's folder, as sets of neurons too.

        Raises:
            SettingsError: an expert has other tokens than the model, or nothing can be learned.
            DataError: there are too few templates to learn from some and choose alpha by others.
            ScoreError: the loss is not finite.
        """
        from biasectomy.learning.setting_up import learned_and_validated
        from biasectomy.models.decoding import Companion

        settings, validation = self.settings, None
        if len(settings.alpha) > 1:
            settled = f"one weight (--{NAME}.alpha 1)"
            share, most = settings.validation_share, settings.validation_items
            development, validation = learned_and_validated(
                development, share, settings.items, most, session.seed, settled
            )
        development = development.limited(settings.items, seed=session.seed)
        companions: dict[str, Companion] = {}
        record: dict[str, Any] = {"variant": settings.variant, "nucleus": settings.nucleus}
        numbers = 0
        for part in PARTS[settings.variant]:
            name = self.given[part]
            if name is not None:
                other = opened(name, model, part)
                companions[part], record[part] = Companion(model=other), {"model": name, "key": other.key}
            else:
                companions[part], record[part] = self._learned(part, model, items_of(part, development), session)
                numbers += record[part]["numbers"]
        weighed = [FittedExperts(companions, record | {"alpha": one}, Cost()) for one in sorted(set(settings.alpha))]
        chosen, told = weighed[0], dict[str, Any]()
        if validation is not None:
            chosen, told = self._chosen(weighed, model, validation, session)
        learned = settings.steps * settings.items_a_step * sum(self.given[part] is None for part in companions)
        readings = 1.0 + len(companions) if chosen.record["alpha"] else 1.0
        cost = Cost(session.asked.questions + learned, readings, numbers)
        return replace(chosen, record=chosen.record | told, cost=cost)

    def _chosen(
        self, weighed: "list[FittedExperts]", model: "LanguageModel", validation: "Task", session: "Session"
    ) -> "tuple[FittedExperts, dict[str, Any]]":
        """Of several weights the one that validation items speak for, among those within the drift; else none."""
        allowed = session.drift or DRIFT
        shown = [{"alpha": one.record["alpha"], "drift": one.drift(model, session)} for one in weighed]
        for row in shown:
            say(f"alpha {row['alpha']:g}: drift {row['drift']:.3f} nats")
        near = {n: one for n, (one, row) in enumerate(zip(weighed, shown, strict=True), 1) if row["drift"] <= allowed}
        near[0] = replace(weighed[0], record=weighed[0].record | {"alpha": 0.0})
        if len(near) == 1:
            warn(none_within(self.title, allowed))
            return near[0], {"candidates": shown}
        words = {n: f"alpha {one.record['alpha']:g}" for n, one in near.items() if n}
        choice = chosen_among(NAME, validation, session, words, lambda n: near[n].answering(model, session))
        return near[choice.neurons], {"candidates": shown, **chosen_record(choice, validation)}

    def _learned(
        self, part: str, model: "LanguageModel", items: "Task", session: "Session"
    ) -> "tuple[Companion, dict[str, Any]]":
        from biasectomy.kept_tensors import checksum_of
        from biasectomy.learning.factors import Factors
        from biasectomy.learning.objectives import towards_gold
        from biasectomy.learning.setting_up import training_of
        from biasectomy.learning.unpruned import train
        from biasectomy.models.decoding import Companion

        heading(f"Learning the {in_words(part)}")
        settings = self.settings
        if part == ANTI_EXPERT:  # what is right of a variant is not the biased answer
            settings = settings.model_copy(update={"variants": False})
        own = replace(session, folder=session.path(part))
        factors = Factors(model.model, model.neurons("ffn-hidden"))
        training = training_of(settings, model, items, session, factors.in_force, [factors.values], towards_gold(items))
        shown = train(training, settings.steps, settings.rate, own)
        factors.values.requires_grad_(False)
        found = {"method": NAME, "task": items.name, "part": part}
        kept = own.path("neurons.json")
        if kept is not None and session.processes.main:
            factors.neuron_set(factors.values, model=model.description(), found_with=found).save(kept)
        record = {
            "learned_from": len(items.items),
            "numbers": len(factors),
            "key": checksum_of({part: factors.values.cpu()}),
        }
        if shown is not None:
            say(f"{len(factors):,} numbers: loss {shown.loss:.3f}, drift {shown.drift:.3f} nats")
        return Companion(in_force=factors.in_force), record


@dataclass(frozen=True)
class FittedExperts(OnlyInference):
    """Experts that are read beside the model."""

    companions: "Mapping[str, Companion]"
    record: dict[str, Any]
    cost: Cost
    title = Experts.title

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> "Iterator[Answerer]":
        """See `Fitted`."""
        from biasectomy.models.decoding import Decoding

        if not self.record["alpha"]:
            yield session.answerer(model)
            return
        who = [NAME, {name: self.record[name] for name in ("variant", "alpha", "nucleus", *self.companions)}]
        yield session.answerer(
            Decoding(model, list(self.companions.values()), self.steered, who, self.record["nucleus"])
        )

    def drift(self, model: "LanguageModel", session: "Session") -> float:
        """How far they take the model from itself on neutral texts, nats a token."""
        from biasectomy.learning.neutral import judging_questions

        with self.answering(model, session) as answerer:
            found = [answer.divergences for batch in answerer(judging_questions(model)) for _, answer in batch]
        return sum(map(sum, found)) / sum(map(len, found))

    def steered(self, own: "Tensor", others: "Iterable[Tensor]") -> "Tensor":
        """The model's log-probabilities [..., vocabulary] as the experts move them.

        What makes logits probabilities is the same number for all tokens of a place, and falls out.
        """
        import torch

        moved = torch.zeros_like(own)
        for part, other in zip(self.companions, others, strict=True):
            moved += (as_wide(other, own) - own) * (1 if part == EXPERT else -1)
        return torch.log_softmax(own + self.record["alpha"] * moved.masked_fill(own == -torch.inf, 0), dim=-1)
