"""Which figures of a run are told first, and what each says: by roles and goals alone, never by a metric's name."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from biasectomy.measuring.results import DifferenceRow, MetricDescription, MetricRow, Results

Figure = tuple[str, str]  # a task, and a metric of it

SHOWN = 5  # figures, where a few tasks were asked
TASKS_SHOWN = 18  # of many, each with one figure
ROLES = ("goal", "guard", "abstention")
SPLIT = "test"


@dataclass(frozen=True)
class Headline:
    """The figures that are told first.

    `reference` is what methods are compared with, `judged` the one method that the run is about: None where several
    were compared as equals, or where nothing was compared.
    """

    results: Results

    @cached_property
    def methods(self) -> list[str]:
        """All that were measured, those first that are told first: reference, judged, its control, others."""
        there = list(dict.fromkeys(row.method for row in self.results.metrics))
        first = [one for one in (self.reference, self.judged, *self._controls) if one in there]
        return list(dict.fromkeys([*first, *there]))

    @cached_property
    def reference(self) -> str | None:
        """What methods are compared with; the only one there is, where there is one."""
        against = next((row.against for row in self.results.differences), None)
        return against or next((row.method for row in self.results.metrics), None)

    @cached_property
    def judged(self) -> str | None:
        """The method that the run is about."""
        compared = list(dict.fromkeys(row.method for row in self.results.differences if row.against == self.reference))
        named = self.results.settings.get("method")
        if named in compared:
            return str(named)
        return compared[0] if len(compared) == 1 else None

    @property
    def _controls(self) -> Iterator[str]:
        return (row.against for row in self.results.differences if row.method == self.judged)

    @cached_property
    def unchanged(self) -> list[str]:
        """Methods that were compared with the reference, and differ from it in no figure at all."""
        pairs: dict[str, list[DifferenceRow]] = {}
        for row in self.results.differences:
            if row.against == self.reference:
                pairs.setdefault(row.method, []).append(row)
        return [method for method, rows in pairs.items() if nothing_differs(rows)]

    @cached_property
    def figures(self) -> list[Figure]:
        """The figures that are told, in the order in which they were asked: at most `SHOWN`, or one a task."""
        by_task = {task: self._of_task(task) for task in self.tasks}
        most = max(SHOWN, min(len(by_task), TASKS_SHOWN))
        first, *others = by_task.values() or [[]]
        chosen = self._distinct(first)[:most]
        # A task's main figure comes before the second one of another; what clearly became worse before what did not.
        ranked = [(place, self._urgency(figure), figure) for own in others for place, figure in enumerate(own)]
        for *_, figure in sorted(ranked, key=lambda one: one[:2]):
            if len(chosen) < most and not any(self._same(figure, one) for one in chosen):
                chosen.append(figure)
        return [figure for own in by_task.values() for figure in own if figure in chosen]

    @cached_property
    def left_out(self) -> int:
        """How many figures of tasks are not told, those of the parts of joined tasks not counted."""
        there = {(row.task, row.metric) for row in self.results.metrics if row.task in self.tasks}
        return len(there) - len(self.figures)

    @cached_property
    def plane(self) -> tuple[Figure, Figure] | None:
        """What is gained against what it may cost, as (across, up): the first task's goal up, a guard across.

        The guard is the same task's where it has one, else the first that was asked besides.
        """
        if not self.tasks:
            return None
        task = self.tasks[0]
        own = {self.role((task, metric)): (task, metric) for metric in reversed(self._metrics(task))}
        up = own.get(ROLES[0])
        points = self.results.trade_off()
        guards = [(one["task"], one["metric"]) for one in (points[0]["guards"] if points else ())]
        across = own.get(ROLES[1]) or next((one for one in guards if one != up), None)
        return (across, up) if across is not None and up is not None else None

    def role(self, figure: Figure) -> str | None:
        """Its metric's role; the goal of the task is one where the task has no other."""
        task, metric = figure
        if role := self.results.description(metric).role:
            return role
        without = not any(self.results.description(one).role == ROLES[0] for one in self._metrics(task))
        return ROLES[0] if without and self.results.goals.get(task) == metric else None

    def describe(self, figure: Figure) -> MetricDescription:
        """What is known of its metric."""
        return self.results.description(figure[1])

    def row(self, figure: Figure, method: str) -> MetricRow | None:
        """A method's figure."""
        return self._metric_rows.get((*figure, method))

    def change(self, figure: Figure, method: str, against: str | None = None) -> DifferenceRow | None:
        """How much a method's figure differs from that of another; from the reference's, if none is named."""
        return self._changes.get((*figure, method, against or self.reference or ""))

    def gain(self, row: DifferenceRow | None) -> int:
        """1 where a figure clearly comes nearer to its best value, -1 where it clearly goes away, else 0."""
        if row is None or not is_clear(row):
            return 0
        best = self.results.description(row.metric).best
        before, after = (self.row((row.task, row.metric), name) for name in (row.against, row.method))
        if best is None:
            return 0
        if before is None or after is None or math.isinf(best):
            return 1 if (row.value > 0) == (best > 0) else -1
        return 1 if abs(after.value - best) < abs(before.value - best) else -1

    def towards(self, figure: Figure) -> tuple[str, float]:
        """Where better lies: "up", "down", or "to" the best value; empty where no value is best.

        It is "to" where figures lie on both sides of the best value, or where a share's best is at neither end.
        """
        described = self.describe(figure)
        best = described.best
        if best is None:
            return "", math.nan
        rows = [self.row(figure, method) for method in self.methods]
        ends = [end for row in rows if row is not None for end in (row.value, row.low, row.high) if math.isfinite(end)]
        if (described.unit == "share" and 0 < best < 1) or (ends and min(ends) < best < max(ends)):
            return "to", best
        return ("up" if not ends or min(ends) < best or max(ends) == best == 1 else "down"), best

    def caption(self) -> str:
        """What the figures rest on: the first task's items, or how many tasks there are where they are many."""
        if not self.tasks:
            return ""
        most = [max((row for row in self.results.metrics if row.task == task), key=lambda row: row.items)
                for task in self.tasks]  # fmt: skip
        if len(self.tasks) > SHOWN:
            sizes = sorted({row.items for row in most})
            said = f"{len(self.tasks)} tasks: {' to '.join(f'{one:,}' for one in dict.fromkeys((sizes[0], sizes[-1])))}"
            parts = [f"{said} items each"]
        else:
            first = most[0]
            parts = [f"{self.tasks[0]}: {first.items:,} {'test ' if first.split == SPLIT else ''}items"]
            parts += [f"{first.clusters:,} templates"] if first.clusters != first.items else []
        if "level" in self.results.interval:
            parts.append(f"{100 * self.results.interval['level']:g} % intervals")
        return ", ".join(parts)

    @cached_property
    def tasks(self) -> list[str]:
        """What was asked, without the parts of joined tasks."""
        there = list(dict.fromkeys(row.task for row in self.results.metrics))
        if self.results.tasks:
            return [task for task in there if task in self.results.tasks]
        # Earlier results do not say: parts stand behind the whole task, and have no goal of their own.
        families = [task.partition(":")[0] for task in there]
        return [
            task
            for place, task in enumerate(there)
            if task in self.results.goals or families[place] not in families[:place]
        ]

    @cached_property
    def _metric_rows(self) -> dict[tuple[str, str, str], MetricRow]:
        kept: dict[tuple[str, str, str], MetricRow] = {}
        for row in self.results.metrics:
            key = (row.task, row.metric, row.method)
            if key not in kept or row.split == SPLIT:
                kept[key] = row
        return kept

    @cached_property
    def _changes(self) -> dict[tuple[str, str, str, str], DifferenceRow]:
        return {(row.task, row.metric, row.method, row.against): row for row in self.results.differences}

    def _metrics(self, task: str) -> list[str]:
        return list(dict.fromkeys(row.metric for row in self.results.metrics if row.task == task))

    def _of_task(self, task: str) -> list[Figure]:
        """A task's figures that count, its main one first."""
        metrics = self._metrics(task)
        own = [(task, metric) for role in ROLES for metric in metrics if self.role((task, metric)) == role]
        return own or [(task, metric) for metric in metrics[:1]]

    def _distinct(self, figures: Sequence[Figure]) -> list[Figure]:
        kept: list[Figure] = []
        for figure in figures:
            if not any(self._same(figure, one) for one in kept):
                kept.append(figure)
        return kept

    def _same(self, figure: Figure, other: Figure) -> bool:
        """Whether one always equals the other, so that it says nothing more."""
        return same_rows([(self.row(figure, method), self.row(other, method)) for method in self.methods])

    def _urgency(self, figure: Figure) -> int:
        gains = [self.gain(self.change(figure, method)) for method in ([self.judged] if self.judged else self.methods)]
        return 0 if -1 in gains else 1 if 1 in gains else 2


def is_clear(row: DifferenceRow) -> bool:
    """Whether a difference's interval excludes no change."""
    return row.low > 0 or row.high < 0


def nothing_differs(rows: Sequence[DifferenceRow]) -> bool:
    """Whether two methods have the same figures throughout, as where nothing was changed."""
    return (
        bool(rows)
        and all(row.value == 0 or math.isnan(row.value) for row in rows)
        and any(row.value == 0 for row in rows)
    )


def same_rows(pairs: Sequence[tuple[MetricRow | None, MetricRow | None]]) -> bool:
    """Whether two figures are the same for every method, with the same intervals, and defined; a pair a method."""
    return all(
        one is not None and other is not None and _numbers(one) == _numbers(other) and math.isfinite(one.value)
        for one, other in pairs
    )


def _numbers(row: MetricRow) -> tuple[float, ...]:
    return tuple(round(one, 9) if math.isfinite(one) else math.inf for one in (row.value, row.low, row.high))
