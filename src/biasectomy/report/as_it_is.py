"""What the figures of one model say where nothing was changed, so that there is no verdict on a change."""

import math

from biasectomy.measuring.results import MetricRow, Results
from biasectomy.report.headline import Headline
from biasectomy.report.short_answers import upper
from biasectomy.report.words import figure_in_words, interval_in_words

NO_VERDICT = "Nothing was changed, so there is no verdict: these are the figures of the model as it is."
ROLES = ("goal", "guard")
SHOWN = 5  # figures that are told one by one


def as_it_is(results: Results) -> list[str]:
    """That nothing was changed, then figure by figure what was measured and how far it is from what would be best."""
    return [NO_VERDICT, *figures_in_words(results)]


def figures_in_words(results: Results) -> list[str]:
    """The goals of all tasks first, then what else a method should keep; a sentence each."""
    headline = Headline(results)
    method = headline.reference
    rows = [row for figure in headline.figures if method and (row := headline.row(figure, method)) is not None]
    found = [row for role in ROLES for row in rows if headline.role((row.task, row.metric)) == role]
    several = len({row.task for row in found}) > 1
    told = [_figure(results, row, headline.role((row.task, row.metric)), several) for row in found[:SHOWN]]
    if (more := len(found) - SHOWN) > 0:
        told.append(f"{more} more such figure{'s stand' if more > 1 else ' stands'} in the tables.")
    return told


def _figure(results: Results, row: MetricRow, role: str | None, several: bool) -> str:
    described = results.description(row.metric)
    name = f"{upper(described.description)}{f' ({row.task})' if several else ''}"
    if not math.isfinite(row.value):
        return f"{name} is undefined ({row.reason})."
    said = f"{name} is {figure_in_words(results, row.metric, row.value)}"
    if math.isfinite(row.low):
        said += f" ({interval_in_words(results, row)})"
    best = described.best
    # That the perplexity of a model is not 1 says nothing.
    if best is None or not math.isfinite(best) or (role != "goal" and described.unit != "share"):
        return f"{said}."
    aim = figure_in_words(results, row.metric, best)
    if not math.isfinite(row.low):
        return f"{said}, where {aim} is best{f' ({row.reason})' if row.reason else ''}."
    how = "which cannot be told from" if row.low <= best <= row.high else "clearly away from"
    return f"{said}, {how} the best value, {aim}."
