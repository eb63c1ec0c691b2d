"""Whole distributions of the next token, and how far one is from another: what an edit does where nothing is asked."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.reading.layouts import Batch, RowLayout
from biasectomy.reading.layouts.base import padded, placement
from biasectomy.reading.layouts.encoder_decoder import IGNORED
from biasectomy.reading.layouts.rows import logits_at
from biasectomy.reading.memory import is_sharded
from biasectomy.reading.prompts import EncodedPrompt

ALIKE = 1e-5  # of the largest logit, by which those of a product made again may differ, and rounding if that is more


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
    logits, own = _logits(model, prompts)
    return [torch.log_softmax(logits[row, columns].float(), dim=-1) for row, columns in enumerate(own)]


class Remembered:
    """What a model says at the positions of one prompt's only option, to be asked for again and again.

    Kept is what goes into the vocabulary product, which is less than a hundredth of what comes out; where more than
    that product makes the logits of it, or its weights are spread over processes, what comes out is kept in half
    precision: log-probabilities that weigh are near 0, where it is fine enough.
    """

    def __init__(self, model: nn.Module, prompt: EncodedPrompt) -> None:
        untyped: Any = model
        head = None if is_sharded(model) else untyped.get_output_embeddings()
        logits, states = _logits_and_states(model, prompt, head)
        self._head: Any = None
        self._kept: Tensor
        if head is not None and states is not None and _alike(head, states, logits):
            self._head, self._kept = head, states
        else:
            self._kept = torch.log_softmax(logits.float(), dim=-1).half()

    @torch.no_grad()
    def log_probabilities(self) -> Tensor:
        """[option tokens, vocabulary], float32; the vocabulary product must be as it was."""
        if self._head is None:
            return self._kept.float()
        _, dtype = placement(self._head)
        return torch.log_softmax(self._head(self._kept.to(dtype)).float(), dim=-1)


@torch.no_grad()
def _logits_and_states(model: nn.Module, prompt: EncodedPrompt, head: Any) -> tuple[Tensor, Tensor | None]:
    """Logits [option tokens, vocabulary], and what a vocabulary product `head` is given for them."""
    given: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0])) if head is not None else None
    try:
        logits, (columns,) = _logits(model, [prompt])
    finally:
        if handle is not None:
            handle.remove()
    one_for_one = len(given) == 1 and given[0].shape[:-1] == logits.shape[:-1]
    return logits[0, columns], given[0][0, columns].clone() if one_for_one else None


@torch.no_grad()
def _alike(head: nn.Module, states: Tensor, logits: Tensor) -> bool:
    """Whether a vocabulary product by itself makes the logits."""
    tolerance = max(ALIKE, 4 * torch.finfo(logits.dtype).eps) * float(logits.abs().max())
    return bool((head(states) - logits).abs().max() <= tolerance)


def _logits(model: nn.Module, prompts: Sequence[EncodedPrompt]) -> tuple[Tensor, list[slice]]:
    """Logits [rows, columns, vocabulary], and the columns of each row that predict its option."""
    options = [option for prompt in prompts for (option,) in [prompt.options]]
    if getattr(model.config, "is_encoder_decoder", False):
        logits, starts = _decoder_logits(model, prompts, options), [0] * len(prompts)
    else:
        predicting = sorted({len(one.prompt) - 1 + t for one in prompts for t in range(len(one.options[0]))})
        rows = [one.prompt + option[:-1] for one, option in zip(prompts, options, strict=True)]
        tokens, mask = padded(rows, placement(model)[0])
        logits, column = logits_at(model, tokens, mask, predicting)
        starts = [column[len(one.prompt) - 1] for one in prompts]
    return logits, [slice(start, start + len(option)) for start, option in zip(starts, options, strict=True)]


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
