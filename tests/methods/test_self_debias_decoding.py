"""Self-debiasing: by hand, against one token at a time, and what it is told of."""

import math

import numpy as np
import pytest
import torch

from biasectomy.errors import DataError
from biasectomy.measuring.session import Session
from biasectomy.methods.self_debias_decoding import ATTRIBUTES, TOXICITY, SelfDebiasDecoding, attributes_of
from biasectomy.models.language_model import load
from biasectomy.reading.questions import Generation, Question
from tests.conftest import save_tiny
from tests.models import decoders
from tests.models.test_decoding import QUESTIONS

AGE = "The following text discriminates against people because of their age:"


def made(**settings) -> SelfDebiasDecoding:
    return SelfDebiasDecoding(SelfDebiasDecoding.Settings(**settings))


def asked(method, model, questions=QUESTIONS, session=None):
    with method.answering(model, session or Session()) as answerer:
        found = {index: answer for batch in answerer(questions) for index, answer in batch}
    return [found[index] for index in range(len(questions))]


def debiased(method, own, *biased) -> list[float]:
    rows = [torch.tensor([one]).log() for one in (own, *biased)]
    return method.debiased(rows[0], rows[1:])[0].exp().tolist()


def test_three_tokens_by_hand():
    """Delta is -0.1, 0.1, 0: at lambda 10 the first has e^-1 of its probability, at 50 the floor of 0.01."""
    own, biased = [0.5, 0.3, 0.2], [0.6, 0.2, 0.2]
    slow = np.array([0.5 * math.exp(-1), 0.3, 0.2])
    assert debiased(made(decay=10), own, biased) == pytest.approx(slow / slow.sum(), rel=1e-5)
    fast = np.array([0.5 * 0.01, 0.3, 0.2])
    assert debiased(made(), own, biased) == pytest.approx(fast / fast.sum(), rel=1e-5)
    unbound = np.array([0.5 * math.exp(-5), 0.3, 0.2])
    assert debiased(made(floor=1e-9), own, biased) == pytest.approx(unbound / unbound.sum(), rel=1e-5)


def test_of_several_attributes_the_smallest_difference_counts():
    own, first, second = [0.5, 0.3, 0.2], [0.6, 0.2, 0.2], [0.45, 0.35, 0.2]
    expected = np.array([0.5 * math.exp(-1), 0.3 * math.exp(-0.5), 0.2])
    assert debiased(made(decay=10), own, first, second) == pytest.approx(expected / expected.sum(), rel=1e-5)


def test_no_decay_and_no_bias_leave_the_distribution():
    own = [0.5, 0.3, 0.2]
    assert debiased(made(decay=0), own, [0.9, 0.05, 0.05]) == pytest.approx(own, rel=1e-6)
    assert debiased(made(), own, own) == pytest.approx(own, rel=1e-6)


def by_formula(own, biased, decay, floor):
    """The paper's, in numpy: p' ~ max(exp(decay min Delta), floor) p where Delta is below 0."""
    own = own.numpy()
    delta = np.min([np.exp(own) - np.exp(one.numpy()) for one in biased], axis=0)
    alpha = np.where(delta >= 0, 1, np.maximum(np.exp(decay * np.minimum(delta, 0)), floor))
    weighted = alpha * np.exp(own)
    return torch.tensor(np.log(weighted / weighted.sum()))


@pytest.fixture
def unsure(tmp_path):
    """A tiny model that is unsure enough for what it writes to change."""
    return load(str(save_tiny(tmp_path / "unsure", initializer_range=0.25, layers=3)))


def test_answers_of_every_kind_are_those_of_a_plain_loop(unsure):
    method = made(attributes="age,religion", decay=500)
    prefixes = [AGE + "\n", AGE.replace("age", "religion") + "\n"]
    before, found = asked(made(decay=0), unsure), asked(method, unsure)
    for question, answer in zip(QUESTIONS, found, strict=True):
        prompts = [unsure.encode(one) for one in (question, *(question.behind(words) for words in prefixes))]

        def combined(behind, prompts=prompts):
            own, *biased = [decoders.next_token(unsure.model, one, behind) for one in prompts]
            return by_formula(own, biased, 500, 0.01)

        decoders.same(answer, decoders.answer(unsure, question, combined))
    changed = [one != other for one, other in zip(before, found, strict=True)]
    assert sum(changed) >= 6 and any(one.texts != other.texts for one, other in zip(before, found, strict=True))


def test_the_sentence_stands_inside_the_turn_and_behind_the_prefix(tiny):
    words = made(attributes="age").sentences[0] + "\n"
    assert tiny.tokenizer.decode(tiny.encode(QUESTIONS[1].behind(words)).prompt).startswith(f"<user>{AGE}\nWho?<end>")
    assert tiny.tokenizer.decode(tiny.encode(QUESTIONS[2].behind(words)).prompt) == f"<start>{AGE}\n"
    assert tiny.tokenizer.decode(tiny.encode(QUESTIONS[4].behind(words)).prompt).startswith(f"<start>{AGE}\nThe grand")


def test_without_decay_the_original_answers_under_another_key(tiny):
    leaving, session = made(decay=0, attributes="age"), Session()
    with leaving.answering(tiny, session) as answerer, made(attributes="age").answering(tiny, session) as other:
        assert len({tiny.key, answerer.computing.key, other.computing.key}) == 3
    original = {index: answer for batch in tiny(QUESTIONS) for index, answer in batch}
    for index, answer in enumerate(asked(leaving, tiny, session=session)):
        decoders.same(answer, original[index], within=1e-4)
    assert asked(made(attributes="age"), tiny, session=session)[0] != original[0]


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        (["bbq:age"], ["age"]),
        (["bbq:race_x_ses"], ["race/color", "socioeconomic status/occupation"]),
        (["crows_pairs:physical_appearance", "crows_pairs:disability"], ["physical appearance", "disability"]),
        (["stereoset:intrasentence"], list(ATTRIBUTES)),
        (["mmlu:language"], list(ATTRIBUTES)),
    ],
)
def test_attributes_are_those_that_tasks_are_about(tasks, expected):
    assert list(attributes_of(tasks)) == expected


def test_fitting_settles_the_attributes_and_their_cost(tiny, toy_task):
    fitted = made().fit(tiny, toy_task(), Session())  # toy:age
    assert fitted.sentences == (AGE,) and fitted.cost.questions_per_answer == 2
    named = made(attributes="religion, gender", sentence="About {attribute}:").fit(tiny, toy_task(), Session())
    assert named.sentences == ("About religion:", "About gender:") and named.record["sentences"] == [*named.sentences]
    language = made(against="toxicity").fit(tiny, toy_task(), Session())
    assert language.sentences == TOXICITY and language.cost.questions_per_answer == 7
    assert made(sentence="No place for it:").fit(tiny, toy_task(), Session()).sentences == ("No place for it:",)


def test_a_question_that_is_too_long_with_the_sentence_is_refused(tiny):
    long = Question("The grandfather " * 120, generation=Generation(4))
    tiny.model.config.max_position_embeddings = len(tiny.encode(long).prompt) + 6
    with pytest.raises(DataError, match="leave it out, shorten") as refused:
        asked(made(attributes="age"), tiny, [long])
    assert refused.value.question == long  # the item is named by it
