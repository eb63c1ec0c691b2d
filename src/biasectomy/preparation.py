"""Opening what a command works with, and saying what was found: tasks, models, neurons."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from biasectomy.console import Console
from biasectomy.errors import RunError, SettingsError
from biasectomy.finding import Scores, attribute, refuse_too_few
from biasectomy.language_model import LanguageModel, load
from biasectomy.neuron_set import NeuronSet
from biasectomy.processes import ALONE, Processes
from biasectomy.score_cache import ScoreCache
from biasectomy.settings import AttributionSettings, EvaluationSettings, ModelSettings
from biasectomy.sources import resolve_model
from biasectomy.tasks import Split, Task, load_task, split


def refuse_checkpoint(folder: Path, *, overwrite: bool) -> None:
    """Refuses to write a checkpoint where something else is.

    Raises:
        RunError: the folder holds something and is not to be overwritten, or holds no checkpoint.
    """
    if folder.is_file():
        raise RunError(f"'{folder}' is a file; --out must name a folder.")
    if folder.exists() and any(folder.iterdir()):
        if not overwrite:
            raise RunError(f"'{folder}' exists and is not empty; add --overwrite or choose another --out.")
        if not (folder / "config.json").exists():
            raise RunError(f"'{folder}' is not replaced: it holds no checkpoint. Choose another --out.")


def open_task(settings: EvaluationSettings, console: Console, processes: Processes = ALONE) -> Task:
    """The task of the settings, within their limits; says what it holds."""
    with processes.main_first():
        whole = load_task(settings.task, data_folder=settings.data, instructions=settings.instructions)
    task = whole.limited(settings.max_items, settings.max_instructions, settings.seed)
    conditions: dict[str, int] = {}
    for item in task.items:
        conditions[item.condition] = conditions.get(item.condition, 0) + 1
    counts = ", ".join(f"{count:,} {name}" for name, count in conditions.items() if name)
    templates = len({item.cluster for item in task.items})
    console.heading(f"Task {task.name}")
    console.say(
        f"{len(task.items):,} of {len(whole.items):,} items ({counts}) from {templates} templates, "
        f"{len(task.instructions)} of {len(whole.instructions)} instructions"
    )
    for source in task.sources:
        if not source.get("verified"):
            console.warn(f"{source.get('file')} differs from the file its authors published.")
    return task


def split_task(task: Task, settings: AttributionSettings, console: Console) -> Split:
    """Development and test items; refuses a split with too few of the former."""
    parts = split(task, settings.split, settings.development_share, settings.seed)
    console.say(f"Development: {_counted(parts.development)}; test: {_counted(parts.test)}")
    refuse_too_few(parts.development, settings.instances)
    return parts


def open_model(settings: ModelSettings, console: Console, processes: Processes = ALONE) -> LanguageModel:
    """The model of the settings; says what it is."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    console.heading(f"Model {settings.model}")
    if settings.device_map is not None and processes.neighbours > 1:
        raise SettingsError(
            f"--device-map spreads a model over the devices of a machine, and {processes.neighbours} processes on this "
            "one would each do so; launch one process a machine, or leave --device-map out."
        )
    with processes.main_first():
        source = resolve_model(settings.model, console)
    language_model = load(
        source,
        prompt=settings.prompt,
        dtype=settings.dtype,
        device=processes.device or "auto" if settings.device == "auto" else settings.device,
        device_map=settings.device_map,
        quantization=settings.quantization,
        batch_tokens=settings.batch_tokens,
        trust_remote_code=settings.trust_remote_code,
        console=console,
    )
    model = language_model.model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    console.say(
        f"{type(model).__name__}, {parameters / 1e6:,.0f} million parameters, {settings.dtype} on {model.device.type}, "
        f"{language_model.prompt_format.name} prompts"
        + (f", in each of {processes.count} processes" if processes.count > 1 else "")
    )
    if language_model.layout.name == "rows":
        console.warn("This model cannot share the work of a prompt between its options; scoring is slower.")
    return language_model


def describe_neurons(language_model: LanguageModel, definition: str, console: Console) -> None:
    """Says which neurons the model has."""
    neurons = language_model.neurons(definition)
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in neurons.kinds().items())
    console.say(f"{len(neurons):,} {definition} neurons in {neurons.layers} layers: {kinds}")
    # The same part of every layer is one line, not as many as the model has layers.
    left_out = Counter((re.sub(r"\.\d+\.", ".*.", module), reason) for module, reason in neurons.left_out)
    for (module, reason), count in left_out.items():
        console.warn(f"Left out: {module} ({reason}{f', {count} of them' if count > 1 else ''})")


def check_neuron_set(neuron_set: NeuronSet, language_model: LanguageModel, console: Console) -> None:
    """Refuses a set that does not fit the model, and warns when it was found in other weights."""
    neuron_set.check(language_model.model)
    found_in, here = neuron_set.model.get("fingerprint"), language_model.description()["fingerprint"]
    if found_in and found_in != here:
        console.warn(
            f"This neuron set was found in other weights ('{neuron_set.model.get('name')}') than those of "
            f"'{language_model.name}'; the modules fit, the neurons may mean something else."
        )


def open_cache(settings: EvaluationSettings, processes: Processes) -> ScoreCache | None:
    """The cache of the settings, made by the main process; None where none is wanted."""
    if settings.score_cache is None:
        return None
    folder = settings.score_cache
    return processes.once(lambda: ScoreCache(folder))


def find_scores(
    language_model: LanguageModel,
    development: Task,
    settings: AttributionSettings,
    console: Console,
    keep: Path | None = None,
    processes: Processes = ALONE,
) -> Scores:
    """Scores of all neurons with the settings of a command."""
    return attribute(
        language_model,
        development,
        attribution=settings.attribution,
        variant=settings.variant,
        definition=settings.definition,
        instances=settings.instances,
        trials=settings.trials,
        clamp_group=settings.clamp_group,
        checkpointing=settings.checkpointing,
        seed=settings.seed,
        keep=keep,
        console=console,
        processes=processes,
    )


def describe_task(task: Task) -> dict[str, Any]:
    """What identifies a task in a record."""
    return {"name": task.name, "version": task.version, "checksum": task.checksum(), "sources": list(task.sources)}


def model_checksums(language_model: LanguageModel) -> dict[str, str]:
    """SHA-256 of each file the model was loaded from."""
    return language_model.source.checksums() if language_model.source is not None else {}


def prompts_of(task: Task) -> int:
    """Number of prompts: items times instructions."""
    return len(task.items) * len(task.instructions)


def _counted(task: Task) -> str:
    return f"{len(task.items):,} items of {len({item.cluster for item in task.items})} templates"
