"""How much of a forward pass could be reused between candidates of the search for n."""

import dataclasses

from benchmarks.base import Line, Settings, benchmark
from biasectomy import attribute, load, load_task, split
from biasectomy.finding import Scores
from biasectomy.neuron_set import NeuronSet
from biasectomy.neurons import DEFINITIONS
from biasectomy.settings import DEFAULT_GRID

INSTANCES = 20
INSTRUCTIONS = 2


@benchmark("reuse")
def reuse(settings: Settings) -> list[Line]:
    """Share of layers below the lowest edited one, over the candidates of the default grid."""
    language_model = load(settings.model, device="cpu")
    development = split(load_task(settings.task)).development
    development = dataclasses.replace(development, instructions=development.instructions[:INSTRUCTIONS])
    instances = settings.choose_items(INSTANCES, 3)
    lines = []
    for definition in DEFINITIONS:
        scores = attribute(language_model, development, definition=definition, instances=instances, trials=1)
        lowest = {count: lowest_layer(scores, scores.top(count)) for count in DEFAULT_GRID if count}
        shares = [layer / scores.neurons.layers for layer in lowest.values()]
        lines.append(
            Line(
                "reuse",
                f"layers below the lowest edited one, {definition}",
                sum(shares) / len(shares),
                "share",
                "float32",
                low=min(shares),
                high=max(shares),
                details={
                    "layers": scores.neurons.layers,
                    "lowest_edited_layer_by_n": lowest,
                    "instances": instances,
                    "instructions": INSTRUCTIONS,
                    "note": "what reuse could save at most: keeping the layers' outputs costs time and memory",
                },
            )
        )
    return lines


def lowest_layer(scores: Scores, chosen: NeuronSet) -> int:
    """Number of the lowest layer that holds a chosen neuron: the layers below it compute what they always do."""
    return min(group.layer for group in scores.neurons if group.module in chosen.by_module())
