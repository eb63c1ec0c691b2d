"""Where neurons lie, as far as the names of their modules tell; what is noted of one goes before its name."""

from collections.abc import Mapping
from typing import Any


def kind_of(neuron: Mapping[str, Any]) -> str:
    """The kind of a neuron's module; of an expert its matrix, without the number."""
    pieces = str(neuron["module"]).split(".")
    return str(neuron.get("kind") or next((piece for piece in reversed(pieces) if not piece.isdigit()), ""))


def stack_of(neuron: Mapping[str, Any]) -> str:
    """The list of blocks a neuron's module stands in: an encoder and a decoder both have a third layer."""
    return str(neuron.get("stack") or str(neuron["module"]).partition(f".{layer_of(neuron)}.")[0])


def layer_of(neuron: Mapping[str, Any]) -> int | None:
    """The block a neuron's module stands in, counted from 0; None where none is named."""
    if neuron.get("layer") is not None:
        return int(neuron["layer"])
    return next((int(piece) for piece in str(neuron["module"]).split(".") if piece.isdigit()), None)
