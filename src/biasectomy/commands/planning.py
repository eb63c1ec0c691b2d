"""`evaluate --plan`: what so many items can show, before they are asked."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from biasectomy.commands.elsewhere import Elsewhere, found_elsewhere
from biasectomy.commands.forecast import fitting_batch_tokens
from biasectomy.commands.number_format import Asking, foreseen
from biasectomy.commands.opening import MODEL, TASKS, open_model, open_tasks
from biasectomy.commands.settings_measuring import EvaluateSettings
from biasectomy.commands.settings_shared import AUTO
from biasectomy.files import without_nan
from biasectomy.measuring.planning import POWER, variance_of
from biasectomy.measuring.session import Session
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import heading, progress, stages
from biasectomy.processes import join
from biasectomy.reading.products import products
from biasectomy.report.text import duration
from biasectomy.tasks import Task
from biasectomy.tasks.metrics import Booleans

PLANNING = "plan"  # a stage of the command
# Items, items of each cluster and instructions that a first pass asks; of many clusters those that have so many items.
LEAST, A_CLUSTER, WORDINGS, MOST = 100, 4, 2, 300


@dataclass(frozen=True)
class Planned:
    """What a task's items can show of a metric; infinite where they can show nothing, NaN where nothing varied.

    `smallest_change` is found with a power of 0.8 at the level of the intervals. `items` of the same clusters find
    `change`, or else so many `clusters` with as many items each.
    """

    task: str
    metric: str
    title: str
    items: int
    clusters: int
    asked: int  # items of the first pass
    smallest_change: float
    change: float
    items_for_change: float
    clusters_for_change: float

    def row(self) -> list[str]:
        """What a table shows."""
        shown = "n/a" if math.isnan(self.smallest_change) else f"{self.smallest_change:.3f}"
        return [self.title, f"{self.items:,}", f"{self.clusters:,}", shown, self._needed()]

    def _needed(self) -> str:
        if math.isnan(self.smallest_change):
            return "n/a: nothing varied in the first pass"
        if math.isfinite(self.items_for_change):
            wanted = math.ceil(self.items_for_change)
            return f"{wanted:,} items of these" + (", more than there are" if wanted > self.items else "")
        if math.isfinite(self.clusters_for_change):
            return f"{math.ceil(self.clusters_for_change):,} templates with as many items each"
        return "more than there can be"


@dataclass(frozen=True)
class Plan:
    """What all tasks can show, and how long asking them will take."""

    rows: tuple[Planned, ...]
    questions: int
    seconds: float
    level: float
    number_formats: str  # how fast each is here
    elsewhere: Elsewhere

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; infinite numbers are null."""
        document: dict[str, Any] = without_nan(
            asdict(self)
            | {
                "rows": [_finite(asdict(row)) for row in self.rows],
                "power": POWER,
                "elsewhere": self.elsewhere.to_json(),
            }
        )
        return document

    def heads(self, change: float) -> list[str]:
        """The heads of the table's columns."""
        return ["", "items", "templates", "smallest change shown", f"for a change of {change:g}"]

    def notes(self) -> list[str]:
        """What the table does not say by itself."""
        return [
            f"Smallest change: between two models, found {100 * POWER:.0f} times in 100 at the {100 * self.level:g} % "
            "level, if their answers to an item had nothing in common; models that are alike show smaller ones.",
            f"Asking all of it: {self.questions:,} questions, about {duration(self.seconds)}.",
            f"{self.number_formats}.",
        ]


def run(settings: EvaluateSettings, model: LanguageModel | str | None = None, task: Task | str | None = None) -> Plan:
    """Asks a few items of each task, and says what all of them can show.

    Raises:
        BiasectomyError: see the tree in `errors`.
    """
    with join(settings.device, settings.shard) as processes, stages(TASKS, MODEL, PLANNING):
        tasks = open_tasks(settings, processes, task)
        language_model = open_model(settings, processes, model)
        heading("A first pass", PLANNING)
        probes = [tasks[0].question(tasks[0].instructions[0], item) for item in tasks[0].items]
        language_model.batch_tokens, seconds = fitting_batch_tokens(language_model, probes, processes)
        session = Session(processes=processes, seed=settings.seed, level=settings.level)
        answerer = session.answerer(language_model)
        first = [_some(one, settings.seed) for one in tasks]
        found: list[Planned] = []
        with progress("Scoring", sum(len(one.items) * len(one.instructions) for one in first)) as advance:
            for whole, some in zip(tasks, first, strict=True):
                answers = session.ask(some, answerer, advance=advance)
                found += _of_task(whole, some, answers, settings)
        questions = sum(len(one.items) * len(one.instructions) for one in tasks)
        rates = processes.once(lambda: products(language_model.model.device))
        formats = rates.told()
        if settings.dtype == AUTO:
            formats += f". {foreseen(settings, rates, Asking(tasks[0], questions))}"
        shares = [_share(one.name, found) for one in tasks]
        elsewhere = found_elsewhere(language_model, tasks, shares, settings.card, settings.price, settings.seed)
        return Plan(tuple(found), questions, seconds * questions / processes.count, settings.level, formats, elsewhere)


def _some(task: Task, seed: int) -> Task:
    """What a first pass asks: several items of each cluster, which tell how alike they are."""
    sizes = Counter(item.cluster for item in task.items)
    drawn = random.Random(seed).sample(sorted(sizes), len(sizes))
    totals = itertools.accumulate(min(sizes[cluster], A_CLUSTER) for cluster in drawn)
    asked = {cluster for cluster, total in zip(drawn, totals, strict=True) if total <= MOST}
    items = tuple(item for item in task.items if item.cluster in asked)
    return replace(task, items=items).limited(max(LEAST, A_CLUSTER * len(asked)), WORDINGS, seed)


def _of_task(whole: Task, some: Task, answers: Any, settings: EvaluateSettings) -> list[Planned]:
    """Of the metrics that a verdict reads: goals, guards and what is fitted to."""
    goals = {goal.metric for goal in whole.goals.values()}
    found = []
    for metric in whole.metrics_in_force():
        if (metric.role is None and metric.name not in goals) or metric.no_interval:
            continue
        variance = variance_of(metric, some.items, answers)
        _, eligible = metric.columns(some.items, answers)
        share = eligible.mean() if len(eligible) else 0.0
        clusters = _clusters(whole, some, eligible)
        items = share * len(whole.items)
        wanted = settings.change, clusters, settings.level
        found.append(
            Planned(
                whole.name,
                metric.name,
                metric.title,
                round(items),
                clusters,
                int(eligible.sum()),
                variance.smallest_change(clusters, items, settings.level) if items else math.nan,
                settings.change,
                variance.items_for(*wanted),
                variance.clusters_for(settings.change, items / max(1, clusters), settings.level),
            )
        )
    return found


def _share(task: str, found: Sequence[Planned]) -> float:
    """Share of a task's items that finds the change in all that varied; 1 where all are too few, or nothing varied."""
    shares = [row.items_for_change / row.items for row in found if row.task == task and row.items]
    return min(1.0, max((share for share in shares if not math.isnan(share)), default=1.0))


def _clusters(whole: Task, some: Task, eligible: Booleans) -> int:
    """About how many clusters of all items count, by their share of those of the first pass."""
    asked = {item.cluster for item in some.items}
    counted = {item.cluster for item, counts in zip(some.items, eligible, strict=True) if counts}
    return round(len({item.cluster for item in whole.items}) * len(counted) / len(asked))


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and math.isinf(value) else value for name, value in row.items()}
