"""Texts as they are: behind the prefix token, without a chat template, their options in one with them."""

import pytest
import torch

from biasectomy.errors import DataError
from biasectomy.models.language_model import load
from biasectomy.reading.prompts import prompt_format
from biasectomy.reading.questions import Generation, Question
from tests.conftest import build_tokenizer, score_in_rows
from tests.reading.encoder_decoders import t5

TEXT, OPTIONS = "The grandfather met the", ("grandson", "grandson at the market")


def test_a_plain_text_has_no_template_but_the_prefix(tiny):
    encoded = tiny.prompt_format.encode(Question(TEXT, OPTIONS, plain=True))
    prefix = tiny.prompt_format.prefix.token
    for option, tokens in zip(OPTIONS, encoded.options, strict=True):
        whole = tiny.tokenizer(f"{TEXT} {option}", add_special_tokens=False)["input_ids"]
        assert [*encoded.prompt, *tokens] == [prefix, *whole]


def test_an_option_is_given_its_text(tiny):
    """log P(option | text) is what the whole text has more than its beginning."""
    encoded = tiny.prompt_format.encode(Question(TEXT, OPTIONS, plain=True))
    sums = score_in_rows(tiny.model, encoded).log_likelihoods
    for tokens, value in zip(encoded.options, sums, strict=True):
        ids = torch.tensor([[*encoded.prompt, *tokens]])
        with torch.no_grad():
            known = torch.log_softmax(tiny.model(ids).logits[0, :-1], -1).gather(1, ids[0, 1:, None])[:, 0]
        assert value == pytest.approx(float(known[len(encoded.prompt) - 1 :].sum()), abs=1e-4)


def test_an_encoder_reads_a_plain_text_as_it_is():
    tokenizer = build_tokenizer()
    form = prompt_format(tokenizer, t5())
    encoded = form.encode(Question(TEXT, OPTIONS, plain=True))
    assert list(encoded.prompt) == tokenizer(TEXT)["input_ids"]
    assert encoded.options == tuple(form.label(option) for option in OPTIONS)


def test_without_a_prefix_a_text_needs_a_token_of_its_own(tiny_folder):
    model = load(str(tiny_folder), prefix="none")
    assert model.prompt_format.encode(Question("a", generation=Generation(2), plain=True)).prompt
    with pytest.raises(DataError, match="use --prefix bos or eos"):
        model.prompt_format.encode(Question("", ("one", "two"), plain=True))
