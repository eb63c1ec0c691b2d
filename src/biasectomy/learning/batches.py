"""What is learned from in each step: development items, conditions in balance, the same for the same seed and step."""

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from biasectomy.tasks.base import Item, Task

VARIED = 0.5  # of the stories


class Steps(Protocol):
    """What is learned from in each step: items of a task, under one instruction."""

    @property
    def task(self) -> Task:
        """How an item becomes a question."""

    def at(self, step: int) -> tuple[str, list[Item]]:
        """The instruction and the items of a step, whichever was asked for before."""


@dataclass(frozen=True)
class Batches:
    """Batches of a task's items, by the number of the step; each under one instruction, so that it is read once.

    Each condition (the coarsest of the labels that samples are spread over) has as many items in a batch, to one, and
    each comes round all of its items before one comes again, cluster by cluster. Items that tell one story (contexts
    that begin alike) follow one another, in all conditions at the same time: what they share is computed once, and what
    they differ in is what is to be learned. With `variants`, rules of the task by name, one is tried on about every
    second story; what it makes of an item takes the place of an item of the same condition.
    """

    task: Task
    size: int
    seed: int = 0
    variants: Sequence[str] = ()
    _conditions: Mapping[str, tuple[Item, ...]] = field(default_factory=dict, repr=False)
    _stories: Mapping[str, str] = field(default_factory=dict, repr=False)
    _orders: dict[tuple[str, int], list[Item]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_conditions", _grouped(self.task.items, self._condition))
        object.__setattr__(self, "_stories", _stories(self.task.items))

    def at(self, step: int) -> tuple[str, list[Item]]:
        """The instruction and the items of a step, whichever was asked for before."""
        seed = f"{self.seed}/{self.task.name}/{step}"
        instruction = random.Random(seed).choice(self.task.instructions)
        conditions = list(self._conditions)
        places = range(step * self.size, (step + 1) * self.size)
        items = [self._item(conditions[place % len(conditions)], place // len(conditions)) for place in places]
        return instruction, self._varied(items, seed)

    def _item(self, condition: str, number: int) -> Item:
        """The item of a condition that comes as its so-many-th."""
        items = self._conditions[condition]
        turn, place = divmod(number, len(items))
        if (condition, turn) not in self._orders:
            self._orders[condition, turn] = _by_turns(items, self._stories, f"{self.seed}/{turn}")
        return self._orders[condition, turn][place]

    def _varied(self, items: Sequence[Item], seed: str) -> list[Item]:
        found, free = list(items), list(range(len(items)))
        for item in items if self.variants else ():
            # By story: what is put in front of one of its items, for example, is in front of all of them.
            generator = random.Random(f"{seed}/{self._stories[item.identifier]}")
            rule = self.task.variants[generator.choice(self.variants)]
            made = rule(item, generator) if generator.random() < VARIED else None
            if made is not None:
                # What decides taken away, an item is of the other condition; places of a story's others come first.
                places = [place for place in free if self._condition(items[place]) == self._condition(made)]
                best = min(places, key=lambda place: self._told_apart(items[place], item), default=None)
                if best is not None:
                    found[best] = made
                    free.remove(best)
        return found

    def _told_apart(self, one: Item, other: Item) -> tuple[bool, bool]:
        return one is not other, self._stories[one.identifier] != self._stories[other.identifier]

    def _condition(self, item: Item) -> str:
        return item.labels.get(self.task.spread[0], "") if self.task.spread else ""


def _by_turns(items: Sequence[Item], stories: Mapping[str, str], seed: str) -> list[Item]:
    """All items in an order that goes round their clusters, one story of each at a time; the same in all conditions."""

    def drawn(name: str) -> float:
        return random.Random(f"{seed}/{name}").random()

    clusters = _grouped(items, lambda item: item.cluster)
    rounds = []
    for name in sorted(clusters, key=drawn):
        told = _grouped(clusters[name], lambda item: stories[item.identifier])
        rounds.append([told[story] for story in sorted(told, key=drawn)])
    return [item for some in itertools.zip_longest(*rounds) for story in some if story for item in story]


def _stories(items: Iterable[Item]) -> dict[str, str]:
    """The beginning that each item's context shares with others of its cluster, by the item's name."""
    found: dict[str, str] = {}
    for cluster, some in _grouped(items, lambda item: item.cluster).items():
        beginnings: list[str] = []
        for item in sorted(some, key=lambda item: len(item.context)):
            told = next((one for one in beginnings if item.context.startswith(one)), None)
            if told is None:
                beginnings.append(told := item.context)
            found[item.identifier] = f"{cluster}/{told}"
    return found


def _grouped(items: Iterable[Item], key: Callable[[Item], str]) -> dict[str, tuple[Item, ...]]:
    found: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        found[key(item)].append(item)
    return {name: tuple(some) for name, some in sorted(found.items())}
