"""The result in two or three plain sentences, computed from the intervals and from nothing else."""

import math
from dataclasses import dataclass

from biasectomy.measuring.results import DifferenceRow, Results

NO_CHANGE = "which cannot be told from no change"
UNKNOWN = 'the share of "unknown" answers on disambiguated items'


def verdict(
    results: Results,
    *,
    count: int,
    total: int,
    objective: str,
    task: str | None = None,
    split: str | None = None,
    method: str = "Edited",
    original: str = "Original",
    control: str = "Control",
) -> list[str]:
    """Sentences on what changed, whether it is mostly abstention, whether random neurons do as well, and perplexity.

    Args:
        results: with the differences method - original and, where there is one, method - control.
        count: neurons edited; 0 when none helped.
        total: neurons the model has.
        objective: the metric that was made best, one of which more is better, such as "balanced_accuracy".
        task: whose rows; None for the first.
        split: whose rows; None for the first.
        method: the one judged.
        original: what it is compared with.
        control: the random neurons.
    """
    if count == 0:
        return [
            "No number of neurons helped on the development items.",
            "None is removed: the model is left as it was.",
        ]
    words = _Words(results, method, original)

    def change(metric: str, against: str = original) -> DifferenceRow | None:
        return results.find_difference(method, against, metric, task=task, split=split)

    ambiguous, disambiguated = change("accuracy_ambiguous"), change("accuracy_disambiguated")
    named = [(ambiguous, "accuracy on ambiguous items"), (disambiguated, "accuracy on disambiguated items")]
    if ambiguous is None and disambiguated is None:
        named = [(change(objective), _plain(objective))]
    clauses = [words.change(row, name) for row, name in named if row is not None]
    share = 100 * count / total
    edited = f"With {count:,} of {total:,} neurons edited ({share:{'.0f' if share >= 10 else '.2g'}} %)"
    sentences = [f"{edited}, {'; '.join(clauses) or 'nothing was measured'}."]

    judgement = []
    unknown = change("unknown_disambiguated")
    if ambiguous is not None and ambiguous.low > 0:
        abstention = "the gain on ambiguous items is mostly abstention"
        if unknown is not None and unknown.low > 0:
            judgement.append(f"{abstention}: {words.change(unknown, UNKNOWN)}")
        elif disambiguated is not None and disambiguated.high < 0:
            judgement.append(f"{abstention}: it is paid for where the text says who it was")
    if (row := change(objective, control)) is not None:
        judgement.append(words.against_random(row))
    if judgement:
        text = "; ".join(judgement)
        sentences.append(f"{text[0].upper()}{text[1:]}.")
    return sentences + words.perplexity()


@dataclass(frozen=True)
class _Words:
    """How a difference is told."""

    results: Results
    method: str
    original: str

    def change(self, row: DifferenceRow, name: str) -> str:
        """A clause on a figure that is a share, in points."""
        if math.isnan(row.value):
            return f"{name} cannot be compared ({row.reason})"
        before = self.results.find(self.original, row.metric, task=row.task, split=row.split)
        after = self.results.find(self.method, row.metric, task=row.task, split=row.split)
        ends = f" from {100 * before.value:.1f} % to {100 * after.value:.1f} %," if before and after else ""
        if math.isnan(row.low):
            return f"{name} changes{ends} by {100 * row.value:+.1f} points ({row.reason})"
        interval = self._interval(100 * row.low, 100 * row.high, 1)
        if row.low > 0 or row.high < 0:
            return (
                f"{name} {'rises' if row.low > 0 else 'falls'}{ends} by {abs(100 * row.value):.1f} points ({interval})"
            )
        return f"{name} changes{ends} by {100 * row.value:+.1f} points ({interval}), {NO_CHANGE}"

    def against_random(self, row: DifferenceRow) -> str:
        """A clause on the difference from random neurons in the objective."""
        subject = f"judged by {_plain(row.metric)} the edit"
        if math.isnan(row.low):
            return f"{subject} cannot be compared with random neurons ({row.reason})"
        size = f"{100 * row.value:+.1f} points, {self._interval(100 * row.low, 100 * row.high, 1)}"
        if row.low > 0:
            return f"{subject} is better than as many random neurons ({size})"
        return f"{subject} is no better than random neurons ({size})"

    def perplexity(self) -> list[str]:
        """The sentence on perplexity, if it was measured."""
        before, after = (self.results.find(name, "perplexity") for name in (self.original, self.method))
        if before is None or after is None:
            return []
        sentence = f"Perplexity on neutral text goes from {before.value:.2f} to {after.value:.2f}"
        row = self.results.find_difference(self.method, self.original, "perplexity")
        if row is None or math.isnan(row.low):
            return [f"{sentence}."]
        remark = f", {NO_CHANGE}" if row.low <= 0 <= row.high else ""
        return [f"{sentence} ({row.value:+.2f}, {self._interval(row.low, row.high, 2)}){remark}."]

    def _interval(self, low: float, high: float, digits: int) -> str:
        level = 100 * self.results.interval.get("level", 0.95)
        return f"{level:g} % interval {low:+.{digits}f} to {high:+.{digits}f}"


def _plain(metric: str) -> str:
    return metric.replace("_", " ")
