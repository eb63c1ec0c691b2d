"""Answers by generation: matching a text to an option, and what is generated."""

from dataclasses import replace

import pytest
import torch

from biasectomy.reading.generation import generate, plan_generation
from biasectomy.reading.prompts import SPARE_TOKENS
from biasectomy.reading.questions import Generation, Question
from biasectomy.reading.texts import matching_option
from biasectomy.tasks.multiple_choice import listed
from tests.conftest import INSTRUCTIONS, make_items

OPTIONS = ("The grandfather", "The grandson", "Can't be determined")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The grandson", 1),
        ("  the GRANDSON.\n", 1),
        ("\n\nThe  grandson!\nBecause he forgot the keys.", 1),
        ('"The grandfather"', 0),
        ("**The grandfather**", 0),
        ("Can't be determined.", 2),
        ("Cant be determined", -1),  # an apostrophe inside a word is part of it
        ("The grandson forgot the keys", -1),
        ("The grandfather, The grandson", -1),
        ("grandson", -1),
        ("Answer: The grandson", -1),
        ("", -1),
        (" \n ", -1),
        ("...", -1),
    ],
)
def test_a_text_matches_the_option_it_is_and_no_other(text, expected):
    assert matching_option(text, OPTIONS) == expected


def test_options_that_only_punctuation_tells_apart_match_nothing():
    assert matching_option("yes", ("Yes.", "yes", "no")) == -1


@pytest.fixture
def prompts(tiny):
    # The same options everywhere, so that every batch generates equally many tokens.
    items = [replace(item, options=("Ann", "Bob", "Unknown")) for item in make_items(2)]
    return [tiny.prompt_format.encode(question) for question in written(items)]


def written(items) -> list[Question]:
    """Questions that ask for a text."""
    return [replace(listed(INSTRUCTIONS[0], item), generation=Generation()) for item in items]


def greedy(tiny, prompt) -> str:
    """What the model writes behind one prompt alone, token by token."""
    tokens = list(prompt.prompt)
    for _ in range(max(map(len, prompt.options)) + SPARE_TOKENS):
        with torch.no_grad():
            tokens.append(int(tiny.model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
        if tokens[-1] == tiny.tokenizer.eos_token_id:
            break
    return tiny.tokenizer.decode(tokens[len(prompt.prompt) :], skip_special_tokens=True)


def test_padded_batches_write_what_one_prompt_alone_gets(tiny, prompts):
    expected = [greedy(tiny, prompt) for prompt in prompts]
    for budget in (1, 400, 10_000):
        found = {}
        for batch in plan_generation(prompts, budget):
            found.update(zip(batch.indices, generate(tiny.model, tiny.tokenizer, batch), strict=True))
        assert [found[index] for index in range(len(prompts))] == expected, budget


def test_a_batch_that_memory_is_too_small_for_is_halved(tiny, monkeypatch):
    generated, sizes = type(tiny.model).generate, []

    def short_of_memory(model, input_ids, **settings):
        sizes.append(len(input_ids))
        if len(input_ids) > 3:
            torch.empty(10**15)
        return generated(model, input_ids=input_ids, **settings)

    questions = written(make_items(2))
    (batch,) = replace(tiny, batch_tokens=10_000).plan(questions)
    whole = tiny.answer(batch, questions)
    monkeypatch.setattr(type(tiny.model), "generate", short_of_memory)
    shortages = []
    assert tiny.answer(batch, questions, lambda: shortages.append(1)) == whole
    assert sizes == [8, 4, 2, 2, 4, 2, 2] and len(shortages) == 3


def test_batches_are_filled_up_to_the_budget(tiny, prompts):
    batches = list(plan_generation(prompts, 250))
    assert len(batches) > 2 and sorted(index for batch in batches for index in batch.indices) == list(range(8))
    for batch in batches:
        assert len(batch.prompts) == 1 or len(batch.prompts) * max(len(one.prompt) for one in batch.prompts) <= 250


def test_each_text_is_as_long_as_it_was_asked_for(tiny):
    """In one batch, although the batch goes on until the longest is there."""
    questions = [Question("Go on.", generation=Generation(count)) for count in (3, 12)]
    (batch,) = tiny.plan(questions)
    (short,), (long,) = (answer.texts for answer in tiny.answer(batch, questions))
    assert long.startswith(short) and len(tiny.tokenizer(short)["input_ids"]) < len(tiny.tokenizer(long)["input_ids"])
