"""What is learned from in each step: development items, conditions in balance, the same for the same seed and step."""

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from biasectomy.tasks.base import Item, Task


@dataclass(frozen=True)
class Batches:
    """Batches of a task's items, by the number of the step; each under one instruction, so that it is read once.

    Each condition (the coarsest of the labels that samples are spread over) has as many items in a batch, to one, and
    each comes round all of its items before one comes again, cluster by cluster. Items that tell one story (contexts
    that begin alike) follow one another, in all conditions at the same time: what they share is computed once, and what
    they differ in is what is to be learned. With `variants`, rules of the task by name, about every second item is one
    that a rule made of it, where one applies.
    """

    task: Task
    size: int
    seed: int = 0
    variants: Sequence[str] = ()
    _conditions: Mapping[str, tuple[Item, ...]] = field(default_factory=dict, repr=False)
    _stories: Mapping[str, str] = field(default_factory=dict, repr=False)
    _orders: dict[tuple[str, int], list[Item]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        coarsest = self.task.spread[0] if self.task.spread else ""
        object.__setattr__(self, "_conditions", _grouped(self.task.items, lambda item: item.labels.get(coarsest, "")))
        object.__setattr__(self, "_stories", _stories(self.task.items))

    def at(self, step: int) -> tuple[str, list[Item]]:
        """The instruction and the items of a step, whichever was asked for before."""
        generator = random.Random(f"{self.seed}/{self.task.name}/{step}")
        instruction = generator.choice(self.task.instructions)
        conditions = list(self._conditions)
        places = range(step * self.size, (step + 1) * self.size)
        items = [self._item(conditions[place % len(conditions)], place // len(conditions)) for place in places]
        return instruction, [self._varied(item, generator) for item in items]

    def _item(self, condition: str, number: int) -> Item:
        """The item of a condition that comes as its so-many-th."""
        items = self._conditions[condition]
        turn, place = divmod(number, len(items))
        if (condition, turn) not in self._orders:
            self._orders[condition, turn] = _by_turns(items, self._stories, f"{self.seed}/{turn}")
        return self._orders[condition, turn][place]

    def _varied(self, item: Item, generator: random.Random) -> Item:
        if not self.variants or generator.random() < 0.5:
            return item
        rules = [self.task.variants[name] for name in generator.sample(self.variants, len(self.variants))]
        made = (rule(item, generator) for rule in rules)
        return next((one for one in made if one is not None), item)


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
