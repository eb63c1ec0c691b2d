"""Prompts longer than a model takes, and tokens it does not know."""

import pytest

from biasectomy.commands.evaluate import evaluate
from biasectomy.errors import DataError, ModelError
from biasectomy.models.language_model import load
from biasectomy.reading.limits import longest_text
from biasectomy.reading.questions import Question
from tests.conftest import build_llama, build_tokenizer, save_tiny
from tests.reading.architectures import ARCHITECTURES
from tests.reading.encoder_decoders import CONFIGURATIONS, build

OPTIONS = ("the grandfather", "the grandson", "unknown")


def test_a_prompt_that_is_too_long_names_the_item_and_both_numbers(tmp_path, toy_task):
    model = load(str(save_tiny(tmp_path / "short", max_position_embeddings=60)))
    with pytest.raises(DataError, match=r"Item toy:age/\d+: It has \d+ tokens .* the model takes at most 60: leave it"):
        evaluate(model, toy_task())


def test_the_last_position_may_be_used(tmp_path):
    question = Question("Who forgot the keys?", OPTIONS)
    free = load(str(save_tiny(tmp_path / "free")))
    encoded = free.encode(question)
    needed = len(encoded.prompt) + max(map(len, encoded.options))
    load(str(save_tiny(tmp_path / "fits", max_position_embeddings=needed))).encode(question)
    with pytest.raises(DataError, match=f"It has {needed} tokens"):
        load(str(save_tiny(tmp_path / "short", max_position_embeddings=needed - 1))).encode(question)


def test_distances_have_no_last_one():
    for name in CONFIGURATIONS:
        limit = longest_text(build(name).config)
        assert (limit is None) == (name not in ("bart", "t5gemma")), name


def test_every_decoder_says_how_much_it_takes():
    for name in ARCHITECTURES:
        config = ARCHITECTURES[name]().config
        limit = longest_text(config)
        assert limit is None or limit > 16, (name, limit)


def test_a_tokenizer_of_another_model(tmp_path, toy_task):
    tokenizer = build_tokenizer()
    build_llama(len(tokenizer) - 40).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = load(str(tmp_path))
    with pytest.raises(ModelError, match=r"gives the token \d+, and the model knows \d+ .* belongs to another model"):
        evaluate(model, toy_task())
