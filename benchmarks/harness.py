"""lm-evaluation-harness as a peer: its own way from strings to log-likelihoods."""

import logging
from collections.abc import Sequence
from typing import Any

from benchmarks.device import clock_of
from biasectomy.models.language_model import LanguageModel
from biasectomy.reading.memory import is_out_of_memory

Pair = tuple[str, str]  # context, continuation
BATCH_SIZES, ACCELERATOR_BATCH_SIZES = (1, 4, 16), (16, 64, 256)


class Harness:
    """`HFLM.loglikelihood` over a model that is loaded already."""

    def __init__(self, language_model: LanguageModel, batch_size: int = 1) -> None:
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        from lm_eval.models.huggingface import HFLM

        self._model: Any = HFLM(
            pretrained=language_model.model,
            tokenizer=language_model.tokenizer,
            batch_size=batch_size,
            device=str(language_model.model.device),
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
    """The harness with the batch size that is fastest on some pairs, that size, and the seconds of each size.

    A size that memory is too small for is left out.
    """
    device = language_model.model.device
    clock = clock_of(device)
    seconds: dict[int, float] = {}
    Harness(language_model).log_likelihoods(pairs[:1])
    for size in BATCH_SIZES if device.type == "cpu" else ACCELERATOR_BATCH_SIZES:
        harness = Harness(language_model, size)
        start = clock()
        try:
            harness.log_likelihoods(pairs)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            continue
        seconds[size] = clock() - start
    best = min(seconds, key=seconds.__getitem__)
    return Harness(language_model, best), best, seconds
