"""The order in which options stand: that of the data, or turned so that the right one stands in each place alike often.

Models favour places (Zheng et al. 2024, "Large Language Models Are Not Robust Multiple Choice Selectors"), and the
orders of data files are not even: in BBQ's religion the right option of one kind of item stands first 67 times, second
31 times and last 52 times. Turned, no place is worth more than another, and accuracy by the place of the right option
shows what a model favours.
"""

import random
from dataclasses import replace

from biasectomy.tasks.base import Item, Task

ROTATE, FIXED = "rotate", "fixed"
GROUPS = "groups"  # in an item's `extra`: what each of its options is about; turned with them


def rotate_options(task: Task, seed: int = 0) -> Task:
    """The task with the options of each item turned, so that the gold one stands in each place equally often.

    Equally often, to one item, in each part of a joined task over the items that are alike in the labels of `spread`,
    and as nearly as can be within each cluster. Options keep their neighbours: the first follows the last. So what is
    turned twice is as if turned once. Items without a gold option stay as they are, and so do tasks whose order is
    fixed, as that of a scale is, or in which the model does not see the order.
    """
    if task.option_order == FIXED or not shows_order(task):
        return task
    turned = {item.identifier: item for part in task.parts() for item in _turned(part, seed)}
    items = tuple(turned.get(item.identifier, item) for item in task.items)
    return replace(task, items=items, option_order=ROTATE)


def shows_order(task: Task) -> bool:
    """Whether what a model is given changes with the order of the options."""
    item = next((item for item in task.items if len(set(item.options)) > 1), None)
    if item is None:
        return False
    backwards = replace(item, options=item.options[::-1])
    instruction = task.instructions[0]
    return task.form(instruction, item).text != task.form(instruction, backwards).text


def _turned(part: Task, seed: int) -> list[Item]:
    generator = random.Random(f"{seed}/{part.name}/options")
    items = [item for item in part.items if item.gold is not None and len(item.options) > 1]
    turn = {cluster: generator.random() for cluster in dict.fromkeys(item.cluster for item in items)}
    drawn = {item.identifier: generator.random() for item in items}

    def key(item: Item) -> tuple[object, ...]:
        labels = tuple(item.labels.get(name, "") for name in part.spread)
        return len(item.options), labels, turn[item.cluster], drawn[item.identifier]

    # One place after the other, on through all kinds of items: every stretch of items is even, and so is the whole.
    return [_with_gold_at(place, item) for place, item in enumerate(sorted(items, key=key), generator.randrange(60))]


def _with_gold_at(place: int, item: Item) -> Item:
    count = len(item.options)
    shift = (place - (item.gold or 0)) % count

    def moved(index: int | None) -> int | None:
        return None if index is None else (index + shift) % count

    extra = dict(item.extra)
    if GROUPS in extra:
        extra[GROUPS] = _rotated(extra[GROUPS], shift)
    return replace(
        item,
        options=tuple(_rotated(list(item.options), shift)),
        gold=moved(item.gold),
        target=moved(item.target),
        unknown=moved(item.unknown),
        extra=extra,
    )


def _rotated(values: list[str], shift: int) -> list[str]:
    return values[-shift:] + values[:-shift] if shift else values
