"""Neurons of a set as rows for a reader: of which kind and layer they are, whatever is known of their modules."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from biasectomy.report.places import kind_of, layer_of, stack_of

Neurons = Sequence[Mapping[str, Any]]


def groups(neurons: Neurons) -> list[tuple[str, int, str]]:
    """Neurons counted by kind and stack of blocks, with the layers they are in."""
    several = len({stack_of(neuron) for neuron in neurons}) > 1
    named = [
        (f"{kind_of(neuron)} ({stack_of(neuron)})" if several else kind_of(neuron), layer_of(neuron))
        for neuron in neurons
    ]
    found = []
    for kind, number in Counter(kind for kind, _ in named).most_common():
        layers = Counter(layer for one, layer in named if one == kind and layer is not None)
        found.append((kind, number, ", ".join(f"{layer} ({times})" for layer, times in sorted(layers.items()))))
    return found
