"""Encoder-decoders: each prompt is encoded once, its options are rows of the decoder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

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

IGNORED = -100  # what transformers calls a label that is padding


class EncoderDecoderLayout:
    """The encoder's output of a prompt is repeated for each of its options; labels end as the family trains them."""

    name = "encoder-decoder"

    def plan(self, prompts: Sequence[EncodedPrompt], budget: int, *, separate: bool = False) -> Iterator[Batch]:
        """See `Layout.plan`; the budget counts padded tokens of the inputs and of the labels."""
        cost = [len(one.prompt) + sum(map(len, one.options)) for one in prompts]
        return plan_rows(prompts, budget, cost, keep_order=separate)

    def read(self, model: nn.Module, batch: Batch, *, separate: bool = False) -> "EncoderDecoderReading":
        """One encoder pass, one decoder pass."""
        untyped: Any = model
        device, _ = placement(model)
        padding = untyped.config.pad_token_id or 0
        inputs, input_mask = padded([member.prompt for member in batch.prompts], device, padding)
        encoded: Tensor = untyped.get_encoder()(input_ids=inputs, attention_mask=input_mask).last_hidden_state
        owners = [number for number, member in enumerate(batch.prompts) for _ in member.options]
        options = [option for member in batch.prompts for option in member.options]
        labels, decoder_mask = padded(options, device, IGNORED)
        # The family's own shift: what stands in front of a label differs between families.
        decoder_inputs = untyped.prepare_decoder_input_ids_from_labels(labels=labels)
        logits: Tensor = untyped(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded[owners]),
            attention_mask=input_mask[owners],
            decoder_input_ids=decoder_inputs,
            decoder_attention_mask=decoder_mask,
            use_cache=False,
        ).logits
        values = row_log_likelihoods(logits, [0] * len(options), options)
        return EncoderDecoderReading(batch, values, inputs.shape[1], decoder_inputs.shape[1])


@dataclass(frozen=True)
class EncoderDecoderReading(OptionRows):
    """Rows of the decoder, and the widths of inputs and labels."""

    input_width: int
    label_width: int

    def positions(self, member: int, option: int, place: Place) -> Positions:
        """See `Reading`: input tokens are shared by the options, label tokens are each option's own."""
        encoded, device = self.batch.prompts[member], self.values[0].device
        row = self.row(member, option)
        nothing = torch.arange(0, device=device)
        if place == "label":
            start = row * self.label_width
            return Positions(nothing, torch.arange(start, start + len(encoded.options[option]), device=device))
        start = (member if place == "input" else row) * self.input_width
        return Positions(torch.arange(start, start + len(encoded.prompt), device=device), nothing)
