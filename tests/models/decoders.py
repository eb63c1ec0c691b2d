"""Combined distributions computed in another way: one prompt, one token at a time, in float64, nothing kept."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from biasectomy.models.language_model import LanguageModel
from biasectomy.reading.generation import Drawn
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.reading.questions import Answer, Question

Reader = Callable[[EncodedPrompt, Sequence[int]], Tensor]  # of a prompt and what stands behind it: log-probabilities


def next_token(inner: Any, encoded: EncodedPrompt, behind: Sequence[int]) -> Tensor:
    """Log-probabilities [vocabulary] of the token behind a prompt and some tokens, float64."""
    with torch.no_grad():
        if inner.config.is_encoder_decoder:
            # The last label is only predicted, so any will do.
            labels = torch.tensor([[*behind, 0]])
            logits = inner(input_ids=torch.tensor([encoded.prompt]), labels=labels).logits[0, len(behind)]
        else:
            logits = inner(input_ids=torch.tensor([[*encoded.prompt, *behind]])).logits[0, -1]
    return logits.double().log_softmax(-1)


def answer(model: LanguageModel, question: Question, combined: Callable[[Sequence[int]], Tensor]) -> Answer:
    """The answer to a question whose next token's log-probabilities are `combined` of the tokens behind the prompt."""
    encoded = model.encode(question)
    if encoded.new_tokens:
        return Answer(texts=(written(model, encoded, combined),))
    rows = [[combined(option[:place]) for place in range(len(option))] for option in encoded.options]
    if question.divergence:
        (option,) = encoded.options
        own = [next_token(model.model, encoded, option[:place]) for place in range(len(option))]
        return Answer(
            divergences=tuple(
                float((before.exp() * (before - now)).sum()) for before, now in zip(own, rows[0], strict=True)
            )
        )
    sums = tuple(
        float(sum(row[token] for row, token in zip(some, option, strict=True)))
        for some, option in zip(rows, encoded.options, strict=True)
    )
    return Answer(sums, tuple(map(len, encoded.options)), encoded.words)


def written(model: LanguageModel, encoded: EncodedPrompt, combined: Callable[[Sequence[int]], Tensor]) -> str:
    drawn, tokens = Drawn([encoded]), []
    while len(tokens) < encoded.new_tokens:
        tokens.append(int(drawn(torch.tensor([tokens]), combined(tokens)[None].float()).argmax()))
        if tokens[-1] == model.model.generation_config.eos_token_id:
            break
    return str(model.tokenizer.decode(tokens, skip_special_tokens=True))


def same(found: Answer, expected: Answer, *, within: float = 2e-4) -> None:
    """Asserts that two answers are the same, but for rounding."""
    assert (found.tokens, found.words, found.texts) == (expected.tokens, expected.words, expected.texts)
    for name in ("log_likelihoods", "divergences"):
        one, other = (torch.tensor(getattr(given, name)) for given in (found, expected))
        torch.testing.assert_close(one, other, atol=within, rtol=within)
