"""In which order a choice asks its questions."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from biasectomy.methods.looks import STORY, Asking, Look, looks
from biasectomy.methods.search import choose_count
from biasectomy.tasks.ambiguity import GOALS
from biasectomy.tasks.metrics import Answers


def of(task, parts):
    """Instruction and item of every question of some parts."""
    return [(one, item.identifier) for part in parts for one in part.instructions for item in part.items]


def with_instructions(task, count):
    return replace(task, instructions=tuple(f"Instruction {number}:" for number in range(count)))


@pytest.mark.parametrize("instructions", [1, 2, 3, 10])
def test_all_looks_together_ask_everything_once(toy_task, instructions):
    task = with_instructions(toy_task(clusters=6, per_cluster=8), instructions)
    planned = looks(instructions, racing=True)
    asking, asked = Asking(task, planned, seed=0), []
    for look in planned:
        items, parts = asking.next(look)
        asked += of(task, parts)
        counts = Counter(item for _, item in asked)
        assert {item.identifier for item in items} == counts.keys()
        assert len(items) == round(look.share * len(task.items)) and {*counts.values()} == {look.instructions}
    expected = [(one, item.identifier) for one in task.instructions for item in task.items]
    assert sorted(asked) == sorted(expected) and planned[-1] == Look(1.0, instructions)


def test_first_instructions_are_evenly_drawn_and_those_of_a_story_are_the_same(toy_task):
    task = with_instructions(toy_task(clusters=10, per_cluster=8), 5)
    asking = Asking(task, looks(5, racing=True), seed=0)
    begun: dict[str, str] = {}
    for share in (0.25, 0.5, 1.0):
        begun |= {item: one for one, item in of(task, asking.next(Look(share, 1))[1])}
    assert {*Counter(begun.values()).values()} == {len(task.items) // 5}
    stories = [task.items[start : start + STORY] for start in range(0, len(task.items), STORY)]
    assert all(len({begun[item.identifier] for item in story}) == 1 for story in stories)


def test_answers_stand_with_their_items(toy_task):
    """Of each question the answer is its own number, however it came to be asked."""
    task = with_instructions(toy_task(clusters=5, per_cluster=4), 4)
    planned = looks(4, racing=True)
    asking = Asking(task, planned, seed=3)
    place = {item.identifier: number for number, item in enumerate(task.items)}
    for look in planned:
        items, parts = asking.next(look)
        given = [
            Answers(
                np.array([[[4 * place[item.identifier] + task.instructions.index(one) for item in part.items]
                           for one in part.instructions]])
            )
            for part in parts
        ]  # fmt: skip
        found = asking.joined(0, given).choices
        assert found.shape == (1, look.instructions, len(items))
        assert (found // 4 == [place[item.identifier] for item in items]).all()
        assert all(len(set(column)) == look.instructions for column in found[0].T)


def chosen(task, noise):
    """A choice where an edit helps a third of the items; each answer is turned at random with a probability."""
    generator, asked = np.random.default_rng(0), Counter()
    place = {item.identifier: number for number, item in enumerate(task.items)}

    def examine(parts, count):
        found = []
        for part in parts:
            asked[count] += len(part.items) * len(part.instructions)
            kind = np.array([place[item.identifier] % 3 for item in part.items])
            shape = (1, len(part.instructions), len(part.items))
            right = (kind == 0) | ((kind == 1) & (count > 0))
            turned = generator.random(shape) < noise
            gold = np.array([item.gold for item in part.items])
            found.append(Answers(np.where(right ^ turned, gold, (gold + 1) % 3)))
        return found

    choice = choose_count(examine, task, (5,), GOALS["accuracy"])
    return choice, asked


def test_no_more_instructions_are_asked_than_narrow_intervals(toy_task):
    task = with_instructions(toy_task(clusters=12, per_cluster=8), 8)
    choice, asked = chosen(task, noise=0.0)
    assert choice.neurons == 5 and asked[0] == asked[5] == 2 * len(task.items)
    assert [one.instructions for one in choice.candidates] == [2, 2]
    noisy, asked = chosen(task, noise=0.35)
    assert asked[0] > 2 * len(task.items) and noisy.candidates[0].instructions > 2
