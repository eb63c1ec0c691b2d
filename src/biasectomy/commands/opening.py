"""Opening what a command works with, and saying what was found: tasks, models, neurons."""

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar

import torch

from biasectomy.commands.settings_base import option_name
from biasectomy.commands.settings_shared import (
    AUTO,
    EvaluationSettings,
    FittingSettings,
    ModelSettings,
    SplitSettings,
    TaskSettings,
)
from biasectomy.errors import BiasectomyError, DataError, SettingsError, SourceError
from biasectomy.measuring.harness import HarnessTask, load_harness
from biasectomy.measuring.harness_calls import NAME as HARNESS
from biasectomy.methods import METHODS
from biasectomy.models.language_model import LanguageModel, load
from biasectomy.models.sources import ModelSource, resolve_model
from biasectomy.narration import heading, say, warn
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.processes import ALONE, Processes
from biasectomy.reading.products import FULL, products, warn_if_slower
from biasectomy.tasks import EVERYTHING, Split, Task, load_tasks, split
from biasectomy.tasks.checks import check_task
from biasectomy.tasks.continuations import Continued, with_continuations
from biasectomy.tasks.judges import chosen_judges, record_of
from biasectomy.tasks.option_order import ROTATE, rotate_options
from biasectomy.tasks.twins import joined_templates

AnyFitting = TypeVar("AnyFitting", bound=FittingSettings)
TASKS, MODEL = "tasks", "model"  # stages of a command
LEAST_LEARNED = 20  # items that a preset leaves for development
FEW_LABELS = 6  # that are counted one by one
NONE = "none"  # as a name of tasks: no tasks


def by_name(**given: object) -> dict[str, str]:
    """What was given by name: it belongs to the settings, so that a record says it; what is an object cannot."""
    return {name: value for name, value in given.items() if isinstance(value, str)}


def open_tasks(settings: TaskSettings, processes: Processes = ALONE, given: Task | str | None = None) -> list[Task]:
    """The tasks of the settings within their limits, those of `--also` last; says what they hold.

    Args:
        given: a task, or a name, in place of `--task`.
    """
    return [task for some in open_both(settings, processes, given) for task in some]


def open_both(
    settings: TaskSettings, processes: Processes = ALONE, given: Task | str | None = None
) -> tuple[list[Task], list[Task]]:
    """As `open_tasks`: those of `--task`, and those of `--also`."""
    everything = not isinstance(given, Task) and (given or settings.task).strip().lower() == EVERYTHING
    with processes.main_first():
        if isinstance(given, Task):
            wanted = [given]
        else:
            wanted = load_tasks(
                given or settings.task,
                data_folder=settings.data,
                instructions=settings.instructions,
                lacking=_leave_out if everything else None,
            )
        also, rule = (settings.also, settings.answer_rule) if isinstance(settings, EvaluationSettings) else (NONE, None)
        others = [] if also in ("", NONE) else load_tasks(also, data_folder=settings.data)
    _refuse_unused(settings, [*wanted, *others])
    named = {task.name: task.sources for task in wanted}
    if twice := [other.name for other in others if other.sources != named.get(other.name, other.sources)]:
        raise SettingsError(f"Two tasks with different files have the name '{twice[0]}'; each needs a name of its own.")
    _refuse_idle(settings, [*wanted, *others])
    tasks: tuple[list[Task], list[Task]] = [], []
    for whole in [*wanted, *(other for other in others if other.name not in named)]:
        check_task(whole)
        task = _as_asked(whole, settings).limited(settings.max_items, settings.max_instructions, settings.seed)
        if everything and not _has_its_judges(task):
            continue
        if (whole in wanted and not everything) or rule in whole.answer_rules:
            task = task.with_answer_rule(rule)
        if settings.option_order == ROTATE and task.option_order != ROTATE:  # one that was turned before stays so
            task = rotate_options(task, settings.seed)
        _describe(task, whole)
        tasks[whole not in wanted].append(task)
    return tasks


def _leave_out(name: str, error: BiasectomyError) -> None:
    warn(f"'{name}' is left out: {error}")


def _has_its_judges(task: Task) -> bool:
    """Whether the judges of a task can judge; says why not."""
    try:
        for judge in task.judges.values():
            record_of(judge)
    except BiasectomyError as error:
        _leave_out(task.name, error)
        return False
    return True


def _as_asked(task: Task, settings: TaskSettings) -> Task:
    """The task with the continuations and the judges of the settings, where it has any."""
    if not isinstance(settings, EvaluationSettings):
        return task
    task = with_continuations(task, settings.samples, settings.temperature, settings.new_tokens, settings.seed)
    if settings.judge is None or not task.judges:
        return task
    return replace(task, judges={**task.judges, **chosen_judges(settings.judge, tuple(task.judges), settings.data)})


def _refuse_idle(settings: TaskSettings, tasks: Sequence[Task]) -> None:
    """Refuses settings of generated texts where no task has any.

    Raises:
        SettingsError: names the first of them.
    """
    if not isinstance(settings, EvaluationSettings):
        return
    continued, judged = any(isinstance(task.form, Continued) for task in tasks), any(task.judges for task in tasks)
    for name, used in (
        ("samples", continued),
        ("temperature", continued),
        ("new_tokens", continued),
        ("judge", judged),
    ):
        if getattr(settings, name) is not None and not used:
            what = "judges generated texts" if name == "judge" else "goes on from texts"
            raise SettingsError(f"No task that is asked {what}, so {option_name(name)} does nothing; leave it out.")
    if settings.temperature is not None and settings.samples is None:
        raise SettingsError("--temperature is of continuations that are drawn; give --samples too.")


def open_harness(settings: EvaluationSettings, processes: Processes = ALONE) -> list[HarnessTask]:
    """The tasks of lm-evaluation-harness that the settings name, with their data; says what they hold."""
    if not settings.harness:
        return []
    heading(HARNESS, TASKS)
    with processes.main_first():
        tasks = load_harness(settings.harness, settings.harness_path, settings.harness_limit, settings.seed)
    for task in tasks:
        several = f" in {len(task.members)} tasks" if len(task.members) > 1 else ""
        say(f"{task.name}: {sum(task.documents.values()):,} documents{several}")
    return tasks


def _refuse_unused(settings: TaskSettings, tasks: Sequence[Task]) -> None:
    """Refuses a folder of data that was named and has none; says which files of a task come from elsewhere.

    Raises:
        SourceError: the folder has none of the files that are asked for.
    """
    if settings.data is None:
        return
    sources = {str(source.get("file")): source for task in tasks for source in task.sources}
    lacking = [name for name, source in sources.items() if source.get("lacking")]
    found = [name for name, source in sources.items() if source.get("origin") == str(settings.data / name)]
    # Methods that read data say themselves what is lacking.
    read = found or any(hasattr(METHODS[name], "check_data") for name in settings.in_use() if name in METHODS)
    if lacking and not read:
        raise SourceError(f"--data '{settings.data}' has none of the files that are asked for: {', '.join(lacking)}.")
    for origin, names in _by_origin([sources[name] for name in lacking]).items():
        warn(f"'{settings.data}' has no {', '.join(names)}; taken from {origin}.")
    if not lacking and not read:
        warn(f"--data '{settings.data}' is not read: {', '.join(task.name for task in tasks)} need nothing of it.")


def _describe(task: Task, whole: Task) -> None:
    heading(f"Task {task.name}", TASKS)
    coarsest = task.spread[:1]
    counted = Counter(item.labels.get(name, "") for name in coarsest for item in task.items)
    counts = ", ".join(f"{count:,} {name}" for name, count in counted.items() if name and len(counted) <= FEW_LABELS)
    templates = len({item.cluster for item in task.items})
    twins = len(joined_templates(task.items))
    say(
        f"{len(task.items):,} of {len(whole.items):,} items{f' ({counts})' if counts else ''}"
        + (f" from {templates} templates" if templates != len(task.items) else "")
        + (f" ({twins} of them several that share questions)" if twins else "")
        + (f", {len(task.instructions)} of {len(whole.instructions)} instructions" if any(task.instructions) else "")
        + (", options turned" if task.option_order == ROTATE else "")
        + (f", whole texts of {words:,} words" if (words := _words(task)) else "")
    )
    for origin, files in _by_origin(task.sources).items():
        say(f"Read from {origin}: {', '.join(files)}")
    for source in task.sources:
        if source.get("unverified"):
            warn(f"{source.get('file')}: {source['unverified']}.")
        elif source.get("verified", False) is False:  # None: nobody published one
            warn(f"{source.get('file')} differs from the file its authors published.")


def _by_origin(sources: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Names of files by what they come from: a folder, a package, a repository."""
    found: dict[str, list[str]] = {}
    for source in sources:
        file = str(source.get("file"))
        found.setdefault(str(source.get("origin")).removesuffix(f"/{file}"), []).append(file)
    return found


def _words(task: Task) -> int:
    """How many words the whole texts of a task have; 0 where its options stand behind a prompt."""
    questions = (task.question(task.instructions[0], item) for item in task.items)
    whole = itertools.takewhile(lambda question: question.text is None, questions)
    return sum(len(text.split()) for question in whole for text in question.options)


def split_task(task: Task, settings: SplitSettings) -> Split:
    """Development and test items, with options turned on each side where they were; says how many."""
    sides = split(task, settings.split, settings.development_share, settings.seed)
    if task.option_order == ROTATE:
        sides = Split(*(rotate_options(side, settings.seed) for side in sides))
    say(f"{task.name} is split: development {_counted(sides.development)}; test {_counted(sides.test)}")
    return sides


def admitted(settings: AnyFitting, *tasks: Task) -> AnyFitting:
    """The settings without what a preset sets and one of the tasks does not take; says what that is."""
    if not any(map(settings.is_by_preset, ("objective", "split", "development_share"))):
        return settings
    fields, left_out = type(settings).model_fields, set[str]()
    for task in tasks:
        if settings.objective not in task.goals:
            left_out.add("objective")
        if settings.development_share * len(task.items) < LEAST_LEARNED:
            left_out.add("development_share")
        try:
            split(task, settings.split, settings.development_share, settings.seed)
        except (SettingsError, DataError):  # such as of items that belong together, at random
            left_out |= {"split", "development_share"}
    changes = {name: fields[name].default for name in sorted(left_out) if settings.is_by_preset(name)}
    if changes:
        names = ", ".join(f"{option_name(name)} {getattr(settings, name)}" for name in changes)
        asked = ", ".join(task.name for task in tasks)
        say(f"Of --preset {settings.preset}, {asked} cannot take {names}: left out")
    return settings.model_copy(update=changes)


def open_model(
    settings: ModelSettings,
    processes: Processes = ALONE,
    given: LanguageModel | str | None = None,
    dtype: str | None = None,
) -> LanguageModel:
    """The model of the settings, or the one given; says what it is.

    Args:
        given: a loaded model, or a name, in place of that of the settings.
        dtype: in place of that of the settings; where nothing is asked that could settle it, `auto` is float32.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    if isinstance(given, LanguageModel):
        return given
    name = given or settings.model
    heading(f"Model {name}", MODEL)
    if settings.device_map is not None and processes.neighbours > 1:
        raise SettingsError(
            f"--device-map spreads a model over the devices of a machine, and {processes.neighbours} processes on this "
            "one would each do so; launch one process a machine, or leave --device-map out."
        )
    if settings.shard:
        _refuse_sharding(settings, processes)
    with processes.main_first():
        source = resolve_model(name)
    dtype = dtype or (settings.dtype if settings.dtype != AUTO else FULL)
    language_model = loaded(settings, processes, source, dtype)
    model = language_model.model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    say(
        f"{type(model).__name__}, {_in_words(parameters)} parameters, {dtype} on {model.device.type}, "
        f"{language_model.prompt_format.name} prompts, whole texts {language_model.prompt_format.conditioning}"
        + (
            f", {'spread over' if processes.together else 'in each of'} {processes.count} processes"
            if processes.count > 1
            else ""
        )
    )
    if language_model.layout.name == "rows":
        warn("This model cannot share the work of a prompt between its options; scoring is slower.")
    if dtype != FULL and processes.main:
        warn_if_slower(products(model.device), dtype)
    return language_model


def loaded(settings: ModelSettings, processes: Processes, source: ModelSource, dtype: str) -> LanguageModel:
    """A model as the settings say, in a number format."""
    return load(
        source,
        processes=processes,
        prompt=settings.prompt,
        prefix=settings.prefix,
        batch_tokens=settings.batch_tokens,
        dtype=dtype,
        device=processes.device or "auto" if settings.device == "auto" else settings.device,
        device_map=settings.device_map,
        quantization=settings.quantization,
        trust_remote_code=settings.trust_remote_code,
    )


def _refuse_sharding(settings: ModelSettings, processes: Processes) -> None:
    """Refuses to spread a model where that cannot be.

    Raises:
        SettingsError: says why, and what would be right.
    """
    if not processes.together:
        raise SettingsError(
            "--shard spreads a model over the processes of a launcher, and here is one process; start the command with "
            "torchrun or accelerate launch (mitigate, compare, evaluate, find and study), or leave --shard out."
        )
    for name in ("device_map", "quantization"):
        if getattr(settings, name) is not None:
            raise SettingsError(f"--shard and {option_name(name)} exclude each other; give one of them.")
    if isinstance(settings, EvaluationSettings) and settings.harness:
        raise SettingsError(
            "lm-evaluation-harness reads in batches of its own, for which a model cannot be spread over processes; "
            "leave --harness or --shard out."
        )


def describe_neurons(language_model: LanguageModel, definition: str) -> None:
    """Says which neurons the model has."""
    neurons = language_model.neurons(definition)
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in neurons.kinds().items())
    say(f"{len(neurons):,} {definition} neurons in {neurons.layers} layers: {kinds}")
    # The same place of every layer is one line, not as many as the model has layers.
    left_out = Counter((re.sub(r"\.\d+\.", ".*.", module), reason) for module, reason in neurons.left_out)
    for (module, reason), count in left_out.items():
        warn(f"Left out: {module} ({reason}{f', {count} of them' if count > 1 else ''})")


def check_neuron_set(neuron_set: NeuronSet, language_model: LanguageModel) -> None:
    """Refuses a set that does not fit the model, and warns when it was found in other weights."""
    neuron_set.check(language_model.model, language_model.neurons(neuron_set.definition))
    found_in, here = neuron_set.model.get("fingerprint"), language_model.description()["fingerprint"]
    if found_in and found_in != here:
        warn(
            f"This neuron set was found in other weights ('{neuron_set.model.get('name')}') than those of "
            f"'{language_model.name}'; the modules fit, the neurons may mean something else."
        )


def described_neurons(neuron_set: NeuronSet, language_model: LanguageModel) -> list[dict[str, Any]]:
    """The neurons of a set with the kind, layer and stack of the modules they stand in."""
    neurons = language_model.neurons(neuron_set.definition)
    found = []
    for neuron in neuron_set:
        group = neurons.group(neuron.module)
        where = {"kind": group.kind, "layer": group.layer, "stack": group.stack} if group is not None else {}
        found.append(asdict(neuron) | where)
    return found


def describe_task(task: Task) -> dict[str, Any]:
    """What identifies a task in a record."""
    return {
        "name": task.name,
        "version": task.version,
        "answer_rule": task.answer_rule,
        "option_order": task.option_order,
        "checksum": task.checksum(),
        "sources": list(task.sources),
        "joined_templates": joined_templates(task.items),
        "judges": {quality: record_of(judge) for quality, judge in task.judges.items()},
    }


def model_checksums(language_model: LanguageModel) -> dict[str, str]:
    """SHA-256 of each file the model was loaded from."""
    return language_model.source.checksums() if language_model.source is not None else {}


def _in_words(number: int) -> str:
    """A large number with as many digits as say something: 5,824; 135 million; 1.24 billion."""
    if number < 10**6:
        return f"{number:,}"
    return f"{number / 1e6:,.3g} million" if number < 999.5e6 else f"{number / 1e9:,.3g} billion"


def _counted(task: Task) -> str:
    return f"{len(task.items):,} items of {len({item.cluster for item in task.items})} templates"
