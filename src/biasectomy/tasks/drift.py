"""Drift: how far a method takes a model from the original where nothing is asked.

KL(original || model as it is) of the next token, in nats, over the whole vocabulary, at every judged position of the
neutral texts that perplexity is measured on: the mean over all positions, and the 99th percentile, which shows what a
mean hides. 0 is the original itself. A method that only rewords questions leaves whole texts as they are and drifts by
0. The original is the same model with nothing in force, so drift cannot be measured of a model that is loaded edited.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from biasectomy.reading.questions import Question
from biasectomy.tasks.base import TASKS, Item, Task, TaskFamily
from biasectomy.tasks.metrics import Answers, Booleans, Floats, Metric
from biasectomy.tasks.perplexity import PACKAGED, PARAGRAPHS, WIKITEXT, of_texts

# The percentile is found in a histogram, since a metric is a function of sums over items. Below the least edge rounding
# is all there is, and counts as 0; a bin is wider than its lower edge by 8.4 %, which bounds the error.
EDGES = np.geomspace(1e-7, 1e2, 257)
HIGH = 0.99


def positions(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
    """Sums and numbers of each text's divergences, and whether there are any; the columns of the mean."""
    there = ~np.isnan(answers.divergences)  # [draws, instructions, items, positions]
    if not there.any():
        return np.zeros((*answers.choices.shape, 3)), np.zeros(len(items), dtype=np.bool_)
    columns = np.nansum(answers.divergences, axis=-1), there.sum(axis=-1), there.any(axis=-1)
    return np.stack(columns, axis=-1).astype(np.float64), np.asarray(there.any(axis=(0, 1, 3)))


def mean(sums: Floats) -> Floats:
    """Over all positions of all texts, draws and instructions; sums [..., draws, instructions, 3] -> [...]."""
    divergences, count, _ = np.moveaxis(sums.sum(axis=(-3, -2)), -1, 0)
    return np.asarray(divergences / count)


def histogram(items: Sequence[Item], answers: Answers) -> tuple[Floats, Booleans]:
    """How many of each text's divergences lie below the edges, between each two, and above; then as `positions`."""
    columns, eligible = positions(items, answers)
    counts = np.zeros((*columns.shape[:-1], EDGES.size + 2))
    if eligible.any():
        bins = np.searchsorted(EDGES, answers.divergences, side="right")
        place = np.arange(bins[..., 0].size).reshape(bins.shape[:-1])[..., None] * (EDGES.size + 1) + bins
        real = place[~np.isnan(answers.divergences)]
        counts[..., :-1] = np.bincount(real, minlength=counts[..., :-1].size).reshape(counts[..., :-1].shape)
    counts[..., -1] = columns[..., -1]
    return counts, eligible


def percentile(sums: Floats) -> Floats:
    """The 99th percentile in sums of `histogram` [..., draws, instructions, bins] -> [...]; NaN where there is nothing.

    As `numpy.percentile` has it, between the two values next to its rank; these are where they would be if those of a
    bin were evenly spaced in it on a logarithmic scale.
    """
    counts = sums.sum(axis=(-3, -2))[..., :-1]
    below = counts.cumsum(axis=-1)
    rank = HIGH * (below[..., -1] - 1)
    lower = np.floor(rank)
    ends = [_value(counts, below, order) for order in (lower, np.ceil(rank))]
    return np.where(below[..., -1] > 0, ends[0] + (rank - lower) * (ends[1] - ends[0]), np.nan)


def _value(counts: Floats, below: Floats, order: Floats) -> Floats:
    """About the value of an order, counted from 0, among those of which so many are in and up to each bin."""
    found = np.minimum((below <= order[..., None]).sum(axis=-1, keepdims=True), EDGES.size)
    inside, up_to = (np.take_along_axis(values, found, axis=-1)[..., 0] for values in (counts, below))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (order + 0.5 - (up_to - inside)) / inside
    bins, ratio = found[..., 0], EDGES[1] / EDGES[0]
    value = EDGES[np.clip(bins, 1, EDGES.size) - 1] * np.where(bins < EDGES.size, ratio**share, 1.0)
    return np.where(bins == 0, 0.0, value)


NOTHING = "no text was scored"
DRIFT = Metric(
    "drift",
    "Drift",
    "drift from the original in nats a token of neutral text",
    positions,
    mean,
    best=0.0,
    unit="nats",
    role="guard",
    undefined=NOTHING,
    ends=(0.0, np.inf),
)
DRIFT_99 = Metric(
    "drift_99",
    "Drift, 99th percentile",
    "the 99th percentile of the drift from the original over tokens of neutral text",
    histogram,
    percentile,
    best=0.0,
    unit="nats",
    undefined=NOTHING,
    ends=(0.0, np.inf),
)


def divergence(instruction: str, item: Item) -> Question:
    """How far the model has come from the original in the paragraph as it is."""
    return Question(None, item.options, divergence=True)


def load(members: Sequence[str], data_folder: Path | None, instructions: Path | None) -> list[Task]:
    """See `perplexity.of_texts`: the same texts, by the same names."""
    return of_texts("drift", (DRIFT, DRIFT_99), divergence, members, data_folder)


TASKS.register("drift")(
    TaskFamily(
        title="Drift from the original on neutral text, which no method should raise",
        rows={PACKAGED: PARAGRAPHS, WIKITEXT: PARAGRAPHS},
        licence="Apache-2.0 (packaged), CC-BY-SA-3.0 (WikiText-2)",
        citation="Merity et al., Pointer Sentinel Mixture Models, ICLR 2017 (WikiText-2)",
        source="biasectomy; wikitext2 from the folder that BIASECTOMY_DATA names",
        load=load,
        bare=(),
    )
)
