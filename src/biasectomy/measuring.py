"""Measuring methods on a task: their answers, the figures of these, and perplexity of neutral text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from biasectomy.console import Console
from biasectomy.errors import BiasectomyError
from biasectomy.evaluation import Examiner, Subject
from biasectomy.files import read_json, write_json
from biasectomy.neutral_text import NeutralText, neutral_paragraphs
from biasectomy.perplexity import perplexity_rows, text_log_likelihoods
from biasectomy.results import Results, figures, interval_settings
from biasectomy.runs import Run, compared_settings
from biasectomy.settings import EvaluationSettings
from biasectomy.tasks import Task

Methods = Mapping[str, Sequence[Subject]]  # by display name, the subjects whose answers are the method's draws


def measure(
    methods: Methods, task: Task, settings: EvaluationSettings, examiner: Examiner, *, split: str, run: Run | None
) -> Results:
    """Figures of all methods with their intervals and differences; what the run folder holds is not computed again.

    Args:
        methods: a subject may stand for two methods (with no neuron taken out, Edited is Original): it is asked once.
        task: the items that are measured.
        settings: statistics and neutral text.
        examiner: asks, and keeps the answers.
        split: what the items are, such as "test".
        run: where perplexity is kept; None keeps nothing.

    Raises:
        ScoreError: a log-likelihood is NaN or infinite; names the item or paragraph.
    """
    console = examiner.console
    statistics: dict[str, Any] = {"replicates": settings.replicates, "seed": settings.seed, "level": settings.level}
    prompts = len(task.items) * len(task.instructions)
    with console.progress("Scoring", total=sum(map(len, methods.values())) * prompts) as advance:
        choices = {
            method: np.stack([examiner.answers(task, subject, split=split, advance=advance) for subject in subjects])
            for method, subjects in methods.items()
        }
    if settings.answer_rule != "generation":  # an answer read from likelihoods is always one of the options
        task = task.without_metric("unmatched")
    metrics, differences = figures(task, split, choices, **statistics)
    _stage_done(run, split)
    if settings.perplexity_paragraphs:
        text = neutral_paragraphs(settings.data, settings.perplexity_paragraphs)
        judged = [examiner.language_model.prompt_format.judged_text(paragraph) for paragraph in text.paragraphs]
        values = _perplexity(methods, text, examiner, console, run.path("perplexity.json") if run else None)
        more_metrics, more_differences = perplexity_rows(text.name, judged, values, **statistics)
        metrics, differences = [*metrics, *more_metrics], [*differences, *more_differences]
        _stage_done(run, "perplexity")
    return Results(
        tuple(metrics),
        tuple(differences),
        interval=interval_settings(**statistics),
        settings=compared_settings(settings) | {"instruction_count": len(task.instructions)},
    )


def _perplexity(
    methods: Methods, text: NeutralText, examiner: Examiner, console: Console, path: Path | None
) -> dict[str, list[list[float]]]:
    """Log-likelihoods of the paragraphs, of each method and draw; kept in a file by subject."""
    kept: dict[str, Any] = {"text": text.name, "sha256": text.sha256, "paragraphs": len(text.paragraphs)}
    processes = examiner.processes
    known = processes.once(lambda: _known(path, kept))
    values: dict[str, list[list[float]]] = {}
    with console.progress("Perplexity", total=sum(map(len, methods.values())), unit="models") as advance:
        for method, subjects in methods.items():
            for subject in subjects:
                name = f"{subject.method} {subject.draw}"
                if name not in known:
                    known[name] = text_log_likelihoods(
                        examiner.language_model, text.paragraphs, subject.neuron_set, processes
                    )
                    if path is not None and processes.main:
                        write_json(path, kept | {"log_likelihoods": known})
                values.setdefault(method, []).append(known[name])
                advance()
    return values


def _known(path: Path | None, expected: Mapping[str, Any]) -> dict[str, list[float]]:
    """What a file of an interrupted run holds, where it is of the same paragraphs."""
    try:
        kept = read_json(path) if path is not None else {}
    except BiasectomyError:
        return {}
    return dict(kept["log_likelihoods"]) if kept.items() >= expected.items() and "log_likelihoods" in kept else {}


def _stage_done(run: Run | None, name: str) -> None:
    if run is not None:
        run.stage_done(name)
