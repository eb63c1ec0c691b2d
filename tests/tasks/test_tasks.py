"""Names of tasks, limits, splits and joins."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.errors import DataError, SettingsError, UnknownNameError
from biasectomy.tasks import TASKS, Item, Task, describe_tasks, join, load_task, load_tasks, parse_names, split
from biasectomy.tasks.ambiguity import LABEL_TYPE, SPREAD, labels
from biasectomy.tasks.metrics import Goal
from biasectomy.tasks.multiple_choice import LIKELIHOOD_OR_TEXT, accuracy, listed


def made_task(templates: dict[str, int], name: str = "bbq:age", label_types: tuple[str, ...] = ("label",)) -> Task:
    """A task with so many items a template, conditions and polarities alternating."""
    items = [
        Item(
            identifier=f"{name}/{template}-{number}",
            cluster=f"{name}/{template}",
            task=name,
            context="context",
            question="question",
            options=("a", "b", "c"),
            gold=0,
            labels=labels(
                ("ambiguous", "disambiguated")[number % 2],
                ("negative", "non-negative")[number // 2 % 2],
                label_types[place % len(label_types)],
            ),
        )
        for place, (template, count) in enumerate(templates.items())
        for number in range(count)
    ]
    wordings = tuple(f"Do {number}." for number in range(5))
    return Task(
        name, tuple(items), wordings, (accuracy(),), "1", listed, {"accuracy": Goal("accuracy")},
        LIKELIHOOD_OR_TEXT, spread=SPREAD, alike=LABEL_TYPE,
    )  # fmt: skip


# Names


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("bbq:age", "age"),
        ("BBQ:Age", "age"),
        ("bbq:SES", "ses"),
        ("bbq:age,ses", "age,ses"),
        ("bbq:age, bbq:SES", "age,ses"),
        ("bbq:age,Age", "age"),
        ("bbq:Disability_status", "disability"),
        ("bbq:gender_identity", "gender"),
        ("bbq:Race-ethnicity", "race"),
        ("bbq:race_x_ses", "race_x_ses"),
        ("bbq:Race_x_gender", "race_x_gender"),
        ("bbq:physical appearance", "appearance"),
        ("bbq:sexual_orientation", "orientation"),
        ("bbq:all", ",".join(sorted(TASKS["bbq"].rows))),
    ],
)
def test_usual_names(name: str, members: str) -> None:
    assert parse_names(name) == {"bbq": members.split(",")}


def test_a_task_is_named_by_its_members_or_as_all_of_its_family() -> None:
    assert load_task("organism:bias,fair").name == "organism:bias,fair"
    assert load_task("organism:all").name == "organism:all"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("bbq:agee", "bbq:age"), ("bbq:religoin", "bbq:religion"), ("bqq:age", "bbq:age"), ("age", "bbq:age")],
)
def test_unknown_names_get_a_suggestion(name: str, suggestion: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        load_task(name)
    assert caught.value.suggestion == suggestion


def test_names_that_are_not_whole() -> None:
    with pytest.raises(SettingsError, match=r"'bbq' is a family of tasks.*age, appearance, disability"):
        load_task("bbq")
    for name in ("", "bbq:", "bbq:age,", "bbq:age,,ses"):
        with pytest.raises(SettingsError, match="has an empty part"):
            load_task(name)


def test_described_tasks_are_the_eleven_categories() -> None:
    tasks = [task for task in describe_tasks() if task.name.startswith("bbq:")]
    assert len(tasks) == 11
    assert sum(task.rows for task in tasks) == 58_492
    assert all(task.licence == "CC-BY-4.0" and task.citation and task.source for task in tasks)


# Limits, joins, splits

task_shapes = st.dictionaries(st.sampled_from([f"{number}" for number in range(12)]), st.integers(1, 12), min_size=1)


@settings(max_examples=80, deadline=None)
@given(task_shapes, task_shapes, st.integers(1, 60), st.integers(0, 3))
def test_limited_is_an_even_nested_subset_in_order(
    one: dict[str, int], two: dict[str, int], limit: int, seed: int
) -> None:
    task = join([made_task(one), made_task(two, "bbq:ses")])
    some = task.limited(limit, seed=seed)
    assert len(some.items) == min(limit, len(task.items))
    assert [item for item in task.items if item.identifier in identifiers(some)] == list(some.items)
    assert identifiers(some) <= identifiers(task.limited(limit + 1, seed=seed))
    counts = Counter(item.task for item in some.items)
    smallest = min(len(part.items) for part in task.parts())
    assert max(counts.values()) - min(counts["bbq:age"], counts["bbq:ses"]) <= 1 or min(counts.values()) == smallest
    for part, sizes in (("bbq:age", one), ("bbq:ses", two)):
        taken = Counter(item.cluster for item in some.items if item.task == part)
        full = {f"{part}/{template}": count for template, count in sizes.items()}
        assert all(taken[cluster] >= min(count, max(taken.values(), default=0) - 1) for cluster, count in full.items())


def identifiers(task: Task) -> set[str]:
    return {item.identifier for item in task.items}


@pytest.mark.parametrize("limit", [10, 20, 25, 40, 50, 75])
def test_limited_keeps_conditions_and_polarities_balanced(limit: int) -> None:
    some = made_task({f"{number}": 40 for number in range(25)}).limited(limit, seed=3)
    cells = Counter((item.labels["condition"], item.labels["polarity"]) for item in some.items)
    assert max(cells.values()) - min(cells.values()) <= 1
    assert len({item.cluster for item in some.items}) == min(limit, 25)


def test_limited_alternates_conditions_and_then_cells_within_each_template() -> None:
    task = made_task({f"{number}": 40 for number in range(25)})
    for limit, key in (
        (50, lambda item: item.labels["condition"]),
        (100, lambda item: (item.labels["condition"], item.labels["polarity"])),
    ):
        counts = Counter((item.cluster, key(item)) for item in task.limited(limit, seed=3).items)
        assert set(counts.values()) == {1}, limit


def test_limited_instructions_and_what_is_refused() -> None:
    task = made_task({"1": 4})
    assert task.limited().checksum() == task.checksum()
    assert task.limited(None, 2).instructions == task.instructions[:2]
    assert task.limited(99, 99).checksum() == task.checksum()
    with pytest.raises(SettingsError, match="At least 1 of the items"):
        task.limited(0)
    with pytest.raises(SettingsError, match="At least 1 of the instructions"):
        task.limited(None, 0)


def test_limited_differs_by_seed_only() -> None:
    task = made_task({f"{number}": 40 for number in range(25)})
    assert task.limited(30, seed=1).items == task.limited(30, seed=1).items
    assert task.limited(30, seed=1).items != task.limited(30, seed=2).items


def test_checksum_sees_every_part_of_what_is_asked() -> None:
    task = made_task({"1": 4})
    changed = [
        dataclasses.replace(task, instructions=task.instructions[::-1]),
        dataclasses.replace(task, items=task.items[::-1]),
        *(
            dataclasses.replace(task, items=(dataclasses.replace(task.items[0], **change), *task.items[1:]))
            for change in ({"context": "x"}, {"gold": 1}, {"target": 1}, {"options": ("a", "b", "x")})
        ),
    ]
    assert len({task.checksum(), *(other.checksum() for other in changed)}) == 7
    assert task.checksum() == dataclasses.replace(task, name="x", sources=({"file": "y"},)).checksum()


def test_join_and_parts() -> None:
    one, two = made_task({"1": 2}), made_task({"1": 3}, "bbq:ses")
    both = join([one, two])
    assert (both.name, len(both.items), len(both.metrics)) == ("bbq:age,ses", 5, 1)
    assert [(part.name, part.items) for part in both.parts()] == [(one.name, one.items), (two.name, two.items)]
    assert join([one]) is one and one.parts() == (one,)


def test_parts_of_a_joined_task_keep_the_metrics_they_came_with() -> None:
    """Such as those by label type, which only some categories have."""
    one, two = made_task({"t": 2}), made_task({"t": 2}, "bbq:ses")
    joined = join([one, dataclasses.replace(two, metrics=(accuracy(), accuracy("other")))])
    assert [metric.name for metric in joined.metrics] == ["accuracy", "other"]
    assert [[metric.name for metric in part.metrics] for part in joined.parts()] == [
        ["accuracy"],
        ["accuracy", "other"],
    ]


def test_joins_that_make_no_sense_are_refused() -> None:
    one, other = made_task({"1": 2}), made_task({"1": 2}, "crows:gender")
    assert join([one, other]).name == "bbq:age,crows:gender"
    with pytest.raises(SettingsError, match="different instructions"):
        join([one, dataclasses.replace(other, instructions=("x",))])


def test_tasks_of_several_families_are_several_tasks() -> None:
    several = "organism:bias,fair,perplexity:packaged"
    assert [task.name for task in load_tasks(several)] == ["organism:bias,fair", "perplexity:packaged"]
    with pytest.raises(SettingsError, match="names several tasks with metrics of their own"):
        load_task(several)


def test_goals_and_answer_rules_are_the_tasks_own() -> None:
    task = made_task({"1": 2})
    assert task.goal() == task.goal("accuracy") == Goal("accuracy")
    with pytest.raises(UnknownNameError, match="no objective of bbq:age named 'acuracy'; did you mean 'accuracy'"):
        task.goal("acuracy")
    with pytest.raises(SettingsError, match="'bbq:age' sets no goal"):
        dataclasses.replace(task, goals={}).goal()
    assert task.with_answer_rule("mean").answer_rule == "mean" and task.with_answer_rule(None) is task
    with pytest.raises(UnknownNameError, match="did you mean 'generation'"):
        task.with_answer_rule("generate")


def test_the_same_goal_is_announced_searched_and_judged_for_every_member_of_a_family() -> None:
    """`organism:skill` has no ambiguous items, so its goal is another than that of its siblings."""
    goals = {member: load_task(f"organism:{member}").goal() for member in ("skill", "bias")}
    for member, goal in goals.items():
        names = {metric.name for metric in load_task(f"organism:{member}").metrics}
        assert {goal.metric, *goal.guards} <= names
    assert goals["skill"].metric == "accuracy" != goals["bias"].metric


@settings(max_examples=60, deadline=None)
@given(
    st.integers(3, 30),
    st.floats(0.01, 0.99),
    st.integers(0, 5),
    st.sampled_from([("label",), ("label", "name")]),
)
def test_template_split_keeps_templates_whole(templates: int, share: float, seed: int, types: tuple[str, ...]) -> None:
    tasks = [made_task({f"{n}": 1 + n % 5 for n in range(templates)}, name, types) for name in ("bbq:age", "bbq:ses")]
    task = join(tasks)
    sides = split(task, "template", share, seed)
    assert sorted(item.identifier for side in (sides.development, sides.test) for item in side.items) == sorted(
        item.identifier for item in task.items
    )
    for name in ("bbq:age", "bbq:ses"):
        development, test = (
            {item.cluster for item in side.items if item.task == name} for side in (sides.development, sides.test)
        )
        assert not development & test
        assert len(development) >= 1 and len(test) >= 2
        expected = min(max(1.0, share * templates), templates - 2)
        assert abs(len(development) - expected) <= len(types)
    assert sides == split(task, "template", share, seed)


def test_template_split_shares_out_names_and_labels_alike() -> None:
    task = made_task({f"{number}": 4 for number in range(50)}, label_types=("label", "name"))
    sides = split(task, "template", 0.3, 1)
    clusters = {item.cluster: item.labels["label_type"] for item in sides.development.items}
    assert Counter(clusters.values()) in ({"label": 8, "name": 8}, {"label": 7, "name": 7})


def test_template_split_says_what_would_be_enough() -> None:
    task = join([made_task({f"{number}": 4 for number in range(9)}), made_task({"1": 40, "2": 2}, "bbq:ses")])
    with pytest.raises(DataError, match=r"'bbq:ses' has 42 items from 2 templates.*at least 3 templates are needed"):
        split(task)


def test_random_split_is_by_item_within_each_condition() -> None:
    task = join([made_task({"1": 40, "2": 60}), made_task({"1": 20}, "bbq:ses")])
    sides = split(task, "random", 0.1)
    for name, expected in (("bbq:age", 5), ("bbq:ses", 1)):
        found = Counter(item.labels["condition"] for item in sides.development.items if item.task == name)
        assert found == {"ambiguous": expected, "disambiguated": expected}
    assert len(sides.test.items) == 120 - 12
    assert {item.cluster for item in sides.development.items} & {item.cluster for item in sides.test.items}
    with pytest.raises(DataError, match=r"'bbq:age' has 3 items, too few"):
        split(made_task({"1": 3}), "random", 0.5)


def test_split_refuses_what_it_does_not_know() -> None:
    for by, share in (("cluster", 0.3), ("template", 0.0), ("random", 1.0)):
        with pytest.raises(SettingsError, match="development share between 0 and 1"):
            split(made_task({"1": 3}), by, share)


def test_limits_and_splits_of_a_real_category(shared_data: Path) -> None:
    task = load_task("bbq:age", data_folder=shared_data)
    sides = split(task, development_share=0.3, seed=1)
    clusters = [{item.cluster for item in side.items} for side in (sides.development, sides.test)]
    assert (len(clusters[0]), len(clusters[1]), clusters[0] & clusters[1]) == (7, 17, set())
    assert not {item.context for item in sides.development.items} & {item.context for item in sides.test.items}
    some = sides.test.limited(68, 4)
    assert Counter(item.cluster for item in some.items) == dict.fromkeys(clusters[1], 4)
    assert Counter((item.labels["condition"], item.labels["polarity"]) for item in some.items) == {
        (condition, polarity): 17
        for condition in ("ambiguous", "disambiguated")
        for polarity in ("negative", "non-negative")
    }
    assert some.checksum() != sides.test.checksum() and len(some.instructions) == 4
