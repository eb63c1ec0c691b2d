"""lm-evaluation-harness as a peer: its own way from strings to log-likelihoods."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from biasectomy.models.language_model import LanguageModel

Pair = tuple[str, str]  # context, continuation
BATCH_SIZES = (1, 4, 16)


class Harness:
    """`HFLM.loglikelihood` over a model that is loaded already."""

    def __init__(self, language_model: LanguageModel, batch_size: int = 1) -> None:
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        from lm_eval.models.huggingface import HFLM

        self._model: Any = HFLM(
            pretrained=language_model.model, tokenizer=language_model.tokenizer, batch_size=batch_size, device="cpu"
        )

    def log_likelihoods(self, pairs: Sequence[Pair]) -> list[float]:
        """Log-likelihood of each continuation."""
        from lm_eval.api.instance import Instance

        requests = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]
        return [value for value, _ in self._model.loglikelihood(requests, disable_tqdm=True)]

    def tokens(self, pair: Pair) -> list[int]:
        """All tokens of a pair, as the harness makes them."""
        context, continuation = self._model._encode_pair(*pair)
        return [*context, *continuation]


def best_harness(language_model: LanguageModel, pairs: Sequence[Pair]) -> tuple[Harness, int, dict[int, float]]:
    """The harness with the batch size that is fastest on some pairs, that size, and the seconds of each size."""
    seconds: dict[int, float] = {}
    Harness(language_model).log_likelihoods(pairs[:1])
    for size in BATCH_SIZES:
        harness = Harness(language_model, size)
        start = time.perf_counter()
        harness.log_likelihoods(pairs)
        seconds[size] = time.perf_counter() - start
    best = min(seconds, key=seconds.__getitem__)
    return Harness(language_model, best), best, seconds
