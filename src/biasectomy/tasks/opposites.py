"""What the biased answer of an item is compared with, and items that are asked with some of their options alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from biasectomy.reading.questions import Question
from biasectomy.tasks.base import Item, Task


def right_other(item: Item) -> int | None:
    """The place of the right answer where the biased one is another; None where there is no such pair."""
    return item.gold if None not in (item.gold, item.target) and item.gold != item.target else None


def other_side(item: Item) -> int | None:
    """The place of the other person's, group's or text's option; None where the biased answer has none.

    The right answer where that is another person or text than the biased one (further, meaningless options may stand
    beside, as in StereoSet), else the only option that is neither biased nor says that it cannot be known.
    """
    if item.target is None:
        return None
    others = [place for place in range(len(item.options)) if place not in (item.target, item.unknown)]
    if item.gold in others:
        return item.gold
    return others[0] if len(others) == 1 else None


def with_options(task: Task, items: Sequence[Item], places: Callable[[Item], Sequence[int]]) -> Task:
    """A task of some items, of which the options at some places alone are scored."""
    form, rule = task.form, "mean" if task.answer_rule == "mean" else "sum"

    def with_some(instruction: str, item: Item) -> Question:
        question = form(instruction, item)
        options = tuple(question.options[place] for place in places(item))
        return replace(question, options=options, generation=None, unknown=None)

    return replace(task, items=tuple(items), form=with_some, answer_rules=(rule,))
