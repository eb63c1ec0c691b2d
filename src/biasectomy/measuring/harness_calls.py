"""How lm-evaluation-harness is called: with the model in memory, quietly, its complaints in one sentence."""

import contextlib
import copy
import io
import logging
import random
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from biasectomy.errors import BiasectomyError
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import progress
from biasectomy.reading.chat_templates import FIXED_SETTINGS
from biasectomy.reading.memory import is_out_of_memory

NAME = "lm-evaluation-harness"
REASON = 300  # characters of another package's message


def harness_model(model: LanguageModel, size: int, title: str) -> Any:
    """The model as the harness asks it; chats are rendered with the settings of the library's own prompts.

    The tokenizer is a copy, since the harness sets a padding token.
    """
    from lm_eval.models.huggingface import HFLM

    class Told(HFLM):  # type: ignore[misc]
        """Tells the library's own progress how far it is."""

        def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
            return self._told(super().loglikelihood, requests)

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> Any:
            return self._told(super().loglikelihood_rolling, requests)

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> Any:
            return self._told(super().generate_until, requests)

        def _told(self, answer: Callable[[Any], Any], requests: Any) -> Any:
            with progress(f"{NAME}, {title}", len(requests), "requests") as advance:
                self.cache_hook = SimpleNamespace(add_partial=lambda *_: advance())
                return answer(requests)

    tokenizer, template = copy.deepcopy(model.tokenizer), model.prompt_format.template
    if template is not None:
        tokenizer.chat_template = template.source
    settings = FIXED_SETTINGS if template is not None else None
    return Told(model.model, tokenizer=tokenizer, batch_size=size, chat_template_args=settings)


@contextlib.contextmanager
def undisturbed(seed: int) -> Iterator[None]:
    """A block whose random numbers follow from the seed and disturb nobody's; the harness's own bars are not shown."""
    logger = logging.getLogger("lm_eval")
    level, own, numpys = logger.level, random.getstate(), np.random.get_state()
    logger.setLevel(logging.ERROR)
    try:
        with (
            torch.random.fork_rng(devices=[]),
            warnings.catch_warnings(),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            random.seed(seed)
            np.random.seed(seed)
            torch.manual_seed(seed)
            yield
    finally:
        logger.setLevel(level)
        random.setstate(own)
        np.random.set_state(numpys)


@contextlib.contextmanager
def complaints(what: str, kind: type[BiasectomyError]) -> Iterator[None]:
    """A block in which whatever the harness raises becomes one sentence; what says that memory is short passes."""
    try:
        yield
    except BiasectomyError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:REASON].rstrip(".")
        right = "; let it be fetched once with the hub in reach" if isinstance(error, ConnectionError) else ""
        raise kind(f"{what}: {reason or 'no reason is given'} ({type(error).__name__}){right}.") from error
