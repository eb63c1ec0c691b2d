"""`evaluate`: a model on tasks, as it is or with a neuron set in force."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from biasectomy.commands.experiment import MEASURING, Experiment
from biasectomy.commands.fitting import claimed
from biasectomy.commands.forecast import FORECAST
from biasectomy.commands.number_format import Asking, open_in_format
from biasectomy.commands.opening import MODEL, TASKS, by_name, check_neuron_set, open_harness, open_tasks
from biasectomy.commands.outcome import Outcome
from biasectomy.commands.run_folder import open_run
from biasectomy.commands.settings_measuring import EvaluateSettings
from biasectomy.files import without_nan
from biasectomy.methods import METHODS
from biasectomy.methods.neuron_edit import FittedNeurons
from biasectomy.methods.original import NAME as ORIGINAL
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import stages
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.options import Options
from biasectomy.processes import join
from biasectomy.report.as_it_is import as_it_is
from biasectomy.report.verdict import Edited, verdict
from biasectomy.tasks import Task

EDITED, EDITED_TITLE = "edited", "Edited"


def evaluate(
    model: LanguageModel | str = "smollm2",
    task: Task | str = "bbq:age",
    neurons: NeuronSet | None = None,
    out: Path | str | None = None,
    **options: Any,
) -> Outcome:
    """Measures a model on tasks: as it is now (inside `with model.edited(...)`, as edited), and with a neuron set.

    Args:
        model: a loaded model, or what `load` takes.
        task: a task, or what `load_tasks` takes.
        neurons: a set to be in force for a second row of figures.
        out: a folder for the results; None keeps nothing but what is returned.
        options: those of `biasectomy evaluate` with underscores; `also` is "none" here unless it, or
            a preset, is given.

    Raises:
        BiasectomyError: see the tree in `errors`.
    """
    usual = {} if "preset" in options else {"also": "none"}
    named = by_name(model=model, task=task) | ({"out": out} if out is not None else {})
    settings = EvaluateSettings.of(**usual | options | named)
    return run(settings, model, task, neurons)


def run(
    settings: EvaluateSettings,
    model: LanguageModel | str | None = None,
    task: Task | str | None = None,
    neurons: NeuronSet | None = None,
) -> Outcome:
    """See `evaluate`; what is given stands in for the settings' own."""
    folder = settings.out
    names = (TASKS, MODEL, FORECAST, MEASURING)
    with (
        join(settings.device, settings.shard) as processes,
        claimed(folder, settings, processes, model),
        stages(*names),
    ):
        if settings.neurons_file is not None:
            neurons = NeuronSet.load(settings.neurons_file)
        harness = open_harness(settings, processes)
        tasks = open_tasks(settings, processes, task)
        sets = 1 if neurons is None else 2
        questions = sum(len(one.items) * len(one.instructions) for one in tasks)
        asking = Asking(tasks[0], sets * questions)
        language_model, number_format = open_in_format(settings, processes, model, asking, folder)
        if neurons is not None:
            check_neuron_set(neurons, language_model)
        with open_run(folder, settings, processes) as run_folder:
            measured = [(one, "all") for one in tasks]
            experiment = Experiment(
                settings, processes, language_model, run_folder, measured, harness=harness, number_format=number_format
            )
            original = METHODS[ORIGINAL](Options())
            experiment.prepare(0, sets, {"neurons": without_nan([asdict(neuron) for neuron in neurons or ()])})
            experiment.take(ORIGINAL, original.title, original.fit(language_model, tasks[0], experiment.session))
            if neurons is None:
                outcome = experiment.measure([])
                as_found = replace(outcome.results, verdict=as_it_is(outcome.results))
                return experiment.finish(replace(outcome, results=as_found))
            experiment.take(EDITED, EDITED_TITLE, FittedNeurons(neurons))
            outcome = experiment.measure([(EDITED, ORIGINAL)])
            edited = Edited(len(neurons), len(language_model.neurons(neurons.definition)))
            sentences = verdict(outcome.results, method=EDITED, original=ORIGINAL, control=None, edited=edited)
            return experiment.finish(replace(outcome, results=replace(outcome.results, verdict=sentences)))
