"""Domain-context calibration: how words are drawn, and what is divided by."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from biasectomy import compare
from biasectomy.errors import SettingsError
from biasectomy.measuring.session import Session
from biasectomy.methods.dc import DomainContextCalibration, random_texts
from biasectomy.reading.questions import Answer, Question, listed
from tests.measuring.answerers import Made


def fitted(model, task, session=None, **settings):
    method = DomainContextCalibration(DomainContextCalibration.Settings(**settings))
    return method.fit(model, task, session or Session())


def ask(method, model, questions):
    with method.answering(model, Session()) as answerer:
        found = {index: answer for batch in answerer(questions) for index, answer in batch}
    return [found[index] for index in range(len(questions))]


QUESTIONS = [
    listed("Say.", "The Baker met the baker.", "Who?", ("a", "b")),
    listed("Say.", "It rained.", "Who was it then?", ("c", "d")),
]


def test_words_of_context_and_question_are_drawn_apart_as_often_as_they_stand_there():
    texts = random_texts(QUESTIONS, 3000, seed=1)
    for place, (words, length) in enumerate(
        [
            (["the", "baker", "met", "the", "baker.", "it", "rained."], 4),  # (5 + 2) / 2, cut off, and one more
            (["who?", "who", "was", "it", "then?"], 3),  # (1 + 4) / 2
        ]
    ):
        drawn = [text[place].split(" ") for text in texts]
        assert {len(one) for one in drawn} == {length + 1} and {one[-1] for one in drawn} == {"."}
        counted, given = Counter(word for one in drawn for word in one[:-1]), Counter(words)
        assert counted.keys() == given.keys()
        for word, number in given.items():
            assert counted[word] / counted.total() == pytest.approx(number / given.total(), abs=0.02)
    assert len(set(texts)) > 2000 and {len(text) for text in texts} == {2}


def test_what_is_drawn_follows_from_the_seed():
    assert random_texts(QUESTIONS, 5, seed=1) == random_texts(QUESTIONS, 5, seed=1) != random_texts(QUESTIONS, 5, 2)


def test_a_place_without_words_stays_empty_and_the_next_keeps_its_own():
    bare = [replace(question.with_content("", "Who was it?")) for question in QUESTIONS]
    assert {text[0] for text in random_texts(bare, 4, seed=0)} == {""}
    assert all(set(text[1].split()) <= {"who", "was", "it?", "."} for text in random_texts(bare, 4, seed=0))


def test_only_development_items_are_drawn_from(toy_task):
    task = toy_task(clusters=4, instructions=2)
    development = replace(task, items=tuple(item for item in task.items if item.cluster.endswith(("/0", "/1"))))
    record = fitted(None, development).record
    drawn = {word for text in record["texts"] for place in text for word in place.split()} - {"."}
    words = {word.lower() for item in development.items for word in f"{item.context} {item.question}".split()}
    assert len(record["texts"]) == 20 and drawn <= words
    assert drawn < {word.lower() for item in task.items for word in item.context.split() + item.question.split()}


def test_the_prior_is_the_mean_probability_over_the_texts(tiny, toy_task):
    """Every answer, computed another way: p over the mean of p with random words in place of context and question."""
    task = toy_task(clusters=2)
    method = fitted(tiny, task, texts=3)
    questions = task.questions()
    found = ask(method, tiny, questions)
    for question, answer in zip(questions, found, strict=True):
        forms = []
        for context, asked in method.record["texts"]:
            (begins, ends), (starts, stops) = question.content
            text = question.text[:begins] + context + question.text[ends:starts] + asked + question.text[stops:]
            forms.append(Question(text, question.options))
        values = [one.log_likelihoods for _, one in sorted(next(tiny([question])))]
        values += [one.log_likelihoods for _, one in sorted(pair for batch in tiny(forms) for pair in batch)]
        given, *priors = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)
        divided = given / np.mean(priors, axis=0)
        assert np.exp(answer.log_likelihoods) == pytest.approx(divided / divided.sum(), abs=1e-4)


def test_forms_that_are_alike_are_asked_once(toy_task):
    made = Made(lambda question: Answer((-1.0,) * 3, (1,) * 3))
    task = toy_task(clusters=1, instructions=1)  # four items, three orders of the options
    ask(fitted(made, task, texts=5), made, task.questions())
    orders = {item.options for item in task.items}
    assert len(made.asked) == len(task.items) + 5 * len(orders) and len(orders) == 3


def test_whole_texts_are_answered_as_they_are(toy_task):
    made = Made(lambda question: Answer((-1.0, -3.0), (1, 1)))
    question = Question(None, ("One text.", "Another text."))
    assert ask(fitted(made, toy_task()), made, [question]) == [Answer((-1.0, -3.0), (1, 1))]
    assert made.asked == [question]


def test_items_without_prompts_and_generated_answers_are_refused_before_anything_is_asked(toy_task):
    method, task = DomainContextCalibration(DomainContextCalibration.Settings()), toy_task(clusters=1)
    assert method.expected_questions(task) == 0
    whole = replace(task, form=lambda instruction, item: Question(None, item.options))
    with pytest.raises(SettingsError, match="'toy:age' has no prompts; fit it on a task that is asked with an instr"):
        method.expected_questions(whole)
    with pytest.raises(SettingsError, match="needs the options' probabilities"):
        method.expected_questions(task.with_answer_rule("generation"))


def test_beside_others_on_a_model(tiny, toy_task):
    outcome = compare(tiny, toy_task(), "cc,dc", also="none", replicates=50, dc={"texts": 4})
    (answers,) = outcome.answers.values()
    assert outcome.results.costs["dc"]["questions_per_answer"] == 5
    assert np.isfinite(answers["dc"].log_likelihoods).all()
    assert (answers["dc"].log_likelihoods != answers["cc"].log_likelihoods).any()
