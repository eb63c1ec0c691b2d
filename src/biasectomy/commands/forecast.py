"""What a run will take, measured on its own first questions before the long parts begin."""

import time
from collections.abc import Sequence
from dataclasses import replace

from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import heading, say
from biasectomy.processes import ALONE, Processes
from biasectomy.reading.products import products
from biasectomy.reading.questions import Question
from biasectomy.report.text import duration

FORECAST = "forecast"  # a stage of a command
SMALLEST_BATCH = 64
PROBED = 12


def fitting_batch_tokens(
    model: LanguageModel, questions: Sequence[Question], processes: Processes = ALONE
) -> tuple[int, float]:
    """The largest token budget, halved from the model's own, with which batches fit in memory; seconds a question.

    The budget depends on what fits, never on how fast it was: the same machine gives the same batches. The model is
    left as it is.
    """
    # How far an edit has come from the original takes two passes, but none before there is an edit.
    questions = [replace(one, divergence=False) for one in questions[:: max(1, len(questions) // PROBED)][:PROBED]]
    budget = model.batch_tokens
    while True:
        seconds, short = _tried(replace(model, batch_tokens=budget), questions)
        # Batches must be the same in all processes, so they are what fits in the smallest memory.
        found = processes.gather((seconds, short))
        if budget <= SMALLEST_BATCH or not any(one[1] for one in found):
            return budget, float(max(one[0] for one in found)) / len(questions)
        budget //= 2


def announce(model: LanguageModel, asked: int, seconds: float, questions: float, processes: Processes = ALONE) -> None:
    """Says the batch size and the time to expect.

    Args:
        asked: the token budget that was tried first.
        seconds: of one question.
        questions: about how many questions' time the run takes.
    """
    heading("What to expect", FORECAST)
    tried = f" (tried {asked:,}, too large for the memory)" if asked != model.batch_tokens else ""
    say(f"Batches of {model.batch_tokens:,} tokens{tried}, {seconds * 1000:,.0f} ms a question")
    say(processes.once(lambda: products(model.model.device)).told())
    several = f" in each of {processes.count} processes" if processes.count > 1 else ""
    say(f"About {questions:,.0f} questions' time: {duration(seconds * questions / processes.count)}{several}")


def _tried(model: LanguageModel, questions: Sequence[Question]) -> tuple[float, bool]:
    """Time of some questions as the model answers them, and whether memory was short."""
    shortages: list[None] = []
    batches = list(model.plan(questions))

    def note() -> None:
        shortages.append(None)

    model.answer(batches[0], questions, note)  # the first pass pays for warming up
    start = time.perf_counter()
    for batch in batches:
        model.answer(batch, questions, note)
    return time.perf_counter() - start, bool(shortages)
