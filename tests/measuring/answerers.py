"""Answerers that stand in for a model, and stores that do not do as they should."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from biasectomy.measuring.store import MemoryStore
from biasectomy.reading.layouts import Batch
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.reading.questions import Answer, Question


@dataclass
class Made:
    """Computes answers by a rule, so many questions a batch, and remembers what it was asked."""

    rule: Callable[[Question], Answer]
    key: str = "made"
    size: int = 4
    asked: list[Question] = field(default_factory=list)

    def encode(self, question: Question) -> EncodedPrompt:
        texts = (question.text or "", *question.options)
        numbers = tuple(tuple(text.encode()) for text in texts)
        return EncodedPrompt(numbers[0], numbers[1:], new_tokens=1 if question.generation else 0)

    def plan(self, questions: Sequence[Question]):
        for start in range(0, len(questions), self.size):
            indices = tuple(range(start, min(start + self.size, len(questions))))
            yield Batch(indices, tuple(self.encode(questions[index]) for index in indices))

    def cost(self, batch: Batch) -> float:
        return float(len(batch.prompts))

    def answer(self, batch: Batch, questions: Sequence[Question]) -> list[Answer]:
        chosen = [questions[index] for index in batch.indices]
        self.asked += chosen
        return [self.rule(question) for question in chosen]


def by_length(question: Question) -> Answer:
    """Prefers long options, each by its own text."""
    return Answer(
        tuple(-1 / len(option) for option in question.options),
        tuple(len(option.split()) for option in question.options),
    )


class InterruptingStore(MemoryStore):
    """A store that is interrupted when it is to keep its n-th batch."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.added = at, 0

    def add(self, answers) -> None:
        self.added += 1
        if self.added == self.at:
            raise KeyboardInterrupt
        super().add(answers)
