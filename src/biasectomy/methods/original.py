"""The model as it is: what every method is compared with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from biasectomy.methods.base import METHODS, Cost
from biasectomy.options import Options

if TYPE_CHECKING:
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.reading.questions import Answerer
    from biasectomy.tasks.base import Task

NAME = "original"


@METHODS.register(NAME)
class Original:
    """The model as it is, which every other method is compared with."""

    title: ClassVar[str] = "Original"
    cost = Cost()
    draws = 1
    neuron_set = None
    Settings: ClassVar[type[Options]] = Options

    def __init__(self, settings: Options) -> None:
        self.record: dict[str, Any] = {}

    def expected_questions(self, development: "Task") -> float:
        """None: there is nothing to learn."""
        return 0

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> "Original":
        """Nothing is learned."""
        return self

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> "Iterator[Answerer]":
        """See `Fitted`."""
        yield session.answerer(model)

    def save(self, model: "LanguageModel", folder: Path) -> float | None:
        """Writes the model unchanged."""
        return model.save(folder)
