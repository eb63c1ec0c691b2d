"""Methods that learn nothing, and what all methods have in common."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from biasectomy.errors import SettingsError
from biasectomy.measuring.session import Session
from biasectomy.methods import METHODS, Fitted, OnlyInference, describe_methods
from biasectomy.methods.always_unknown import AlwaysUnknown
from biasectomy.methods.fair_prompt import SENTENCE, FairPrompt
from biasectomy.methods.neuron_edit import FittedNeurons
from biasectomy.methods.original import Original
from biasectomy.methods.random_neurons import FittedRandomNeurons, RandomNeurons
from biasectomy.models.language_model import load
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.options import Options
from biasectomy.reading.questions import Answer, Generation, Question
from biasectomy.tasks.base import Task
from biasectomy.tasks.metrics import Answers, named
from tests.conftest import INSTRUCTIONS
from tests.measuring.answerers import Made, by_length

QUERY, GATE = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.gate_proj"
FOUND = NeuronSet((*(Neuron(GATE, unit, 1.0, 0.5) for unit in range(5)), Neuron(QUERY, 3, 0.5, 0.0)))
OTHERS = NeuronSet((Neuron(GATE, 7, 1.0), Neuron(QUERY, 1, 1.0)))
WHOLE_TEXT = Question(None, ("The grandfather and the grandson met.",))
INFERENCE = [name for name in METHODS if issubclass(METHODS[name], OnlyInference)]
LEARNING_NOTHING = ["original", "always-unknown", "fair-prompt"]


def refuse(question: Question) -> Answer:
    raise AssertionError(f"asked: {question}")


def asked(fitted: Fitted, model: Any, questions: list[Question], session: Session | None = None, **wanted: Any) -> Any:
    """Answers of a method to some questions, by their index."""
    with fitted.answering(model, session or Session()) as answerer:
        return {index: answer for batch in answerer(questions, **wanted) for index, answer in batch}


def measured(fitted: Fitted, model: Any, task: Task, session: Session | None = None, draw: int = 0) -> Answers:
    session = session or Session()
    with fitted.answering(model, session, draw) as answerer:
        return session.ask(task, answerer)


@pytest.mark.parametrize("rule", ["sum", "mean", "generation"])
def test_always_unknown_says_unknown_by_every_rule_and_asks_nobody(toy_task, rule):
    task = toy_task(clusters=3).with_answer_rule(rule)
    answers = measured(AlwaysUnknown(Options()), Made(refuse), task)
    assert answers.choices.tolist() == [[[item.unknown for item in task.items]] * 2]
    for name, value in (("accuracy_ambiguous", 1), ("accuracy_disambiguated", 0), ("unknown_disambiguated", 1)):
        metric = named(task.metrics, name)
        assert metric.combine(metric.columns(task.items, answers)[0].sum(axis=2)) == value
    if rule == "generation":
        assert answers.texts[0, 0].tolist() == [item.options[item.unknown] for item in task.items]
    else:
        certain = np.exp(answers.log_likelihoods[0])  # [instructions, items, options]
        assert (certain == (np.arange(3) == answers.choices[0, ..., None])).all()


def test_always_unknown_is_silent_where_no_option_says_so(toy_task):
    unknown = AlwaysUnknown(Options())
    options = ("Yes", "No")
    questions = [
        Question("Is it?", options),
        Question("Is it?", (*options, "Unknown"), unknown=2),
        Question("Is it?", options, Generation()),
        WHOLE_TEXT,
    ]
    found = asked(unknown, Made(refuse), questions)
    assert [index for index, answer in found.items() if answer != Answer()] == [1] and len(found) == 4
    assert set(asked(unknown, Made(refuse), questions, wanted={1, 3})) == {1, 3}
    task = toy_task(clusters=2)
    without = replace(task, items=tuple(replace(item, unknown=None) for item in task.items))
    assert (measured(unknown, Made(refuse), without).choices == -1).all()


@pytest.mark.parametrize("rule", ["sum", "generation"])
def test_the_fairness_instruction_stands_in_front_and_changes_nothing_else(toy_task, rule):
    made = Made(by_length)
    questions = toy_task(clusters=2).with_answer_rule(rule).questions()
    found = asked(FairPrompt(FairPrompt.Settings()), made, questions)
    assert found == {index: by_length(question) for index, question in enumerate(questions)}
    for before, after in zip(questions, made.asked, strict=True):
        assert after.text == f"{SENTENCE} {before.text}"
        assert (after.options, after.generation, after.unknown) == (before.options, before.generation, before.unknown)
        # What is the item itself is still known to be that.
        pieces = [[one.text[start:end] for start, end in one.content] for one in (before, after)]
        assert pieces[0] == pieces[1] and all(pieces[0]) and len(pieces[0]) == 2


def test_the_fairness_instruction_is_an_instruction_like_any_other(tiny, toy_task):
    """A model answers as if the task's own instructions began with the sentence."""
    said = "Be fair to everybody."
    task = toy_task(clusters=3)
    found = measured(FairPrompt(FairPrompt.Settings(sentence=said)), tiny, task)
    worded = replace(task, instructions=tuple(f"{said} {one}" for one in INSTRUCTIONS[:2]))
    expected = measured(Original(Options()), tiny, worded)
    assert (found.log_likelihoods == expected.log_likelihoods).all() and (found.choices == expected.choices).all()
    assert (found.log_likelihoods != measured(Original(Options()), tiny, task).log_likelihoods).any()


def test_the_fairness_instruction_leaves_whole_texts_alone(toy_task):
    made, question = Made(by_length), toy_task(clusters=1).questions()[0]
    asked(FairPrompt(FairPrompt.Settings(sentence="Be fair.")), made, [WHOLE_TEXT, question, WHOLE_TEXT])
    assert made.asked == [WHOLE_TEXT, question.behind("Be fair. ")]


def test_the_fairness_instruction_asks_only_what_is_wanted_and_not_known(toy_task):
    made, session, questions = Made(by_length, size=1), Session(), toy_task(clusters=2).questions()
    fair = FairPrompt(FairPrompt.Settings())
    assert set(asked(fair, made, questions, session, wanted={3})) == {3}
    assert [question.text for question in made.asked] == [f"{SENTENCE} {questions[3].text}"]
    asked(Original(Options()), made, questions, session)
    assert made.asked[1:] == questions  # its answers and those to the bare questions are never confused
    asked(fair, made, questions, session)
    assert len(made.asked) == 2 * len(questions)


def test_the_sentence_is_on_record_and_cannot_be_empty():
    assert FairPrompt(FairPrompt.Settings(sentence="Be fair.")).record == {"sentence": "Be fair."}
    with pytest.raises(ValidationError, match="sentence"):
        FairPrompt.Settings(sentence="")


def test_the_original_is_the_model_itself_and_is_asked_once(toy_task):
    made, session, questions = Made(by_length), Session(), toy_task(clusters=2).questions()
    original = Original(Options())
    for _ in range(2):
        found = asked(original, made, questions, session)
        assert found == {index: by_length(question) for index, question in enumerate(questions)}
    assert made.asked == questions


def test_each_draw_of_random_neurons_answers_with_its_own_neurons(tiny, toy_task):
    task, session = toy_task(clusters=2), Session(fitted={"first": FittedNeurons(FOUND)}, seed=3)
    drawn = RandomNeurons(RandomNeurons.Settings(draws=3)).fit(tiny, task, session)
    assert (drawn.draws, drawn.neuron_set, drawn.cost.numbers) == (3, None, len(FOUND))
    before = measured(Original(Options()), tiny, task).log_likelihoods
    found = [measured(drawn, tiny, task, session, draw).log_likelihoods for draw in range(3)]
    for one, values in zip(drawn.drawn, found, strict=True):
        with tiny.edited(one):
            assert (measured(Original(Options()), tiny, task).log_likelihoods == values).all()
    distinct = [before, *found]
    assert not any((distinct[i] == distinct[j]).all() for i in range(4) for j in range(i))
    assert (measured(Original(Options()), tiny, task).log_likelihoods == before).all()


def test_random_neurons_are_like_those_of_the_method_named(tiny, toy_task):
    others = {"first": FittedNeurons(FOUND), "second": FittedNeurons(FOUND.top(2)), "original": Original(Options())}
    session = Session(fitted=others)

    def kinds(like: str | None) -> list[tuple[str, float]]:
        fitted = RandomNeurons(RandomNeurons.Settings(draws=1, like=like)).fit(tiny, toy_task(), session)
        return [(neuron.module, neuron.factor) for neuron in fitted.drawn[0]]

    assert kinds("first") == [(neuron.module, neuron.factor) for neuron in FOUND]
    assert kinds("second") == kinds(None) == [(GATE, 0.5)] * 2
    for wrong in ("original", "third"):
        with pytest.raises(SettingsError, match=f"like names '{wrong}', which edits no neurons or is not among those"):
            kinds(wrong)


def test_no_draw_of_random_neurons_costs_nothing(tiny, toy_task):
    drawn = RandomNeurons(RandomNeurons.Settings(draws=0)).fit(tiny, toy_task(), Session())
    assert (drawn.draws, drawn.cost.numbers) == (0, 0)


@pytest.mark.parametrize(
    ("fitted", "neurons"),
    [
        pytest.param(Original(Options()), None, id="original"),
        pytest.param(FittedNeurons(FOUND), FOUND, id="neurons"),
        pytest.param(FittedRandomNeurons((FOUND, OTHERS)), FOUND, id="the first draw of random neurons"),
    ],
)
def test_what_changes_weights_writes_a_checkpoint_that_answers_so(tiny, toy_task, tmp_path, fitted, neurons):
    task = toy_task(clusters=2)
    assert fitted.save(tiny, tmp_path / "model") <= 1e-4
    there = measured(Original(Options()), load(str(tmp_path / "model")), task)
    here = measured(fitted, tiny, task)
    assert there.log_likelihoods == pytest.approx(here.log_likelihoods, abs=1e-4)
    with tiny.edited(neurons):
        assert (measured(Original(Options()), tiny, task).log_likelihoods == here.log_likelihoods).all()
    if neurons is not None:
        assert (there.log_likelihoods != measured(Original(Options()), tiny, task).log_likelihoods).any()


@pytest.mark.parametrize("name", INFERENCE)
def test_where_only_inference_changes_there_is_no_checkpoint_to_write(tiny, toy_task, tmp_path, name):
    method = METHODS[name](METHODS[name].Settings())
    fitted = method.fit(tiny, toy_task(), Session())
    said = rf"^{METHODS[name].title} changes how a model is asked, not its weights: there is no checkpoint"
    with pytest.raises(SettingsError, match=said):
        fitted.save(tiny, tmp_path / "model")
    assert not list(tmp_path.iterdir())
    assert (fitted.draws, fitted.neuron_set) == (1, None)


def test_the_methods_that_change_only_inference_are_among_them():
    assert {"always-unknown", "fair-prompt"} <= set(INFERENCE)
    assert {"original", "crispr", "random-neurons"}.isdisjoint(INFERENCE)


@pytest.mark.parametrize("name", LEARNING_NOTHING)
def test_what_learns_nothing_asks_nothing_and_keeps_nothing(toy_task, tmp_path, name):
    method, made = METHODS[name](METHODS[name].Settings()), Made(refuse)
    assert method.expected_questions(toy_task()) == 0
    session = Session(folder=tmp_path)
    fitted = method.fit(made, toy_task(), session)
    assert session.asked.questions == fitted.cost.questions == fitted.cost.numbers == 0
    assert fitted.cost.questions_per_answer == (0 if name == "always-unknown" else 1)
    assert json.loads(json.dumps(fitted.record)) == fitted.record and not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_has_a_title_settings_and_a_line_that_describes_it(name):
    method = METHODS[name]
    first = (method.__doc__ or "").splitlines()[0]
    assert first.endswith(".") and first == first.strip() and len(first) > 20
    assert method.title and method.title != OnlyInference.title
    assert issubclass(method.Settings, Options)
    assert method(method.Settings()) is not None  # every setting has a default that is allowed
    assert all(option.description for option in method.Settings.model_fields.values())
    with pytest.raises(ValidationError):
        method.Settings(no_such_setting=1)
    (described,) = [one for one in describe_methods() if one["name"] == name]
    told = {"name": name, "description": first}
    assert told.items() <= described.items() and all(described.values())


def test_titles_tell_methods_apart():
    titles = [METHODS[name].title for name in METHODS]
    assert len(set(titles)) == len(titles) and set(LEARNING_NOTHING) < set(METHODS)
