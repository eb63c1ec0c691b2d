"""The floor of every gain on ambiguous items: a model that says "unknown" to everything."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from biasectomy.methods.base import METHODS, Cost, OnlyInference, Profile
from biasectomy.options import Options
from biasectomy.reading.questions import Answer, Answerer, Question

if TYPE_CHECKING:
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel

IMPOSSIBLE = -1e4  # log-likelihood of an option that is never chosen; exp of it is 0 in any format


@METHODS.register("always-unknown")
class AlwaysUnknown(OnlyInference):
    """Says "unknown" to every question that has such an option: the floor that any gain must be compared with."""

    title: ClassVar[str] = "Always unknown"
    profile: ClassVar[Profile] = Profile("answers", "nothing: no model is asked", sharded=True)
    Settings: ClassVar[type[Options]] = Options
    cost = Cost(questions_per_answer=0.0)

    def __init__(self, settings: Options) -> None:
        self.record: dict[str, Any] = {}

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> Iterator[Answerer]:
        """See `Fitted`."""
        yield answer_unknown


def answer_unknown(
    questions: Sequence[Question], wanted: Collection[int] | None = None
) -> Iterator[list[tuple[int, Answer]]]:
    """Certain of the "unknown" option of each question; silent where there is none."""
    yield [(index, _unknown(question)) for index, question in enumerate(questions) if wanted is None or index in wanted]


def _unknown(question: Question) -> Answer:
    if question.unknown is None:
        return Answer()
    if question.generation is not None:
        return Answer(texts=(question.options[question.unknown],))
    values = tuple(0.0 if index == question.unknown else IMPOSSIBLE for index in range(len(question.options)))
    return Answer(values, (1,) * len(values))
