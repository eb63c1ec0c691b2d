"""Answers by greedy generation: what the model writes, matched to an option or to none."""

import re
import string
from collections.abc import Iterator, Sequence, Set
from typing import Any

import torch

from biasectomy.language_model import LanguageModel
from biasectomy.prompts import EncodedPrompt

UNMATCHED = -1
SPARE_TOKENS = 8  # beyond the longest option, for a full stop or an end-of-turn token
_EDGES = string.punctuation + string.whitespace


def matching_option(text: str, options: Sequence[str]) -> int:
    """Index of the option that the first line of a text equals, else -1.

    Case, white space and punctuation around the answer are ignored; nothing else is, so that a text that
    only mentions an option counts as unmatched.
    """
    lines = text.strip().splitlines()
    answer = normalised(lines[0]) if lines else ""
    matches = [index for index, option in enumerate(options) if normalised(option) == answer]
    return matches[0] if len(matches) == 1 else UNMATCHED


def normalised(text: str) -> str:
    """Lower case, single spaces, no punctuation at the edges."""
    return re.sub(r"\s+", " ", text).strip(_EDGES).casefold()


@torch.inference_mode()
def generate(
    language_model: LanguageModel, prompts: Sequence[EncodedPrompt], wanted: Set[int]
) -> Iterator[tuple[list[int], list[str]]]:
    """Greedy continuations of the wanted prompts, batch by batch: (indices, texts).

    Batches are planned from all prompts and computed whole, so that what is wanted changes no text.
    """
    model: Any = language_model.model
    tokenizer: Any = language_model.tokenizer
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    ordered = sorted(range(len(prompts)), key=lambda index: len(prompts[index].prompt))
    encodes = bool(model.config.is_encoder_decoder)
    for batch in _batches(ordered, prompts, language_model.batch_tokens):
        if wanted.isdisjoint(batch):
            continue
        longest = max(len(prompts[index].prompt) for index in batch)
        new_tokens = max(len(option) for index in batch for option in prompts[index].options) + SPARE_TOKENS
        tokens = torch.full((len(batch), longest), padding, dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for row, index in enumerate(batch):
            prompt = prompts[index].prompt
            # A decoder continues at the right edge; an encoder reads from the left.
            place = slice(0, len(prompt)) if encodes else slice(longest - len(prompt), longest)
            tokens[row, place] = torch.tensor(prompt)
            mask[row, place] = 1
        output = model.generate(
            input_ids=tokens.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=new_tokens,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=padding,
        )
        answers = output if encodes else output[:, longest:]
        yield batch, tokenizer.batch_decode(answers, skip_special_tokens=True)


def _batches(ordered: Sequence[int], prompts: Sequence[EncodedPrompt], budget: int) -> Iterator[list[int]]:
    batch: list[int] = []
    for index in ordered:
        if batch and (len(batch) + 1) * len(prompts[index].prompt) > budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
