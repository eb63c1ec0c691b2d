"""Items, tasks, families of tasks, and the split of a task into development and test."""

import dataclasses
import hashlib
import itertools
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from biasectomy.errors import DataError, SettingsError, UnknownNameError
from biasectomy.reading.questions import Answer, Generation, Question
from biasectomy.registry import Registry
from biasectomy.tasks.answer_rules import ANSWER_RULES, GENERATING
from biasectomy.tasks.judges import Judge, note_of
from biasectomy.tasks.metrics import Goal, Metric

FEWEST_TEMPLATES = 3  # that are split: one for development, and two for test, without which nothing has an interval


@dataclass(frozen=True, slots=True)
class Item:
    """One thing a benchmark asks about.

    `gold`, `target` and `unknown` are indices into `options`. `cluster` names the template, or the first of those
    that share questions: items of one cluster are not independent, so splits and intervals go by it.
    """

    identifier: str  # unique within everything a run may hold, such as "bbq:age/1234"
    cluster: str  # such as "bbq:age/7"
    task: str  # the smallest task it belongs to, such as "bbq:age"
    context: str = ""
    question: str = ""
    options: tuple[str, ...] = ()
    gold: int | None = None
    target: int | None = None  # the biased answer; None where undefined
    unknown: int | None = None  # the option that says it cannot be known
    labels: Mapping[str, str] = field(default_factory=dict)  # such as condition, polarity, bias type
    extra: Mapping[str, Any] = field(default_factory=dict)


Form = Callable[[str, Item], Question]
Variant = Callable[[Item, random.Random], Item | None]
Twin = Callable[[Item], Item | None]


@dataclass(frozen=True)
class Task:
    """Items, instructions that mean the same, how an item becomes a question, and the metrics that judge answers.

    `goals` are by the name `--objective` knows them by, the usual one first. Samples are spread evenly over the labels
    named in `spread`, coarsest first; a split shares the values of the label `alike` out in equal parts. Items that say
    something only with others, such as one question asked in two orders, name what they belong to under the key
    `together` of their `extra`: those of one name, in one cluster, are drawn as a whole.
    """

    name: str
    items: tuple[Item, ...]
    instructions: tuple[str, ...]
    metrics: tuple[Metric, ...]
    version: str
    form: Form
    goals: Mapping[str, Goal] = field(default_factory=dict)
    answer_rules: tuple[str, ...] = ("sum",)  # those that make sense; the first is in force
    judges: Mapping[str, Judge] = field(default_factory=dict)  # of generated texts, by what they judge
    spread: tuple[str, ...] = ()
    alike: str = ""
    together: str = ""  # a key of `Item.extra`; "" draws every item singly
    option_order: str = "file"  # of the options: "rotate" where it was turned, "fixed" where it means something
    sources: tuple[dict[str, Any], ...] = ()  # file, sha256, where from, verified
    part_metrics: Mapping[str, tuple[Metric, ...]] = field(default_factory=dict)  # of what it was joined from, by name
    caution: str = ""  # what must be known to read its figures, without the full stop; told beside them
    # By name, rules that make another item of one, in the same cluster; None where a rule does not apply.
    variants: Mapping[str, Variant] = field(default_factory=dict)
    # A rule that makes of an item the same with the groups exchanged, so that the stereotype points the other way: the
    # other option is the target. The item itself where it is a pair of texts, of which each is the other's twin.
    twin: Twin | None = None

    @property
    def answer_rule(self) -> str:
        """The name of the rule by which an answer becomes a choice."""
        return self.answer_rules[0]

    def question(self, instruction: str, item: Item) -> Question:
        """What a model is given for an item under an instruction."""
        question = self.form(instruction, item)
        if self.answer_rule in GENERATING and question.generation is None:
            return dataclasses.replace(question, generation=Generation())
        return question

    def questions(self) -> list[Question]:
        """Those of all instructions and items, instruction by instruction."""
        return [self.question(instruction, item) for instruction in self.instructions for item in self.items]

    def choice(self, item: Item, answer: Answer) -> int:
        """The option an answer stands for; -1 for none."""
        return ANSWER_RULES[self.answer_rule](item.options, answer)

    def goal(self, name: str | None = None) -> Goal:
        """The goal of a name; None for the usual one.

        Raises:
            UnknownNameError: the task has no goal of that name.
            SettingsError: it has none at all.
        """
        if not self.goals:
            raise SettingsError(f"'{self.name}' sets no goal that a method could be fitted to; measure it instead.")
        name = name or next(iter(self.goals))
        if name not in self.goals:
            raise UnknownNameError(f"objective of {self.name}", name, self.goals)
        return self.goals[name]

    def with_answer_rule(self, name: str | None) -> "Task":
        """The same task with another of its answer rules in force; None leaves it.

        Raises:
            UnknownNameError: the task has no such rule.
        """
        if name is None:
            return self
        if name not in self.answer_rules:
            raise UnknownNameError(f"answer rule of {self.name}", name, self.answer_rules)
        others = tuple(rule for rule in self.answer_rules if rule != name)
        return dataclasses.replace(self, answer_rules=(name, *others))

    def judged_by(self) -> str:
        """What its judges say of themselves, after they judged; empty where it has none."""
        return "; ".join(f"{quality} judged by {note_of(judge)}" for quality, judge in self.judges.items())

    def metrics_in_force(self) -> tuple[Metric, ...]:
        """The metrics that say something under the answer rule."""
        return tuple(one for one in self.metrics if self.answer_rule in GENERATING or not one.of_texts)

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

        Items are spread evenly over sub-tasks and, within each, over templates and the labels of `spread`. A smaller
        number gives a subset of a larger one. The order of items stays; instructions are the first ones. Items that
        belong `together` come whole: a number that would cut such a group takes nothing of it, but there is always one.

        Raises:
            SettingsError: a number below 1.
        """
        for limit, noun in ((max_items, "items"), (max_instructions, "instructions")):
            if limit is not None and limit < 1:
                raise SettingsError(f"At least 1 of the {noun} of '{self.name}' is needed, not {limit}.")
        items = self.items
        if max_items is not None and max_items < len(items):
            spreads = [_spread(part, random.Random(f"{seed}/{part.name}")) for part in self.parts()]
            chosen: set[str] = set()
            for group in itertools.chain.from_iterable(itertools.zip_longest(*spreads, fillvalue=())):
                if chosen and len(chosen) + len(group) > max_items:
                    break  # not a later, smaller one: what a number gives, a larger one gives too
                chosen.update(group)
            items = tuple(item for item in items if item.identifier in chosen)
        return dataclasses.replace(self, items=items, instructions=self.instructions[:max_instructions])

    def checksum(self) -> str:
        """SHA-256 over all items and instructions, in order: equal for what a model is asked, whatever the source."""
        names = [entry.name for entry in dataclasses.fields(Item)]
        digest = hashlib.sha256(json.dumps([self.instructions, self.answer_rule]).encode())
        for item in self.items:
            digest.update(
                b"\n" + json.dumps([getattr(item, name) for name in names], sort_keys=True, default=dict).encode()
            )
        return digest.hexdigest()


class Split(NamedTuple):
    """A task in two: choose on the development items, report on the test items."""

    development: Task
    test: Task


@dataclass(frozen=True)
class TaskFamily:
    """Tasks that share a format and metrics, such as the categories of BBQ; what a family's file registers.

    `load(members, data_folder, instructions)` returns one task for each member, in that order. `bare` are the members
    that the family's name alone stands for, empty where the family itself decides; None where some must be named.
    """

    title: str
    rows: Mapping[str, int]  # by canonical member name
    licence: str
    citation: str
    source: str
    load: Callable[[Sequence[str], Path | None, Path | None], Sequence[Task]]
    aliases: Mapping[str, str] = field(default_factory=dict)  # other usual names, in lower case with underscores
    bare: tuple[str, ...] | None = None
    general: bool = True  # whether it says something of any model, and so belongs to "all"


TASKS: Registry[TaskFamily] = Registry("family of tasks")


def join(tasks: Sequence[Task], name: str | None = None) -> Task:
    """One task of all items; the sub-tasks stay known through `Item.task`.

    Args:
        tasks: at least one.
        name: of the joined task; by default the names, "bbq:age,ses" within one family.

    Raises:
        SettingsError: the instructions differ.
    """
    first = tasks[0]
    metrics: dict[str, Metric] = {}
    for task in tasks:
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
    return dataclasses.replace(
        first,
        name=name,
        items=tuple(item for task in tasks for item in task.items),
        metrics=tuple(metrics.values()),
        goals={key: goal for key, goal in first.goals.items() if all(key in task.goals for task in tasks)},
        version=",".join(dict.fromkeys(task.version for task in tasks)),
        caution="; ".join(dict.fromkeys(task.caution for task in tasks if task.caution)),
        sources=tuple(sources.values()),
        part_metrics={part.name: part.metrics for task in tasks for part in task.parts()},
        variants={key: rule for key, rule in first.variants.items() if all(key in task.variants for task in tasks)},
        twin=first.twin if all(task.twin is first.twin for task in tasks) else None,
    )


def split(task: Task, by: str = "template", development_share: float = 0.5, seed: int = 0) -> Split:
    """Development and test items of a task, each sub-task split on its own.

    "template" keeps all items of a cluster on one side, so that nothing seen in development returns in another
    guise, with clusters of label rows and of name rows shared out alike. "random" splits item by item within each
    condition, as the CRISPR paper does.

    Raises:
        SettingsError: an unknown way to split, a share outside 0 to 1, or items at random that belong together.
        DataError: a sub-task has too few templates or items for both sides.
    """
    if by not in ("template", "random") or not 0 < development_share < 1:
        raise SettingsError(
            "A task is split by 'template' or 'random', with a development share between 0 and 1; "
            f"found '{by}' and {development_share}."
        )
    development: set[str] = set()
    settled: dict[str, bool] = {}  # of clusters that an earlier part shares: whether they are development
    for part in task.parts():
        generator = random.Random(f"{seed}/{part.name}")
        if by == "random" and part.together:
            raise SettingsError(f"Items of '{part.name}' say something only together; --split template keeps them so.")
        if by == "random":
            development |= _development_items(part, development_share, generator)
            continue
        chosen = _development_templates(part, development_share, generator, settled)
        settled |= {item.cluster: item.identifier in chosen for item in part.items}
        development |= chosen
    sides = [tuple(item for item in task.items if (item.identifier in development) == side) for side in (True, False)]
    return Split(*(dataclasses.replace(task, items=side) for side in sides))


def _development_templates(part: Task, share: float, generator: random.Random, settled: Mapping[str, bool]) -> set[str]:
    """Identifiers of the items whose templates go to development: at least one template, leaving at least two.

    Clusters that are settled stay where they are.
    """
    types: dict[str, set[str]] = defaultdict(set)
    for item in part.items:
        types[item.cluster].add(item.labels.get(part.alike, ""))
    if len(types) < FEWEST_TEMPLATES:
        raise DataError(
            f"'{part.name}' has {len(part.items)} items from {_counted(len(types), 'template')}, too few to split by "
            f"template: at least {FEWEST_TEMPLATES} templates are needed, 1 for development and 2 for test (those that "
            "share questions count as one). Use more items, or split at random."
        )
    strata = _shuffled(types, lambda cluster: tuple(sorted(types[cluster])), generator)
    chosen = [cluster for stratum in strata for cluster in stratum[: round(share * len(stratum))]]
    rest = [cluster for stratum in strata for cluster in stratum if cluster not in set(chosen)]
    while not chosen or len(rest) < 2:
        giver, taker = (chosen, rest) if chosen else (rest, chosen)
        taker.append(giver.pop())
    chosen = [cluster for cluster in types if settled.get(cluster, cluster in set(chosen))]
    return {item.identifier for item in part.items if item.cluster in set(chosen)}


def _development_items(part: Task, share: float, generator: random.Random) -> set[str]:
    """Identifiers of the items that go to development: of each coarsest label at least one, leaving at least one."""
    conditions = {item.identifier: "/".join(_labels(item, part.spread[:1])) for item in part.items}
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


def _labels(item: Item, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(item.labels.get(name, "") for name in names)


def _groups(part: Task) -> list[list[Item]]:
    """The items that are drawn as a whole: those that belong together, and every other one by itself."""
    groups: dict[tuple[Any, str], list[Item]] = defaultdict(list)
    for item in part.items:
        name = item.extra.get(part.together) if part.together else None
        groups[name, "" if name is not None else item.identifier].append(item)
    return list(groups.values())


def _spread(part: Task, generator: random.Random) -> list[tuple[str, ...]]:
    """Identifiers of all items, group by group, in an order of which every beginning is even over templates and labels.

    Goes round the clusters; in each takes the coarsest label, then that and the next, and so on, that had the fewest
    so far, in this cluster first and then over all. The labels of a group are those of its first item.
    """
    cells: dict[str, dict[tuple[str, ...], list[tuple[str, ...]]]] = defaultdict(lambda: defaultdict(list))
    for first, *others in _groups(part):
        group = (first.identifier, *(item.identifier for item in others))
        cells[first.cluster][_labels(first, part.spread)].append(group)
    clusters = list(cells)
    generator.shuffle(clusters)
    for cluster in clusters:
        for cell in cells[cluster].values():
            generator.shuffle(cell)
    taken: Counter[tuple[str, ...]] = Counter()
    order: list[tuple[str, ...]] = []

    def keys(cluster: str, cell: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for depth in range(1, len(cell) + 1):
            yield from (("in", cluster, *cell[:depth]), ("over all", *cell[:depth]))

    while clusters:
        for cluster in clusters:
            open_cells = sorted(cell for cell, names in cells[cluster].items() if names)
            best = min(open_cells, key=lambda cell: [taken[key] for key in keys(cluster, cell)])
            order.append(cells[cluster][best].pop())
            taken.update(keys(cluster, best))
        clusters = [cluster for cluster in clusters if any(cells[cluster].values())]
    return order


def _family(task: Task) -> str:
    return task.name.partition(":")[0]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
