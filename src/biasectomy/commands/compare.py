"""`compare`: several methods on the same items, one table a task."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from biasectomy.commands.fitting import fitting
from biasectomy.commands.opening import by_name
from biasectomy.commands.outcome import Outcome
from biasectomy.commands.settings_measuring import CompareSettings
from biasectomy.errors import SettingsError
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import say
from biasectomy.report.verdict import ranking
from biasectomy.tasks import Task


def compare(
    model: LanguageModel | str = "smollm2",
    task: Task | str = "bbq:age",
    methods: Sequence[str] | str | None = None,
    out: Path | str | None = None,
    **options: Any,
) -> Outcome:
    """Fits each method on the development items of a task and asks each the same test items.

    Args:
        model: a loaded model, or what `load` takes.
        task: a task, or what `load_task` takes; of several, methods are fitted on the first, and all are measured.
        methods: some of `METHODS`, in the order of the table; the original is always the first.
        out: a run folder; None keeps nothing but what is returned.
        options: those of `biasectomy compare` with underscores, and those of a method as a dictionary under its name.

    Raises:
        BiasectomyError: see the tree in `errors`; what was computed before stays in the run folder.
    """
    given = {"methods": methods, "out": out}
    named = by_name(model=model, task=task) | {name: value for name, value in given.items() if value is not None}
    settings = CompareSettings.of(**named, **options)
    return run(settings, model, task, keep=out is not None)


def run(
    settings: CompareSettings,
    model: LanguageModel | str | None = None,
    task: Task | str | None = None,
    *,
    keep: bool = True,
) -> Outcome:
    """See `compare`; model and task stand in for those of the settings, and without `keep` no folder is written."""
    folder, optional = settings.out if keep else None, settings.optional()
    with fitting(settings, model, task, folder, optional=optional) as (experiment, methods):
        for name, method in methods.items():
            try:
                experiment.fit(name, method)
            except SettingsError as error:
                if name not in optional:
                    raise
                say(f"{method.title} is left out: {error}")
        outcome = experiment.measure([(name, ORIGINAL) for name in experiment.fitted if name != ORIGINAL])
        sentences = ranking(outcome.results, original=ORIGINAL)
        return experiment.finish(replace(outcome, results=replace(outcome.results, verdict=sentences)))
