"""`describe`: what the neurons of a set are, and what it has in common with other sets."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from biasectomy.commands.opening import (
    check_neuron_set,
    describe_task,
    described_neurons,
    open_model,
    open_tasks,
    split_task,
)
from biasectomy.commands.replacing import refuse_output
from biasectomy.commands.settings_neurons import DescribeSettings
from biasectomy.errors import NeuronSetError
from biasectomy.files import expanded
from biasectomy.measuring.most_active import most_active
from biasectomy.models.language_model import LanguageModel
from biasectomy.models.organisms import PLANTED_FILES
from biasectomy.narration import say
from biasectomy.neurons.composition import composition
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.neurons.overlap import overlap, overlaps
from biasectomy.neurons.written_tokens import WrittenTokens, written_tokens
from biasectomy.report.description import Description
from biasectomy.tasks import Task

OWN = "the set"  # among the sets that are compared


def describe(
    model: LanguageModel,
    neurons: NeuronSet,
    task: Task | None = None,
    others: Mapping[str, NeuronSet] | None = None,
    *,
    tokens: int = 10,
    examples: int = 3,
    first: int | None = None,
) -> Description:
    """What the neurons of a set are: layers, kinds, factors, tokens they write towards, where they are most active.

    Args:
        task: items at which to look for the most active tokens, all of them, under the first instruction; None: none.
        others: further sets by a name, that are compared with this one against chance.
        tokens: how many tokens on either side that a neuron writes towards.
        examples: how many items for each neuron.
        first: of how many neurons, from the best on, it is told; None: of all.

    Raises:
        NeuronSetError: a set does not fit the model, or is of another definition.
        DataError, ScoreError, ModelError: see `most_active`.
    """
    known = neurons.check(model.model, model.neurons(neurons.definition))
    sets = {OWN: neurons, **(others or {})}
    if len(sets) != 1 + len(others or {}):
        raise NeuronSetError(f"A set that is compared with '{OWN}' needs another name.")
    for one in sets.values():
        one.check(model.model, model.neurons(one.definition))
    found = overlaps(sets, known) if others else []
    told = neurons if first is None else neurons.top(first)
    written = written_tokens(model.model, told, known, tokens, len(model.tokenizer))
    active = most_active(model, told, task, examples) if task is not None else [None] * len(told)
    rows = [
        row
        | _in_words(tokens_of, model)
        | {
            "mean_activation": activity.mean if activity else None,
            "most_active": [asdict(peak) for peak in activity.peaks] if activity else [],
        }
        for row, tokens_of, activity in zip(described_neurons(told, model), written, active, strict=True)
    ]
    return Description(
        {
            "described": {"definition": neurons.definition, "found_with": neurons.found_with},
            "model": model.description(),
            "task": describe_task(task) if task is not None else None,
            "composition": composition(neurons, known),
            "neurons": rows,
            "sets": {name: len(one) for name, one in sets.items()},
            "overlap": [asdict(one) for one in found],
            "planted": planted(model, neurons),
        }
    )


def planted(model: LanguageModel, neurons: NeuronSet) -> dict[str, Any] | None:
    """What a set has in common with the units a stereotype was planted in; None where the model is no organism."""
    definition = "linear-output" if neurons.definition == "linear-output" else "ffn-hidden"
    source = model.source
    file = Path(source.location) / PLANTED_FILES[definition] if source is not None and source.kind == "folder" else None
    if file is None or not file.is_file():
        return None
    known = model.neurons(neurons.definition)
    units = NeuronSet(NeuronSet.load(file).neurons, neurons.definition)
    return asdict(overlap({OWN: neurons, "planted": units}, known))


def run(settings: DescribeSettings) -> Description:
    """Describes a saved set and writes what was found.

    Raises:
        BiasectomyError: see the tree in `errors`.
    """
    refuse_output(settings)
    neurons = NeuronSet.load(settings.neurons_file)
    others = {name: NeuronSet.load(expanded(name)) for name in settings.with_sets}
    task = None
    if settings.prompts:
        sides = split_task(open_tasks(settings)[0], settings)
        task = getattr(sides, settings.items_of).limited(settings.prompts, 1, settings.seed)
    language_model = open_model(settings)
    for one in (neurons, *others.values()):
        check_neuron_set(one, language_model)
    found = describe(language_model, neurons, task, others, tokens=settings.tokens)
    description = Description(found.values, settings.shown)
    description.save(settings.out)
    say(f"Wrote what the {len(neurons):,} neurons are to {settings.out}")
    return description


def _in_words(found: WrittenTokens, model: LanguageModel) -> dict[str, Any]:
    def told(tokens: tuple[tuple[int, float], ...]) -> list[dict[str, Any]]:
        return [{"token": model.tokenizer.decode([one]), "id": one, "deviations": value} for one, value in tokens]

    return {
        "writes_towards": told(found.highest),
        "writes_away_from": told(found.lowest),
        "no_tokens_because": found.reason,
    }
