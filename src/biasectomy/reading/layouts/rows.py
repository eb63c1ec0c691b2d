"""A row for each option: no shared work, but every causal model can read it."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.reading.layouts.base import (
    Batch,
    Place,
    Positions,
    Size,
    causal_pairs,
    option_distributions,
    option_log_likelihoods,
    padded,
    placement,
    plan_rows,
)
from biasectomy.reading.prompts import EncodedPrompt


class RowLayout:
    """For decoder-only models that can neither read a forest nor go on from a copied cache."""

    name = "rows"

    def plan(self, prompts: Sequence[EncodedPrompt], budget: int, *, separate: bool = False) -> Iterator[Batch]:
        """See `Layout.plan`; the budget counts padded tokens of all options' rows."""
        cost = [len(one.options) * (len(one.prompt) + max(map(len, one.options)) - 1) for one in prompts]
        return plan_rows(prompts, budget, cost, keep_order=separate)

    def read(self, model: nn.Module, batch: Batch, *, separate: bool = False) -> "RowReading":
        """Rows padded on the right."""
        rows = [(member, option) for member in batch.prompts for option in member.options]
        device, _ = placement(model)
        # The last token of an option is only ever predicted, never read.
        tokens, mask = padded([member.prompt + option[:-1] for member, option in rows], device)
        predicting = sorted({len(member.prompt) - 1 + t for member, option in rows for t in range(len(option))})
        logits, column = logits_at(model, tokens, mask, predicting)
        places = [(row, column[len(member.prompt) - 1]) for row, (member, _) in enumerate(rows)]
        values = option_log_likelihoods(logits, places, [option for _, option in rows])
        return RowReading(batch, values, tokens.shape[1], logits, places)

    def size(self, batch: Batch, *, separate: bool = False) -> Size:
        """See `Layout.size`."""
        rows = [(len(member.prompt), len(option)) for member in batch.prompts for option in member.options]
        width = max(prompt + option for prompt, option in rows) - 1
        predicting = {prompt - 1 + place for prompt, option in rows for place in range(option)}
        pairs = sum(causal_pairs(prompt + option - 1) for prompt, option in rows)
        return Size(len(rows) * width, len(rows) * len(predicting), pairs)


def logits_at(model: nn.Module, tokens: Tensor, mask: Tensor, wanted: Sequence[int]) -> tuple[Tensor, dict[int, int]]:
    """Logits [rows, columns, vocabulary] at some tokens of every row, and the column of each."""
    only: dict[str, Any] = {}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        only["logits_to_keep"] = torch.tensor(wanted, device=tokens.device)
    logits: Tensor = model(input_ids=tokens, attention_mask=mask, use_cache=False, **only).logits
    columns = wanted if only else range(tokens.shape[1])
    return logits, {position: column for column, position in enumerate(columns)}


@dataclass(frozen=True)
class RowReading:
    """Scores of rows of `width` tokens, in the order of prompts and their options, and what they come from."""

    batch: Batch
    values: list[Tensor]
    width: int
    logits: Tensor
    places: list[tuple[int, int]]

    def log_likelihoods(self) -> list[list[Tensor]]:
        """See `Reading`."""
        values = iter(self.values)
        return [[next(values) for _ in member.options] for member in self.batch.prompts]

    def distributions(self) -> list[list[Tensor]]:
        """See `Reading`."""
        options = [option for member in self.batch.prompts for option in member.options]
        found = option_distributions(self.logits, self.places, options)
        return [[next(found) for _ in member.options] for member in self.batch.prompts]

    def positions(self, member: int, option: int, place: Place) -> Positions:
        """See `Reading`."""
        encoded = self.batch.prompts[member]
        row = sum(len(other.options) for other in self.batch.prompts[:member]) + option
        start, prompt = row * self.width, len(encoded.prompt)
        end = start + prompt + len(encoded.options[option]) - 1
        return Positions(range(start, start + prompt), range(start + prompt, end))
