"""Steps of training whatever few numbers change a model, on a task's development items, with the weights frozen.

A step reads a batch of items through the model's packed layout, which shares what prompts have in common, and some
neutral texts; its gradient is that of the mean loss of the items plus a weight times the mean drift. Processes divide
the items and texts and add up their gradients. A step depends on its number and on the numbers trained, on nothing
else, so that training goes on from a kept step as if it had not been interrupted.
"""

import bisect
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from biasectomy.errors import ScoreError
from biasectomy.learning.batches import Steps
from biasectomy.learning.neutral import NeutralTexts, learned_from
from biasectomy.learning.number_format import NumberFormat
from biasectomy.learning.objectives import Loss
from biasectomy.measuring.session import naming_items
from biasectomy.models.language_model import LanguageModel
from biasectomy.processes import Processes
from biasectomy.reading.layouts import Batch
from biasectomy.reading.layouts.base import placement
from biasectomy.reading.memory import in_halves, is_sharded, weights_bytes
from biasectomy.reading.onednn import fast_products
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.tasks.base import Item

# What a backward pass holds of a batch may take about as much memory as the weights do; fewer tokens make it slow.
SMALLEST_BATCH = 256  # tokens
CHECKPOINT, STEPS_A_CHECKPOINT = "training.safetensors", 10
MEMORY = 0.9  # of what is shown of the steps before: how much of it stays at each step
VALUES_HELD = 16  # for each token and layer, in sizes of the residual stream


@dataclass(frozen=True)
class Progress:
    """What a step showed before it moved anything: mean loss of its items, mean drift of its texts; nats."""

    loss: float
    drift: float


def recent(before: Progress | None, now: Progress) -> Progress:
    """A running mean of what steps show."""
    if before is None:
        return now
    pairs = ((before.loss, now.loss), (before.drift, now.drift))
    return Progress(*(MEMORY * old + (1 - MEMORY) * new for old, new in pairs))


@dataclass
class Training:
    """What is trained, on what, and how; `parameters` are leaves that the changed model's answers depend on."""

    model: LanguageModel
    batches: Steps
    loss: Loss
    change: Callable[[], AbstractContextManager[None]]
    parameters: Sequence[Tensor]
    processes: Processes
    drift_weight: float = 1.0
    texts: int = 1  # in a step
    dtype: torch.dtype | None = None  # of the frozen weights in a step; None: as they are
    number_format: NumberFormat = field(init=False)
    neutral: NeutralTexts = field(init=False)
    optimizer: torch.optim.Adam = field(init=False)

    def __post_init__(self) -> None:
        self.number_format = NumberFormat(self.model.model, self.dtype, self.parameters)
        self.neutral = learned_from(self.model)
        self.optimizer = torch.optim.Adam(self.parameters)

    def step(self, number: int, rate: float, mask: Tensor | None = None) -> Progress:
        """One step of Adam at a rate.

        Args:
            number: of the step, from 0.
            rate: how far parameters move.
            mask: of the entries of the only parameter that move; None: all do.

        Raises:
            ScoreError: the loss is not finite; names an item of the step.
            ModelError: the memory is too small even for one item.
        """
        sums = self._gradients(number)
        loss, drift = (float(value) for value in sums)
        if mask is not None:
            (parameter,) = self.parameters
            parameter.grad = None if parameter.grad is None else parameter.grad.masked_fill(~mask, 0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        return Progress(loss, drift)

    def _gradients(self, number: int) -> Tensor:
        """Leaves the gradient of a step at the parameters, that of all processes; mean loss and mean drift."""
        instruction, items = self.batches.at(number)
        own, texts = self._own(number, instruction, items)
        measured = torch.zeros(2, dtype=torch.float64)
        frozen = [one for one in self.model.model.parameters() if one.requires_grad and not self._trained(one)]
        for weight in frozen:
            weight.requires_grad_(False)
        try:
            with (
                self.number_format.in_force(),
                fast_products(self.model.model),
                torch.enable_grad(),
                self.model.changed(self.change, {"learning": number}),
            ):
                measured[0] = self._of_items(instruction, own, len(items))
                if self.drift_weight and texts:
                    measured[1] = self._of_texts(texts)
        finally:
            for weight in frozen:
                weight.requires_grad_(True)
        return self._summed(measured)

    def _own(self, number: int, instruction: str, items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[int]]:
        """This process's part of a step's items, and of its texts by their places: neighbours, by what they cost."""
        texts = range(number * self.texts, (number + 1) * self.texts) if self.drift_weight else range(0)
        if self.processes.count == 1:
            return items, texts
        read = [self.neutral.texts[place % len(self.neutral)] for place in texts]
        prompts = self._encoded(instruction, items)
        costs = [self.model.cost(Batch((0,), (encoded,))) for encoded in (*prompts, *read)]
        part = self.processes.share(costs)
        return items[part], [place for index, place in enumerate(texts, len(items)) if part.start <= index < part.stop]

    def _trained(self, weight: Tensor) -> bool:
        return any(weight is one for one in self.parameters)

    def _of_items(self, instruction: str, items: Sequence[Item], count: int) -> float:
        """Adds the gradient of some of a step's `count` items; their share of its mean loss."""
        if not items:
            return 0.0

        def passed(batch: Batch) -> list[float]:
            before = [None if one.grad is None else one.grad.clone() for one in self.parameters]
            try:
                return self._passed(batch, items, count)
            except (RuntimeError, MemoryError):
                for parameter, gradient in zip(self.parameters, before, strict=True):
                    parameter.grad = gradient
                raise

        whole = is_sharded(self.model.model)
        batches = self._planned(instruction, items)
        return sum(value for batch in batches for value in in_halves(passed, batch, whole=whole))

    def _planned(self, instruction: str, items: Sequence[Item]) -> list[Batch]:
        """The batches in which some items are read: as few as memory allows, and as even as can be."""
        encoded, budget = self._encoded(instruction, items), min(self.model.batch_tokens, tokens_at_once(self.model))

        def planned(tokens: int) -> list[Batch]:
            return [*self.model.layout.plan(encoded, tokens)]

        batches = planned(budget)
        if len(batches) == 1:
            return batches
        # A last batch of one prompt would read anew what the prompt shares with the others.
        return planned(bisect.bisect_left(range(budget), True, key=lambda tokens: len(planned(tokens)) <= len(batches)))

    def _encoded(self, instruction: str, items: Sequence[Item]) -> list[EncodedPrompt]:
        task = replace(self.batches.task, items=tuple(items), instructions=(instruction,))
        questions = task.questions()
        with naming_items(task, questions):
            return [self.model.encode(question) for question in questions]

    def _passed(self, batch: Batch, items: Sequence[Item], count: int) -> list[float]:
        """One forward and one backward pass; each prompt's share of the mean loss."""
        found = []
        for place, prompt, scores in zip(
            batch.indices,
            batch.prompts,
            self.model.layout.read(self.model.model, batch).log_likelihoods(),
            strict=True,
        ):
            sums = torch.stack(scores)
            tokens = torch.tensor([len(option) for option in prompt.options], device=sums.device)
            found.append(self.loss(items[place], sums, tokens) / count)
        losses = torch.stack(found)
        values: list[float] = losses.detach().tolist()
        for place, value in zip(batch.indices, values, strict=True):
            if not math.isfinite(value):
                raise ScoreError(
                    f"Item {items[place].identifier}: its loss is not finite; a lower rate or --dtype float32 would be "
                    "right."
                )
        losses.sum().backward()  # type: ignore[no-untyped-call]
        return values

    def _of_texts(self, places: Sequence[int]) -> float:
        """Adds the gradient of some of a step's texts; their share of its mean drift."""
        total, positions = self.neutral.drift(places)
        mean = total / positions * len(places) / self.texts
        (self.drift_weight * mean).backward()
        return float(mean.detach())

    def _summed(self, measured: Tensor) -> Tensor:
        """Loss and drift over all processes, and their gradients summed in place."""
        if self.processes.count == 1:
            return measured
        gradients = {
            str(index): (torch.zeros_like(one) if one.grad is None else one.grad).double().cpu().reshape(-1)
            for index, one in enumerate(self.parameters)
        }
        summed = self.processes.sum(gradients | {"measured": measured})
        for index, parameter in enumerate(self.parameters):
            parameter.grad = summed[str(index)].to(parameter).reshape(parameter.shape)
        return summed["measured"]

    @torch.no_grad()
    def forget(self, mask: Tensor) -> None:
        """Clears what the optimizer remembers of some entries of the only parameter."""
        (parameter,) = self.parameters
        self.optimizer.state[parameter]["exp_avg"].masked_fill_(mask, 0)

    def state(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, by name."""
        found = {f"parameter.{index}": one.detach() for index, one in enumerate(self.parameters)}
        for index, parameter in enumerate(self.parameters):
            for name, value in self.optimizer.state.get(parameter, {}).items():
                found[f"{name}.{index}"] = value
        return found

    @torch.no_grad()
    def load(self, state: dict[str, Tensor]) -> None:
        """Goes back to a state."""
        for index, parameter in enumerate(self.parameters):
            parameter.copy_(state[f"parameter.{index}"])
            self.optimizer.state[parameter] = {
                name: state[f"{name}.{index}"].to(parameter.device if name != "step" else "cpu").clone()
                for name in ("step", "exp_avg", "exp_avg_sq")
            }


def tokens_at_once(model: LanguageModel) -> int:
    """Tokens of one pass, whose backward pass holds values of every layer."""
    _, dtype = placement(model.model)
    config = model.model.config.get_text_config()
    layers = len({(group.stack, group.layer) for group in model.neurons("ffn-hidden")})
    held = VALUES_HELD * layers * int(config.hidden_size) * dtype.itemsize
    return max(SMALLEST_BATCH, int(weights_bytes(model.model) / held))
