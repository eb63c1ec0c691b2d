"""What an attribution is: a score for each neuron of a model."""

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from biasectomy.options import Options
from biasectomy.registry import Registry

if TYPE_CHECKING:  # an attribution's settings are asked for by `--help`, which needs nothing of this
    from torch import Tensor

    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.discovery import Neurons
    from biasectomy.tasks.base import Task

ATTRIBUTED = 4  # an attributed item is a forward and two backward passes, and about one more of elementwise work


class Attribution(Protocol):
    """An attribution with its settings; its docstring's first line describes it.

    The class has its options as a class of its own, `Settings`, made of `Options`. It may say what its scores cost, for
    forecasts: `expected_questions(development)`, about how many questions' time they take.
    """

    def __init__(self, settings: Any) -> None: ...

    def check(self, development: "Task") -> None:
        """Refuses, before anything is computed, what cannot work.

        Raises:
            SettingsError: says what would be right.
        """

    def scores(
        self, model: "LanguageModel", neurons: "Neurons", development: "Task", session: "Session"
    ) -> "dict[str, Tensor]":
        """A score for every neuron, float64 by module [units]; the higher, the more it is to blame."""

    def record(self, development: "Task", seed: int) -> dict[str, Any]:
        """What is noted beside the neurons that were found: JSON-like values."""


class ReadsNoItems:
    """What such attributions have in common that ask nothing of the items."""

    Settings: ClassVar[type[Options]] = Options

    def __init__(self, settings: Options) -> None:
        self.settings = settings

    def check(self, development: "Task") -> None:
        """Everything is right for it."""

    def record(self, development: "Task", seed: int) -> dict[str, Any]:
        """Nothing was drawn from the items."""
        return {}


ATTRIBUTIONS: Registry[Any] = Registry("attribution")  # classes of attributions
