"""A sentence in front of the instruction that asks for fairness: the plainest of the rivals."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from biasectomy.methods.base import METHODS, Cost, OnlyInference, Profile
from biasectomy.options import Options
from biasectomy.reading.questions import Answer, Answerer, Question

if TYPE_CHECKING:
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel

SENTENCE = "Treat people of all groups alike: do not rely on stereotypes, and say so where the answer cannot be known."


@METHODS.register("fair-prompt")
class FairPrompt(OnlyInference):
    """Puts a sentence in front of the instruction that asks for answers without stereotypes."""

    title: ClassVar[str] = "Fairness instruction"
    profile: ClassVar[Profile] = Profile("prompt", "a sentence more to read in each question", sharded=True)

    class Settings(Options):
        """Options of the method."""

        sentence: str = Field(SENTENCE, min_length=1, description="What is said in front of the instruction.")

    def __init__(self, settings: "FairPrompt.Settings") -> None:
        self.sentence = settings.sentence
        self.cost = Cost()
        self.record: dict[str, Any] = {"sentence": settings.sentence}

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> Iterator[Answerer]:
        """See `Fitted`."""
        yield Reworded(session.answerer(model), f"{self.sentence} ")


@dataclass(frozen=True)
class Reworded:
    """Asks another answerer the same questions with some words in front; whole texts are asked as they are."""

    answerer: Answerer
    words: str

    def __call__(
        self, questions: Sequence[Question], wanted: Collection[int] | None = None
    ) -> Iterator[list[tuple[int, Answer]]]:
        """See `Answerer`."""
        return self.answerer([one if one.text is None else one.behind(self.words) for one in questions], wanted)
