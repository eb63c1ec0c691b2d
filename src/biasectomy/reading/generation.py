"""Answers by greedy generation: what a model writes behind a prompt."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from biasectomy.reading.layouts.base import Batch, plan_rows
from biasectomy.reading.prompts import EncodedPrompt


def plan_generation(prompts: Sequence[EncodedPrompt], budget: int) -> Iterator[Batch]:
    """Batches of prompts of about the same length within a budget of tokens, always the same for the same prompts."""
    return plan_rows(prompts, budget, [len(one.prompt) for one in prompts], keep_order=False)


@torch.inference_mode()
def generate(model: Any, tokenizer: Any, batch: Batch) -> list[str]:
    """Greedy continuations of a batch's prompts, each as long as it was asked for."""
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    encodes = bool(model.config.is_encoder_decoder)
    longest = max(len(encoded.prompt) for encoded in batch.prompts)
    tokens = torch.full((len(batch.prompts), longest), padding, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, encoded in enumerate(batch.prompts):
        length = len(encoded.prompt)
        # A decoder continues at the right edge; an encoder reads from the left.
        place = slice(0, length) if encodes else slice(longest - length, longest)
        tokens[row, place] = torch.tensor(encoded.prompt)
        mask[row, place] = 1
    output = model.generate(
        input_ids=tokens.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=max(encoded.new_tokens for encoded in batch.prompts),
        do_sample=False,
        num_beams=1,
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=padding,
    )
    start = 1 if encodes else longest
    rows = [row[start : start + one.new_tokens] for row, one in zip(output, batch.prompts, strict=True)]
    texts: list[str] = tokenizer.batch_decode(rows, skip_special_tokens=True)
    return texts
