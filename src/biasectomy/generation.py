"""Answers by greedy generation: what the model writes, matched to an option or to none."""

import re
import string
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from biasectomy.language_model import LanguageModel
from biasectomy.layouts import Batch
from biasectomy.memory import in_parts
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


def plan_generation(language_model: LanguageModel, prompts: Sequence[EncodedPrompt]) -> Iterator[Batch]:
    """Batches of prompts of about the same length, always the same for the same prompts."""
    ordered = sorted(range(len(prompts)), key=lambda index: len(prompts[index].prompt))
    chosen: list[int] = []
    for index in ordered:
        if chosen and (len(chosen) + 1) * len(prompts[index].prompt) > language_model.batch_tokens:
            yield Batch(tuple(chosen), tuple(prompts[one] for one in chosen))
            chosen = []
        chosen.append(index)
    if chosen:
        yield Batch(tuple(chosen), tuple(prompts[one] for one in chosen))


def generate(language_model: LanguageModel, batch: Batch) -> list[str]:
    """Greedy continuations of a batch's prompts; the batch is halved as often as memory needs it."""
    return in_parts(lambda part: _generate(language_model, part), batch)


@torch.inference_mode()
def _generate(language_model: LanguageModel, batch: Batch) -> list[str]:
    model: Any = language_model.model
    tokenizer: Any = language_model.tokenizer
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    encodes = bool(model.config.is_encoder_decoder)
    longest = max(len(encoded.prompt) for encoded in batch.prompts)
    new_tokens = max(len(option) for encoded in batch.prompts for option in encoded.options) + SPARE_TOKENS
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
        max_new_tokens=new_tokens,
        do_sample=False,
        num_beams=1,
        temperature=None,
        top_p=None,
        top_k=None,
        pad_token_id=padding,
    )
    texts: list[str] = tokenizer.batch_decode(output if encodes else output[:, longest:], skip_special_tokens=True)
    return texts
