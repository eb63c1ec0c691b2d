"""In which order the questions of a choice are asked: each item under one instruction first, under more of them later.

Answers to one item under several instructions are much alike, answers to several items are not. So the first looks are
at few items, each under one instruction, then at all of them, then under two instructions, four, and so on. Which
instructions an item begins with is drawn, evenly; items of one story have the same, so that what they share is read
once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # slow to import, and `--help` needs nothing of this
    from biasectomy.tasks.base import Item, Task
    from biasectomy.tasks.metrics import Answers

SHARES = (0.25, 0.5, 1.0)  # of the items, under one of several instructions
SHARES_OF_ONE = (0.0625, 0.125, *SHARES)  # where there is only one instruction
USUAL = 2  # instructions of every item: candidates that are dropped make up for those that need more
STORY = 4  # neighbours in a cluster, which mostly tell one story


@dataclass(frozen=True)
class Look:
    """What candidates have been asked when they are judged: a share of the items, each under so many instructions."""

    share: float
    instructions: int


def looks(instructions: int, *, racing: bool) -> list[Look]:
    """The looks at a task with so many instructions; without racing there is one, at everything."""
    if not racing:
        return [Look(1.0, instructions)]
    if instructions == 1:
        return [Look(share, 1) for share in SHARES_OF_ONE]
    more = [1 << power for power in range(1, instructions.bit_length()) if 1 << power < instructions]
    return [*(Look(share, 1) for share in SHARES), *(Look(1.0, count) for count in (*more, instructions))]


def usual_questions(candidates: int, task: "Task", *, racing: bool) -> int:
    """About how many questions it takes to choose among so many candidates."""
    instructions = len(task.instructions)
    return candidates * len(task.items) * (min(USUAL, instructions) if racing else instructions)


class Asking:
    """The parts of a task that each look asks in addition, and the answers to all parts so far.

    Args:
        task: whose questions are asked.
        planned: the looks.
        seed: of the draw of instructions.
    """

    def __init__(self, task: "Task", planned: Sequence[Look], seed: int) -> None:
        self._task, self._seed = task, seed
        self._begins = _begins(task, seed) if len(planned) > 1 else dict.fromkeys(_identifiers(task.items), 0)
        self._items: dict[int, list[Item]] = {}  # by the instruction that they begin with
        self._answers: dict[tuple[int, int], Answers] = {}  # by candidate and that instruction
        self._instructions, self._grown = 0, list[tuple[int, int]]()

    def next(self, look: Look) -> "tuple[list[Item], list[Task]]":
        """All items of a look, and what is to be asked for it, in parts; no parts where the look before had it all."""
        task, total = self._task, len(self._task.instructions)
        size = max(1, round(look.share * len(task.items)))
        some = set(_identifiers(task.limited(size, seed=self._seed).items))
        seen = set(_identifiers([item for items in self._items.values() for item in items]))
        fresh: dict[int, list[Item]] = {}
        for item in task.items:
            if item.identifier in some - seen:
                fresh.setdefault(self._begins[item.identifier], []).append(item)
        # A look has either further items or further instructions.
        axis, first = (2, 0) if fresh else (1, self._instructions)
        asked = fresh or (self._items if look.instructions > self._instructions else {})
        self._grown = [(begin, axis) for begin in asked]
        self._instructions = look.instructions
        parts = []
        for begin, items in asked.items():
            places = [(begin + place) % total for place in range(first, look.instructions)]
            parts.append(
                replace(task, items=tuple(items), instructions=tuple(task.instructions[place] for place in places))
            )
        for begin, items in fresh.items():
            self._items.setdefault(begin, []).extend(items)
        return [item for items in self._items.values() for item in items], parts

    def joined(self, candidate: int, answers: "Sequence[Answers]") -> "Answers":
        """All answers of a candidate to the items of a look, in their order, with those to its parts."""
        from biasectomy.tasks.metrics import Answers

        for (begin, axis), more in zip(self._grown, answers, strict=True):
            before = self._answers.get((candidate, begin))
            self._answers[candidate, begin] = more if before is None else Answers.joined([before, more], axis=axis)
        return Answers.joined([self._answers[candidate, begin] for begin in self._items], axis=2)


def _begins(task: "Task", seed: int) -> dict[str, int]:
    """The instruction that each item begins with, evenly over stories."""
    import numpy as np

    count, stories = dict[str, int](), dict[str, tuple[str, int]]()
    for item in task.items:
        place = count.get(item.cluster, 0)
        count[item.cluster] = place + 1
        stories[item.identifier] = (item.cluster, place // STORY)
    told = list(dict.fromkeys(stories.values()))
    drawn = np.random.default_rng(seed).permutation(len(told)) % len(task.instructions)
    begins = dict(zip(told, drawn.tolist(), strict=True))
    return {identifier: begins[story] for identifier, story in stories.items()}


def _identifiers(items: "Sequence[Item]") -> list[str]:
    return [item.identifier for item in items]
