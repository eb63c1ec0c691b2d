"""Whole distributions of the next token, and how far one is from another: what an edit does where nothing is asked."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.reading.layouts import Batch, RowLayout
from biasectomy.reading.layouts.base import padded, placement
from biasectomy.reading.layouts.encoder_decoder import IGNORED
from biasectomy.reading.layouts.rows import logits_at
from biasectomy.reading.prompts import EncodedPrompt


def plan_distributions(prompts: Sequence[EncodedPrompt], budget: int) -> Iterator[Batch]:
    """Batches of about `budget` padded tokens, always the same for the same prompts."""
    return RowLayout().plan(prompts, budget)


def next_token_log_probabilities(model: nn.Module, prompts: Sequence[EncodedPrompt]) -> list[Tensor]:
    """Log-probabilities [option tokens, vocabulary] at the positions that predict each prompt's only option, float32.

    One pass over rows padded on the right; of an encoder-decoder the encoder reads the prompts, and the options are
    the decoder's labels. Gradients flow.

    Raises:
        ValueError: a prompt has no option, or several.
    """
    options = [option for prompt in prompts for (option,) in [prompt.options]]
    if getattr(model.config, "is_encoder_decoder", False):
        logits, starts = _decoder_logits(model, prompts, options), [0] * len(prompts)
    else:
        predicting = sorted({len(one.prompt) - 1 + t for one in prompts for t in range(len(one.options[0]))})
        rows = [one.prompt + option[:-1] for one, option in zip(prompts, options, strict=True)]
        tokens, mask = padded(rows, placement(model)[0])
        logits, column = logits_at(model, tokens, mask, predicting)
        starts = [column[len(one.prompt) - 1] for one in prompts]
    return [
        torch.log_softmax(logits[row, start : start + len(option)].float(), dim=-1)
        for row, (start, option) in enumerate(zip(starts, options, strict=True))
    ]


def _decoder_logits(model: nn.Module, prompts: Sequence[EncodedPrompt], labels: Sequence[Sequence[int]]) -> Tensor:
    """Logits [rows, label tokens, vocabulary]; a label's padding is behind it, where the decoder does not look."""
    untyped: Any = model
    device, _ = placement(model)
    inputs, mask = padded([one.prompt for one in prompts], device, untyped.config.pad_token_id or 0)
    # The family's own shift: what stands in front of a label differs between families.
    shifted = untyped.prepare_decoder_input_ids_from_labels(labels=padded(labels, device, IGNORED)[0])
    logits: Tensor = untyped(input_ids=inputs, attention_mask=mask, decoder_input_ids=shifted, use_cache=False).logits
    return logits


def divergences(original: Sequence[Tensor], changed: Sequence[Tensor]) -> list[Tensor]:
    """KL(original || changed) at every position, in nats: of log-probabilities [positions, vocabulary] -> [positions].

    The sum over the vocabulary is at least 0; what rounding takes it below is put back.
    """
    return [
        (before.exp() * (before - after)).sum(dim=-1).clamp_min(0)
        for before, after in zip(original, changed, strict=True)
    ]
