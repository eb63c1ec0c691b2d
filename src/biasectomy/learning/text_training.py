"""Training on texts: harmful tokens are made unlikely (gradient ascent), or likely, given what stands left of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from biasectomy.errors import ScoreError
from biasectomy.learning.harmful_tokens import MarkedPrompt, log_probabilities
from biasectomy.learning.training import Training
from biasectomy.models.language_model import WHOLE_TEXT_TOKENS, LanguageModel
from biasectomy.reading.distributions import plan_distributions
from biasectomy.reading.layouts import Batch
from biasectomy.reading.questions import Question
from biasectomy.tasks.base import Item, Task


def texts_as_task(name: str, prompts: Mapping[str, MarkedPrompt]) -> Task:
    """Texts as the items of a task, so that they are drawn as items are; they are known by their identifiers alone."""
    items = tuple(Item(identifier, identifier, name) for identifier in prompts)
    return Task(name, items, ("",), (), "1", _nothing)


def _nothing(instruction: str, item: Item) -> Question:
    raise NotImplementedError  # texts are read as marked prompts


def no_loss(*given: object) -> torch.Tensor:
    """Stands where the loss of items does."""
    raise NotImplementedError


@dataclass
class TextTraining(Training):
    """Training on marked prompts, by identifier: the loss of a text is the mean log P of its harmful tokens, in nats.

    That is what gradient ascent on their cross-entropy makes small (Lu et al. 2024). Where it is not `ascending`, it is
    the cross-entropy itself.
    """

    prompts: Mapping[str, MarkedPrompt] = field(kw_only=True)
    ascending: bool = field(default=True, kw_only=True)

    def _planned(self, instruction: str, items: Sequence[Item]) -> list[Batch]:
        encoded = [self.prompts[item.identifier].encoded for item in items]
        return [*plan_distributions(encoded, min(self.model.batch_tokens, WHOLE_TEXT_TOKENS))]

    def _passed(self, batch: Batch, items: Sequence[Item], count: int) -> list[float]:
        names = [items[place].identifier for place in batch.indices]
        values = log_probabilities(self.model, [self.prompts[name] for name in names])
        if not torch.isfinite(values).all():
            raise ScoreError(
                f"The text {names[int((~torch.isfinite(values)).nonzero()[0])]} has a loss that is not finite; a lower "
                "rate or --dtype float32 would be right."
            )
        losses = (values if self.ascending else -values) / count
        losses.sum().backward()  # type: ignore[no-untyped-call]
        return [float(one) for one in losses.detach()]


def mean_log_probability(model: LanguageModel, prompts: Sequence[MarkedPrompt]) -> float:
    """Mean over some texts of the mean log P of their harmful tokens, nats."""
    found: list[float] = []
    with torch.inference_mode():
        for batch in plan_distributions([one.encoded for one in prompts], min(model.batch_tokens, WHOLE_TEXT_TOKENS)):
            found += log_probabilities(model, [prompts[place] for place in batch.indices]).double().tolist()
    return sum(found) / len(found)
