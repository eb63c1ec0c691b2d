"""An adapter, all weights or those of the last blocks, trained on prepared steps within a budget of capability."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from biasectomy.errors import SettingsError
from biasectomy.learning import peft_adapters as adapters
from biasectomy.learning.budgeted import Budget, Trained, train_within
from biasectomy.learning.full_weights import FullWeights, TrainedWeights, last_blocks
from biasectomy.learning.objectives import Loss
from biasectomy.learning.setting_up import training_of
from biasectomy.learning.settings import BudgetedSettings
from biasectomy.measuring.session import Session
from biasectomy.models.language_model import LanguageModel
from biasectomy.tasks.base import Item, Task

RATES = {"peft": 1e-3, "full": 2e-5, "frozen-layers": 5e-5}


@dataclass(frozen=True)
class Prepared:
    """Steps that were put together beforehand, each an instruction and some of the task's items."""

    task: Task
    steps: Sequence[tuple[str, list[Item]]]

    def at(self, step: int) -> tuple[str, list[Item]]:
        """The instruction and the items of a step."""
        return self.steps[step]


@dataclass(frozen=True)
class Lesson:
    """What is learned and what chooses the best step: steps of each, the loss of an item, rates, the budget."""

    learning: Prepared
    choosing: Prepared  # without steps the mean loss of what is learned from chooses
    loss: Loss
    budget: Budget
    rate: float
    last_rate: float


@dataclass(frozen=True)
class Part:
    """What is trained of a model: a change that puts it in force, its leaves, and what it has learned."""

    change: Callable[[], AbstractContextManager[None]]
    parameters: Sequence[Tensor]
    learned: Callable[[], adapters.Adapter | TrainedWeights]


def taught(
    title: str, settings: BudgetedSettings, model: LanguageModel, session: Session, lesson: Lesson
) -> tuple[adapters.Adapter | TrainedWeights, Trained]:
    """What was learned of a lesson, and how it went; an adapter is kept in the session's folder as `peft` loads it.

    Raises:
        SettingsError: the model has nothing that could be trained so.
        ScoreError: a loss is not finite.
    """
    with trained_part(title, settings, model, session.seed) as part:
        training = training_of(
            settings, model, lesson.learning.task, session, part.change, part.parameters, lesson.loss
        )
        training.batches = lesson.learning
        found = train_within(
            training,
            len(lesson.learning.steps),
            lesson.rate,
            session,
            lesson.budget,
            judge=(lambda: mean_loss(model, lesson.choosing, lesson.loss)) if lesson.choosing.steps else None,
            last_rate=lesson.last_rate,
        )
        learned = part.learned()
    folder = session.path("adapter")
    if isinstance(learned, adapters.Adapter) and folder is not None and session.processes.main:
        learned.save(model, folder)
    found.tell()
    return learned, found


@contextlib.contextmanager
def trained_part(title: str, settings: BudgetedSettings, model: LanguageModel, seed: int) -> Iterator[Part]:
    """A block in which some of a model can be trained, as it was before.

    Raises:
        SettingsError: see `FullWeights`, `last_blocks` and `peft_adapters.configured`; or the weights that are trained
            are to be read in another number format.
    """
    if settings.kind != "peft":
        if settings.dtype != "auto":
            raise SettingsError(f"{title}: weights that are trained have a number format already; use dtype auto.")
        names = last_blocks(model, settings.blocks) if settings.kind == "frozen-layers" else None
        weights = FullWeights(model, names, title)
        yield Part(weights.in_force, weights.values, weights.learned)
        return
    config = adapters.configured(adapters.low_rank(settings.rank), model, title, transposed=True)
    with adapters.learnable(model, config, seed) as (adapted, parameters):
        yield Part(
            lambda: adapters.enabled(adapted),
            parameters,
            lambda: adapters.Adapter(config, adapters.learned_tensors(adapted)),
        )


def mean_loss(model: LanguageModel, prepared: Prepared, loss: Loss) -> float:
    """Mean loss of the items of all steps, as the model is now."""
    asked = [(instruction, item) for instruction, items in prepared.steps for item in items]
    questions = [prepared.task.question(instruction, item) for instruction, item in asked]
    total = 0.0
    for batch in model(questions):
        for index, answer in batch:
            sums = torch.tensor(answer.log_likelihoods, dtype=torch.float64)
            total += float(loss(asked[index][1], sums, torch.tensor(answer.tokens)))
    return total / len(asked)
