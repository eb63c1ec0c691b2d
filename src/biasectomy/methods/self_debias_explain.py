"""Self-debiasing by explanation: the model first says which answers rely on invalid assumptions.

Gallegos, Rossi, Barrow, Tanjim, Yu, Deilamsalehy, Zhang, Kim, Dernoncourt, Lipka, Owens and Gu: Self-Debiasing Large
Language Models: Zero-Shot Recognition and Reduction of Stereotypes (arXiv 2402.01981), section 3.3. Two turns of one
conversation: "Explain which answers rely on invalid assumptions." with the question and its answers, the explanation,
and then the question as it is always asked. The first turn has the question from the line on where the item begins:
the task's own instruction asks for an answer. The authors (appendix A) draw 25 tokens at a temperature of 1 and see no
difference between temperatures and limits; here an explanation is greedy.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from biasectomy.methods.asked_twice import AskingTwice, Said, WritingSettings, without_instruction
from biasectomy.methods.base import METHODS
from biasectomy.options import with_preset
from biasectomy.reading.questions import Generation, Question

SENTENCE = "Explain which answers rely on invalid assumptions."
PAPER = {"new_tokens": 25, "temperature": 1.0}


@METHODS.register("self-debias-explain")
class SelfDebiasExplain(AskingTwice):
    """Has the model say which answers rely on invalid assumptions, and then asks it (Gallegos et al. 2024)."""

    title: ClassVar[str] = "Self-debiasing, explanation"

    class Settings(WritingSettings):
        """Options of the method."""

        preset: Literal["default", "paper"] = Field(
            "default", description="The authors' (paper): 25 tokens at a temperature of 1, unless said otherwise."
        )
        temperature: float = Field(0.0, ge=0, description="Of the explanation; 0 for the likeliest tokens.")

    def __init__(self, settings: "SelfDebiasExplain.Settings") -> None:
        super().__init__(with_preset(settings, {"paper": PAPER}))

    def generation(self, seed: int) -> Generation:
        """See `AskingTwice`."""
        return Generation(self.settings.new_tokens, self.settings.temperature, seed)

    def first(self, question: Question, generation: Generation) -> tuple[Question, ...]:
        """See `AskingTwice`."""
        return (Question(f"{SENTENCE}\n\n{without_instruction(question)}", generation=generation),)

    def second(self, question: Question, first: Sequence[Question], said: Said) -> Question:
        """See `AskingTwice`."""
        return replace(question, earlier=tuple((one.text or "", said[one]) for one in first))
