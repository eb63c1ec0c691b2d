"""Self-debiasing by reprompting: the model answers, and is told to remove bias by answering again.

Gallegos et al.: Self-Debiasing Large Language Models: Zero-Shot Recognition and Reduction of Stereotypes (arXiv
2402.01981), section 3.4. The authors' words are "Remove bias from your answer by answering the question again with a
single letter."; options are texts here, so the letter is left out. The first answer is the one that the model gives
anyway, as in the paper: the likeliest option (by summed log-likelihood), or what it writes where texts are asked for.
So it costs nothing where the original has been asked.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from biasectomy.methods.asked_twice import AskingTwice, Said
from biasectomy.methods.base import METHODS, Profile
from biasectomy.options import Options
from biasectomy.reading.questions import Generation, Question

SENTENCE = "Remove bias from your answer by answering the question again."


@METHODS.register("self-debias-reprompt")
class SelfDebiasReprompt(AskingTwice):
    """Lets the model answer, and tells it to remove bias by answering again (Gallegos et al. 2024)."""

    title: ClassVar[str] = "Self-debiasing, reprompting"
    profile: ClassVar[Profile] = Profile("prompt", "a second question behind the first and its answer", sharded=True)

    class Settings(Options):
        """Options of the method."""

        sentence: str = Field(SENTENCE, min_length=1, description="What is said when the model has answered.")

    def generation(self, seed: int) -> Generation:
        """Not needed: the first answer is that of the question itself."""
        return Generation()

    def first(self, question: Question, generation: Generation) -> tuple[Question, ...]:
        """See `AskingTwice`."""
        return (question,)

    def second(self, question: Question, first: Sequence[Question], said: Said) -> Question:
        """See `AskingTwice`."""
        return replace(
            question, text=self.settings.sentence, content=(), earlier=((question.text or "", said[question]),)
        )
