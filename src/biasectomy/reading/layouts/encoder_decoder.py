"""Encoder-decoders: each prompt is encoded once for all its options."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

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

IGNORED = -100  # what transformers calls a label that is padding


@dataclass(frozen=True)
class EncoderDecoderLayout:
    """Labels end as the family trains them, and stand in the decoder's rows.

    With `packed` a row holds all options of a prompt, which do not see each other, so that the keys and values of
    cross-attention are computed once a prompt; right where positions are relative. Else a row holds one option.
    """

    packed: bool = True

    @property
    def name(self) -> str:
        """ "packed-labels" or "label-rows"."""
        return "packed-labels" if self.packed else "label-rows"

    def plan(self, prompts: Sequence[EncodedPrompt], budget: int, *, separate: bool = False) -> Iterator[Batch]:
        """See `Layout.plan`; the budget counts padded tokens of the inputs and of the labels."""
        cost = [len(one.prompt) + sum(map(len, one.options)) for one in prompts]
        return plan_rows(prompts, budget, cost, keep_order=separate)

    def read(self, model: nn.Module, batch: Batch, *, separate: bool = False) -> "EncoderDecoderReading":
        """One encoder pass, one decoder pass."""
        untyped: Any = model
        device, dtype = placement(model)
        padding = untyped.config.pad_token_id or 0
        inputs, input_mask = padded([member.prompt for member in batch.prompts], device, padding)
        encoded: Tensor = untyped.get_encoder()(input_ids=inputs, attention_mask=input_mask).last_hidden_state
        starts, owners = self._starts(batch)
        options = [option for member in batch.prompts for option in member.options]
        labels, _ = padded(options, device, IGNORED)
        # The family's own shift: what stands in front of a label differs between families.
        shifted = untyped.prepare_decoder_input_ids_from_labels(labels=labels)
        places = [place for member in starts for place in member]
        width = max(start + len(option) for (_, start), option in zip(places, options, strict=True))
        tokens = torch.full((len(owners), width), padding, device=device)
        blocks = torch.full((len(owners), width), -1)
        for number, ((row, start), option) in enumerate(zip(places, options, strict=True)):
            tokens[row, start : start + len(option)] = shifted[number, : len(option)]
            blocks[row, start : start + len(option)] = number
        logits: Tensor = untyped(
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded if self.packed else encoded[owners]),
            attention_mask=input_mask[owners],
            decoder_input_ids=tokens,
            decoder_attention_mask=_within_blocks(blocks, dtype).to(device)
            if self.packed
            else (blocks >= 0).to(device),
            use_cache=False,
        ).logits
        values = iter(option_log_likelihoods(logits, places, options))
        scores = [[next(values) for _ in member.options] for member in batch.prompts]
        return EncoderDecoderReading(batch, scores, starts, inputs.shape[1], width, logits)

    def size(self, batch: Batch, *, separate: bool = False) -> Size:
        """See `Layout.size`; what pads the labels of a packed row sees what pads them."""
        prompts = [len(member.prompt) for member in batch.prompts]
        labels = [[len(option) for option in member.options] for member in batch.prompts]
        rows = labels if self.packed else [[one] for some in labels for one in some]
        owners = prompts if self.packed else [one for one, some in zip(prompts, labels, strict=True) for _ in some]
        width = max(map(sum, rows))
        filled = [[*row, width - sum(row)] if self.packed else row for row in rows]
        return Size(
            tokens=len(rows) * width,
            logits=len(rows) * width,
            pairs=sum(causal_pairs(own) for row in filled for own in row),
            inputs=len(prompts) * max(prompts),
            input_pairs=sum(length**2 for length in prompts),
            seen=len(rows) * max(prompts),
            crossed=sum((width if self.packed else sum(row)) * seen for row, seen in zip(rows, owners, strict=True)),
        )

    def _starts(self, batch: Batch) -> tuple[list[list[tuple[int, int]]], list[int]]:
        """Of every option of every prompt the decoder's row and where it starts there; and each row's prompt."""
        starts: list[list[tuple[int, int]]] = []
        owners: list[int] = []
        for number, member in enumerate(batch.prompts):
            places, start = [], 0
            for option in member.options:
                if start == 0:
                    owners.append(number)
                places.append((len(owners) - 1, start))
                start += len(option) if self.packed else 0
            starts.append(places)
        return starts, owners


def _within_blocks(blocks: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive mask under which a token sees its own block up to itself; [rows, 1, tokens, tokens]."""
    same = blocks[:, :, None] == blocks[:, None, :]
    mask = torch.full(same.shape, torch.finfo(dtype).min, dtype=dtype)
    mask[same.tril()] = 0
    return mask[:, None]


@dataclass(frozen=True)
class EncoderDecoderReading:
    """Scores, where each option starts in the decoder's rows, and the widths of inputs and labels."""

    batch: Batch
    scores: list[list[Tensor]]
    starts: list[list[tuple[int, int]]]
    input_width: int
    label_width: int
    logits: Tensor

    def log_likelihoods(self) -> list[list[Tensor]]:
        """See `Reading`."""
        return self.scores

    def distributions(self) -> list[list[Tensor]]:
        """See `Reading`."""
        places = [place for member in self.starts for place in member]
        options = [option for member in self.batch.prompts for option in member.options]
        found = option_distributions(self.logits, places, options)
        return [[next(found) for _ in member.options] for member in self.batch.prompts]

    def positions(self, member: int, option: int, place: Place) -> Positions:
        """See `Reading`: input tokens are shared by the options, label tokens are each option's own."""
        encoded = self.batch.prompts[member]
        row, start = self.starts[member][option]
        if place == "label":
            first = row * self.label_width + start
            return Positions((), range(first, first + len(encoded.options[option])))
        first = (member if place == "input" else row) * self.input_width
        return Positions(range(first, first + len(encoded.prompt)), ())
