"""Items, tasks, families of tasks, and the split of a task into development and test."""

import dataclasses
import hashlib
import itertools
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from biasectomy.errors import DataError, SettingsError
from biasectomy.registry import Registry
from biasectomy.statistics import Metric


@dataclass(frozen=True, slots=True)
class Item:
    """One multiple-choice question.

    `gold`, `target` and `unknown` are indices into `options`. `cluster` names the template: items of
    one cluster are not independent, so splits and intervals go by it.
    """

    identifier: str  # unique within everything a run may hold, such as "bbq:age/1234"
    context: str
    question: str
    options: tuple[str, ...]
    gold: int
    cluster: str  # such as "bbq:age/7"
    task: str  # the smallest task it belongs to, such as "bbq:age"
    condition: str = ""  # "ambiguous" or "disambiguated" where a task has both
    polarity: str = ""  # "negative" or "non-negative"
    target: int | None = None  # the biased answer, already flipped for polarity; None where undefined
    unknown: int | None = None  # the option that says it cannot be known
    label_type: str = "label"  # "label" or "name"
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """Items, instructions that mean the same, and the metrics that judge the answers."""

    name: str
    items: tuple[Item, ...]
    instructions: tuple[str, ...]
    metrics: tuple[Metric, ...]
    version: str
    sources: tuple[dict[str, Any], ...] = ()  # file, sha256, where from, verified
    part_metrics: Mapping[str, tuple[Metric, ...]] = field(default_factory=dict)  # of what it was joined from, by name

    def parts(self) -> tuple["Task", ...]:
        """The tasks this one was joined from, in order of appearance; itself where there is just one."""
        names = list(dict.fromkeys(item.task for item in self.items))
        if len(names) < 2:
            return (self,)
        parts = []
        for name in names:
            items = tuple(item for item in self.items if item.task == name)
            metrics = self.part_metrics.get(name, self.metrics)
            parts.append(dataclasses.replace(self, name=name, items=items, metrics=metrics, part_metrics={}))
        return tuple(parts)

    def limited(self, max_items: int | None = None, max_instructions: int | None = None, seed: int = 0) -> "Task":
        """At most so many items and instructions; None leaves a number as it is.

        Items are spread evenly over sub-tasks and, within each, over templates, conditions and polarities. A smaller
        number gives a subset of a larger one. The order of items stays; instructions are the first ones.

        Raises:
            SettingsError: a number below 1.
        """
        for limit, noun in ((max_items, "items"), (max_instructions, "instructions")):
            if limit is not None and limit < 1:
                raise SettingsError(f"At least 1 of the {noun} of '{self.name}' is needed, not {limit}.")
        items = self.items
        if max_items is not None and max_items < len(items):
            spreads = [_spread(part.items, random.Random(f"{seed}/{part.name}")) for part in self.parts()]
            turns = itertools.chain.from_iterable(itertools.zip_longest(*spreads))
            chosen = set(itertools.islice((name for name in turns if name is not None), max_items))
            items = tuple(item for item in items if item.identifier in chosen)
        return dataclasses.replace(self, items=items, instructions=self.instructions[:max_instructions])

    def without_metric(self, name: str) -> "Task":
        """The same task judged without a metric, in its parts too."""

        def others(metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
            return tuple(metric for metric in metrics if metric.name != name)

        parts = {part: others(metrics) for part, metrics in self.part_metrics.items()}
        return dataclasses.replace(self, metrics=others(self.metrics), part_metrics=parts)

    def checksum(self) -> str:
        """SHA-256 over all items and instructions, in order: equal for what a model is asked, whatever the source."""
        names = [entry.name for entry in dataclasses.fields(Item)]
        digest = hashlib.sha256(json.dumps(self.instructions).encode())
        for item in self.items:
            digest.update(b"\n" + json.dumps([getattr(item, name) for name in names], sort_keys=True).encode())
        return digest.hexdigest()


class Split(NamedTuple):
    """A task in two: choose on the development items, report on the test items."""

    development: Task
    test: Task


@dataclass(frozen=True)
class TaskFamily:
    """Tasks that share a format and metrics, such as the categories of BBQ; what a family's file registers.

    `load(members, data_folder, instructions)` returns one task for each member, in that order.
    """

    title: str
    rows: Mapping[str, int]  # by canonical member name
    aliases: Mapping[str, str]  # other usual names, in lower case with underscores, to canonical ones
    licence: str
    citation: str
    source: str
    load: Callable[[Sequence[str], Path | None, Path | None], Sequence[Task]]


TASKS: Registry[TaskFamily] = Registry("family of tasks")


def join(tasks: Sequence[Task], name: str | None = None) -> Task:
    """One task of all items; the sub-tasks stay known through `Item.task`.

    Args:
        tasks: at least one.
        name: of the joined task; by default the names, "bbq:age,ses" within one family.

    Raises:
        SettingsError: the tasks' families judge by different metrics, or instructions differ.
    """
    first = tasks[0]
    metrics: dict[str, Metric] = {}
    for task in tasks:
        other_family = _family(task) != _family(first)
        named = {metric.name: metric for metric in task.metrics}
        if other_family and set(named) != {metric.name for metric in first.metrics}:
            raise SettingsError(f"'{first.name}' and '{task.name}' have different metrics: evaluate them one by one.")
        if task.instructions != first.instructions:
            raise SettingsError(f"'{first.name}' and '{task.name}' have different instructions; one set is needed.")
        for metric in task.metrics:
            metrics.setdefault(metric.name, metric)
    if len(tasks) == 1 and name is None:
        return first
    if name is None:
        groups = itertools.groupby(tasks, key=_family)
        name = ",".join(f"{key}:" + ",".join(task.name.partition(":")[2] for task in group) for key, group in groups)
    sources = {json.dumps(source, sort_keys=True): source for task in tasks for source in task.sources}
    return Task(
        name=name,
        items=tuple(item for task in tasks for item in task.items),
        instructions=first.instructions,
        metrics=tuple(metrics.values()),
        version=",".join(dict.fromkeys(task.version for task in tasks)),
        sources=tuple(sources.values()),
        part_metrics={part.name: part.metrics for task in tasks for part in task.parts()},
    )


def split(task: Task, by: str = "template", development_share: float = 0.3, seed: int = 0) -> Split:
    """Development and test items of a task, each sub-task split on its own.

    "template" keeps all items of a cluster on one side, so that nothing seen in development returns in another
    guise, with clusters of label rows and of name rows shared out alike. "random" splits item by item within each
    condition, as the CRISPR paper does.

    Raises:
        SettingsError: an unknown way to split, or a share outside 0 to 1.
        DataError: a sub-task has too few templates or items for both sides.
    """
    if by not in ("template", "random") or not 0 < development_share < 1:
        raise SettingsError(
            "A task is split by 'template' or 'random', with a development share between 0 and 1; "
            f"found '{by}' and {development_share}."
        )
    development: set[str] = set()
    for part in task.parts():
        generator = random.Random(f"{seed}/{part.name}")
        choose = _development_templates if by == "template" else _development_items
        development |= choose(part, development_share, generator)
    sides = [tuple(item for item in task.items if (item.identifier in development) == side) for side in (True, False)]
    return Split(*(dataclasses.replace(task, items=side) for side in sides))


def _development_templates(part: Task, share: float, generator: random.Random) -> set[str]:
    """Identifiers of the items whose templates go to development: at least one template, leaving at least two."""
    types: dict[str, set[str]] = defaultdict(set)
    for item in part.items:
        types[item.cluster].add(item.label_type)
    if len(types) < 3:
        raise DataError(
            f"'{part.name}' has {len(part.items)} items from {_counted(len(types), 'template')}, too few to split by "
            "template: at least 3 templates are needed, 1 for development and 2 for test. Use more items, or split "
            "at random."
        )
    strata = _shuffled(types, lambda cluster: tuple(sorted(types[cluster])), generator)
    chosen = [cluster for stratum in strata for cluster in stratum[: round(share * len(stratum))]]
    rest = [cluster for stratum in strata for cluster in stratum if cluster not in set(chosen)]
    while not chosen or len(rest) < 2:
        giver, taker = (chosen, rest) if chosen else (rest, chosen)
        taker.append(giver.pop())
    return {item.identifier for item in part.items if item.cluster in set(chosen)}


def _development_items(part: Task, share: float, generator: random.Random) -> set[str]:
    """Identifiers of the items that go to development: in each condition at least one, leaving at least one."""
    conditions = {item.identifier: item.condition for item in part.items}
    chosen: set[str] = set()
    for stratum in _shuffled(conditions, lambda name: conditions[name], generator):
        if len(stratum) < 2:
            raise DataError(
                f"'{part.name}' has {_counted(len(part.items), 'item')}, too few to split at random: at least 2 items "
                "of each condition are needed, 1 for development and 1 for test. Use more items."
            )
        chosen.update(stratum[: min(max(1, round(share * len(stratum))), len(stratum) - 1)])
    return chosen


def _shuffled(names: Iterable[str], key: Callable[[str], Any], generator: random.Random) -> list[list[str]]:
    """Names grouped by a key (in the order of keys), each group shuffled."""
    groups: dict[Any, list[str]] = defaultdict(list)
    for name in names:
        groups[key(name)].append(name)
    for _, group in sorted(groups.items()):
        generator.shuffle(group)
    return [group for _, group in sorted(groups.items())]


def _spread(items: Sequence[Item], generator: random.Random) -> list[str]:
    """Identifiers of all items in an order of which every beginning is even over templates and conditions.

    Goes round the clusters; in each takes the condition, then the condition and polarity, that had the fewest so far,
    in this cluster first and then over all.
    """
    cells: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        cells[item.cluster][item.condition, item.polarity].append(item.identifier)
    clusters = list(cells)
    generator.shuffle(clusters)
    for cluster in clusters:
        for cell in cells[cluster].values():
            generator.shuffle(cell)
    taken: Counter[tuple[str, ...]] = Counter()
    order: list[str] = []
    while clusters:
        for cluster in clusters:
            open_cells = sorted(cell for cell, names in cells[cluster].items() if names)
            counts = {
                cell: [taken[key] for key in ((cluster, cell[0]), cell[:1], (cluster, *cell), cell)]
                for cell in open_cells
            }
            condition, polarity = min(counts, key=counts.__getitem__)
            order.append(cells[cluster][condition, polarity].pop())
            taken.update([(cluster, condition), (condition,), (cluster, condition, polarity), (condition, polarity)])
        clusters = [cluster for cluster in clusters if any(cells[cluster].values())]
    return order


def _family(task: Task) -> str:
    return task.name.partition(":")[0]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
