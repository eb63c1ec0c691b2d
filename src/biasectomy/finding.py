"""Finding neurons: instances out of the development items, scores over instructions and trials, a ranking."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from biasectomy.attribution import ATTRIBUTIONS
from biasectomy.console import Console
from biasectomy.errors import ScoreError, SettingsError
from biasectomy.files import write_atomically
from biasectomy.language_model import LanguageModel
from biasectomy.neuron_set import Neuron, NeuronSet
from biasectomy.neurons import Neurons
from biasectomy.processes import ALONE, Processes
from biasectomy.tasks.base import Task
from biasectomy.trials import Attributor

MOST_NEURONS = 500


@dataclass(frozen=True)
class Scores:
    """A score for every neuron of a model; float64, by module [units]."""

    neurons: Neurons
    by_module: dict[str, Tensor]
    model: dict[str, Any] = field(default_factory=dict)
    found_with: dict[str, Any] = field(default_factory=dict)

    def top(self, count: int) -> NeuronSet:
        """The neurons with the highest scores over all modules and layers; ties go to the earlier module and unit."""
        groups = list(self.neurons)
        scores = torch.cat([self.by_module[group.module] for group in groups]).numpy()
        starts = np.cumsum([0, *(group.units for group in groups)])
        best = np.argsort(-scores, kind="stable")[:count]
        chosen = []
        for index in best:
            position = int(np.searchsorted(starts, index, side="right")) - 1
            chosen.append(Neuron(groups[position].module, int(index - starts[position]), float(scores[index])))
        return NeuronSet(tuple(chosen), self.neurons.definition, self.model, self.found_with)

    def save(self, path: Path) -> None:
        """Writes all scores as safetensors, atomically."""
        write_atomically(path, save(self.by_module))


def attribute(
    language_model: LanguageModel,
    development: Task,
    *,
    attribution: str = "crispr",
    variant: str = "paper",
    definition: str = "linear-output",
    instances: int = 20,
    trials: int = 3,
    clamp_group: int = 1,
    checkpointing: bool = False,
    seed: int = 0,
    keep: Path | None = None,
    console: Console | None = None,
    processes: Processes = ALONE,
) -> Scores:
    """Scores every neuron: mean over trials and instructions of the attribution's score of the drawn instances.

    Args:
        development: the items instances are drawn from, without replacement within a trial.
        checkpointing: compute blocks again in backward passes instead of keeping what they need.
        keep: folder where the scores of each trial and instruction are kept, and taken from when there already.
        processes: they divide the instances of each trial and instruction among them.

    Raises:
        UnknownNameError: there is no such attribution, variant or definition.
        SettingsError: there are fewer development items than instances.
        ScoreError: a log-likelihood or a score is not finite.
        ModelError: the memory is too small even for one item.
    """
    console = console or Console(quiet=True)
    neurons = language_model.neurons(definition)
    make_rule = ATTRIBUTIONS[attribution]
    refuse_too_few(development, instances)
    draws = [draw_instances(len(development.items), instances, trial, seed) for trial in range(trials)]
    sums = {group.module: torch.zeros(group.units, dtype=torch.float64) for group in neurons}
    total = trials * len(development.instructions) * instances
    with console.progress("Attributing", total=total, unit="instances") as advance:
        attributor = Attributor(
            language_model, neurons, make_rule, variant, clamp_group, checkpointing, processes, advance
        )
        for trial, drawn in enumerate(draws):
            items = [development.items[index] for index in drawn]
            for number, instruction in enumerate(development.instructions):
                compute = functools.partial(attributor.scores, items, instruction, seed + trial)
                path = keep / f"trial-{trial}-instruction-{number}.safetensors" if keep else None
                scores, fresh = _kept_or_computed(path, neurons, compute, processes)
                if not fresh:
                    advance(instances)
                for module, values in scores.items():
                    sums[module] += values.cpu() / (trials * len(development.instructions))
    for module, values in sums.items():
        if not bool(torch.isfinite(values).all()):
            raise ScoreError(
                f"The scores of '{module}' are not finite; the model's gradients overflow. Try --dtype float32."
            )
    found_with = {
        "attribution": attribution,
        "variant": variant,
        "definition": definition,
        "task": development.name,
        "instances": instances,
        "trials": trials,
        "clamp_group": clamp_group,
        "instructions": list(development.instructions),
        "prompt": language_model.prompt_format.name,
        "seed": seed,
        "drawn": [[development.items[index].identifier for index in drawn] for drawn in draws],
    }
    return Scores(neurons, sums, language_model.description(), found_with)


def refuse_too_few(development: Task, instances: int) -> None:
    """Refuses to draw more instances than there are development items.

    Raises:
        SettingsError: says what would be enough.
    """
    if len(development.items) < instances:
        raise SettingsError(
            f"{development.name} has {len(development.items)} development items, fewer than --instances {instances}; "
            f"use --instances {len(development.items)}, more --max-items or a larger --development-share."
        )


def draw_instances(available: int, instances: int, trial: int, seed: int) -> list[int]:
    """Indices of one trial's instances, drawn without replacement."""
    return [int(index) for index in np.random.default_rng([seed, trial]).choice(available, instances, replace=False)]


def find_neurons(
    language_model: LanguageModel, development: Task, count: int = MOST_NEURONS, **settings: Any
) -> NeuronSet:
    """The `count` neurons with the highest scores, best first; `settings` are those of `attribute`."""
    return attribute(language_model, development, **settings).top(count)


def _kept_or_computed(
    path: Path | None, neurons: Neurons, compute: Callable[[], dict[str, Tensor]], processes: Processes
) -> tuple[dict[str, Tensor], bool]:
    """Scores from a kept file where it is whole, else computed (and kept); and whether they were computed."""
    kept = processes.once(lambda: _kept(path, neurons))
    if kept is not None:
        return kept, False
    scores = compute()
    if path is not None and processes.main:
        write_atomically(path, save({name: values.cpu().contiguous() for name, values in scores.items()}))
    return scores, True


def _kept(path: Path | None, neurons: Neurons) -> dict[str, Tensor] | None:
    """Scores of all neurons from a file; None where it is not there or not whole."""
    if path is None or not path.exists():
        return None
    try:
        kept = load_file(path)
    except (SafetensorError, OSError):
        return None
    whole = {group.module: group.units for group in neurons} == {name: len(values) for name, values in kept.items()}
    return kept if whole else None
