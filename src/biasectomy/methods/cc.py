"""Contextual calibration: what a model says to a question without content is divided out of its answers.

Zhao, Wallace, Feng, Klein and Singh: Calibrate Before Use, ICML 2021, section 5: q = softmax(W p + b) with
W = diag(p_cf)^-1 and b = 0, which orders the options as p / p_cf. p are the probabilities of the options, renormalised;
p_cf is their average over the content-free inputs "N/A", "[MASK]" and the empty string. Where the options differ by
item, as in BBQ, instruction and options stay, and context and question are replaced. Each input is asked once for all
questions that only differ in their content.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from biasectomy.errors import SettingsError
from biasectomy.methods.base import METHODS, Cost, OnlyInference, Profile
from biasectomy.options import Options
from biasectomy.reading.questions import Answer, Answerer, Question, ask_once

if TYPE_CHECKING:
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel

CONTENT_FREE = ("N/A", "[MASK]", "")


def _parse_inputs(value: object) -> object:
    """Texts joined by commas; nothing behind the last comma is the empty text."""
    return tuple(value.split(",")) if isinstance(value, str) else value


Inputs = Annotated[tuple[str, ...], BeforeValidator(_parse_inputs)]
NAME = "cc"


@METHODS.register(NAME)
class ContextualCalibration(OnlyInference):
    """Divides each option's probability by what it is without content (contextual calibration, Zhao et al. 2021)."""

    title: ClassVar[str] = "Contextual calibration"
    profile: ClassVar[Profile] = Profile(
        "answers", "a question without content for each different set of options and input", sharded=True
    )

    class Settings(Options):
        """Options of the method."""

        inputs: Inputs = Field(
            CONTENT_FREE, min_length=1, description="Texts without content that stand in for context and question."
        )

    def __init__(self, settings: "ContextualCalibration.Settings") -> None:
        self.inputs = settings.inputs
        self.cost = Cost(questions_per_answer=1.0 + len(settings.inputs))
        self.record: dict[str, Any] = {"inputs": list(settings.inputs)}

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> Iterator[Answerer]:
        """See `Fitted`."""
        yield Calibrated(session.answerer(model), [(text,) for text in self.inputs])


@dataclass(frozen=True)
class Calibrated:
    """Another answerer's answers, calibrated; questions without content of their own are answered as they are.

    Each of the inputs has a text for each place of the item; the last one stands in all places that are left.
    """

    answerer: Answerer
    inputs: Sequence[Sequence[str]] = tuple((text,) for text in CONTENT_FREE)

    def __call__(
        self, questions: Sequence[Question], wanted: Collection[int] | None = None
    ) -> Iterator[list[tuple[int, Answer]]]:
        """See `Answerer`.

        Raises:
            SettingsError: a question asks for a text; there are no probabilities to calibrate.
        """
        refuse_generated(questions)
        neutral = self._priors(questions)
        for batch in self.answerer(questions, wanted):
            yield [(index, calibrated(answer, neutral.get(questions[index]))) for index, answer in batch]

    def _priors(self, questions: Sequence[Question]) -> dict[Question, list[Answer]]:
        """Answers to the content-free forms of each question that has content."""
        forms = {
            question: [question.with_content(*texts) for texts in self.inputs]
            for question in questions
            if question.content
        }
        answers = ask_once(self.answerer, (form for some in forms.values() for form in some))
        return {question: [answers[form] for form in some] for question, some in forms.items()}


def refuse_generated(questions: Sequence[Question]) -> None:
    """Refuses questions that ask for a text.

    Raises:
        SettingsError: one of them does; there are no probabilities to calibrate.
    """
    if any(question.generation is not None for question in questions):
        raise SettingsError("Calibration needs the options' probabilities; use another --answer-rule.")


def calibrated(answer: Answer, priors: Sequence[Answer] | None) -> Answer:
    """An answer whose options' log-probabilities, renormalised, are those of p / p_cf, renormalised.

    They are of the whole option, so each counts as one token under any rule that reads them.
    """
    if not priors or not answer.log_likelihoods:
        return answer
    given = _normalised(answer.log_likelihoods)
    neutral = [_normalised(prior.log_likelihoods) for prior in priors]
    average = [_log_sum(values) - math.log(len(values)) for values in zip(*neutral, strict=True)]
    divided = _normalised([here - there for here, there in zip(given, average, strict=True)])
    return replace(answer, log_likelihoods=tuple(divided), tokens=(1,) * len(divided))


def _normalised(values: Sequence[float]) -> list[float]:
    total = _log_sum(values)
    return [value - total for value in values]


def _log_sum(values: Sequence[float]) -> float:
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values))
