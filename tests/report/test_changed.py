"""Answers that changed: which way, how many, and a fair choice of them."""

import json
from collections import Counter

import pytest

from biasectomy.report.changed import changed_answers
from biasectomy.report.finished import FinishedRun
from tests.report.page_cases import CLEAR, GOAL, Asked, make_run, results_of, some_answers

RESULTS = results_of({"crispr": {GOAL: CLEAR}}, {GOAL: CLEAR})


def changed(tmp_path, answers, at_most=100, **options):
    return changed_answers(FinishedRun.read(make_run(tmp_path / "run", RESULTS, answers, **options)), at_most)


def test_directions_are_counted_as_they_are(tmp_path):
    found = changed(tmp_path, some_answers())
    expected: Counter = Counter()
    for item in range(40):
        before, after = item % 3, (item + item // 3) % 3
        gold = 2 if item % 2 == 0 else 0
        if before == after:
            continue
        expected["all"] += 1
        expected[f"{'right' if before == gold else 'wrong'} → {'right' if after == gold else 'wrong'}"] += 1
        for place, words in ((2, "“unknown”"), (1, "the stereotype")):
            if place in (before, after):
                expected[f"{'to' if after == place else 'away from'} {words}"] += 1
    assert found.changed == {"crispr": expected.pop("all")} and found.asked == {"crispr": 40}
    assert {direction: count for (_, direction), count in found.counts.items()} == expected
    assert found.directions[0] == max(expected, key=expected.__getitem__)
    assert len(found.shown) == found.changed["crispr"] and found.untold == 0


def test_few_of_many_are_spread_over_the_directions(tmp_path):
    found = changed(tmp_path, some_answers(300), at_most=12)
    first = Counter(answer.directions[0] for answer in found.shown)
    assert len(found.shown) == 12 and set(first.values()) == {4} and len(first) == 3
    assert len({answer.item for answer in found.shown}) == 12
    assert max(int(answer.item.rpartition("/")[2]) for answer in found.shown) > 150  # not the first ones


@pytest.mark.parametrize(("rule", "expected"), [("sum", (0.5, 0.3, 0.2)), ("mean", (0.321, 0.351, 0.328))])
def test_probabilities_are_of_what_the_rule_compares(tmp_path, rule, expected):
    """By the mean, log-likelihoods are divided by 1, 2 and 3 tokens: sqrt(0.3) = 0.548, cbrt(0.2) = 0.585."""
    folder = make_run(tmp_path / "run", RESULTS, some_answers())
    record = json.loads((folder / "record.json").read_text())
    record["tasks"][0]["answer_rule"] = rule
    (folder / "record.json").write_text(json.dumps(record))
    answer = changed_answers(FinishedRun.read(folder), 5).shown[0]
    total = 0.5 + 0.3**0.5 + 0.2 ** (1 / 3)
    exact = (0.5 / total, 0.3**0.5 / total, 0.2 ** (1 / 3) / total) if rule == "mean" else expected
    assert [option.before for option in answer.options] == pytest.approx(exact)
    assert sum(option.after for option in answer.options) == pytest.approx(1)


def test_what_options_are_is_marked(tmp_path):
    (answer,) = changed(tmp_path, [Asked("original", 2, 1), Asked("crispr", 2, 2)]).shown
    assert [option.marks for option in answer.options] == [(), ("stereotype",), ("right", "unknown")]
    assert answer.directions == ("wrong → right", "to “unknown”", "away from the stereotype")


def test_without_what_was_asked_only_right_and_wrong_are_known(tmp_path):
    found = changed(tmp_path, some_answers(), asked_about=False)
    assert set(found.directions) == {"wrong → right", "right → wrong", "wrong → wrong"}
    assert all(answer.question == "" and answer.options for answer in found.shown)


def test_of_two_texts_that_are_compared_none_is_right(tmp_path):
    folder = make_run(tmp_path / "run", RESULTS, [Asked("original", 2, 1), Asked("crispr", 2, 0)])
    pair = {"task": "bbq:age", "item": "bbq:age/2", "options": ["one", "other", "third"], "gold": 0, "target": 1}
    (folder / "questions.jsonl").write_text(json.dumps(pair) + "\n")
    (answer,) = changed_answers(FinishedRun.read(folder), 5).shown
    assert answer.directions == ("away from the stereotype",)
    assert "right" not in {mark for option in answer.options for mark in option.marks}


def test_of_options_none_of_which_is_named_another_answer_is_all_that_can_be_said(tmp_path):
    """Of three completions one is a stereotype, one its opposite and one makes no sense; none is right."""
    given = [Asked("original", 0, 0), Asked("original", 1, 0), Asked("crispr", 0, 2), Asked("crispr", 1, 1)]
    folder = make_run(tmp_path / "run", RESULTS, given)
    lines = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
    told = [line | {"gold": None, "unknown": None} for line in lines]
    (folder / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
    found = changed_answers(FinishedRun.read(folder), 5)
    assert found.counts == {("crispr", "another answer"): 1, ("crispr", "to the stereotype"): 1}
    assert [answer.directions for answer in found.shown] == [("another answer",), ("to the stereotype",)]
