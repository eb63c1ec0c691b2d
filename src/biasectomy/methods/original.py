"""The model as it is: what every method is compared with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from biasectomy.methods.base import METHODS, Cost, NothingToLearn, Profile
from biasectomy.options import Options

if TYPE_CHECKING:
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.reading.questions import Answerer

NAME = "original"


@METHODS.register(NAME)
class Original(NothingToLearn):
    """The model as it is, which every other method is compared with."""

    title: ClassVar[str] = "Original"
    profile: ClassVar[Profile] = Profile("nothing", "nothing", checkpoint=True, sharded=True)
    cost = Cost()
    Settings: ClassVar[type[Options]] = Options

    def __init__(self, settings: Options) -> None:
        self.record: dict[str, Any] = {}

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> "Iterator[Answerer]":
        """See `Fitted`."""
        yield session.answerer(model)

    def save(self, model: "LanguageModel", folder: Path, dtype: str = "auto") -> float | None:
        """Writes the model unchanged."""
        return model.save(folder, dtype=dtype)
