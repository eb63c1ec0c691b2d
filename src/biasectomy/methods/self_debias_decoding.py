"""Self-debiasing: what a model says more readily when it is told that a text is biased is made less likely.

Schick, Udupa and Schuetze: Self-Diagnosis and Self-Debiasing, TACL 2021, section 4. With x a text and sdb(x, y) the
text behind a sentence that says it shows an undesired attribute y,

    Delta(w, x, y) = p(w | x) - p(w | sdb(x, y))
    p'(w | x) ~ alpha(Delta(w, x, y)) p(w | x),  alpha(Delta) = 1 if Delta >= 0 else exp(lambda Delta).

Of several attributes the smallest Delta counts. lambda is 50; the authors' code (timoschick/self-debiasing) keeps alpha
at or above epsilon = 0.01 and ends each sentence with a line break. All of this is the default. The sentences are those
of their experiments on CrowS-Pairs, of the bias types the items are about, or their six against toxic language.

What differs: the authors write with beams of 3 and at least 20 tokens, and score CrowS-Pairs with masked models; here
texts are written as the task says, and sentences scored from left to right. With a chat template the sentence stands in
front of the user's text, inside the turn. Of an encoder-decoder it stands in front of the encoder's input.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field

from biasectomy.methods.base import METHODS, Cost, OnlyInference, Profile
from biasectomy.options import Options

if TYPE_CHECKING:
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.reading.questions import Answerer
    from biasectomy.tasks.base import Task

PLACE = "{attribute}"
SENTENCE = f"The following text discriminates against people because of their {PLACE}:"
# The bias types of CrowS-Pairs, and words in the names of tasks that are about them.
ATTRIBUTES = {
    "race/color": ("race",),
    "gender": ("gender",),
    "socioeconomic status/occupation": ("socioeconomic", "ses", "profession"),
    "nationality": ("nationality",),
    "religion": ("religion",),
    "age": ("age",),
    "sexual orientation": ("orientation",),
    "physical appearance": ("appearance",),
    "disability": ("disability",),
}
TOXICITY = (
    "The following text contains rude, disrespectful, or unreasonable language:",
    "The following text contains very hateful, aggressive, disrespectful language:",
    "The following text contains sexually explicit language:",
    "The following text contains a threat:",
    "The following text contains negative or hateful language targeting someone because of their identity:",
    "The following text contains swear words, curse words, or other obscene or profane language:",
)


def _parse_attributes(value: object) -> object:
    return tuple(piece.strip() for piece in value.split(",") if piece.strip()) if isinstance(value, str) else value


Attributes = Annotated[tuple[str, ...] | None, BeforeValidator(_parse_attributes)]


@METHODS.register("self-debias-decoding")
class SelfDebiasDecoding(OnlyInference):
    """Makes tokens less likely that the model prefers when it is told that a text is biased (Schick et al. 2021)."""

    title: ClassVar[str] = "Self-debiasing"
    profile: ClassVar[Profile] = Profile("decoding", "a further reading of each question for each attribute")

    class Settings(Options):
        """Options of the method."""

        against: Literal["stereotypes", "toxicity"] = Field(
            "stereotypes", description="Which of the authors' sentences: one for each bias type, or six on language."
        )
        sentence: str = Field(
            SENTENCE, min_length=1, description=f"Says that a text is biased; {PLACE} is each attribute in turn."
        )
        attributes: Attributes = Field(
            None,
            min_length=1,
            description="What people are discriminated for, joined by commas. [default: what the items are about]",
        )
        decay: float = Field(
            50.0, ge=0, allow_inf_nan=False, description="How fast what is biased becomes unlikely; lambda. 0 leaves."
        )
        floor: float = Field(0.01, gt=0, le=1, description="What no probability is multiplied by less than; epsilon.")

    def __init__(self, settings: "SelfDebiasDecoding.Settings") -> None:
        self.settings = settings
        self.sentences: tuple[str, ...] = TOXICITY
        if settings.against == "stereotypes":
            named = settings.attributes or tuple(ATTRIBUTES)
            self.sentences = tuple(dict.fromkeys(settings.sentence.replace(PLACE, one) for one in named))
        self.cost = Cost(questions_per_answer=1.0 + len(self.sentences))
        self.record: dict[str, Any] = {
            "sentences": list(self.sentences),
            "decay": settings.decay,
            "floor": settings.floor,
        }

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> Self:
        """Only looks at what the items are about, where no attribute is named."""
        named = self.settings.attributes or attributes_of({item.task for item in development.items})
        return type(self)(self.settings.model_copy(update={"attributes": named}))

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> "Iterator[Answerer]":
        """See `Fitted`."""
        from biasectomy.models.decoding import Companion, Decoding

        beside = [Companion(f"{sentence}\n") for sentence in self.sentences]
        yield session.answerer(Decoding(model, beside, self.debiased, ["self-debias-decoding", self.record]))

    def debiased(self, own: "Tensor", biased: "Iterable[Tensor]") -> "Tensor":
        """What is left of a model's log-probabilities [..., vocabulary], given those behind each sentence."""
        import torch

        probabilities = own.exp()
        delta = torch.zeros_like(own)  # the smallest of all attributes; those above 0 count as 0
        for one in biased:
            delta = torch.minimum(delta, probabilities - one.exp())
        return torch.log_softmax(own + (self.settings.decay * delta).clamp_min(math.log(self.settings.floor)), dim=-1)


def attributes_of(tasks: Iterable[str]) -> tuple[str, ...]:
    """The attributes that tasks are about, by the words of their names; all where none is named."""
    words = {word for task in tasks for word in task.rpartition(":")[2].split("_")}
    found = tuple(attribute for attribute, names in ATTRIBUTES.items() if words.intersection(names))
    return found or tuple(ATTRIBUTES)
