"""What methods share that ask a model twice: first for a text, and then the question in the light of it.

What was asked first and what was said to it is kept in `texts.jsonl` of the method's folder.
"""

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from biasectomy.errors import DataError, ScoreError
from biasectomy.files import writing
from biasectomy.methods.base import Cost, OnlyInference, Profile
from biasectomy.narration import say
from biasectomy.options import Options
from biasectomy.reading.questions import Answer, Answerer, Generation, Question, ask_once

if TYPE_CHECKING:
    from biasectomy.measuring.session import ItemLog, Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.tasks.base import Task

FILE = "texts.jsonl"
Said = Mapping[Question, str]  # what was said to each first question; empty where nothing was


class WritingSettings(Options):
    """Options of methods that have the model write a text first."""

    new_tokens: int = Field(64, ge=1, description="How many tokens the text may have that is written first.")


def without_instruction(question: Question) -> str:
    """A question from the line on in which the item begins; the whole of it where no place is known to be the item."""
    text = question.text or ""
    begins = min((start for start, _ in question.content), default=0)
    return text[text.rfind("\n", 0, begins) + 1 :]


class AskingTwice(OnlyInference):
    """A method says what is asked first of a question, and how the question is asked after that."""

    title: ClassVar[str] = "Asking twice"
    profile: ClassVar[Profile] = Profile(
        "prompt", "a text to be written for each question", ("generation",), sharded=True
    )

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.cost = Cost(questions_per_answer=2.0)
        self.record: dict[str, Any] = settings.model_dump()
        self.texts: ItemLog | None = None

    def generation(self, seed: int) -> Generation:
        """How the text is written."""
        return Generation(self.settings.new_tokens)

    def first(self, question: Question, generation: Generation) -> tuple[Question, ...]:
        """What is asked first of a question; nothing where it is asked as it is."""
        raise NotImplementedError

    def second(self, question: Question, first: Sequence[Question], said: Said) -> Question:
        """How the question is asked when something has been said to what was asked first."""
        raise NotImplementedError

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> Self:
        """Nothing is learned; the file begins that the texts are kept in."""
        from biasectomy.measuring.session import ItemLog

        path = session.path(FILE)
        if path is not None and session.processes.main:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
        fitted = copy.copy(self)
        fitted.texts = ItemLog(path, session.processes)
        return fitted

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> Iterator[Answerer]:
        """See `Fitted`."""
        yield AskedTwice(session.answerer(model), self, self.generation(session.seed), model.prompt_format.sayable)


@dataclass(frozen=True)
class AskedTwice:
    """Asks another answerer twice; whole texts, plain ones, and how far the model has come are asked as they are."""

    answerer: Answerer
    method: AskingTwice
    generation: Generation
    sayable: Callable[[str], str]  # what can be said to the model of what it wrote

    def __call__(
        self, questions: Sequence[Question], wanted: Collection[int] | None = None
    ) -> Iterator[list[tuple[int, Answer]]]:
        """See `Answerer`; what is asked first is asked for all, since it decides the company of what is asked then."""
        instructed = (question for question in dict.fromkeys(questions) if _instructed(question))
        firsts = {question: self.method.first(question, self.generation) for question in instructed}
        if written := {one for some in firsts.values() for one in some if one.generation is not None}:
            say(f"{self.method.title}: {len(written):,} texts are written first")
        with _about({one: question for question, some in firsts.items() for one in some}):
            answers = ask_once(self.answerer, (one for some in firsts.values() for one in some))
        said = {one: self.sayable(_text(one, answer)).strip() for one, answer in answers.items()}
        if self.method.texts is not None:
            self.method.texts.add({"asked": one.text, "said": text} for one, text in said.items())
        asked = [self._then(question, firsts.get(question, ()), said) for question in questions]
        if firsts:
            changed = sum(now != before for now, before in zip(asked, questions, strict=True))
            say(f"{self.method.title}: {changed:,} of {len(questions):,} questions are asked otherwise")
        with _about(dict(zip(asked, questions, strict=True))):
            yield from self.answerer(asked, wanted)

    def _then(self, question: Question, first: Sequence[Question], said: Said) -> Question:
        """A question as it is asked in the end: as it is where nothing was said."""
        return self.method.second(question, first, said) if any(said[one] for one in first) else question


def _instructed(question: Question) -> bool:
    return question.text is not None and not question.plain and not question.divergence


def _text(question: Question, answer: Answer) -> str:
    """What was answered: the text that was written, or the likeliest option, the first of equals."""
    if answer.log_likelihoods:
        return question.options[answer.log_likelihoods.index(max(answer.log_likelihoods))]
    return answer.texts[0] if answer.texts else ""


@contextmanager
def _about(origins: Mapping[Any, Question]) -> Iterator[None]:
    """A block in which errors about a question that was made of another one are about that one."""
    try:
        yield
    except (DataError, ScoreError) as error:
        error.question = origins.get(error.question, error.question)
        raise
