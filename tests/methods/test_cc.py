"""Contextual calibration: by hand, against another way of computing it, and on a model."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from biasectomy import compare
from biasectomy.commands.settings_loading import explicit_command
from biasectomy.commands.settings_measuring import CompareSettings
from biasectomy.errors import SettingsError
from biasectomy.measuring.session import Session
from biasectomy.methods.cc import CONTENT_FREE, Calibrated, calibrated
from biasectomy.reading.questions import Answer, Generation, Question
from biasectomy.tasks.multiple_choice import listed
from tests.conftest import make_items
from tests.measuring.answerers import Made


def answer(*probabilities: float) -> Answer:
    return Answer(tuple(np.log(probabilities)), (3,) * len(probabilities))


def probabilities(given: Answer) -> list[float]:
    return np.exp(given.log_likelihoods).tolist()


def test_what_is_likely_without_content_is_divided_out() -> None:
    # 0.2, 0.1, 0.1 renormalised: 0.5, 0.25, 0.25. Without content 0.8, 0.1, 0.1. p / p_cf: 0.625, 2.5, 2.5.
    found = calibrated(answer(0.2, 0.1, 0.1), [answer(0.08, 0.01, 0.01)])
    assert probabilities(found) == pytest.approx([0.625 / 5.625, 2.5 / 5.625, 2.5 / 5.625])
    assert found.tokens == (1, 1, 1)  # so that a rule that divides by tokens reads the same


def test_priors_are_averaged_as_probabilities() -> None:
    # 0.6 and 0.2 make 0.4; averaged as logarithms they would make 0.35.
    found = calibrated(answer(0.5, 0.5), [answer(0.6, 0.4), answer(0.2, 0.8)])
    weighted = np.array([0.5 / 0.4, 0.5 / 0.6])
    assert probabilities(found) == pytest.approx(weighted / weighted.sum())


def test_probabilities_far_below_single_precision_still_compare() -> None:
    found = calibrated(Answer((-900.0, -901.0), (1, 1)), [Answer((-2000.0, -2002.0), (1, 1))])
    assert np.diff(found.log_likelihoods) == pytest.approx([1.0])


def test_every_answer_equals_softmax_of_w_p() -> None:
    """The paper's affine form, with W = diag(p_cf)^-1 and no b: the order is that of W p."""
    generator = np.random.default_rng(0)
    for _ in range(50):
        given, priors = generator.dirichlet(np.ones(4)), generator.dirichlet(np.ones(4), size=3)
        weighted = np.diag(1 / priors.mean(axis=0)) @ given
        found = calibrated(answer(*given), [answer(*row) for row in priors])
        assert probabilities(found) == pytest.approx(weighted / weighted.sum())


def by_content(question: Question) -> Answer:
    """Prefers the first option without content, and the last with it a little more than the others."""
    empty = not any(person in (question.text or "").partition("Options")[0] for person in ("grand", "teacher", "baker"))
    return answer(0.7, 0.2, 0.1) if empty else answer(0.6, 0.2, 0.2)


def ask(answerer, questions: Sequence[Question]) -> list[Answer]:
    found = {index: one for batch in answerer(questions) for index, one in batch}
    return [found[index] for index in range(len(questions))]


def test_instruction_and_options_stay_and_each_form_is_asked_once() -> None:
    made = Made(by_content)
    answerer = Session().answerer(made)
    first = replace(make_items(1, 1)[0], options=("A", "B", "C"))
    questions = [
        listed(text, item) for text in ("Answer.", "Say.") for item in (first, replace(first, question="Why?"))
    ]
    assert [int(np.argmax(one.log_likelihoods)) for one in ask(answerer, questions)] == [0] * 4
    made.asked.clear()
    answers = ask(Calibrated(answerer), questions)
    assert [int(np.argmax(one.log_likelihoods)) for one in answers] == [2] * 4  # 0.6 / 0.7 < 0.2 / 0.2 < 0.2 / 0.1
    # The two questions differ in their content only, so there are three forms for each instruction.
    assert [question.text for question in made.asked] == [
        f"{instruction}\n\nContext: {text}\nQuestion: {text}\nOptions: A, B, C"
        for instruction in ("Answer.", "Say.")
        for text in ("N/A", "[MASK]", "")
    ]


def test_whole_texts_have_no_content_of_their_own_and_stay_as_they_are() -> None:
    answerer = Session().answerer(Made(by_content))
    question = Question(None, ("One text.", "Another text.", "A third."))
    assert ask(Calibrated(answerer), [question]) == ask(answerer, [question])


def test_generated_texts_cannot_be_calibrated() -> None:
    with pytest.raises(SettingsError, match="needs the options' probabilities; use another --answer-rule"):
        list(Calibrated(Session().answerer(Made(by_content)))([Question("Go on.", generation=Generation())]))


def test_beside_others_on_a_model(tiny, toy_task) -> None:
    outcome = compare(tiny, toy_task(), "cc", also="none", replicates=50)
    (answers,) = outcome.answers.values()
    test = outcome.tasks[0]
    question = test.questions()[0]
    (given, *neutral) = ask(tiny, [question, *(question.with_content(text) for text in CONTENT_FREE)])
    expected = calibrated(given, neutral).log_likelihoods
    assert answers["cc"].log_likelihoods[0, 0, 0] == pytest.approx(expected, abs=1e-4)
    assert outcome.results.costs["cc"]["questions_per_answer"] == 4
    assert outcome.results.find_difference("cc", "original", "accuracy") is not None


def test_its_inputs_can_be_given_in_words() -> None:
    settings = CompareSettings.of(methods="cc", cc={"inputs": "N/A,nothing,"})
    assert settings.section("cc").inputs == ("N/A", "nothing", "")
    assert "--cc.inputs N/A,nothing," in explicit_command(settings)
