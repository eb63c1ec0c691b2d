"""What lm-evaluation-harness found, as a task with answers: figures are made of it as of everything else.

The values of documents are what a judge made of answers, so a mean over documents has the library's own interval,
paired differences and coverage. What is no mean of them (a perplexity, a corpus' F1) is the harness's own value.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from biasectomy.files import without_nan
from biasectomy.measuring.harness import PLAIN, Found, HarnessTask
from biasectomy.measuring.harness_calls import NAME
from biasectomy.reading.questions import Question
from biasectomy.tasks.base import Item, Task
from biasectomy.tasks.metrics import SHARE, Answers, Booleans, Floats, Metric

MEMBER = "member"  # the label of an item that says which task of a group it is of


def task_of(one: HarnessTask, found: Sequence[Found]) -> Task:
    """A task whose items are documents, each a cluster of its own, with a metric for each figure; the first is a guard.

    Args:
        one: what was asked. The library has an `arc_easy` of its own, so the task's name is `harness:arc_easy`.
        found: of all methods and draws.
    """
    name, items = f"harness:{one.name}", []
    for member, count in one.documents.items():
        inner = f"{name}/{member}" if len(one.members) > 1 else name
        places = [f"{inner}/{document}" for document in range(count)]
        items += [Item(place, place, name, labels={MEMBER: member}) for place in places]
    figures: dict[str, dict[str, Any]] = {}
    for each in found:
        figures = each["figures"] | figures
    values = [_values(one, each) for each in found]
    metrics: list[Metric] = []
    for figure, said in figures.items():
        of_all = np.concatenate([each[_name(one, figure)] for each in values if _name(one, figure) in each])
        metrics.append(_metric(one, figure, said, of_all[~np.isnan(of_all)], guard=not metrics))
    version = f"{NAME} {one.description['version']}"
    return Task(name, tuple(items), (), tuple(metrics), version, _unasked, answer_rules=("judged",))


def answers_of(one: HarnessTask, task: Task, found: Found) -> Answers:
    """What was found of one draw; values by the metrics' names, NaN where a document has none."""
    shape, values = (1, 1, len(task.items)), _values(one, found)
    lacking = np.full(len(task.items), np.nan)
    judged = {metric.name: values.get(metric.name, lacking).reshape(shape) for metric in task.metrics}
    return Answers(np.full(shape, -1, dtype=np.int64), judged=judged)


def rows_of(one: HarnessTask, task: Task, found: Found, who: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row of `items.jsonl` for each document, without figures that are of all of them."""
    given = [answer for name in one.documents for answer in found["members"][name]["answers"]]
    means = [_name(one, figure) for figure, said in found["figures"].items() if said["mean"]]
    values = {name: of_all.tolist() for name, of_all in _values(one, found).items() if name in means}
    for place, (item, answer) in enumerate(zip(task.items, given, strict=True)):
        texts = [one for one in answer if isinstance(one, str)]
        row = {"texts": texts} if texts else {"log_likelihoods": [np.ravel(one).tolist()[0] for one in answer]}
        row |= {name: of_all[place] for name, of_all in values.items()}
        yield without_nan({**who, "split": "all", "task": task.name, "item": item.identifier} | row)


def note_of(one: HarnessTask, prompt: str) -> str:
    """How a task was asked, for the reader of its figures.

    Args:
        one: the task.
        prompt: the name of the model's prompt format.
    """
    counts = sorted(set(one.description["examples"].values()))
    examples = " to ".join(dict.fromkeys(map(str, (counts[0], counts[-1]))))
    first = f" (the first {one.limit:,}{' of each task' if len(one.members) > 1 else ''})" if one.limit else ""
    template = "with the chat template" if prompt == "chat" else "without a chat template"
    documents = f"{sum(one.documents.values()):,} documents{first}"
    return f"{NAME} {one.description['version']}, {documents}, {examples} examples, {template}"


def _metric(one: HarnessTask, figure: str, said: Mapping[str, Any], values: Floats, *, guard: bool) -> Metric:
    """The metric of a figure, of which all values are known."""
    name, label = _name(one, figure), " ".join(_metric_and_rule(figure))
    counted = said["mean"] and bool(np.isin(values, (0, 1)).all())
    best = {True: 1.0, False: 0.0}.get(said["higher"])
    if best is not None and (values.min(initial=0) < 0 or (best == 1 and values.max(initial=0) > 1)):
        best = None  # such as BLEU, which goes up to 100: how far a value is from 1 says nothing
    total = sum(one.documents.values())
    alike = said["mean"] and not said["by_size"]  # members count alike, however many documents they have
    weights = {member: total / len(one.members) / size if alike else 1.0 for member, size in one.documents.items()}

    def columns(items: Sequence[Any], answers: Answers) -> tuple[Floats, Booleans]:
        given = answers.judged[name]  # [draws, 1, documents]
        there = ~np.isnan(given)
        weight = np.where(there, [weights[item.labels[MEMBER]] for item in items], 0.0)
        return np.stack([np.where(there, given, 0) * weight, weight], axis=-1), np.ones(len(items), dtype=np.bool_)

    own = f"no interval: it is {NAME}'s own value, and no mean over documents ({said['aggregation']})"
    return Metric(
        name,
        f"{one.name}, {label} (lm-eval)",
        f"{label} on {one.name} by {NAME}",
        columns,
        _mean,
        best,
        "share" if counted else "score",
        "guard" if guard else None,
        f"{NAME} gives it no value",
        SHARE if counted else (),
        no_interval="" if said["mean"] else own,
    )


def _mean(sums: Floats) -> Floats:
    values, weights = np.moveaxis(sums.sum(axis=(-3, -2)), -1, 0)
    mean: Floats = values / weights
    return mean


def _values(one: HarnessTask, found: Found) -> dict[str, Floats]:
    """Values by metric, [documents]: NaN where a document has none. What is of all documents is the value of each."""
    values = {}
    for figure, said in found["figures"].items():
        of_all: list[float | None] = []
        for member, count in one.documents.items():
            own = found["members"][member]["values"].get(figure, [None] * count)
            of_all += own if said["mean"] or own is not None else [said["value"]] * count
        array = np.array(of_all, dtype=np.float64)
        values[_name(one, figure)] = array if said["mean"] else np.where(np.isnan(array), np.nan, said["value"])
    return values


def _metric_and_rule(figure: str) -> list[str]:
    """The metric and, where answers were filtered, by what."""
    metric, _, rule = figure.partition(",")
    return [metric] if rule == PLAIN else [metric, rule]


def _name(one: HarnessTask, figure: str) -> str:
    return f"harness_{one.name}_{','.join(_metric_and_rule(figure))}"


def _unasked(instruction: str, item: Item) -> Question:
    raise ValueError(f"{item.identifier} is asked by {NAME}")
