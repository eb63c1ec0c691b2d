"""`mitigate`: fit a method, save the model as it leaves it, and measure what changed beside a control."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from biasectomy.commands.experiment import Experiment, fitting
from biasectomy.commands.outcome import Outcome
from biasectomy.commands.replacing import MODEL, NEURONS
from biasectomy.commands.settings import MitigateSettings
from biasectomy.errors import RunError, SettingsError
from biasectomy.files import writing
from biasectomy.methods import Fitted
from biasectomy.methods.crispr import NAME as CRISPR
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.methods.random_neurons import NAME as CONTROL
from biasectomy.models.language_model import LanguageModel
from biasectomy.models.manifest import is_as_written, strange_files
from biasectomy.models.saving import size_in_words
from biasectomy.narration import say, warn
from biasectomy.report.verdict import Edited, verdict
from biasectomy.tasks import Task


def mitigate(
    model: LanguageModel | str = "smollm2",
    task: Task | str = "bbq:age",
    method: str = CRISPR,
    out: Path | str | None = None,
    **options: Any,
) -> Outcome:
    """Fits a method on the development items of a task and measures it on the test items, beside a control.

    Args:
        model: a loaded model, or what `load` takes.
        task: a task, or what `load_task` takes.
        method: one of `METHODS`.
        out: a run folder; None keeps nothing but what is returned.
        options: those of `biasectomy mitigate` with underscores, and those of a method as a dictionary under its
            name: `max_items=200, crispr={"grid": (0, 8)}`.

    Raises:
        BiasectomyError: see the tree in `errors`; what was computed before stays in the run folder.
    """
    settings = MitigateSettings.of(method=method, **({"out": out} if out is not None else {}), **options)
    return run(settings, model, task, keep=out is not None)


def run(
    settings: MitigateSettings,
    model: LanguageModel | str | None = None,
    task: Task | str | None = None,
    *,
    keep: bool = True,
) -> Outcome:
    """See `mitigate`; model and task stand in for those of the settings, and without `keep` no folder is written."""
    # No control, by the user's wish.
    without = {CONTROL} if settings.method != CONTROL and not getattr(settings.section(CONTROL), "draws", 0) else ()
    with fitting(settings, model, task, settings.out if keep else None, without) as (experiment, methods):
        experiment.fit(ORIGINAL, methods[ORIGINAL])
        fitted = experiment.fit(settings.method, methods[settings.method])
        _save(experiment, fitted, settings.save_dtype)
        comparisons = [(settings.method, ORIGINAL)]
        if fitted.neuron_set is not None and len(fitted.neuron_set) and CONTROL in methods:
            experiment.fit(CONTROL, methods[CONTROL])
            comparisons.append((settings.method, CONTROL))
        outcome = experiment.measure(comparisons)
        return experiment.finish(_judged(outcome, fitted, settings.method, experiment.model))


def _save(experiment: Experiment, fitted: Fitted, dtype: str) -> None:
    """Writes neurons and checkpoint, unless it is there as it was written; a method that has none is told so."""
    run, model = experiment.run, experiment.model
    if run is None:
        return
    if fitted.neuron_set is not None:
        run.write(NEURONS, fitted.neuron_set.save)
    folder = run.path(MODEL)
    try:
        difference = run.processes.once(lambda: None if _is_there(folder) else fitted.save(model, folder, dtype))
    except SettingsError as error:
        warn(str(error))
        return
    if difference is not None:
        run.record["reload_difference"] = difference
        experiment.stage_done("save")
        size = run.processes.once(lambda: size_in_words(folder))
        say(f"Wrote {folder} ({size}); reloaded, its log-likelihoods differ by at most {difference:.1g}")
    else:
        run.record["reload_difference"] = run.previous.get("reload_difference")
        experiment.stage_done("save")
        say(f"{folder} is there already, as it was written")


def _is_there(folder: Path) -> bool:
    """Whether a resumed run finds its checkpoint unchanged; what is left of a damaged one is deleted.

    Raises:
        RunError: something else is there.
    """
    if not folder.exists():
        return False
    strange = strange_files(folder) if folder.is_dir() else [folder.name]
    if strange:
        raise RunError(
            f"'{folder}' holds {', '.join(strange[:3])}, which this run did not write there; move it elsewhere and go "
            "on with --resume."
        )
    if is_as_written(folder):
        return True
    warn(f"'{folder}' is not as this run wrote it; it is written anew.")
    with writing(folder):
        shutil.rmtree(folder)
    return False


def _judged(outcome: Outcome, fitted: Fitted, method: str, model: LanguageModel) -> Outcome:
    """The outcome with its verdict."""
    edited = None
    if fitted.neuron_set is not None:
        edited = Edited(len(fitted.neuron_set), len(model.neurons(fitted.neuron_set.definition)))
    sentences = verdict(outcome.results, method=method, original=ORIGINAL, control=CONTROL, edited=edited)
    return replace(outcome, results=replace(outcome.results, verdict=sentences))
