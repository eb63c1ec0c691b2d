"""Asking a task: what is answered, in which order, by which rule, and what is written down."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from biasectomy.errors import DataError, ScoreError, UnknownNameError
from biasectomy.measuring.session import ItemLog, Session
from biasectomy.models.language_model import load
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.reading.questions import Answer, Generation, Question
from biasectomy.reading.texts import matching_option
from biasectomy.tasks.answer_rules import by_mean, by_sum
from tests.conftest import save_tiny, score_in_rows
from tests.measuring.answerers import InterruptingStore, Made, by_length

GATE = "model.layers.1.mlp.gate_proj"
EDIT = NeuronSet(tuple(Neuron(GATE, unit, 0.0) for unit in range(30)))


def ask(model, task, **settings):
    session = Session()
    return session.ask(task, session.answerer(model), **settings)


def test_the_sum_favours_short_options_and_the_mean_does_not():
    answer, options = Answer((-4.0, -3.0, -9.0), (4, 1, 4)), ("a", "b", "c")
    assert (by_sum(options, answer), by_mean(options, answer)) == (1, 0)
    equal = Answer((-2.0, -2.0), (1, 1))
    assert (by_sum(options, equal), by_mean(options, equal)) == (0, 0)
    assert (by_sum(options, Answer()), by_mean(options, Answer())) == (-1, -1)


def test_answers_stand_in_the_order_of_instructions_and_items(tiny, toy_task):
    task = toy_task(clusters=2, instructions=3)
    answers = ask(tiny, task)
    assert answers.choices.shape == (1, 3, len(task.items))
    for number, instruction in enumerate(task.instructions):
        for place, item in enumerate(task.items):
            with torch.no_grad():
                alone = score_in_rows(tiny.model, tiny.encode(task.question(instruction, item)))
            assert answers.choices[0, number, place] == np.argmax(alone.log_likelihoods)
            assert answers.log_likelihoods[0, number, place] == pytest.approx(alone.log_likelihoods, abs=1e-4)
            assert answers.tokens[0, number, place].tolist() == list(alone.tokens)
    assert len(set(answers.choices.ravel())) > 1


def test_the_rules_read_the_same_answers_differently(tiny, toy_task):
    task = toy_task(clusters=4)
    by_rule = {rule: ask(tiny, task.with_answer_rule(rule)) for rule in ("sum", "mean")}
    assert (by_rule["sum"].log_likelihoods == by_rule["mean"].log_likelihoods).all()
    assert (by_rule["sum"].choices == by_rule["sum"].log_likelihoods.argmax(-1)).all()
    assert (by_rule["mean"].choices == (by_rule["mean"].log_likelihoods / by_rule["mean"].tokens).argmax(-1)).all()
    assert (by_rule["sum"].choices != by_rule["mean"].choices).any()


def test_generated_answers_are_matched_or_counted_as_unmatched(toy_task):
    task = toy_task(clusters=3, instructions=1).with_answer_rule("generation")
    first, second = task.questions()[:2]
    texts = {first.text: task.items[0].options[2].upper() + ".", second.text: task.items[1].options[0] + " maybe"}

    def rule(question: Question) -> Answer:
        assert question.generation is not None
        return Answer(texts=(texts.get(question.text, "?"),))

    answers = ask(Made(rule), task)
    assert answers.choices.tolist() == [[[2] + [-1] * 11]]
    assert answers.texts[0, 0].tolist() == [*texts.values(), *["?"] * 10]
    (unmatched,) = [metric for metric in task.metrics_in_force() if metric.of_texts]
    values, _ = unmatched.columns(task.items, answers)
    assert unmatched.combine(values.sum(axis=2)) == pytest.approx(11 / 12)
    assert not [metric for metric in toy_task().metrics_in_force() if metric.of_texts]


def test_generation_by_a_model_gives_texts(tiny, toy_task):
    task = toy_task(clusters=2, instructions=1).with_answer_rule("generation")
    answers = ask(tiny, task)
    read = [matching_option(text, item.options) for item, text in zip(task.items, answers.texts[0, 0], strict=True)]
    assert answers.choices[0, 0].tolist() == read and all(isinstance(text, str) for text in answers.texts.flat)
    assert answers.log_likelihoods.shape == (1, 1, 8, 0)


def test_an_unknown_rule_is_answered_with_the_nearest(toy_task):
    with pytest.raises(UnknownNameError, match="did you mean 'mean'"):
        toy_task().with_answer_rule("means")


@pytest.mark.parametrize("edit", [None, EDIT], ids=["original", "edited"])
def test_batch_size_changes_no_answer_and_no_score(tiny, toy_task, edit):
    task = toy_task(clusters=4)
    found = []
    for budget in (1, 300, 5000):
        tiny.batch_tokens = budget
        with tiny.edited(edit):
            found.append(ask(tiny, task))
    for answers in found[1:]:
        assert (answers.choices == found[0].choices).all() and (answers.tokens == found[0].tokens).all()
        assert answers.log_likelihoods == pytest.approx(found[0].log_likelihoods, abs=1e-4)


def test_an_edit_lasts_as_long_as_its_questions(tiny, toy_task):
    task, session = toy_task(clusters=3), Session()
    before = session.ask(task, session.answerer(tiny))
    with tiny.edited(EDIT):
        edited = session.ask(task, session.answerer(tiny))
        assert (ask(tiny, task).log_likelihoods == edited.log_likelihoods).all()
    assert (ask(tiny, task).log_likelihoods == before.log_likelihoods).all()
    assert (before.log_likelihoods != edited.log_likelihoods).any()


def test_what_is_asked_again_is_not_computed_again_and_counts_all_the_same(toy_task):
    task, session, made = toy_task(clusters=3), Session(), Made(by_length)
    done: list[int] = []

    def advance(count: int = 1, note: str | None = None) -> None:
        done.append(count)

    first = session.ask(task, session.answerer(made), advance=advance)
    made.asked.clear()
    again = session.ask(task, session.answerer(made), advance=advance)
    assert (again.choices == first.choices).all() and not made.asked
    assert sum(done) == session.asked.questions == 2 * first.choices.size


def test_both_likelihood_rules_share_their_answers_and_new_items_are_asked(toy_task):
    session, made = Session(), Made(by_length)
    summed = session.ask(toy_task(2), session.answerer(made))
    made.asked.clear()
    averaged = session.ask(toy_task(2).with_answer_rule("mean"), session.answerer(made))
    assert not made.asked and (averaged.log_likelihoods == summed.log_likelihoods).all()
    assert (averaged.choices == ask(Made(by_length), toy_task(2).with_answer_rule("mean")).choices).all()
    session.ask(toy_task(3), session.answerer(made))
    assert {question for question in toy_task(3).questions() if "room 2" in question.text} <= set(made.asked)


@pytest.mark.parametrize("rule", ["sum", "generation"])
@pytest.mark.parametrize("at", [2, 4])
def test_an_interrupted_request_ends_in_the_same_file(tiny, toy_task, tmp_path, rule, at):
    tiny.batch_tokens = 200
    task, whole, cut = toy_task(clusters=2).with_answer_rule(rule), tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    first = Session(items=ItemLog(whole))
    first.ask(task, first.answerer(tiny), who={"method": "original"})
    store = InterruptingStore(at)
    interrupted = Session(store, items=ItemLog(cut))
    with pytest.raises(KeyboardInterrupt):
        interrupted.ask(task, interrupted.answerer(tiny), who={"method": "original"})
    done: list[int] = []
    again = Session(store, items=ItemLog(cut))
    again.ask(task, again.answerer(tiny), who={"method": "original"}, advance=done.append)
    assert cut.read_bytes() == whole.read_bytes() and sum(done) == len(task.questions()) == 16


def test_a_line_of_the_record_says_all_there_is_to_know(tiny, toy_task, tmp_path):
    task = toy_task(clusters=2)
    path = tmp_path / "items.jsonl"
    session = Session(items=ItemLog(path))
    with tiny.edited(EDIT):
        who = {"method": "crispr", "neurons": 30}
        answers = session.ask(task, session.answerer(tiny), split="test", who=who)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 16
    for place, line in enumerate(lines):
        instruction, position = divmod(place, len(task.items))
        item = task.items[position]
        assert (line["method"], line["neurons"], line["split"], line["task"]) == ("crispr", 30, "test", "toy:age")
        assert (line["instruction"], line["item"], line["gold"]) == (instruction, item.identifier, item.gold)
        assert line["log_likelihoods"] == answers.log_likelihoods[0, instruction, position].tolist()
        assert line["answer"] == answers.choices[0, instruction, position] and len(line["tokens"]) == 3
        assert max(line["log_likelihoods"]) < 0
    ItemLog(path)
    assert path.read_text() == ""  # a run that is resumed writes it anew, out of the store


@pytest.mark.parametrize("poison", [math.nan, math.inf])
@pytest.mark.parametrize("budget", [1, 5000])
def test_a_score_that_is_not_finite_names_its_item_and_no_innocent_one(toy_task, tmp_path, poison, budget):
    # Untied, so that only prompts which hold the token are harmed: those of "room 3".
    model = load(str(save_tiny(tmp_path / "untied", tie_word_embeddings=False)), batch_tokens=budget)
    (token,) = model.tokenizer("3", add_special_tokens=False)["input_ids"]
    model.model.get_input_embeddings().weight[token, 0] = poison
    task, session = toy_task(clusters=4), Session()
    with pytest.raises(ScoreError, match=r"^Item toy:age/1[2-5]: .*not finite \(nan"):
        session.ask(task, session.answerer(model))
    # None of the harmed is in the store, where a later request would be answered from it.
    harmed = [question for question in task.questions() if "room 3" in question.text]
    assert len(harmed) == 8
    for question in harmed:
        with pytest.raises(ScoreError, match="not finite"):
            list(session.answerer(model)([question]))


def test_a_question_that_cannot_be_put_into_tokens_names_its_item(tiny, toy_task):
    task = toy_task(clusters=2)
    items = (*task.items[:3], replace(task.items[3], options=("One", " ", "Two")), *task.items[4:])
    with pytest.raises(DataError, match=r"^Item toy:age/3: An option is empty"):
        ask(tiny, replace(task, items=items))


def test_tokens_that_are_asked_are_counted_and_those_of_one_question_once_a_request(tiny):
    session, question = Session(), Question("Who?", ("he", "she and I"))
    encoded = tiny.encode(question)
    size = len(encoded.prompt) + sum(map(len, encoded.options))
    list(session.answerer(tiny)([question, question]))
    assert session.asked.tokens == size
    list(session.answerer(tiny)([question]))  # out of the store
    text = Question("Go on.", generation=Generation(5))
    list(session.answerer(tiny)([text]))
    assert session.asked.tokens == 2 * size + len(tiny.encode(text).prompt) + 5
