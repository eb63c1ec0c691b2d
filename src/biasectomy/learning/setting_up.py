"""From development items and settings to a training, and to what is learned from and what only chooses."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from torch import Tensor

from biasectomy.errors import DataError, SettingsError
from biasectomy.learning.batches import Batches
from biasectomy.learning.objectives import Loss, loss_of
from biasectomy.learning.settings import VALIDATION_WORDINGS, TrainingSettings, validation_share
from biasectomy.learning.training import Training
from biasectomy.measuring.session import Session
from biasectomy.models.language_model import LanguageModel
from biasectomy.models.loading import number_format
from biasectomy.tasks.base import FEWEST_TEMPLATES, Split, Task, split


def training_of(
    settings: TrainingSettings,
    model: LanguageModel,
    learning: Task,
    session: Session,
    change: Callable[[], AbstractContextManager[None]],
    parameters: Sequence[Tensor],
    loss: Loss | None = None,
) -> Training:
    """The training of what a change of the model depends on; without a loss, for the session's goal.

    Raises:
        SettingsError: nothing can be learned from the items, or a number format is wanted of quantised weights.
    """
    if settings.dtype != "auto" and model.weights is not None and model.weights.quantization is not None:
        raise SettingsError(
            f"The model is quantised ({model.weights.quantization}), so its weights have no other number format; "
            "dtype auto would be right."
        )
    variants = tuple(learning.variants) if settings.variants else ()
    return Training(
        model,
        Batches(learning, settings.items_a_step, session.seed, variants),
        loss or loss_of(learning, session.goal(learning)),
        change,
        parameters,
        session.processes,
        settings.drift_weight,
        dtype=None if settings.dtype == "auto" else number_format(settings.dtype),
    )


def learned_and_validated(
    development: Task,
    share: float,
    items: int | None,
    validated: int,
    seed: int,
    settled: str = "--neurons, which settles the number",
) -> Split:
    """Development items in two by template: those that are learned from, and those that only choose, in few wordings.

    Args:
        development: the items.
        share: of the templates that only choose; more where they would be too few to tell a gain from chance, up to
            half.
        items: at most so many are learned from.
        validated: at most so many choose.
        seed: of the split.
        settled: what leaves nothing to choose, for messages.

    Of a part of a joined task with too few templates for both all is learned from, as long as other parts can choose.

    Raises:
        DataError: there are too few templates for both.
    """
    try:
        learning, validation = _in_two(development, validation_share(development, share), seed)
    except DataError as error:
        templates = len({item.cluster for item in development.items})
        raise DataError(
            f"'{development.name}' has {templates} templates among its {len(development.items)} development items, too "
            f"few to learn from some and choose by others; more items would be right, or {settled}."
        ) from error
    return Split(learning.limited(items, seed=seed), validation.limited(validated, VALIDATION_WORDINGS, seed))


def _in_two(development: Task, share: float, seed: int) -> Split:
    """Both sides by template; no template is on both, of whatever part it is."""
    parts = development.parts()
    able = {part.name for part in parts if len({item.cluster for item in part.items}) >= FEWEST_TEMPLATES}
    if len(parts) == 1 or not able or len(able) == len(parts):
        return split(development, "template", 1 - share, seed)
    divided = replace(development, items=tuple(item for item in development.items if item.task in able))
    choosing = {item.cluster for item in split(divided, "template", 1 - share, seed).test.items}
    sides = (tuple(item for item in development.items if (item.cluster in choosing) == side) for side in (False, True))
    return Split(*(replace(development, items=side) for side in sides))
