"""Answers out of several distributions of the next token: a language model's own, and others read beside it."""

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from biasectomy.errors import DataError, ScoreError
from biasectomy.models.language_model import LanguageModel
from biasectomy.reading.distributions import divergences
from biasectomy.reading.following import Combine, Combined, Follower
from biasectomy.reading.generation import generate
from biasectomy.reading.layouts import Batch
from biasectomy.reading.memory import in_halves
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.reading.questions import Answer, Question


@dataclass(frozen=True)
class Companion:
    """What is read beside a model: the same questions behind further words, by another model, or by it when changed.

    `model` is None where it is the model itself; `in_force` gives the block in which it is read.
    """

    words: str = ""
    model: LanguageModel | None = None
    in_force: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext


@dataclass(frozen=True)
class Decoding:
    """A language model whose next token is that of a combination: options, whole texts, divergences and generation.

    Options are scored with the combined distribution at each of their tokens, all of them given. `described` is what
    JSON can hold and no other combination has: answers are kept by it. `nucleus` restricts what is written to the
    fewest tokens that have this share of the model's own probability; what is scored has all tokens.
    """

    model: LanguageModel
    companions: Sequence[Companion]
    combine: Combine
    described: Any
    nucleus: float = 1.0

    @property
    def key(self) -> str:
        """See `LanguageModel.key`."""
        return hashlib.sha256(json.dumps([self.model.key, self.described], sort_keys=True).encode()).hexdigest()

    def encode(self, question: Question) -> EncodedPrompt:
        """See `LanguageModel.encode`: the question's own tokens, without what companions read in front.

        Raises:
            DataError: it cannot be put into tokens, or not as a companion reads it, or into more than that takes.
        """
        found = self.model.encode(question)
        for companion in self.companions:
            self._prompt(companion, question, found)
        return found

    def plan(self, questions: Sequence[Question]) -> Iterator[Batch]:
        """See `LanguageModel.plan`."""
        return self.model.plan(questions)

    def cost(self, batch: Batch) -> float:
        """See `LanguageModel.cost`; companions read as much again."""
        return (1 + len(self.companions)) * self.model.cost(batch)

    def answer(self, batch: Batch, questions: Sequence[Question]) -> list[Answer]:
        """Answers to a batch of `plan`, in the order of `batch.indices`.

        Raises:
            ScoreError: a log-likelihood or a divergence is not finite.
        """
        if batch.prompts[0].new_tokens:
            return in_halves(lambda half: self._written(half, questions), batch)
        compared = questions[batch.indices[0]].divergence
        found = in_halves(
            lambda half: self._compared(half, questions) if compared else self._scored(half, questions), batch
        )
        for index, answer in zip(batch.indices, found, strict=True):
            if not all(map(math.isfinite, answer.log_likelihoods + answer.divergences)):
                error = ScoreError(
                    "The combined distributions are not finite. Weights may be damaged, or --dtype float32 may be "
                    "needed."
                )
                error.question = questions[index]
                raise error
        return found

    def _scored(self, batch: Batch, questions: Sequence[Question]) -> list[Answer]:
        """Sums of each option's tokens' log-probabilities."""
        tokens = [token for one in batch.prompts for option in one.options for token in option]
        distributions = self._distributions(batch, questions)
        taken = distributions[range(len(tokens)), tokens].double().cpu()
        lengths = [tuple(map(len, one.options)) for one in batch.prompts]
        values = iter(torch.split(taken, [length for some in lengths for length in some]))
        return [
            Answer(tuple(float(next(values).sum()) for _ in some), some, one.words)
            for some, one in zip(lengths, batch.prompts, strict=True)
        ]

    def _compared(self, batch: Batch, questions: Sequence[Question]) -> list[Answer]:
        """Divergences of the combination from the model with nothing in force, at every token."""
        now = self._distributions(batch, questions)
        with self.model.unedited():
            original = _read(self.model, batch)
        (found,) = divergences([original], [now])
        return [
            Answer(divergences=tuple(values.tolist()))
            for values in torch.split(found, [len(one.options[0]) for one in batch.prompts])
        ]

    @torch.inference_mode()
    def _distributions(self, batch: Batch, questions: Sequence[Question]) -> Tensor:
        """Log-probabilities [tokens of all options of all prompts, vocabulary]."""
        own = _read(self.model, batch)
        return self.combine(own, (self._beside(one, batch, questions) for one in self.companions))

    def _beside(self, companion: Companion, batch: Batch, questions: Sequence[Question]) -> Tensor:
        prompts = self._prompts(companion, batch, questions)
        with companion.in_force():
            return _read(companion.model or self.model, replace(batch, prompts=prompts, size=None))

    def _prompts(self, companion: Companion, batch: Batch, questions: Sequence[Question]) -> tuple[EncodedPrompt, ...]:
        """The prompts of a batch as a companion reads them."""
        pairs = zip(batch.indices, batch.prompts, strict=True)
        return tuple(self._prompt(companion, questions[index], own) for index, own in pairs)

    def _prompt(self, companion: Companion, question: Question, own: EncodedPrompt) -> EncodedPrompt:
        """A question as a companion reads it; what is judged has the tokens that it has for the model."""
        try:
            found = self.model.encode(question.behind(companion.words)) if companion.words else own
            if companion.model is not None:
                companion.model.check(found)
            if found.options != own.options:
                raise DataError(f"Behind '{companion.words.strip()}' an option has other tokens than without.")
        except DataError as error:
            error.question = question
            raise
        return found

    @torch.inference_mode()
    def _written(self, batch: Batch, questions: Sequence[Question]) -> list[Answer]:
        model = self.model
        followers = [
            Follower((one.model or model).model, model.tokenizer, self._prompts(one, batch, questions), one.in_force)
            for one in self.companions
        ]
        given = 0 if model.model.config.is_encoder_decoder else max(len(one.prompt) for one in batch.prompts)
        combined = Combined(self.combine, followers, given, self.nucleus)
        return [Answer(texts=(text,)) for text in generate(model.model, model.tokenizer, batch, combined)]


@torch.inference_mode()
def _read(model: LanguageModel, batch: Batch) -> Tensor:
    """Log-probabilities [tokens of all options of all prompts, vocabulary], float32."""
    reading = model.layout.read(model.model, batch)
    return torch.cat([values for options in reading.distributions() for values in options])
