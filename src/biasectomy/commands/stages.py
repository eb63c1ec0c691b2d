"""The stages of `evaluate` and of `mitigate` as work: how many questions are asked, attributed and learned from."""

from dataclasses import dataclass

from biasectomy.learning.settings import VALIDATION_WORDINGS
from biasectomy.measuring.expense import Reading, Stage
from biasectomy.methods.crispr import NAME as CRISPR
from biasectomy.methods.crispr import Crispr
from biasectomy.methods.learned_factors import ALL, LearnedFactors
from biasectomy.methods.random_neurons import RandomNeurons
from biasectomy.neurons.work import Operations
from biasectomy.reading.layouts import Size
from biasectomy.reading.layouts.base import causal_pairs

# Peak memory over the weights, as measured (docs/benchmarks.md).
ASKING, FINDING, LEARNING = 1.26, 2.28, 2.48


@dataclass(frozen=True)
class Read:
    """What reading is for a model: a question in the company of others and alone, and a neutral text."""

    shared: Reading
    alone: Reading
    text: Reading
    batch_tokens: int


@dataclass(frozen=True)
class Asked:
    """How many items there are under how many instructions, and which share of them is developed on."""

    items: int
    instructions: int
    development: float = 0.5

    @property
    def development_items(self) -> int:
        """Items that are learned from."""
        return round(self.development * self.items)

    @property
    def questions(self) -> int:
        """All items under all instructions."""
        return self.items * self.instructions


def evaluating(read: Read, asked: Asked) -> list[Stage]:
    """Every question once."""
    return [_questions("asking", read, asked.questions, asked.questions)]


def mitigating(read: Read, asked: Asked, method: str) -> list[Stage]:
    """Fitting a method with its default settings, and measuring it beside the original and random neurons.

    Args:
        read: what reading is for the model.
        asked: items and instructions.
        method: CRISPR or learned factors, by name.
    """
    fitted = _crispr(read, asked) if method == CRISPR else _learned(read, asked)
    test = (asked.items - asked.development_items) * asked.instructions
    return [*fitted, _questions("test", read, (2 + RandomNeurons.Settings().draws) * test, test)]


def _crispr(read: Read, asked: Asked) -> list[Stage]:
    settings = Crispr.Settings()
    attributed = settings.instances * settings.trials * asked.instructions
    finding = Stage(
        "finding neurons",
        "finding",
        attributed * read.alone.operations[2],
        3 * attributed * read.alone.tokens / read.batch_tokens,  # forward, and backward twice
        FINDING,
        parts=attributed / settings.clamp_group,
        questions=False,
    )
    development = asked.development_items * asked.instructions
    return [finding, _questions("choosing their number", read, len(settings.grid) * development, development)]


def _learned(read: Read, asked: Asked) -> list[Stage]:
    settings = LearnedFactors.Settings()
    steps = settings.first_steps + settings.steps * sum(budget != ALL for budget in settings.budgets)
    of_step = settings.items_a_step * read.shared.operations[1] + read.text.operations[1]
    learning = Stage(
        "learning factors",
        "learning",
        steps * of_step,
        4 * steps,  # forward and backward, through items and through a text
        LEARNING,
        parts=settings.items_a_step,
        in_step=True,
        questions=False,
    )
    chosen_by = min(settings.validation_items, round(settings.validation_share * asked.development_items))
    validated = chosen_by * min(VALIDATION_WORDINGS, asked.instructions)
    return [learning, _questions("choosing their number", read, (len(settings.budgets) + 1) * validated, validated)]


def _questions(name: str, read: Read, count: int, different: int) -> Stage:
    shared = read.shared
    return Stage(
        name, "asking", count * shared.operations[0], count * shared.tokens / read.batch_tokens, ASKING, different
    )


def read_of(
    operations: Operations, shared: Size, questions: int, alone: Size, sampled: int, text: float, batch: int
) -> Read:
    """What reading is for a model, from sizes that were laid out.

    Args:
        operations: of the model.
        shared: of so many questions, as they are asked.
        questions: their number.
        alone: of so many questions, as attribution reads them.
        sampled: their number.
        text: tokens of a neutral text.
        batch: tokens of a batch.
    """
    tokens = round(text)
    of_text = Size(tokens, tokens, causal_pairs(tokens))
    return Read(
        Reading.of(operations.work(shared), questions),
        Reading.of(operations.work(alone), sampled),
        Reading.of(operations.work(of_text), 1),
        batch,
    )
