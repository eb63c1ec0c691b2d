"""A row for each option: no shared work, but every causal model can read it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from biasectomy.layouts.base import (
    Batch,
    OptionRows,
    Place,
    Positions,
    padded,
    placement,
    plan_rows,
    row_log_likelihoods,
)
from biasectomy.prompts import EncodedPrompt


class RowLayout:
    """For decoder-only models that cannot read a forest, such as those with ALiBi positions."""

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
        logits: Tensor = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
        starts = [len(member.prompt) - 1 for member, _ in rows]
        return RowReading(batch, row_log_likelihoods(logits, starts, [option for _, option in rows]), tokens.shape[1])


@dataclass(frozen=True)
class RowReading(OptionRows):
    """Rows of `width` tokens."""

    width: int

    def positions(self, member: int, option: int, place: Place) -> Positions:
        """See `Reading`."""
        encoded, device = self.batch.prompts[member], self.values[0].device
        row = self.row(member, option)
        start, prompt = row * self.width, len(encoded.prompt)
        end = start + prompt + len(encoded.options[option]) - 1
        return Positions(
            torch.arange(start, start + prompt, device=device), torch.arange(start + prompt, end, device=device)
        )
