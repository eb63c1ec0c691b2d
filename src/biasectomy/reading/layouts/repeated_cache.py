"""The prompt is read once; its keys and values are repeated for each of its options."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.reading.layouts.base import (
    Batch,
    Place,
    Positions,
    Reading,
    Size,
    causal_pairs,
    option_log_likelihoods,
    padded,
    placement,
    plan_rows,
)
from biasectomy.reading.layouts.rows import RowLayout
from biasectomy.reading.prompts import EncodedPrompt


class RepeatedCacheLayout:
    """For decoder-only models that cannot read a forest, such as those with ALiBi positions.

    Attribution needs a prompt and its options in one pass, so there the options are rows.
    """

    name = "repeated-cache"

    def plan(self, prompts: Sequence[EncodedPrompt], budget: int, *, separate: bool = False) -> Iterator[Batch]:
        """See `Layout.plan`; prompts of a batch are equally long, so that no key is padding."""
        if separate:
            yield from RowLayout().plan(prompts, budget, separate=True)
            return
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index].prompt))
        for _, group in groupby(order, key=lambda index: len(prompts[index].prompt)):
            indices = list(group)
            equally_long = [prompts[index] for index in indices]
            cost = [len(one.prompt) + sum(map(len, one.options)) for one in equally_long]
            for batch in plan_rows(equally_long, budget, cost, keep_order=False):
                yield Batch(tuple(indices[position] for position in batch.indices), batch.prompts)

    def read(self, model: nn.Module, batch: Batch, *, separate: bool = False) -> Reading:
        """One pass over the prompts, one over what follows the options' first tokens."""
        if separate:
            return RowLayout().read(model, batch, separate=True)
        device, _ = placement(model)
        prompts, _ = padded([member.prompt for member in batch.prompts], device)
        given: Any = model(input_ids=prompts, use_cache=True, logits_to_keep=1)
        first = torch.log_softmax(given.logits[:, -1].float(), dim=-1)  # [prompts, vocabulary]
        values = [[first[row, option[0]] for option in member.options] for row, member in enumerate(batch.prompts)]
        longer = [
            (row, number)
            for row, member in enumerate(batch.prompts)
            for number, option in enumerate(member.options)
            if len(option) > 1
        ]
        following = dict[tuple[int, int], Tensor]()
        if longer:
            options = [batch.prompts[row].options[number] for row, number in longer]
            owners = torch.tensor([row for row, _ in longer], device=device)
            given.past_key_values.batch_select_indices(owners)
            tokens, mask = padded([option[:-1] for option in options], device)
            logits: Tensor = model(
                input_ids=tokens,
                attention_mask=torch.cat([mask.new_ones(len(longer), prompts.shape[1]), mask], dim=1),
                past_key_values=given.past_key_values,
                use_cache=True,
            ).logits
            rest = option_log_likelihoods(logits, [(row, 0) for row in range(len(longer))], [o[1:] for o in options])
            for (row, number), value in zip(longer, rest, strict=True):
                values[row][number] = values[row][number] + value
            following = {one: logits[place] for place, one in enumerate(longer)}
        return CacheReading(batch, values, first, following)

    def size(self, batch: Batch, *, separate: bool = False) -> Size:
        """See `Layout.size`."""
        if separate:
            return RowLayout().size(batch, separate=True)
        prompt, count = len(batch.prompts[0].prompt), len(batch.prompts)
        longer = [len(option) - 1 for member in batch.prompts for option in member.options if len(option) > 1]
        first = Size(count * prompt, count, count * causal_pairs(prompt))
        if not longer:
            return first
        read = len(longer) * max(longer)
        return first + Size(read, read, sum(causal_pairs(prompt + own) - causal_pairs(prompt) for own in longer))


@dataclass(frozen=True)
class CacheReading:
    """Scores, and what they come from: prompts and options were read in passes of their own.

    `first` are log-probabilities behind each prompt, [prompts, vocabulary]; `following` logits behind the tokens of a
    prompt's option that has several, [tokens, vocabulary].
    """

    batch: Batch
    values: list[list[Tensor]]
    first: Tensor
    following: dict[tuple[int, int], Tensor]

    def log_likelihoods(self) -> list[list[Tensor]]:
        """See `Reading`."""
        return self.values

    def distributions(self) -> list[list[Tensor]]:
        """See `Reading`."""
        return [
            [self._distributions(row, number, len(option)) for number, option in enumerate(member.options)]
            for row, member in enumerate(self.batch.prompts)
        ]

    def _distributions(self, row: int, option: int, tokens: int) -> Tensor:
        first = self.first[row][None]
        if tokens == 1:
            return first
        return torch.cat([first, torch.log_softmax(self.following[row, option][: tokens - 1].float(), dim=-1)])

    def positions(self, member: int, option: int, place: Place) -> Positions:
        """Not known here; `RepeatedCacheLayout.read` with `separate` gives a reading that knows."""
        raise NotImplementedError("read with separate=True to know positions")
