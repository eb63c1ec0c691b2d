"""What a method is: anything that changes how a model answers, fitted on development items, then asked test items."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

from biasectomy.errors import SettingsError
from biasectomy.registry import Registry

if TYPE_CHECKING:  # a method's settings are asked for by `--help`, which needs nothing of this
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.neurons.neuron_set import NeuronSet
    from biasectomy.reading.questions import Answerer
    from biasectomy.tasks.base import Task


Need = Literal["weights", "gradients", "generation", "pairs", "data"]
Changed = Literal["nothing", "weights", "activations", "prompt", "decoding", "answers"]


@dataclass(frozen=True)
class Profile:
    """What a method is, for those who choose one.

    `needs` says what it must have of a model (that its weights can be written or activations be changed, gradients,
    written text), of a task (pairs of a biased and another answer) or of the user (files of data), `changes` where it
    acts, `costs` what it takes, in words. `checkpoint` says whether a plain checkpoint comes out, `sharded` whether the
    weights may be spread over processes: it asks by the session's answerer and learns by `Training`.
    """

    changes: Changed
    costs: str
    needs: tuple[Need, ...] = ()
    checkpoint: bool = False
    sharded: bool = False


@dataclass(frozen=True)
class Cost:
    """What a method takes.

    `questions` were asked while fitting, `questions_per_answer` are asked for each answer afterwards (prompts that are
    alike count once), `numbers` are stored: neurons with a factor, parameters, and so on.
    """

    questions: int = 0
    questions_per_answer: float = 1.0
    numbers: int = 0


class Fitted(Protocol):
    """A method after it was fitted."""

    @property
    def cost(self) -> Cost:
        """What it took and takes."""

    @property
    def record(self) -> dict[str, Any]:
        """What fitting found, for the record of a run: JSON-like values."""

    @property
    def draws(self) -> int:
        """How many equivalent forms it has, all of which answer; their figures are pooled."""

    @property
    def neuron_set(self) -> "NeuronSet | None":
        """The neurons whose factors it sets; None where it sets none."""

    def answering(
        self, model: "LanguageModel", session: "Session", draw: int = 0
    ) -> "AbstractContextManager[Answerer]":
        """A block with an answerer that answers as the model does under the method.

        Where that is `session.answerer(model)` itself, the method is in the model, and whoever asks the model alone may
        do so within the block, as lm-evaluation-harness does. Where it is not, the method is left out there.
        """

    def save(self, model: "LanguageModel", folder: Path, dtype: str = "auto") -> float | None:
        """Writes a plain checkpoint that answers so, and returns how far its log-likelihoods are off when reloaded.

        Args:
            dtype: the number format: see `LanguageModel.save`.

        Raises:
            SettingsError: only inference changes, so there is nothing to write; says what to do instead.
        """


class Method(Protocol):
    """A method with its settings, made by `METHODS[name](settings)`; its docstring's first line describes it.

    The class has its options as a class of its own, `Settings`, made of `Options`.
    """

    title: ClassVar[str]
    profile: ClassVar[Profile]

    def __init__(self, settings: Any) -> None: ...

    def expected_questions(self, development: "Task") -> float:
        """About how many questions' time fitting takes, for the forecast.

        Raises:
            SettingsError: nothing can be learned from these items; says what would be right.
        """

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> Fitted:
        """Learns from development items only; keeps its artefacts with `session.path`, if that is not None."""


@runtime_checkable
class ReadsData(Protocol):
    """A method that learns from files of the user's beside the development items."""

    def check_data(self, data_folder: Path | None) -> None:
        """Reads what it will learn from; called before anything is computed.

        Raises:
            SourceError, DataError, SettingsError: it is not there, cannot be read, or is not enough.
        """


@runtime_checkable
class OfGroups(Protocol):
    """A method that may learn from data about one group, which its setting `group` names."""

    @property
    def groups(self) -> Collection[str]:
        """The groups there are to choose from; none where it learns from development items after all."""

    @property
    def chooses_on_items(self) -> bool:
        """Whether development items have a say in what it does with them."""


@runtime_checkable
class OfAnySize(Protocol):
    """A method whose neurons one fit gives in any number, without a choice among the numbers."""

    usual_count: ClassVar[int]  # of neurons, where nobody has named a number

    def reading(self, items: int) -> Any:
        """The same method, which reads all of so many items, where it would draw some of them."""

    def expected_of_sets(self, development: "Task", counts: Sequence[int]) -> float:
        """About how many questions' time `sets` takes.

        Raises:
            SettingsError: nothing can be learned from these items.
        """

    def sets(
        self, model: "LanguageModel", development: "Task", session: "Session", counts: Sequence[int]
    ) -> "dict[int, NeuronSet]":
        """The neurons by the number that was asked for; at most as many as the model has."""


class NothingToLearn:
    """What methods have in common that are fitted as they are made."""

    draws = 1
    neuron_set = None

    def expected_questions(self, development: "Task") -> float:
        """None: there is nothing to learn."""
        return 0

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> Self:
        """Nothing is learned."""
        return self


class OnlyInference(NothingToLearn):
    """What such methods have in common that leave the weights alone."""

    title: ClassVar[str] = "This method"

    def save(self, model: "LanguageModel", folder: Path, dtype: str = "auto") -> float | None:
        """Refused: see `Fitted.save`."""
        raise SettingsError(
            f"{self.title} changes how a model is asked, not its weights: there is no checkpoint to write."
        )


METHODS: Registry[Any] = Registry("method")  # classes of methods
