"""The result in a few plain sentences, computed from the intervals, the goal and the metrics' roles alone."""

import math
from dataclasses import dataclass

from biasectomy.measuring.results import DifferenceRow, MetricDescription, Results
from biasectomy.report.words import UNCLEAR, ends_of, figure_in_words, interval_in_words, size_in_words

NO_CHANGE = f"which {UNCLEAR}"
# Of what a clear gain is, the share that is lost elsewhere: from here on a gain is mostly, or in part, abstention; and
# from the second on it is said to be paid for with what was to be kept.
MOSTLY, SIZEABLE = 0.5, 0.2


@dataclass(frozen=True)
class Edited:
    """How many neurons were edited, of how many the model has."""

    count: int
    total: int

    def __str__(self) -> str:
        share = 100 * self.count / self.total
        return f"{self.count:,} of {self.total:,} neurons edited ({share:{'.0f' if share >= 10 else '.2g'}} %)"


def verdict(
    results: Results, *, method: str, original: str, control: str | None = None, edited: Edited | None = None
) -> list[str]:
    """What changed on the first task, whether it is mostly abstention, whether random neurons do as well, what it cost.

    Args:
        results: with the differences method - original and, where there is one, method - control.
        method: the one judged.
        original: what it is compared with.
        control: the random neurons; None where there are none.
        edited: where the method edits neurons.
    """
    if edited is not None and edited.count == 0:
        return [
            "No number of neurons helped on the development items.",
            "None is removed: the model is left as it was.",
        ]
    tasks = list(dict.fromkeys(row.task for row in results.metrics))
    words = Words(results, method, original)
    changes = words.changes(tasks[0]) if tasks else []
    clauses = [words.change(row) for row in changes if words.role(row) in ("goal", "guard")]
    subject = f"With {edited}" if edited is not None else f"With {results.title(method)}"
    sentences = [f"{subject}, {'; '.join(clauses) or 'nothing was measured'}."]
    judgement = words.abstention(changes)
    aim = results.goals.get(tasks[0]) if tasks else None
    against = results.find_difference(method, control, aim, task=tasks[0]) if control and aim else None
    if against is not None:
        judgement.append(words.against_random(against))
    if judgement:
        text = "; ".join(judgement)
        sentences.append(f"{text[0].upper()}{text[1:]}.")
    whole = [task for task in tasks[1:] if task in results.tasks]
    others = [row for task in whole for row in words.changes(task)]
    return sentences + [words.of_other_task(row) for row in others if words.role(row)]


def ranking(results: Results, *, original: str) -> list[str]:
    """Which of several methods clearly serve the goal of the first task, and which of these at no clear loss."""
    tasks = list(dict.fromkeys(row.task for row in results.metrics))
    aim = results.goals.get(tasks[0]) if tasks else None
    if aim is None:
        return []
    description = results.description(aim).description
    methods = [row.method for row in results.metrics if row.task == tasks[0] and row.metric == aim]
    better, unharmed, silent = [], [], []
    for method in methods:
        words = Words(results, method, original)
        row = results.find_difference(method, original, aim, task=tasks[0])
        if row is None or words.gain(row) <= 0:
            continue
        better.append(method)
        changes = words.changes(tasks[0])
        harmed = any(words.gain(one) < 0 for one in changes if words.role(one) == "guard")
        if words.abstains(changes):
            silent.append(method)
        elif not harmed:
            unharmed.append(method)
    start = f"Clearly better than {results.title(original)} by {description}"
    sentences = [f"{start}: {_listed(results, better)}."]
    if better:
        sentences.append(
            f"Of these at no clear loss of what was to be kept, and without abstention: {_listed(results, unharmed)}."
        )
    if silent:
        sentences.append(f"At least in part by abstaining: {_listed(results, silent)}.")
    return sentences


@dataclass(frozen=True)
class Words:
    """How the differences of a method from the original are told."""

    results: Results
    method: str
    original: str

    def changes(self, task: str) -> list[DifferenceRow]:
        """Of a task's metrics with a role; of the one it was fitted to, where none is a goal."""
        rows = [
            row
            for row in self.results.differences
            if (row.method, row.against, row.task) == (self.method, self.original, task)
        ]
        aim = self.results.goals.get(task)
        without = not any(self._describe(row).role == "goal" for row in rows)
        return [row for row in rows if self._describe(row).role or (without and row.metric == aim)]

    def role(self, row: DifferenceRow) -> str | None:
        """A metric's role; the one that was fitted to is the goal where the task names no other."""
        return self._describe(row).role or ("goal" if self.results.goals.get(row.task) == row.metric else None)

    def gain(self, row: DifferenceRow) -> int:
        """1 where a figure clearly comes nearer to its best value, -1 where it clearly goes away, else 0."""
        best = self._describe(row).best
        ends = self._ends(row)
        if best is None or not (row.low > 0 or row.high < 0):
            return 0
        if ends is None:  # from the direction alone
            return 1 if (row.value > 0) == (best > 0) else -1
        return 1 if abs(ends[1] - best) < abs(ends[0] - best) else -1

    def change(self, row: DifferenceRow) -> str:
        """A clause on a figure."""
        name = self._describe(row).description
        if math.isnan(row.value):
            return f"{name} cannot be compared ({row.reason})"
        before_after = self._ends(row)
        ends = (
            f" from {self._figure(row, before_after[0])} to {self._figure(row, before_after[1])},"
            if before_after
            else ""
        )
        if math.isnan(row.low):
            return f"{name} changes{ends} by {self._size(row, row.value)} ({row.reason})"
        if row.low > 0 or row.high < 0:
            verb = "rises" if row.low > 0 else "falls"
            return f"{name} {verb}{ends} by {self._size(row, abs(row.value)).removeprefix('+')} ({self._interval(row)})"
        return f"{name} changes{ends} by {self._size(row, row.value)} ({self._interval(row)}), {NO_CHANGE}"

    def abstention(self, changes: list[DifferenceRow]) -> list[str]:
        """A clause on how a clear gain was come by, if not by knowing better: by size, not by what is clear alone."""
        gained = next((row for row in changes if self.role(row) == "goal" and self.gain(row) > 0), None)
        if gained is None:
            return []
        gain = f"the gain in {self._describe(gained).description}"
        for row in changes:
            share = self._lost(row, gained)
            if self.role(row) == "abstention" and share >= SIZEABLE:
                much = "mostly" if share >= MOSTLY else "in part"
                return [f"{gain} is {much} abstention: {self.change(row)}, {100 * share:.0f} % of the gain"]
        paid = [
            f"{self._describe(row).description} ({100 * share:.0f} % of the gain)"
            for row in changes
            if self.role(row) == "guard" and (share := self._lost(row, gained)) >= SIZEABLE
        ]
        return [f"{gain} is paid for with {' and '.join(paid)}"] if paid else []

    def abstains(self, changes: list[DifferenceRow]) -> bool:
        """Whether a clear gain is abstention in sizeable part."""
        return any("abstention" in clause for clause in self.abstention(changes))

    def _lost(self, row: DifferenceRow, gained: DifferenceRow) -> float:
        """What a figure clearly lost, as a share of what another gained; 0 where the loss is not clear."""
        return self._moved(row) / self._moved(gained) if self.gain(row) < 0 else 0.0

    def _moved(self, row: DifferenceRow) -> float:
        """How far a figure came nearer to its best value, or went away from it."""
        best, ends = self._describe(row).best, self._ends(row)
        if best is None or ends is None or not math.isfinite(best):
            return abs(row.value)
        return abs(abs(ends[1] - best) - abs(ends[0] - best)) or abs(row.value)

    def against_random(self, row: DifferenceRow) -> str:
        """A clause on the difference from random neurons in the metric that was fitted to."""
        subject = f"judged by {self._describe(row).description} the edit"
        control = self.results.find(row.against, row.metric, task=row.task, split=row.split)
        draws = [one for one in control.draws if math.isfinite(one)] if control is not None else []
        if len(draws) < 2:
            return f"{subject} cannot be compared with random neurons (one draw does not show how much draws differ)"
        if math.isnan(row.low):
            return f"{subject} cannot be compared with random neurons ({row.reason})"
        size = f"{self._size(row, row.value)}, {self._interval(row)}"
        words = {1: "is better than", -1: "is worse than"}.get(self.gain(row), "cannot be told from")
        spread = f"{self._figure(row, min(draws))} to {self._figure(row, max(draws))}"
        return f"{subject} {words} as many random neurons ({size}; {len(draws)} draws of them: {spread})"

    def of_other_task(self, row: DifferenceRow) -> str:
        """A sentence on a figure of another task than the first."""
        name = self._describe(row).description
        ends = self._ends(row)
        if ends is None or math.isnan(row.value):
            return f"{name[0].upper()}{name[1:]} ({row.task}) cannot be compared ({row.reason})."
        sentence = f"{name[0].upper()}{name[1:]} goes from {self._figure(row, ends[0])} to {self._figure(row, ends[1])}"
        if math.isnan(row.low):
            return f"{sentence}."
        remark = f", {NO_CHANGE}" if row.low <= 0 <= row.high else ""
        return f"{sentence} ({self._size(row, row.value)}, {self._interval(row)}){remark}."

    def _describe(self, row: DifferenceRow) -> MetricDescription:
        return self.results.description(row.metric)

    def _ends(self, row: DifferenceRow) -> tuple[float, float] | None:
        return ends_of(self.results, row)

    def _figure(self, row: DifferenceRow, value: float) -> str:
        return figure_in_words(self.results, row.metric, value)

    def _size(self, row: DifferenceRow, value: float) -> str:
        return size_in_words(self.results, row.metric, value)

    def _interval(self, row: DifferenceRow) -> str:
        return interval_in_words(self.results, row)


def _listed(results: Results, methods: list[str]) -> str:
    return ", ".join(map(results.title, methods)) or "none"
