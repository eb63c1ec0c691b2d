"""Answers by generation, greedy or drawn: what a model writes behind a prompt."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from biasectomy.reading.layouts.base import Batch, Size, causal_pairs, plan_rows
from biasectomy.reading.prompts import EncodedPrompt


def plan_generation(prompts: Sequence[EncodedPrompt], budget: int) -> Iterator[Batch]:
    """Batches of prompts of about the same length within a budget of tokens, always the same for the same prompts."""
    return plan_rows(prompts, budget, [len(one.prompt) for one in prompts], keep_order=False)


def generation_size(batch: Batch, *, encoded: bool) -> Size:
    """How much writing behind a batch reads if all write as much as they may, each token in a pass of its own.

    Args:
        encoded: whether an encoder reads the prompts.
    """
    rows, longest = len(batch.prompts), max(len(one.prompt) for one in batch.prompts)
    new = max(one.new_tokens for one in batch.prompts)
    if encoded:
        whole = rows * longest
        return Size(rows * new, rows * new, rows * causal_pairs(new), whole, rows * longest**2, whole, whole * new, new)
    return Size(rows * (longest + new - 1), rows * new, rows * causal_pairs(longest + new - 1), passes=new)


@torch.inference_mode()
def generate(
    model: Any, tokenizer: Any, batch: Batch, change: Callable[[Tensor, Tensor], Tensor] | None = None
) -> list[str]:
    """Continuations of a batch's prompts, each as long as it was asked for and drawn if it was asked to be.

    Args:
        model: that writes.
        tokenizer: of the model.
        batch: of prompts.
        change: makes the scores of the next token [prompts, vocabulary] others, given what stands there before: the
            prompts and what was written, or what the decoder was given, [prompts, tokens].
    """
    padding = padding_of(tokenizer)
    tokens, mask = laid_out(model, batch.prompts, padding)
    output = model.generate(
        input_ids=tokens,
        attention_mask=mask,
        max_new_tokens=max(encoded.new_tokens for encoded in batch.prompts),
        do_sample=False,
        logits_processor=[*([change] if change is not None else []), Drawn(batch.prompts)],
        num_beams=1,
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=padding,
    )
    start = 1 if model.config.is_encoder_decoder else tokens.shape[1]
    rows = [row[start : start + one.new_tokens] for row, one in zip(output, batch.prompts, strict=True)]
    texts: list[str] = tokenizer.batch_decode(rows, skip_special_tokens=True)
    return texts


def padding_of(tokenizer: Any) -> int:
    """The token that fills up rows."""
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0


def laid_out(model: Any, prompts: Sequence[EncodedPrompt], padding: int) -> tuple[Tensor, Tensor]:
    """Tokens of prompts as the model goes on from them, and the mask of real ones; both [prompts, tokens]."""
    longest = max(len(encoded.prompt) for encoded in prompts)
    tokens = torch.full((len(prompts), longest), padding, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, encoded in enumerate(prompts):
        length = len(encoded.prompt)
        # A decoder continues at the right edge; an encoder reads from the left.
        place = slice(0, length) if model.config.is_encoder_decoder else slice(longest - length, longest)
        tokens[row, place] = torch.tensor(encoded.prompt)
        mask[row, place] = 1
    return tokens.to(model.device), mask.to(model.device)


class Drawn:
    """Makes the likeliest token a drawn one, for those prompts that ask for it, by the Gumbel-max trick.

    The largest of log-probabilities with Gumbel noise is distributed as they say. Each prompt has noise of its own, so
    that what is drawn for it does not depend on the company it is read in.
    """

    def __init__(self, prompts: Sequence[EncodedPrompt]) -> None:
        self._sampled = [one.sampled for one in prompts]
        self._noise = [torch.Generator().manual_seed(_seed(one)) for one in prompts]

    def __call__(self, tokens: Tensor, scores: Tensor) -> Tensor:
        """Scores [prompts, vocabulary] with noise where a prompt asks for it, after its temperature."""
        for row, (sampled, generator) in enumerate(zip(self._sampled, self._noise, strict=True)):
            if sampled is not None:
                uniform = torch.rand(scores.shape[1], generator=generator, dtype=torch.float64)
                scores[row] = scores[row] / sampled[0] - (-uniform.log()).log().to(scores)
        return scores


def _seed(encoded: EncodedPrompt) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps([encoded.sampled, encoded.prompt]).encode()).digest()[:7])
