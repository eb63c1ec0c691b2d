"""Experts and anti-experts: what two further models say apart is added to what a model says next.

Liu et al.: DExperts, ACL 2021, section 2: with logits z of a model, z+ of an expert (a model of desired text) and z- of
an anti-expert (of undesired text),

    p(w | x) = softmax(z + alpha (z+ - z-)).

Expert and anti-expert may be models of their own with the same tokens, small ones beside a large one. Where none is
named, it is the model itself with a factor for each hidden unit of its feed-forward blocks ((IA)^3, Liu et al. 2022),
learned on development items: the expert towards the right answers, the anti-expert towards the biased ones, of the
items where these are not the same. Of pairs (`crows_pairs`) they are the less and the more stereotypical text.

alpha is the authors' against toxicity, 2.0 (3.2 for sentiment). As in their code, tokens are written out of the model's
own nucleus of 0.9; where options are scored, there is no nucleus, since an option outside of it would be impossible.
Their experts are fine-tuned with all weights on many texts, those here learn few numbers from few items. "anti-only" is
their variant without an expert, where the model itself is in its place; "expert-only" is the other way round.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from biasectomy.errors import SettingsError
from biasectomy.learning.settings import QUESTIONS_A_LEARNED_ITEM, TrainingSettings
from biasectomy.methods.base import METHODS, Cost, OnlyInference, Profile
from biasectomy.narration import heading, say

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.decoding import Companion
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.reading.questions import Answerer
    from biasectomy.tasks.base import Task

NAME = "experts"
EXPERT, ANTI_EXPERT = "expert", "anti_expert"
PARTS = {"both": (EXPERT, ANTI_EXPERT), "anti-only": (ANTI_EXPERT,), "expert-only": (EXPERT,)}


@METHODS.register(NAME)
class Experts:
    """Adds what an expert says more readily than an anti-expert to what the model says (DExperts, Liu et al. 2021)."""

    title: ClassVar[str] = "Experts"
    profile: ClassVar[Profile] = Profile(
        "decoding", "two further readings of each question, and training for experts that are not given", ("gradients",)
    )

    class Settings(TrainingSettings):
        """Options of the method."""

        expert: str | None = Field(
            None, min_length=1, description="A model of desired text. [default: the model, with learned factors]"
        )
        anti_expert: str | None = Field(
            None, min_length=1, description="A model of biased text. [default: the model, with learned factors]"
        )
        variant: Literal["both", "anti-only", "expert-only"] = Field(
            "both", description="Without one of them, the model itself takes its place."
        )
        alpha: float = Field(2.0, ge=0, allow_inf_nan=False, description="Weight of what they say apart. 0 leaves.")
        nucleus: float = Field(
            0.9, gt=0, le=1, description="Share of the model's own probability whose tokens may be written."
        )
        steps: int = Field(60, ge=1, description="Steps of training of each that is learned.")
        rate: float = Field(0.02, gt=0, le=1, description="Rate of the first step (Adam); it falls to a fifth.")

    def __init__(self, settings: "Experts.Settings") -> None:
        self.settings = settings
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
        return len(learned) * self.settings.steps * self.settings.items_a_step * QUESTIONS_A_LEARNED_ITEM

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> "FittedExperts":
        """Loads or learns the experts; what was learned is kept in the session's folder, as sets of neurons too.

        Raises:
            SettingsError: an expert has other tokens than the model, or nothing can be learned.
            ScoreError: the loss is not finite.
        """
        from biasectomy.models.decoding import Companion

        settings = self.settings
        development = development.limited(settings.items, seed=session.seed)
        companions: dict[str, Companion] = {}
        record: dict[str, Any] = {"variant": settings.variant, "alpha": settings.alpha, "nucleus": settings.nucleus}
        numbers = 0
        for part in PARTS[settings.variant]:
            name = self.given[part]
            if name is not None:
                other = opened(name, model, part)
                companions[part], record[part] = Companion(model=other), {"model": name, "key": other.key}
            else:
                companions[part], record[part] = self._learned(part, model, items_of(part, development), session)
                numbers += record[part]["numbers"]
        learned = settings.steps * settings.items_a_step * sum(self.given[part] is None for part in companions)
        return FittedExperts(companions, record, Cost(learned, 1.0 + len(companions), numbers))

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


class FittedExperts(OnlyInference):
    """Experts that are read beside the model."""

    title = Experts.title

    def __init__(self, companions: "Mapping[str, Companion]", record: dict[str, Any], cost: Cost) -> None:
        self.companions, self.record, self.cost = companions, record, cost

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> "Iterator[Answerer]":
        """See `Fitted`."""
        from biasectomy.models.decoding import Decoding

        beside = list(self.companions.values())
        yield session.answerer(Decoding(model, beside, self.steered, [NAME, self.record], self.record["nucleus"]))

    def steered(self, own: "Tensor", others: "Iterable[Tensor]") -> "Tensor":
        """The model's log-probabilities [..., vocabulary] as the experts move them.

        What makes logits probabilities is the same number for all tokens of a place, and falls out.
        """
        import torch

        moved = torch.zeros_like(own)
        for part, other in zip(self.companions, others, strict=True):
            moved += (_as_wide(other, own) - own) * (1 if part == EXPERT else -1)
        return torch.log_softmax(own + self.record["alpha"] * moved.masked_fill(own == -torch.inf, 0), dim=-1)


def items_of(part: str, development: "Task") -> "Task":
    """Items whose gold option is what an expert, or an anti-expert, is to say.

    Raises:
        SettingsError: no item has a biased answer other than the right one.
    """
    if part == EXPERT:
        return development
    items = [
        replace(item, gold=item.target)
        for item in development.items
        if item.target is not None and item.target != item.gold
    ]
    if not items:
        raise SettingsError(
            f"No item of '{development.name}' has a biased answer other than the right one to learn an anti-expert "
            "from; --experts.anti-expert names a model, and --experts.variant expert-only needs none."
        )
    return replace(development, items=tuple(items))


def opened(name: str, model: "LanguageModel", part: str) -> "LanguageModel":
    """A model that can be read beside another, in its number format and on its device.

    Raises:
        SettingsError: it has other tokens, or one of the two is an encoder-decoder and the other is not.
        UnknownNameError, SourceError, ModelError: see `load`.
    """
    from biasectomy.models.language_model import load

    trusted = model.weights is not None and model.weights.trust_remote_code
    other = load(
        name,
        dtype=str(model.model.dtype).removeprefix("torch."),
        device=str(model.model.device),
        trust_remote_code=trusted,
    )
    same = other.tokenizer.get_vocab() == model.tokenizer.get_vocab()
    if not same or other.model.config.is_encoder_decoder != model.model.config.is_encoder_decoder:
        raise SettingsError(
            f"The {in_words(part)} '{name}' has {'another architecture' if same else 'other tokens'} than the model; "
            "one of the same family would be right."
        )
    return other


def in_words(part: str) -> str:
    """What a part is called."""
    return part.replace("_", "-")


def _as_wide(other: "Tensor", own: "Tensor") -> "Tensor":
    """Values over as many tokens as the model has: those filled up beyond the tokenizer's differ among sizes."""
    import torch

    width = own.shape[-1]
    if other.shape[-1] == width:
        return other
    return torch.cat([other[..., :width], own[..., other.shape[-1] :]], dim=-1)
