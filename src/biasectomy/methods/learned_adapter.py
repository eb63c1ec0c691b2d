"""What methods share that learn an adapter of `peft` from development items."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from biasectomy.learning.settings import QUESTIONS_A_LEARNED_ITEM, AdapterSettings
from biasectomy.methods.base import Cost, Profile
from biasectomy.narration import heading, say

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.learning.full_weights import TrainedWeights
    from biasectomy.learning.peft_adapters import Adapter
    from biasectomy.measuring.session import Session
    from biasectomy.models.language_model import LanguageModel
    from biasectomy.reading.questions import Answerer
    from biasectomy.tasks.base import Task


@dataclass(frozen=True)
class FittedAdapter:
    """An adapter that is merged into the weights while the model answers, and in those of the checkpoint.

    Weights that were trained themselves are put there in the same way.
    """

    adapter: "Adapter | TrainedWeights"
    cost: Cost
    record: dict[str, Any] = field(default_factory=dict)
    draws = 1
    neuron_set = None

    @contextmanager
    def answering(self, model: "LanguageModel", session: "Session", draw: int = 0) -> "Iterator[Answerer]":
        """See `Fitted`."""
        with self._in_force(model):
            yield session.answerer(model)

    def save(self, model: "LanguageModel", folder: Path, dtype: str = "auto") -> float | None:
        """See `Fitted`."""
        with self._in_force(model):
            return model.save(folder, dtype=dtype)

    @contextmanager
    def _in_force(self, model: "LanguageModel") -> Iterator[None]:
        with model.changed(lambda: self.adapter.merged(model), self.adapter.key):
            yield


class LearnedAdapter:
    """An adapter on the down projections; a method says which."""

    title: ClassVar[str]
    profile: ClassVar[Profile] = Profile(
        "weights", "some hundred steps of training", ("weights", "gradients"), checkpoint=True
    )
    transposed: ClassVar[bool] = True  # whether it can be put on matrices that are kept transposed

    def __init__(self, settings: Any) -> None:
        self.settings: AdapterSettings = settings

    def config(self, targets: list[str], task_type: str, seed: int) -> Any:
        """The configuration of `peft` for some modules."""
        raise NotImplementedError

    def expected_questions(self, development: "Task") -> float:
        """Every step learns from some items.

        Raises:
            SettingsError: nothing can be learned from the items.
        """
        from biasectomy.learning.objectives import loss_of

        loss_of(development, development.goal())
        settings = self.settings
        return settings.steps * min(settings.items_a_step, len(development.items)) * QUESTIONS_A_LEARNED_ITEM

    def fit(self, model: "LanguageModel", development: "Task", session: "Session") -> FittedAdapter:
        """Learns from the development items; the adapter is kept in the session's folder as `peft` loads it.

        Raises:
            SettingsError: `peft` is not installed, the model's experts are fused, or nothing can be learned.
            ScoreError: the loss is not finite.
        """
        from biasectomy.learning import peft_adapters as adapters
        from biasectomy.learning.setting_up import training_of
        from biasectomy.learning.unpruned import train

        settings, seed = self.settings, session.seed
        config = adapters.configured(
            lambda targets, kind: self.config(targets, kind, seed), model, self.title, transposed=self.transposed
        )
        learning = development.limited(settings.items, seed=seed)
        heading(f"Learning {self.title}")
        with adapters.learnable(model, config, seed) as (adapted, parameters):
            training = training_of(settings, model, learning, session, lambda: adapters.enabled(adapted), parameters)
            shown = train(training, settings.steps, settings.rate, session)
            adapter = adapters.Adapter(config, adapters.learned_tensors(adapted))
        folder = session.path("adapter")
        if folder is not None and session.processes.main:
            adapter.save(model, folder)
        if shown is not None:
            say(f"{len(adapter):,} numbers: loss {shown.loss:.3f}, drift {shown.drift:.3f} nats")
        cost = Cost(session.asked.questions + settings.steps * settings.items_a_step, 1.0, len(adapter))
        return FittedAdapter(adapter, cost, {"learned_from": len(learning.items), "numbers": len(adapter)})
