"""Task vectors and what is learned for them: the biased answers of items, or whole texts (see `task-vector`)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from biasectomy.errors import SettingsError
from biasectomy.learning.full_weights import TrainedWeights
from biasectomy.learning.peft_adapters import Adapter
from biasectomy.models.language_model import LanguageModel
from biasectomy.tasks.base import Item, Task
from biasectomy.tasks.opposites import with_options


def task_vector(model: LanguageModel, learned: TrainedWeights | Adapter) -> dict[str, Tensor]:
    """What was added to each weight that is not the original's any more, by name: theta_fine-tuned - theta, float32.

    Of half-precision weights, the difference is that of the rounded ones.
    """
    own = {
        name: weight.detach().clone() for name, weight in model.model.named_parameters() if _may_differ(name, learned)
    }
    with learned.merged(model):
        return {
            name: weight.detach().float() - own[name].float()
            for name, weight in model.model.named_parameters()
            if name in own and not torch.equal(weight, own[name])
        }


def _may_differ(name: str, learned: TrainedWeights | Adapter) -> bool:
    if isinstance(learned, TrainedWeights):
        return name in learned.values
    return name.removesuffix(".weight") in learned.config.target_modules


def negated(model: LanguageModel, vector: Mapping[str, Tensor], strength: float) -> TrainedWeights:
    """theta - strength x vector, in the number format of the model's weights."""
    own = dict(model.model.named_parameters())
    return TrainedWeights(
        {
            name: (own[name].detach().float() - strength * added).to(own[name].dtype).cpu()
            for name, added in vector.items()
        }
    )


def biased_answers(task: Task) -> Task:
    """The items that have a biased answer, which is the only one to score.

    Raises:
        SettingsError: there are none.
    """
    items = [item for item in task.items if item.target is not None]
    if not items:
        raise SettingsError(
            f"No item of '{task.name}' has a biased answer; a task whose items have one, such as bbq or "
            "crows_pairs, or --task-vector.source texts, would be right."
        )

    def biased(item: Item) -> tuple[int]:
        assert item.target is not None
        return (item.target,)

    return with_options(task, items, biased)


def likely(item: Item, sums: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of the tokens of the only answer."""
    return -(sums / tokens)[0]
