"""How an answer becomes a choice: by likelihoods, by the text that was generated, or not at all."""

from collections.abc import Callable, Sequence

import numpy as np

from biasectomy.reading.questions import Answer
from biasectomy.reading.texts import matching_option

NO_CHOICE = -1


def sums(answer: Answer) -> tuple[float, ...]:
    """Summed log-likelihoods of the options."""
    return answer.log_likelihoods


def means(answer: Answer) -> tuple[float, ...]:
    """Log-likelihoods of the options per token."""
    return tuple(value / count for value, count in zip(answer.log_likelihoods, answer.tokens, strict=True))


def by_sum(options: Sequence[str], answer: Answer) -> int:
    """The option with the highest summed log-likelihood (CRISPR's rule); the first of equals."""
    return int(np.argmax(sums(answer))) if answer.log_likelihoods else NO_CHOICE


def by_mean(options: Sequence[str], answer: Answer) -> int:
    """The option with the highest log-likelihood per token; the first of equals."""
    return int(np.argmax(means(answer))) if answer.log_likelihoods else NO_CHOICE


def by_text(options: Sequence[str], answer: Answer) -> int:
    """The option that the first line of the generated text equals."""
    return matching_option(answer.texts[0], options) if answer.texts else NO_CHOICE


def not_chosen(options: Sequence[str], answer: Answer) -> int:
    """No option: the texts themselves are judged."""
    return NO_CHOICE


ANSWER_RULES: dict[str, Callable[[Sequence[str], Answer], int]] = {
    "sum": by_sum,
    "mean": by_mean,
    "generation": by_text,
    "judged": not_chosen,
}
SCORES: dict[str, Callable[[Answer], tuple[float, ...]]] = {"sum": sums, "mean": means}  # what options are compared by
SCORE_NAMES = {"sum": "summed log-likelihood", "mean": "log-likelihood a token"}
GENERATING = ("generation", "judged")
