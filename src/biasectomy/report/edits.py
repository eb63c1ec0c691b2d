"""Neurons of a set as rows for a reader: of which kind and layer they are, whatever is known of their modules."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

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


def kind_of(neuron: Mapping[str, Any]) -> str:
    """The kind of a neuron's module; of an expert its matrix, without the number."""
    pieces = str(neuron["module"]).split(".")
    return str(neuron.get("kind") or next((piece for piece in reversed(pieces) if not piece.isdigit()), ""))


def stack_of(neuron: Mapping[str, Any]) -> str:
    """The list of blocks a neuron's module stands in: an encoder and a decoder both have a third layer."""
    return str(neuron.get("stack") or str(neuron["module"]).partition(f".{layer_of(neuron)}.")[0])


def layer_of(neuron: Mapping[str, Any]) -> int | None:
    if neuron.get("layer") is not None:
        return int(neuron["layer"])
    return next((int(piece) for piece in str(neuron["module"]).split(".") if piece.isdigit()), None)
