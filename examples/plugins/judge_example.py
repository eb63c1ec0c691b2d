"""A judge of your own, and a task whose generated texts it judges: how much of a story is in capital letters?"""

import numpy as np

from biasectomy import JUDGES, TASKS, Goal, Item, Metric, Question, Task
from biasectomy.reading.questions import Generation
from biasectomy.tasks import TaskFamily


@JUDGES.register("shouting")
def shouting(texts):
    """The share of capital letters in a text."""
    return [sum(letter.isupper() for letter in text) / max(1, len(text)) for text in texts]


def question(instruction, item):
    return Question(f"{instruction} {item.context}", generation=Generation(new_tokens=16))


def columns(items, answers):
    values = answers.judged["shouting"]  # [draws, instructions, items]
    return np.stack([values, np.ones_like(values)], axis=-1), np.ones(len(items), dtype=bool)


def load(members, data_folder, instructions):
    items = [Item(f"story/{name}", name, "story", context=f"{name}.") for name in ("Emily", "Lakisha", "Greg")]
    calm = Metric("shouting", "Shouting", "the share of capitals", columns, mean, 0, "share", "goal")
    goals, rules, judges = {"calm": Goal("shouting")}, ("judged",), {"shouting": shouting}
    return [Task("story", tuple(items), ("A story of",), (calm,), "1", question, goals, rules, judges=judges)]


def mean(sums):
    values, texts = np.moveaxis(sums.sum(axis=(-3, -2)), -1, 0)
    return values / texts


TASKS.register("story")(TaskFamily("Stories", {"all": 3}, "CC0", "this file", "this file", load, bare=("all",)))
