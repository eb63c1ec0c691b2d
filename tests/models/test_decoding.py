"""Answers out of several distributions, on every tiny architecture, against one token at a time."""

import contextlib

import pytest
import torch

from biasectomy.errors import DataError, ScoreError
from biasectomy.measuring.session import Session
from biasectomy.models.decoding import Companion, Decoding
from biasectomy.reading.following import Combined, outside_nucleus
from biasectomy.reading.questions import Generation, Question
from tests.methods.test_families import FAMILIES, opened
from tests.models import decoders

WORDS = "What is said here is wrong:\n"
QUESTIONS = [
    Question("Who forgot the keys?\nOptions: the grandfather, Ann", ("the grandfather", "Ann")),
    Question("Who?", ("Ann",)),
    Question(None, ("The grandfather met the grandson.", "The old man met the grandson.")),
    Question(None, ("The grandfather met the grandson at the market.",), divergence=True),
    Question("The grandfather and", ("the grandson", "Ann"), plain=True),
    Question("Who forgot the keys?", generation=Generation(5)),
    Question("The grandfather and the", generation=Generation(6), plain=True),
    Question("The", generation=Generation(6, temperature=1.5, seed=4), plain=True),
]


def mixed(own, others):
    """Far enough from each that none of them could be told for it."""
    return torch.log_softmax(own + sum(2.5 * other for other in others), dim=-1)


def asked(decoding, questions=QUESTIONS, session=None):
    answerer = (session or Session()).answerer(decoding)
    found = {index: answer for batch in answerer(questions) for index, answer in batch}
    return [found[index] for index in range(len(questions))]


def writes_as_it_reads(inner):
    """What tiny configurations say of writing only is left out: a forced end (BART), another start (T5Gemma)."""
    inner.generation_config.forced_eos_token_id = None
    if inner.config.is_encoder_decoder:
        shifted = inner.prepare_decoder_input_ids_from_labels(labels=torch.tensor([[5]]))
        inner.generation_config.decoder_start_token_id = int(shifted[0, 0])


@pytest.mark.parametrize("name", FAMILIES)
def test_every_kind_of_question_has_the_combined_distribution_on_every_family(name):
    model = opened(name)
    inner = model.model
    writes_as_it_reads(inner)
    for question, found in zip(QUESTIONS, asked(Decoding(model, [Companion(WORDS)], mixed, "mixed")), strict=True):
        own, beside = model.encode(question), model.encode(question.behind(WORDS))
        assert own.prompt != beside.prompt

        def combined(behind, own=own, beside=beside):
            return mixed(decoders.next_token(inner, own, behind), [decoders.next_token(inner, beside, behind)])

        decoders.same(found, decoders.answer(model, question, combined))


def test_whole_texts_are_judged_by_the_same_tokens_behind_further_words(tiny):
    question = QUESTIONS[2]
    own, beside = tiny.encode(question), tiny.encode(question.behind("Read this: "))
    words = tiny.tokenizer("Read this: ", add_special_tokens=False)["input_ids"]
    assert beside.prompt == (*own.prompt, *words) and (beside.options, beside.words) == (own.options, own.words)


def test_an_encoder_reads_the_words_in_front_of_what_all_texts_begin_with():
    model = opened("t5")
    question = Question(None, ("The grandfather met Ann today.", "The grandfather met his grandson."))
    own, beside = model.encode(question), model.encode(question.behind("Read this: "))
    assert beside.prompt == tuple(model.prompt_format.token_ids("Read this: The grandfather"))
    assert (beside.options, beside.words) == (own.options, own.words)


def test_who_answers_is_known_by_the_model_and_by_what_is_combined(tiny):
    keys = [tiny.key, *(Decoding(tiny, [Companion(WORDS)], mixed, described).key for described in ("a", "b"))]
    with tiny.changed(contextlib.nullcontext, "changed"):
        keys.append(Decoding(tiny, [Companion(WORDS)], mixed, "a").key)
    assert len(set(keys)) == 4
    session = Session()
    one = asked(Decoding(tiny, [Companion(WORDS)], mixed, "one"), QUESTIONS[:1], session)
    other = asked(Decoding(tiny, [], lambda own, others: own, "other"), QUESTIONS[:1], session)
    assert one != other


def test_an_option_that_has_other_tokens_behind_the_words_is_refused(tiny, monkeypatch):
    encode = type(tiny).encode
    monkeypatch.setattr(
        type(tiny),
        "encode",
        lambda model, one: encode(model, Question(one.text, ("Bob",)) if WORDS in one.text else one),
    )
    with pytest.raises(DataError, match="Behind 'What is said here is wrong:' an option has other tokens"):
        asked(Decoding(tiny, [Companion(WORDS)], mixed, "mixed"), QUESTIONS[:1])


@pytest.mark.parametrize("place", [0, 3])
def test_what_is_not_finite_is_refused(tiny, place):
    with pytest.raises(ScoreError, match="combined distributions are not finite") as refused:
        asked(Decoding(tiny, [], lambda own, others: own * float("nan"), "none"), [QUESTIONS[place]])
    assert refused.value.question == QUESTIONS[place]


def test_a_batch_that_memory_is_too_small_for_is_halved(tiny):
    def short(own, others):
        if len(own) > 5:
            torch.empty(10**15)
        return mixed(own, others)

    whole = asked(Decoding(tiny, [Companion(WORDS)], mixed, "mixed"), QUESTIONS[:2])
    for found, expected in zip(
        asked(Decoding(tiny, [Companion(WORDS)], short, "short"), QUESTIONS[:2]), whole, strict=True
    ):
        decoders.same(found, expected)


def test_the_nucleus_has_the_fewest_tokens_of_a_share():
    probabilities = torch.tensor([[0.1, 0.5, 0.15, 0.25], [0.97, 0.01, 0.01, 0.01]])
    for share, inside in ((0.5, [[1], [0]]), (0.51, [[1, 3], [0]]), (0.8, [[1, 2, 3], [0]])):
        found = ~outside_nucleus(probabilities.log(), share)
        assert [row.nonzero().flatten().tolist() for row in found] == inside


def test_only_tokens_of_the_nucleus_are_written():
    scores = torch.tensor([[0.1, 0.5, 0.15, 0.25]]).log()
    reversing = Combined(lambda own, others: -own, [], 0, nucleus=0.7)
    found = reversing(torch.zeros((1, 0), dtype=torch.long), scores.clone())
    assert found.argmax() == 3 and found[0, [0, 2]].isinf().all()  # of the two inside the less likely one
    whole = Combined(lambda own, others: -own, [], 0)(torch.zeros((1, 0), dtype=torch.long), scores.clone())
    assert whole.argmax() == 0 and whole.isfinite().all()
