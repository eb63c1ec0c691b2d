"""`mitigate`: fit a method, save the model as it leaves it, and measure what changed beside a control."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from biasectomy.commands import push
from biasectomy.commands.cards import write_card
from biasectomy.commands.experiment import Experiment
from biasectomy.commands.fitting import fitting
from biasectomy.commands.opening import by_name
from biasectomy.commands.outcome import Outcome
from biasectomy.commands.settings_measuring import MitigateSettings
from biasectomy.errors import DataError, NeuronSetError, RunError, SettingsError
from biasectomy.files import writing
from biasectomy.methods import Fitted
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.methods.random_neurons import NAME as CONTROL
from biasectomy.models.adapters import save_adapter, told_adapter
from biasectomy.models.language_model import LanguageModel
from biasectomy.models.manifest import is_as_written, strange_files
from biasectomy.models.saving import size_in_words
from biasectomy.narration import say, warn
from biasectomy.processes import is_main
from biasectomy.report.finished import FinishedRun
from biasectomy.report.verdict import Edited, verdict
from biasectomy.run_files import ADAPTER, MODEL, NEURONS, of_method
from biasectomy.tasks import Task


def mitigate(
    model: LanguageModel | str = "smollm2",
    task: Task | str = "bbq:age",
    method: str | None = None,
    out: Path | str | None = None,
    **options: Any,
) -> Outcome:
    """Fits a method on the development items of a task and measures it on the test items, beside a control and others.

    Args:
        model: a loaded model, or what `load` takes.
        task: a task, or what `load_task` takes.
        method: one of `METHODS`; None for learned factors, or what a preset takes.
        out: a run folder; None keeps nothing but what is returned.
        options: those of `biasectomy mitigate` with underscores, and those of a method as a dictionary under its
            name: `max_items=200, crispr={"grid": (0, 8)}`.

    Raises:
        BiasectomyError: see the tree in `errors`; what was computed before stays in the run folder.
    """
    given = by_name(model=model, task=task) | {"method": method, "out": out}
    settings = MitigateSettings.of(**{name: one for name, one in given.items() if one is not None}, **options)
    if settings.push is not None and out is None:
        raise SettingsError("`push` sends what a run folder holds; give `out` as well.")
    outcome = run(settings, model, task, keep=out is not None)
    if (pushing := settings.pushing()) is not None and is_main():
        push.run(pushing)
    return outcome


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
    folder = settings.out if keep else None
    with fitting(settings, model, task, folder, without, settings.others) as (experiment, methods):
        experiment.fit(ORIGINAL, methods[ORIGINAL])
        fitted = experiment.fit(settings.method, methods[settings.method])
        _save(experiment, fitted, settings)
        comparisons = [(settings.method, ORIGINAL)]
        if fitted.neuron_set is not None and len(fitted.neuron_set) and CONTROL in methods:
            experiment.fit(CONTROL, methods[CONTROL])
            comparisons.append((settings.method, CONTROL))
        for name in settings.others:
            if name in methods:
                experiment.fit(name, methods[name], neurons=None)
                comparisons.append((name, ORIGINAL))
        outcome = experiment.measure(comparisons)
        outcome = experiment.finish(_judged(outcome, fitted, settings.method, experiment.model))
        _describe(experiment, outcome)
        return outcome


def _save(experiment: Experiment, fitted: Fitted, settings: MitigateSettings) -> None:
    """Writes neurons, and checkpoint or adapter, unless it is there as it was written; says why where there is none."""
    run, model = experiment.run, experiment.model
    if run is None:
        return
    if fitted.neuron_set is not None:
        run.write(NEURONS, fitted.neuron_set.save)
    folder = run.path(ADAPTER if settings.save_as == "adapter" else MODEL)
    said, refused, difference = run.processes.once(lambda: _written(model, fitted, folder, settings))
    if refused:
        warn(said)
        return
    run.record["reload_difference"] = difference if said else run.previous.get("reload_difference")
    experiment.stage_done("save")
    say(said or f"{folder} is there already, as it was written")


def _describe(experiment: Experiment, outcome: Outcome) -> None:
    """Writes the model card of what was saved, which tells what was measured afterwards."""
    run = experiment.run
    if run is not None and run.processes.main:
        finished = FinishedRun(run.folder, outcome.results, run.record)
        try:
            if (card := write_card(finished, experiment.model.source)) is not None:
                say(f"Wrote the model card {card}")
        except DataError as error:  # the original's card is like no other; the run is whole without ours
            warn(f"There is no model card: {error}.")


def _written(
    model: LanguageModel, fitted: Fitted, folder: Path, settings: MitigateSettings
) -> tuple[str, bool, float | None]:
    """What is to be said of the folder, nothing where it was there before; whether it is refused; what it costs."""
    if _is_there(folder):
        return "", False, None
    try:
        if settings.save_as == "checkpoint":
            cost = fitted.save(model, folder, settings.save_dtype)
            off = f"; reloaded, its log-likelihoods differ by at most {cost:.1g}" if cost is not None else ""
            return f"Wrote {folder} ({size_in_words(folder)}){off}", False, cost
        if fitted.neuron_set is None:
            own = of_method(folder.parent, settings.method) / ADAPTER  # of methods that learn one of another kind
            there = f"what it learned is in {own}" if own.is_dir() else "leave --as adapter out"
            raise SettingsError(
                f"'{settings.method}' sets no factors of neurons: there is no (IA)^3 adapter to write; {there}."
            )
        difference = save_adapter(model, folder, fitted.neuron_set)
        return told_adapter(folder, difference), False, difference
    except (SettingsError, NeuronSetError) as error:
        return str(error), True, None


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
