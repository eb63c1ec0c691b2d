"""Self-help: the model rewrites what may bias it, and then answers the rewritten question.

Echterhoff, Liu, Alessa, McAuley and He: Cognitive Bias in Decision-Making with LLMs, Findings of EMNLP 2024 (arXiv
2403.00811): the model rewrites its own prompt, and the rewritten prompt is answered in a conversation of its own. Their
words were not at hand; a reimplementation has "Here is a prompt that may be biased by cognitive bias. Rewrite it such
that a reviewer is not biased.", with more behind it that is of its own. The authors have the whole prompt rewritten,
for biases of judgement. Here instruction and options stay, so that answers still mean the same, and each place of the
item, such as context and question, is rewritten by itself; the sentence speaks of stereotypes.

A rewritten text that does not end as the text did, a question as a question and a sentence as a sentence, was cut off
or answered, and is not used. A line in front that only announces it ("Here is the text:") is left out.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from biasectomy.methods.asked_twice import AskingTwice, Said, WritingSettings
from biasectomy.methods.base import METHODS
from biasectomy.reading.questions import Generation, Question

SENTENCE = (
    "Here is a text that may be biased by stereotypes. Rewrite it such that a reader is not biased. "
    "Keep who is in it and what is asked."
)
ENDS = (re.compile(r"\?[\"')\]]*$"), re.compile(r"[.?!][\"')\]]*$"))  # of questions, of sentences


@METHODS.register("self-help")
class SelfHelp(AskingTwice):
    """Has the model rewrite context and question so that they do not bias, then asks them (Echterhoff et al. 2024)."""

    title: ClassVar[str] = "Self-help"

    class Settings(WritingSettings):
        """Options of the method."""

        new_tokens: int = Field(96, ge=1, description="How many tokens a rewritten text may have.")
        sentence: str = Field(SENTENCE, min_length=1, description="What is said in front of the text to be rewritten.")

    def first(self, question: Question, generation: Generation) -> tuple[Question, ...]:
        """See `AskingTwice`."""
        sentence = self.settings.sentence
        return tuple(Question(f"{sentence}\n\n{text}", generation=generation) for text in _changeable(question))

    def second(self, question: Question, first: Sequence[Question], said: Said) -> Question:
        """See `AskingTwice`."""
        found = {text: said[one] for text, one in zip(_changeable(question), first, strict=True)}
        return question.with_content(*(rewritten(text, found.get(text, "")) for text in question.contents))


def _changeable(question: Question) -> list[str]:
    """The texts of the item that have words and are not options: what is scored must be what is read."""
    return [text for text in question.contents if text.strip() and text not in question.options]


def rewritten(text: str, said: str) -> str:
    """What a text was rewritten to, in one paragraph; the text itself where that is nothing or does not end as it."""
    announced = re.match(r"[^\n]*:\s*\n", said)
    said = " ".join(said[announced.end() if announced else 0 :].split())
    if len(said) > 1 and said[0] == said[-1] == '"':
        said = said[1:-1]
    end = next((end for end in ENDS if end.search(text.rstrip())), None)
    return said if said and (end is None or end.search(said)) else text
