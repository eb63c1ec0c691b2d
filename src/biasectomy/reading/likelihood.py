"""Log-likelihoods of options: log P(option | prompt) as a sum over the option's tokens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.reading.layouts import Batch, EncoderDecoderLayout, Layout, PackedLayout, RepeatedCacheLayout, RowLayout
from biasectomy.reading.layouts.base import placement
from biasectomy.reading.prompts import EncodedPrompt


@dataclass(frozen=True, slots=True)
class OptionScores:
    """Scores of one prompt's options: summed log-probabilities (natural log) and numbers of tokens."""

    log_likelihoods: tuple[float, ...]
    tokens: tuple[int, ...]

    @property
    def finite(self) -> bool:
        """Whether every log-likelihood is a finite number."""
        return all(math.isfinite(value) for value in self.log_likelihoods)


@torch.inference_mode()
def score(model: nn.Module, batch: Batch, layout: Layout) -> list[OptionScores]:
    """Scores of a batch's prompts, in the order of `batch.indices`."""
    return [
        OptionScores(tuple(values), tuple(len(option) for option in encoded.options))
        for encoded, values in zip(batch.prompts, numbers(layout.read(model, batch).log_likelihoods()), strict=True)
    ]


def numbers(values: Sequence[Sequence[Tensor]]) -> list[list[float]]:
    """Scalars of a device as numbers, in the same lists; fetched at once, since a device waits at each fetching."""
    flat = [value.detach() for row in values for value in row]
    fetched = iter(torch.stack(flat).tolist() if flat else ())
    return [[next(fetched) for _ in row] for row in values]


def first_not_finite(
    model: nn.Module, prompts: Sequence[EncodedPrompt], layout: Layout
) -> tuple[int, OptionScores] | None:
    """Which of some prompts has a log-likelihood that is NaN or infinite when asked alone, with its scores.

    In a shared row such a value spreads to every prompt, so the culprit shows only by itself.
    """
    for index, encoded in enumerate(prompts):
        scores = score(model, Batch((0,), (encoded,)), layout)[0]
        if not scores.finite:
            return index, scores
    return None


def layout_for(model: nn.Module, vocabulary: int) -> Layout:
    """The fastest layout that gives this model's own scores, found by trying on a few made-up tokens."""
    untyped: Any = model
    candidates: tuple[Layout, ...] = (PackedLayout(), RepeatedCacheLayout())
    plain: Layout = RowLayout()
    if getattr(untyped.config, "is_encoder_decoder", False):
        candidates, plain = (EncoderDecoderLayout(),), EncoderDecoderLayout(packed=False)
    return next((layout for layout in candidates if reads_alike(model, vocabulary, layout, plain)), plain)


@torch.inference_mode()
def reads_alike(model: nn.Module, vocabulary: int, layout: Layout, plain: Layout) -> bool:
    """Whether two layouts give a model's prompts the same scores, but for the model's own rounding.

    The rounding is measured: prompts alone against the same prompts in one batch, in the plain layout. A fixed
    tolerance wide enough for half precision would let wrong positions pass. Options are long enough for these to show.
    """
    prompt = tuple((7 * position + 3) % vocabulary for position in range(12))
    options = tuple(tuple((11 * position + 5 + c) % vocabulary for position in range(4 + 4 * c)) for c in range(3))
    other = (*prompt[:6], *reversed(prompt[6:]))  # shares its beginning, as prompts of a task do
    prompts = (EncodedPrompt(prompt, options), EncodedPrompt(other, options[::-1]))
    try:
        found = _values(score(model, Batch((0, 1), prompts), layout))
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError):
        return False
    together = _values(score(model, Batch((0, 1), prompts), plain))
    lone = [one for prompt_ in prompts for one in _alone(model, prompt_, plain)]
    pairs = list(zip(together, lone, strict=True))
    # In half precision a single token's log-probability is rounded so; the sum over an option's tokens as its root.
    rounding = torch.finfo(placement(model)[1]).eps * max(map(len, options)) ** 0.5
    noise = max((abs(left - right) for left, right in pairs if left == left and right == right), default=0.0)
    tolerance = max(SMALLEST_TOLERANCE, TIMES_NOISE * max(noise, rounding))
    # Written so that NaN passes: a model whose weights are NaN fails later, with a better message.
    return not any(abs(left - right) > tolerance for left, right in zip(found, together, strict=True))


def _alone(model: nn.Module, encoded: EncodedPrompt, plain: Layout) -> list[float]:
    """Scores of a prompt whose options are asked one by one."""
    return [
        score(model, Batch((0,), (EncodedPrompt(encoded.prompt, (option,)),)), plain)[0].log_likelihoods[0]
        for option in encoded.options
    ]


def _values(scores: Sequence[OptionScores]) -> list[float]:
    return [value for one in scores for value in one.log_likelihoods]


SMALLEST_TOLERANCE = 1e-3  # nats: what float32 differs by between layouts is far less
TIMES_NOISE = 4.0
