"""Templates that share questions are one cluster; a model without a mistake has no bias score, or it is shown."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from biasectomy.commands.opening import describe_task
from biasectomy.measuring.results import Results, figures, of_right_answers
from biasectomy.measuring.session import Session
from biasectomy.report.figures import result_tables
from biasectomy.tasks import Item, Task, load_task, split
from biasectomy.tasks.ambiguity import ambiguity_metrics
from biasectomy.tasks.bbq import CATEGORIES
from biasectomy.tasks.metrics import Answers, named
from biasectomy.tasks.twins import clustered, joined_templates


def asking(template: str, question: str, task: str = "t:a") -> Item:
    return Item(f"{template}/{question}", template, task, question=question, options=("a", "b"))


def test_templates_that_share_a_question_are_one_cluster_also_by_way_of_a_third() -> None:
    items = [
        asking("1", "Who?"),
        asking("2", "Where?"),
        asking("3", "who? "),
        asking("3", "When?"),
        asking("4", "When?"),
    ]
    found = clustered(items)
    assert [item.cluster for item in found] == ["1", "2", "1", "1", "1"]
    assert joined_templates(found) == [["1", "3", "4"]]
    assert joined_templates(items) == []


def questions(task: Task) -> set[str]:
    return {" ".join(item.question.casefold().split()) for item in task.items}


@pytest.mark.parametrize("category", ["gender", "race", "ses", "age", "religion", "race,ses,gender,disability"])
def test_no_question_stands_on_both_sides_of_a_split(shared_data: Path, category: str) -> None:
    task = load_task(f"bbq:{category}", data_folder=shared_data)
    for seed in range(5):
        sides = split(task, development_share=0.3, seed=seed)
        assert not questions(sides.development) & questions(sides.test)
        assert 0.15 < len(sides.development.items) / len(task.items) < 0.45
    joined = describe_task(task)["joined_templates"]
    assert joined and all(len(templates) > 1 for templates in joined)
    some = task.limited(100)  # clusters are those of the whole category, however few items are used
    whole = {item.identifier: item.cluster for item in task.items}
    assert all(item.cluster == whole[item.identifier] for item in some.items)


def test_twenty_pairs_in_gender_and_sixteen_in_race_share_two_questions_or_more(shared_data: Path) -> None:
    for category, pairs in (("gender", 20), ("race", 16)):
        task = load_task(f"bbq:{category}", data_folder=shared_data)
        asked: dict[str, set[str]] = {}
        for item in task.items:
            asked.setdefault(item.extra["template"], set()).add(item.question)
        names = list(asked)
        twins = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if len(asked[a] & asked[b]) >= 2]
        assert len(twins) == pairs
        where = {item.extra["template"]: item.cluster for item in task.items}
        assert all(where[a] == where[b] for a, b in twins)


def score_of_right_answers(items: tuple[Item, ...]) -> float:
    metric = named(ambiguity_metrics(items), "bias_disambiguated")
    golds = Answers(np.array([[[item.gold for item in items]]]))
    return float(metric.combine(metric.columns(items, golds)[0].sum(axis=2)))


def test_a_sample_of_age_gives_a_model_without_a_mistake_no_bias(shared_data: Path) -> None:
    """Spread over condition and polarity alone its score has a standard deviation of 0.13 at 200 items."""
    task = load_task("bbq:age", data_folder=shared_data)
    without = replace(task, spread=task.spread[:2])
    scores = {
        name: np.std([score_of_right_answers(one.limited(200, seed=seed).items) for seed in range(20)])
        for name, one in (("spread", task), ("before", without))
    }
    assert scores["spread"] < 0.02 < 0.08 < scores["before"]


def test_what_right_answers_would_score_stands_beside_a_one_sided_figure(shared_data: Path) -> None:
    one_sided = {
        name: found
        for name in CATEGORIES
        if "_x_" not in name
        and (found := of_right_answers_of(load_task(f"bbq:{name}", data_folder=shared_data))) is not None
    }
    assert {"appearance", "disability", "ses"} >= set(one_sided) and "appearance" in one_sided
    task = load_task("bbq:appearance", data_folder=shared_data)
    golds = Answers(np.array([[[item.gold for item in task.items]]]))
    rows, _ = figures(task, "test", {"original": golds}, [], Session(replicates=20).bootstrap)
    row = Results(tuple(rows)).find("original", "bias_disambiguated")
    assert row is not None and row.of_right == pytest.approx(row.value) == pytest.approx(one_sided["appearance"])
    described = Results(tuple(rows))
    names = [name for table in result_tables(described) for name, _ in table.figures.rows]
    assert any(name.endswith(f"(all right: {row.of_right:.2f})") for name in names)
    assert sum("all right" in name for name in names) >= 1


def of_right_answers_of(task: Task) -> float | None:
    return of_right_answers(named(task.metrics, "bias_disambiguated"), task)
