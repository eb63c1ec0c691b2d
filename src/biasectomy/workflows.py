"""What the commands do: each takes its settings and a console, and calls the library step by step."""

from dataclasses import asdict, replace
from pathlib import Path

from biasectomy.attribution import ATTRIBUTIONS
from biasectomy.console import Console
from biasectomy.errors import RunError
from biasectomy.evaluation import ORIGINAL, Examiner, Subject
from biasectomy.expectations import announce
from biasectomy.files import without_nan, writing
from biasectomy.measuring import measure
from biasectomy.mitigation import Mitigation
from biasectomy.neuron_set import NeuronSet
from biasectomy.preparation import (
    check_neuron_set,
    describe_neurons,
    describe_task,
    find_scores,
    model_checksums,
    open_cache,
    open_model,
    open_task,
    prompts_of,
    refuse_checkpoint,
    split_task,
)
from biasectomy.processes import Processes, join
from biasectomy.results import Results
from biasectomy.runs import open_run, refuse_folder
from biasectomy.settings import (
    ApplySettings,
    EvaluateSettings,
    FindSettings,
    MitigateSettings,
)
from biasectomy.verdict import verdict


def mitigate(settings: MitigateSettings, console: Console) -> Results:
    """Find, choose n, edit, measure and save; everything goes into the run folder as it comes.

    Raises:
        BiasectomyError: see the tree in `errors`; what was computed before stays in the run folder.
    """
    with join(settings.device) as processes:
        processes.once(lambda: refuse_folder(settings.out, resume=settings.resume, overwrite=settings.overwrite))
        _ = ATTRIBUTIONS[settings.attribution]
        task = open_task(settings, console, processes)
        parts = split_task(task, settings, console)
        language_model = open_model(settings, console, processes)
        with open_run(settings.out, settings, processes) as run:
            assert run is not None  # `mitigate` always has a folder
            return Mitigation(settings, console, run, language_model, task, parts).results()


def evaluate(settings: EvaluateSettings, console: Console) -> Results:
    """Measure a model on a task, as it is or with a neuron set applied.

    Raises:
        BiasectomyError: see the tree in `errors`.
    """
    with join(settings.device) as processes:
        return _evaluated(settings, console, processes)


def _evaluated(settings: EvaluateSettings, console: Console, processes: Processes) -> Results:
    folder = settings.out
    if folder is not None:
        processes.once(lambda: refuse_folder(folder, resume=settings.resume, overwrite=settings.overwrite))
    neuron_set = NeuronSet.load(settings.neurons_file) if settings.neurons_file else None
    task = open_task(settings, console, processes)
    language_model = open_model(settings, console, processes)
    methods: dict[str, list[Subject]] = {"Original": [ORIGINAL]}
    if neuron_set is not None:
        check_neuron_set(neuron_set, language_model, console)
        methods["Edited"] = [Subject("Edited", len(neuron_set), 0, neuron_set) if len(neuron_set) else ORIGINAL]
    neurons = [asdict(neuron) for neuron in neuron_set or ()]
    with open_run(folder, settings, processes) as run:
        cache = open_cache(settings, processes)
        examiner = Examiner(language_model, settings.answer_rule, console=console, processes=processes, cache=cache)
        announce(console, examiner, task, scored=len(methods) * prompts_of(task))
        if run is not None:
            examiner.journal = run.journal
            run.same_as_before("model", language_model.description())
            run.same_as_before("task", describe_task(task))
            run.same_as_before("neurons", without_nan(neurons))
            run.same_as_before("batch_tokens", language_model.batch_tokens)
            run.record["model_checksums"] = model_checksums(language_model)
            run.record["items"] = {"all": len(task.items)}
        results = measure(methods, task, settings, examiner, split="all", run=run)
        if neuron_set is not None and neurons:
            total = len(language_model.neurons(neuron_set.definition))
            results = replace(results, verdict=verdict(results, count=len(neurons), total=total, objective="accuracy"))
        if run is not None:
            run.finish(results, neurons)
    return results


def find(settings: FindSettings, console: Console) -> NeuronSet:
    """Score the neurons of a model on the development items of a task and save the top ones.

    Raises:
        BiasectomyError: see the tree in `errors`.
    """
    with join(settings.device) as processes:
        processes.once(lambda: _refuse_file(settings.out, overwrite=settings.overwrite))
        _ = ATTRIBUTIONS[settings.attribution]
        development = split_task(open_task(settings, console, processes), settings, console).development
        language_model = open_model(settings, console, processes)
        describe_neurons(language_model, settings.definition, console)
        processes.once(lambda: _make_folder(settings.out.parent))
        scores = find_scores(language_model, development, settings, console, processes=processes)
        found = scores.top(settings.count)
        processes.once(lambda: found.save(settings.out))
    console.say(f"Wrote the top {len(found)} neurons to {settings.out}")
    return found


def _refuse_file(path: Path, *, overwrite: bool) -> None:
    if path.is_dir():
        raise RunError(f"'{path}' is a folder; --out of 'find' names a file.")
    if path.exists() and not overwrite:
        raise RunError(f"'{path}' exists; add --overwrite to replace it, or choose another --out.")


def _make_folder(folder: Path) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)


def apply(settings: ApplySettings, console: Console) -> Path:
    """Make a checkpoint from a model and a saved neuron set.

    Raises:
        BiasectomyError: see the tree in `errors`.
    """
    neuron_set = NeuronSet.load(settings.neurons_file)
    if settings.count is not None:
        neuron_set = neuron_set.top(settings.count)
    refuse_checkpoint(settings.out, overwrite=settings.overwrite)
    language_model = open_model(settings, console)
    check_neuron_set(neuron_set, language_model, console)
    difference = language_model.save(settings.out, neuron_set, overwrite=settings.overwrite)
    console.say(f"Wrote the model with {len(neuron_set)} neurons edited to {settings.out}")
    console.say(f"Reloaded, its option log-likelihoods differ by at most {difference:.1g}")
    return settings.out
