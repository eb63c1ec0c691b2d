"""What a smaller number format changes: answers, and which neurons are found."""

import dataclasses

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.base import Bar, Line, Settings, benchmark
from biasectomy import attribute, evaluate, load, load_task, split
from biasectomy.attribution.crispr import Crispr
from biasectomy.attribution.scores import Scores
from biasectomy.commands.number_format import interval
from biasectomy.reading.products import products
from biasectomy.tasks import Task

ITEMS = 200
INSTANCES = 5
SLOWER = 5  # times fewer of both in a format that is slower here than float32: nobody would choose it
TOP = 100
REFERENCE = "float32"
OTHERS = ("bfloat16", "float16")


@benchmark("precision")
def precision(settings: Settings) -> list[Line]:
    """Answers and neuron scores in bfloat16 and float16, against those in float32."""
    whole = load_task(settings.task)
    task = whole.limited(settings.choose_items(ITEMS, 16), 1)
    instances = min(INSTANCES, settings.choose_items(INSTANCES, 3))
    development = dataclasses.replace(split(whole).development, instructions=whole.instructions[:1])
    rates = products(torch.device("cpu"))
    found = _measured(settings, task, development, instances, REFERENCE)
    lines = []
    for dtype in OTHERS:
        asked, scored, expected = task, instances, found
        if rates.slower(dtype) and not settings.quick and settings.items is None:
            asked, scored = task.limited(ITEMS // SLOWER, 1), INSTANCES // SLOWER
            expected = _measured(settings, asked, development, scored, REFERENCE)
        answers, scores = _measured(settings, asked, development, scored, dtype)
        changed = int((expected[0] != answers).sum())
        lines.append(_flips(settings, changed, answers.size, dtype))
        lines += _agreement(settings, expected[1], scores, scored, dtype)
    return lines


def _measured(
    settings: Settings, task: Task, development: Task, instances: int, dtype: str
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], Scores]:
    """Answers to the task, and the scores of all neurons, in one number format."""
    language_model = load(settings.model, dtype=dtype, device="cpu")
    (answers,) = evaluate(language_model, task).answers[task.name].values()
    crispr = Crispr(Crispr.Settings(instances=instances, trials=1))
    return answers.choices, attribute(language_model, development, crispr)


def _flips(settings: Settings, changed: int, prompts: int, dtype: str) -> Line:
    low, high = interval(changed, prompts)
    return Line(
        "precision",
        "answers that differ from float32",
        changed / prompts,
        "share",
        dtype,
        low=low,
        high=high,
        bar=Bar("at most", 0.01),
        threads=settings.threads,
        details={"prompts": prompts, "differ": changed, "interval": "Clopper-Pearson, 95 %"},
    )


def _flat(scores: Scores) -> list[float]:
    return [float(score) for group in scores.neurons for score in scores.by_module[group.module]]


def _agreement(settings: Settings, full: Scores, half: Scores, instances: int, dtype: str) -> list[Line]:
    correlation = float(spearmanr(_flat(full), _flat(half)).statistic)
    tops = [{(neuron.module, neuron.unit) for neuron in scores.top(TOP)} for scores in (full, half)]
    overlap = len(tops[0] & tops[1]) / TOP
    details = {"instances": instances, "neurons": len(full.neurons), "variant": "paper"}
    threads = settings.threads
    return [
        Line(
            "precision",
            "rank correlation of neuron scores with float32",
            correlation,
            "correlation",
            dtype,
            threads=threads,
            details=details,
        ),
        Line(
            "precision",
            f"overlap of the top {TOP} neurons with float32",
            overlap,
            "share",
            dtype,
            threads=threads,
            details=details,
        ),
    ]
