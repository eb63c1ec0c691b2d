"""Asking a model: what is answered, in which order, and what is never computed twice."""

import json
import math

import numpy as np
import pytest
import torch

from biasectomy import evaluation
from biasectomy.errors import ScoreError, UnknownNameError
from biasectomy.evaluation import Examiner, Subject, choose_by_mean, choose_by_sum, evaluate
from biasectomy.language_model import load
from biasectomy.likelihood import OptionScores
from biasectomy.neuron_set import Neuron, NeuronSet
from biasectomy.runs import Journal
from tests.conftest import save_tiny, score_in_rows

GATE = "model.layers.1.mlp.gate_proj"
EDITED = Subject("Edited", 30, 0, NeuronSet(tuple(Neuron(GATE, unit, 0.0) for unit in range(30))))


def records(examiner: Examiner, task, subject=evaluation.ORIGINAL) -> list[dict]:
    keys = [
        (subject.method, subject.neurons, subject.draw, item.identifier, number)
        for number in range(len(task.instructions))
        for item in task.items
    ]
    return [examiner.journal[key] for key in keys]


def refuse(*arguments):
    raise AssertionError("computed again")


def test_the_sum_favours_short_options_and_the_mean_does_not():
    scores = OptionScores((-4.0, -3.0, -9.0), (4, 1, 4))
    assert (choose_by_sum(scores), choose_by_mean(scores)) == (1, 0)
    equal = OptionScores((-2.0, -2.0), (1, 1))
    assert (choose_by_sum(equal), choose_by_mean(equal)) == (0, 0)


def test_answers_stand_in_the_order_of_instructions_and_items(tiny, toy_task):
    task = toy_task(clusters=2, instructions=3)
    answers = Examiner(tiny).answers(task)
    assert answers.shape == (3, len(task.items))
    for number, instruction in enumerate(task.instructions):
        for place, item in enumerate(task.items):
            with torch.no_grad():
                alone = score_in_rows(tiny.model, tiny.prompt_format.encode(instruction, item))
            assert answers[number, place] == np.argmax(alone.log_likelihoods)
    assert len(set(answers.ravel())) > 1


def test_the_rules_read_the_same_scores_differently(tiny, toy_task):
    task = toy_task(clusters=4)
    answers = {}
    for rule in ("sum", "mean"):
        examiner = Examiner(tiny, rule)
        answers[rule] = examiner.answers(task)
        for record in records(examiner, task):
            divisors = record["tokens"] if rule == "mean" else [1] * 3
            values = [value / by for value, by in zip(record["log_likelihoods"], divisors, strict=True)]
            assert record["answer"] == values.index(max(values))
    assert (answers["sum"] != answers["mean"]).any()


def test_generated_answers_are_matched_or_counted_as_unmatched(tiny, toy_task, monkeypatch):
    task = toy_task(clusters=3, instructions=1)
    texts = {0: task.items[0].options[2].upper() + ".", 1: task.items[1].options[0] + " maybe"}
    monkeypatch.setattr(evaluation, "generate", lambda _, batch: [texts.get(index, "?") for index in batch.indices])
    found = evaluate(tiny, task, answer_rule="generation")
    assert found.choices.tolist() == [[2] + [-1] * 11]
    row = found.results.find("Model", "unmatched")
    assert row is not None and row.value == pytest.approx(11 / 12)


def test_generation_keeps_the_text(tiny, toy_task):
    task = toy_task(clusters=2, instructions=1)
    examiner = Examiner(tiny, "generation")
    answers = examiner.answers(task)
    assert {record["answer"] for record in records(examiner, task)} == set(answers.ravel()) <= {-1, 0, 1, 2}
    assert all(isinstance(record["text"], str) for record in records(examiner, task))


def test_an_unknown_rule_is_answered_with_the_nearest(tiny):
    with pytest.raises(UnknownNameError, match="did you mean 'mean'"):
        Examiner(tiny, "means")


@pytest.mark.parametrize("subject", [evaluation.ORIGINAL, EDITED], ids=lambda subject: subject.method)
def test_batch_size_changes_no_answer_and_no_score(tiny, toy_task, subject):
    task = toy_task(clusters=4)
    found = []
    for budget in (1, 300, 5000):
        tiny.batch_tokens = budget
        examiner = Examiner(tiny)
        found.append((examiner.answers(task, subject), records(examiner, task, subject)))
    for answers, scored in found[1:]:
        assert (answers == found[0][0]).all()
        for record, other in zip(scored, found[0][1], strict=True):
            assert record["log_likelihoods"] == pytest.approx(other["log_likelihoods"], abs=1e-4)
            assert record["tokens"] == other["tokens"]


def test_a_subjects_edit_lasts_as_long_as_its_questions(tiny, toy_task):
    task = toy_task(clusters=3)
    examiner = Examiner(tiny)
    before = examiner.answers(task)
    edited = examiner.answers(task, EDITED)
    with tiny.edited(EDITED.neuron_set):
        assert (Examiner(tiny).answers(task) == edited).all()
    assert (Examiner(tiny).answers(task) == before).all()
    scores = [
        [record["log_likelihoods"] for record in records(examiner, task, one)] for one in (Subject("Original"), EDITED)
    ]
    assert scores[0] != scores[1]


def test_what_the_journal_knows_is_not_computed_again(tiny, toy_task, tmp_path, monkeypatch):
    task = toy_task(clusters=3)
    path = tmp_path / "items.jsonl"
    first = Examiner(tiny, journal=Journal(path)).answers(task)
    monkeypatch.setattr(type(tiny), "score", refuse)
    done = []
    again = Examiner(tiny, journal=Journal(path)).answers(task, advance=done.append)
    assert (again == first).all() and sum(done) == first.size
    with pytest.raises(AssertionError, match="computed again"):
        Examiner(tiny, journal=Journal(path)).answers(task, EDITED)


@pytest.mark.parametrize("rule", ["sum", "generation"])
def test_an_interrupted_request_ends_in_the_same_file(tiny, toy_task, tmp_path, rule):
    tiny.batch_tokens = 400
    task = toy_task(clusters=2)
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    Examiner(tiny, rule, Journal(whole)).answers(task)
    lines = whole.read_bytes().splitlines(keepends=True)
    for kept in (1, len(lines) - 6):
        cut.write_bytes(b"".join(lines[:kept]) + lines[kept][:20])  # killed in the middle of a line
        done = []
        Examiner(tiny, rule, Journal(cut)).answers(task, advance=done.append)
        assert cut.read_bytes() == whole.read_bytes() and sum(done) == len(lines)


def test_a_line_of_the_journal_says_all_there_is_to_know(tiny, toy_task, tmp_path):
    task = toy_task(clusters=2)
    path = tmp_path / "items.jsonl"
    Examiner(tiny, journal=Journal(path)).answers(task, EDITED, split="test")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 16
    by_item = {item.identifier: item for item in task.items}
    for line in lines:
        assert (line["method"], line["neurons"], line["draw"], line["split"]) == ("Edited", 30, 0, "test")
        assert (
            line["gold"] == by_item[line["item"]].gold and line["task"] == "toy:age" and line["instruction"] in (0, 1)
        )
        assert len(line["log_likelihoods"]) == len(line["tokens"]) == 3 and max(line["log_likelihoods"]) < 0


@pytest.mark.parametrize("poison", [math.nan, math.inf])
@pytest.mark.parametrize("budget", [1, 5000])
def test_a_score_that_is_not_finite_names_its_item_and_no_innocent_one(toy_task, tmp_path, poison, budget):
    # Untied, so that only prompts which hold the token are harmed: those of "room 3".
    model = load(str(save_tiny(tmp_path / "untied", tie_word_embeddings=False)), batch_tokens=budget)
    (token,) = model.tokenizer("3", add_special_tokens=False)["input_ids"]
    model.model.get_input_embeddings().weight[token, 0] = poison
    task = toy_task(clusters=4)
    examiner = Examiner(model)
    with pytest.raises(ScoreError, match=r"^Item toy:age/1[2-5]: .*not finite \(nan"):
        examiner.answers(task)
    assert not [
        item
        for item in task.items
        if ("Original", 0, 0, item.identifier, 0) in examiner.journal and "room 3" in item.context
    ]


def test_evaluate_and_compare(tiny, toy_task):
    task = toy_task()
    before = evaluate(tiny, task, method="Original")
    with tiny.edited(EDITED.neuron_set):
        after = evaluate(tiny, task, method="Edited", seed=1)
    gold = np.array([item.gold for item in task.items])
    row = before.results.find("Original", "accuracy")
    assert row is not None and row.value == pytest.approx((before.choices == gold).mean()) and row.low <= row.value
    compared = after.compare(before)
    change = compared.find_difference("Edited", "Original", "accuracy")
    assert change is not None
    assert change.value == pytest.approx((after.choices == gold).mean() - (before.choices == gold).mean())
    assert {row.method for row in compared.metrics} == {"Original", "Edited"} and compared.interval["seed"] == 1
    assert "accuracy" in str(before) and f"{row.value:.2f} [{row.low:.2f}" in str(before) and len(str(before)) < 2000


def test_models_of_one_name_are_compared_as_after_and_before(tiny, toy_task):
    task = toy_task()
    first = evaluate(tiny, task)
    with tiny.edited(EDITED.neuron_set):
        second = evaluate(tiny, task)
    compared = second.compare(first)
    before, after = (compared.find(name, "balanced_accuracy") for name in ("Before", "After"))
    assert before.value == first.results.find("Model", "balanced_accuracy").value
    change = compared.find_difference("After", "Before", "balanced_accuracy")
    assert change.value == pytest.approx(after.value - before.value)


def test_the_answer_rule_of_evaluate_counts(tiny, toy_task):
    task = toy_task(clusters=4)
    assert (evaluate(tiny, task, answer_rule="mean").choices == Examiner(tiny, "mean").answers(task)).all()
