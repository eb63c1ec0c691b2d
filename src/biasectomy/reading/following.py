"""Writing out of several distributions: a model writes, and others say after each token what they would go on with."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from biasectomy.reading.generation import laid_out, padding_of
from biasectomy.reading.prompts import EncodedPrompt

# Of log-probabilities [places, vocabulary]: a model's own and those of others, which are read as they are asked for.
Combine = Callable[[Tensor, Iterable[Tensor]], Tensor]


class Follower:
    """Says what a model would go on with behind prompts of its own and what another has written behind its.

    What it has read is kept, so that each step reads one more token; of an encoder-decoder, what the encoder gave.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        prompts: Sequence[EncodedPrompt],
        in_force: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._model, self._in_force, self._padding = model, in_force, padding_of(tokenizer)
        self._tokens, self._mask = laid_out(model, prompts, self._padding)
        self._kept: dict[str, Any] = {}

    def next(self, written: Tensor) -> Tensor:
        """Log-probabilities of the next token [prompts, vocabulary], float32.

        Args:
            written: what the other has written, [prompts, tokens]; of an encoder-decoder, what its decoder was given.
        """
        with self._in_force():
            if self._model.config.is_encoder_decoder:
                given = self._encoded() | {"decoder_input_ids": written}
            else:
                tokens = torch.cat([self._tokens, written], dim=1)
                given = {"input_ids": tokens, "attention_mask": torch.cat([self._mask, torch.ones_like(written)], 1)}
            output = self._model.generate(
                **given,
                **self._kept,
                max_new_tokens=1,
                do_sample=False,
                num_beams=1,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=self._padding,
                return_dict_in_generate=True,
                output_logits=True,
            )
        if not self._model.config.is_encoder_decoder:  # `generate` cannot go on with what a decoder has read
            self._kept["past_key_values"] = output.past_key_values
        return torch.log_softmax(output.logits[0].float(), dim=-1)

    def _encoded(self) -> dict[str, Any]:
        """What the encoder makes of the prompts, which it reads once."""
        if "encoder_outputs" not in self._kept:
            encoder = self._model.get_encoder()
            self._kept["encoder_outputs"] = encoder(input_ids=self._tokens, attention_mask=self._mask)
        return {"attention_mask": self._mask}


class Combined:
    """Makes what a model would go on with out of its own distribution and others', at every token (see `generate`)."""

    def __init__(self, combine: Combine, followers: Sequence[Follower], given: int, nucleus: float = 1.0) -> None:
        self._combine, self._followers, self._given, self._nucleus = combine, followers, given, nucleus

    def __call__(self, tokens: Tensor, scores: Tensor) -> Tensor:
        """Log-probabilities [prompts, vocabulary].

        Args:
            tokens: what stands in front of the next token, [prompts, tokens]; the first `given` are the prompts'.
            scores: what the model itself would go on with, [prompts, vocabulary].
        """
        own = torch.log_softmax(scores.float(), dim=-1)
        outside = outside_nucleus(own, self._nucleus) if self._nucleus < 1 else None
        written = tokens[:, self._given :]
        found = self._combine(own, (follower.next(written) for follower in self._followers))
        return (found if outside is None else found.masked_fill(outside, -torch.inf)).to(scores)


def outside_nucleus(log_probabilities: Tensor, share: float) -> Tensor:
    """Which tokens are not among the fewest that have a share of the probability; [prompts, vocabulary] of booleans."""
    ordered, order = log_probabilities.exp().sort(dim=-1, descending=True)
    before = ordered.cumsum(dim=-1) - ordered
    return torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= share)
