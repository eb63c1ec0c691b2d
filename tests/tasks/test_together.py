"""Items that belong together are drawn as a whole."""

import dataclasses
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.errors import SettingsError
from biasectomy.tasks import Item, Task, join, split
from biasectomy.tasks.multiple_choice import accuracy, listed

# By cluster: the sizes of its groups; 0 is an item that belongs to none.
shapes = st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.integers(0, 4), min_size=1, max_size=6), min_size=1)


def made(shape: dict[str, list[int]], name: str = "toy:one", together: str = "group") -> Task:
    items = [
        Item(
            f"{name}/{cluster}-{number}-{member}",
            cluster=f"{name}/{cluster}",
            task=name,
            question="Who?",
            options=("a", "b"),
            labels={"kind": f"{number % 2}"},
            extra={"group": f"{cluster}-{number}"} if size else {},
        )
        for cluster, sizes in shape.items()
        for number, size in enumerate(sizes)
        for member in range(max(1, size))
    ]
    return Task(name, tuple(items), ("Do.",), (accuracy(),), "1", listed, spread=("kind",), together=together)


def identifiers(task: Task) -> set[str]:
    return {item.identifier for item in task.items}


def groups(task: Task) -> Counter[tuple[str, str]]:
    return Counter((item.task, str(item.extra.get("group", item.identifier))) for item in task.items)


@settings(max_examples=150, deadline=None)
@given(shapes, shapes, st.integers(1, 60), st.integers(0, 3))
def test_a_number_takes_whole_groups_and_a_larger_one_takes_them_too(one, two, limit, seed):
    task = join([made(one), made(two, "toy:two")])
    some, more = task.limited(limit, seed=seed), task.limited(limit + 1, seed=seed)
    whole = groups(task)
    assert all(count == whole[group] for group, count in groups(some).items())
    assert identifiers(some) <= identifiers(more)
    assert len(some.items) <= limit or len(groups(some)) == 1
    assert some.items and [item for item in task.items if item.identifier in identifiers(some)] == list(some.items)
    if len(some.items) < len(task.items):  # what was left out would have been too many
        assert len(some.items) + max(whole.values()) > limit


@settings(max_examples=100, deadline=None)
@given(shapes, st.integers(1, 60), st.integers(0, 3))
def test_items_that_belong_to_nothing_are_drawn_as_ever(shape, limit, seed):
    """A key that no item has, or that is each item's own, draws the same items as none does."""
    task = made(shape, together="")
    own = [dataclasses.replace(item, extra={"own": item.identifier}) for item in task.items]
    for other in (made(shape, together="nothing"), dataclasses.replace(task, items=tuple(own), together="own")):
        assert identifiers(other.limited(limit, seed=seed)) == identifiers(task.limited(limit, seed=seed))
    assert len(task.limited(limit, seed=seed).items) == min(limit, len(task.items))


def test_groups_are_spread_over_clusters_and_labels_as_items_are():
    task = made({cluster: [4] * 6 for cluster in "abcde"})
    some = task.limited(40)
    assert Counter(item.cluster for item in some.items) == {f"toy:one/{cluster}": 8 for cluster in "abcde"}
    kinds = defaultdict(set)
    for item in some.items:
        kinds[item.cluster].add(item.labels["kind"])
    assert set(map(len, kinds.values())) == {2}


def test_one_group_is_drawn_where_a_number_is_smaller_than_any():
    assert len(made({"a": [4, 4], "b": [4]}).limited(1).items) == 4
    assert len(made({"a": [4, 4], "b": [4]}).limited(7).items) == 4
    assert len(made({"a": [4, 4], "b": [4]}).limited(8).items) == 8


def test_a_joined_task_draws_its_parts_together_too():
    joined = join([made({"a": [3, 3], "b": [3]}), made({"a": [3, 3]}, "toy:two")])
    assert joined.together == "group" == joined.parts()[1].together
    assert groups(joined.limited(7)) == Counter(dict.fromkeys(groups(joined.limited(7)), 3))
    assert len({item.task for item in joined.limited(6).items}) == 2


def test_what_belongs_together_is_not_split_at_random():
    task = made({"a": [2, 2], "b": [2], "c": [3], "d": [2]})
    with pytest.raises(SettingsError, match="'toy:one' say something only together; --split template"):
        split(task, "random")
    sides = split(task)
    assert not set(groups(sides.development)) & set(groups(sides.test))
