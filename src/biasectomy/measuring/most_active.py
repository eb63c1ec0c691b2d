"""Where the neurons of a set are most active: the items at which each activation is largest, and the token there.

One forward pass over a prompt and its answer for all neurons at once, without gradients; of each prompt nothing is kept
but its maxima. Tokens that all prompts begin with (a chat template's head, an instruction) are left out in decoder-only
models: what stands there cannot depend on the item, and the first token of a text often has the largest values.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biasectomy.errors import DataError, ModelError, ScoreError
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import progress
from biasectomy.neurons.activations import Activations, captured
from biasectomy.neurons.discovery import NeuronGroup, Neurons
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.reading.layouts import Batch, Place
from biasectomy.reading.layouts.base import Reading
from biasectomy.reading.memory import in_halves
from biasectomy.reading.prompts import EncodedPrompt, common_prefix_length
from biasectomy.tasks.base import Item, Task

NEVER_READ = 0  # a token: the last of an answer is only ever predicted, and which it is does not matter


@dataclass(frozen=True, slots=True)
class Peak:
    """Where a neuron is most active in the prompt of one item."""

    item: str
    activation: float
    before: str  # a few tokens
    token: str
    after: str


@dataclass(frozen=True, slots=True)
class Activity:
    """The mean of |activation| over all tokens looked at, and the items where it is largest, the largest first.

    An expert's activation is zero at tokens that are not routed to it.
    """

    mean: float
    peaks: tuple[Peak, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Of one prompt, each [neurons]: the activation of largest size, its place, the sum of sizes, tokens looked at."""

    largest: Tensor
    where: Tensor
    total: Tensor
    tokens: Tensor


def most_active(
    model: LanguageModel, neurons: NeuronSet, task: Task, count: int = 3, around: int = 5
) -> list[Activity]:
    """Where each neuron of a set is most active, in the order of the set.

    Args:
        task: its items are asked under its first instruction, with the right answer behind, or the first option.
        count: how many items are kept for each neuron.
        around: how many tokens are told on either side.

    Raises:
        NeuronSetError: the model lacks a neuron.
        DataError: the task has no items, or one cannot be put into tokens.
        ScoreError: an activation is not finite.
        ModelError: which activation belongs to which token is not known, or the memory is too small.
    """
    known = neurons.check(model.model, model.neurons(neurons.definition))
    if not task.items:
        raise DataError(f"'{task.name}' has no items at which neurons could be active.")
    if not len(neurons):
        return []
    prompts = [_with_answer(model, task, item) for item in task.items]
    passes = _Passes(model, neurons, known, _begin_alike([one.prompt for one in prompts]))
    best: list[tuple[Tensor, Tensor, Tensor]] = []  # running: activations, items, tokens' places [neurons, up to count]
    total, tokens = torch.zeros(len(neurons)), torch.zeros(len(neurons))
    with progress("Looking for the most active tokens", len(prompts), "prompts") as advance:
        for batch in model.layout.plan(prompts, model.batch_tokens, separate=True):
            for index, seen in zip(batch.indices, in_halves(passes.run, batch), strict=True):
                total, tokens = total + seen.total, tokens + seen.tokens
                new = (seen.largest[:, None], torch.full((len(neurons), 1), index), seen.where[:, None])
                best = [_largest([*best, new], count)]
            advance(len(batch.prompts))
    activations, items, places = best[0]
    return [
        Activity(
            float(total[row] / tokens[row]),
            tuple(
                _peak(model, passes.read(prompts[item], row), place, around, task.items[item].identifier, value)
                for value, item, place in zip(
                    activations[row].tolist(), items[row].tolist(), places[row].tolist(), strict=True
                )
            ),
        )
        for row in range(len(neurons))
    ]


class _Passes:
    """Forward passes over batches, of which the neurons of a set are kept."""

    def __init__(self, model: LanguageModel, neurons: NeuronSet, known: Neurons, begin_alike: int) -> None:
        self.model, self.begin_alike = model, begin_alike
        rows: dict[str, list[tuple[int, int]]] = {}  # by module: place in the set, unit
        for row, one in enumerate(neurons):
            rows.setdefault(one.module, []).append((row, one.unit))
        self.groups = [group for group in known if group.module in rows]
        self.rows = {module: torch.tensor([row for row, _ in found]) for module, found in rows.items()}
        self.units = {module: torch.tensor([unit for _, unit in found]) for module, found in rows.items()}
        self.places: list[Place] = [known.group(one.module).place for one in neurons]  # type: ignore[union-attr]
        self.chosen = Neurons(known.definition, tuple(self.groups))
        self.protected: set[str] = set()  # modules whose output the model overwrites

    def run(self, batch: Batch) -> list[_Seen]:
        """What is seen of each prompt of a batch."""
        found = [_Seen(*(torch.zeros(len(self.places)) for _ in range(4))) for _ in batch.prompts]
        with self._read(batch) as (activations, reading):
            for group in self.groups:
                rows, units = self.rows[group.module], self.units[group.module]
                values = _flat(activations, group)
                values = values[:, units.to(values.device)]
                for member, seen in enumerate(found):
                    own = reading.positions(member, 0, group.place).of_all(values)
                    own = own[self._left_out(group.place) :].float().cpu()  # [tokens, neurons of the group]
                    _refuse_not_finite(own, group)
                    size, where = own.abs().max(dim=0)
                    seen.largest[rows] = own.gather(0, where[None])[0]
                    seen.where[rows] = where.float()
                    seen.total[rows], seen.tokens[rows] = own.abs().sum(dim=0), torch.full_like(size, len(own))
        return found

    @contextlib.contextmanager
    def _read(self, batch: Batch) -> Iterator[tuple[Activations, Reading]]:
        """The forward pass; read once more, with copies, where the model overwrites what is needed (remembered)."""
        with captured(self.model.model, self.chosen, self.protected) as activations, torch.no_grad():
            reading = self.model.layout.read(self.model.model, batch, separate=True)
            overwritten = activations.overwritten()
            if not overwritten:
                yield activations, reading
                return
        self.protected |= overwritten
        with captured(self.model.model, self.chosen, self.protected) as activations, torch.no_grad():
            yield activations, self.model.layout.read(self.model.model, batch, separate=True)

    def read(self, prompt: EncodedPrompt, row: int) -> tuple[int, ...]:
        """The tokens that a neuron is looked at, of a prompt with its answer."""
        place, answer = self.places[row], prompt.options[0][:-1]
        if place == "label":
            return (self.model.prompt_format.decoder_start, *answer)  # type: ignore[attr-defined]
        return prompt.prompt if place != "whole" else (prompt.prompt + answer)[self.begin_alike :]

    def _left_out(self, place: Place) -> int:
        return self.begin_alike if place == "whole" else 0


def _flat(activations: Activations, group: NeuronGroup) -> Tensor:
    if group.module not in activations:
        raise ModelError(f"'{group.module}' computes nothing where the model reads a prompt.")
    kept = activations[group.module]
    spread = kept.spread(kept.tensor.detach())
    return spread.reshape(-1, spread.shape[-1])


def _refuse_not_finite(values: Tensor, group: NeuronGroup) -> None:
    if not values.isfinite().all():
        raise ScoreError(
            f"An activation of '{group.module}' is not finite. The model's weights may be damaged, or --dtype float32 "
            "may be needed."
        )


def _with_answer(model: LanguageModel, task: Task, item: Item) -> EncodedPrompt:
    """The tokens of an item with one answer."""
    encoded = model.encode(task.question(task.instructions[0], item))
    options = encoded.options or ((NEVER_READ,),)
    right = item.gold if item.gold is not None and item.gold < len(options) else 0
    return EncodedPrompt(encoded.prompt, (options[right],))


def _begin_alike(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with; 0 where one has no others, or is the only one."""
    shared = min(common_prefix_length(prompts[0], prompt) for prompt in prompts)
    return 0 if shared == min(map(len, prompts)) else shared


def _largest(columns: Sequence[tuple[Tensor, Tensor, Tensor]], count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of activations, items and places, each [neurons, some], the `count` of largest size."""
    activations, items, places = (torch.cat(parts, dim=1) for parts in zip(*columns, strict=True))
    order = activations.abs().sort(dim=1, descending=True, stable=True).indices[:, :count]
    return activations.gather(1, order), items.gather(1, order), places.gather(1, order)


def _peak(model: LanguageModel, tokens: Sequence[int], place: float, around: int, item: str, value: float) -> Peak:
    at = int(place)
    parts = tokens[max(0, at - around) : at], tokens[at : at + 1], tokens[at + 1 : at + 1 + around]
    return Peak(item, value, *(model.tokenizer.decode(list(part)) for part in parts))
