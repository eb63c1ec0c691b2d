"""A neuron set: an ordered, saved selection of neurons with one factor each.

The file is JSON (`schema_version` 1): `model` (what it was found in), `found_with` (definition,
attribution and settings) and `neurons`, best first, each with `module`, `unit`, `score` and `factor`.
A factor of 0 removes a neuron, 1 leaves it, anything between dampens it, more strengthens it.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from biasectomy.errors import DataError, NeuronSetError, SettingsError
from biasectomy.files import read_json, write_json
from biasectomy.neurons.discovery import DEFINITIONS, Neurons, discover_neurons

SCHEMA_VERSION = 1
LARGEST_FACTOR = 1000.0  # beyond it an edit breaks a model, and soon its number format
LARGEST_STRENGTH = 10.0


@dataclass(frozen=True, slots=True)
class Neuron:
    """One neuron: unit `unit` of `module`, its attribution score and the factor an edit gives it."""

    module: str
    unit: int
    score: float
    factor: float = 0.0


@dataclass(frozen=True)
class NeuronSet:
    """Neurons in order of their scores, and where they come from."""

    neurons: tuple[Neuron, ...]
    definition: str = "linear-output"
    model: dict[str, Any] = field(default_factory=dict)  # name, architecture, shape and fingerprint of the weights
    found_with: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.neurons)

    def __iter__(self) -> Iterator[Neuron]:
        return iter(self.neurons)

    def top(self, count: int) -> "NeuronSet":
        """The first `count` neurons."""
        return replace(self, neurons=self.neurons[:count])

    def with_strength(self, strength: float) -> "NeuronSet":
        """The set with factors that are moved from 1 by so many times their way: 0 leaves the model, 1 is the set.

        Args:
            strength: between -10 and 10; kept in `found_with`, multiplied by one that is there already.

        Raises:
            SettingsError: the strength is out of range.
            NeuronSetError: it moves a factor out of range.
        """
        if not abs(strength) <= LARGEST_STRENGTH:
            raise SettingsError(
                f"The strength is {strength:g}; it must lie between {-LARGEST_STRENGTH:g} and {LARGEST_STRENGTH:g}."
            )
        if strength == 1:
            return self  # to the last bit
        neurons = tuple(replace(one, factor=1 + strength * (one.factor - 1)) for one in self.neurons)
        for neuron in neurons:
            if abs(neuron.factor) > LARGEST_FACTOR:
                raise NeuronSetError(
                    f"A strength of {strength:g} gives unit {neuron.unit} of '{neuron.module}' the factor "
                    f"{neuron.factor:g}; it must lie between {-LARGEST_FACTOR:g} and {LARGEST_FACTOR:g}."
                )
        before = self.found_with.get("strength")
        total = strength * before if isinstance(before, int | float) else strength
        return replace(self, neurons=neurons, found_with=self.found_with | {"strength": total})

    def by_module(self) -> dict[str, list[Neuron]]:
        """Neurons grouped by module."""
        groups: dict[str, list[Neuron]] = {}
        for neuron in self.neurons:
            groups.setdefault(neuron.module, []).append(neuron)
        return groups

    def check(self, model: nn.Module, known: Neurons | None = None) -> Neurons:
        """Makes sure that every neuron exists in a model, whose neurons it returns.

        Args:
            known: the model's neurons under the set's definition, where they have been discovered before.

        Raises:
            NeuronSetError: the model lacks a module or a unit, or it is no neuron; names what differs.
        """
        made_for = self.model.get("name", "another model")
        shape = model_shape(model)
        for key, found in self.model.get("shape", {}).items():
            if key in shape and shape[key] != found:
                raise NeuronSetError(
                    f"This neuron set was made for '{made_for}', whose {key.replace('_', ' ')} is {found}; "
                    f"this model's is {shape[key]}. Use the model it was made for."
                )
        known = known or discover_neurons(model, self.definition)
        for neuron in self.neurons:
            group = known.group(neuron.module)
            if group is None:
                raise NeuronSetError(
                    f"This neuron set was made for '{made_for}': it names the module '{neuron.module}', "
                    f"which this {type(model).__name__} does not have."
                )
            if not 0 <= neuron.unit < group.units:
                raise NeuronSetError(
                    f"This neuron set was made for '{made_for}': it names unit {neuron.unit} of '{neuron.module}', "
                    f"which here has units 0 to {group.units - 1}."
                )
            if group.roles and (role := group.role(neuron.unit)) not in group.roles:
                raise NeuronSetError(
                    f"This neuron set was made for '{made_for}': it names unit {neuron.unit} of '{neuron.module}', "
                    f"whose role here is {role}; under '{self.definition}' only {' and '.join(group.roles)} units are "
                    "neurons."
                )
        return known

    def save(self, path: str | Path) -> None:
        """Writes the set as JSON, atomically."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "definition": self.definition,
            "model": self.model,
            "found_with": self.found_with,
            "neurons": [asdict(neuron) for neuron in self.neurons],
        }
        write_json(Path(path), content)

    @classmethod
    def load(cls, path: str | Path) -> "NeuronSet":
        """Reads a set.

        Raises:
            SourceError: there is no such file.
            DataError: it is not a neuron set (names the entry).
        """
        path = Path(path)
        content = read_json(path)
        if not isinstance(content, dict) or not isinstance(content.get("neurons"), list):
            raise DataError(f"{path} is not a neuron set: it has no list 'neurons'.")
        if content.get("schema_version") != SCHEMA_VERSION:
            raise DataError(
                f"{path} has schema_version {content.get('schema_version')!r}; this version reads {SCHEMA_VERSION}."
            )
        if content.get("definition") not in list(DEFINITIONS):
            raise DataError(
                f"{path}: 'definition' is {content.get('definition')!r}; it must be one of {', '.join(DEFINITIONS)}."
            )
        model, found_with = content.get("model", {}), content.get("found_with", {})
        if not isinstance(model, dict) or not isinstance(model.get("shape", {}), dict):
            raise DataError(f"{path}: 'model' must be an object that describes a model, and its 'shape' one too.")
        if not isinstance(found_with, dict):
            raise DataError(f"{path}: 'found_with' must be an object.")
        neurons = tuple(_neuron(path, number, entry) for number, entry in enumerate(content["neurons"], start=1))
        seen: set[tuple[str, int]] = set()
        for number, neuron in enumerate(neurons, start=1):
            if (neuron.module, neuron.unit) in seen:
                raise DataError(f"{path}, neuron {number}: unit {neuron.unit} of '{neuron.module}' is named twice.")
            seen.add((neuron.module, neuron.unit))
        return cls(neurons, content["definition"], model, found_with)


def _neuron(path: Path, number: int, entry: Any) -> Neuron:
    try:
        module, unit, factor = entry["module"], entry["unit"], float(entry["factor"])
        score = float("nan") if entry.get("score") is None else float(entry["score"])
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        raise DataError(f"{path}, neuron {number}: expected an object with module, unit, score and factor.") from None
    if not isinstance(module, str) or not isinstance(unit, int) or isinstance(unit, bool) or factor != factor:
        raise DataError(f"{path}, neuron {number}: 'module' must be a name, 'unit' an integer and 'factor' a number.")
    if abs(factor) > LARGEST_FACTOR:
        raise DataError(
            f"{path}, neuron {number}: the factor {factor:g} is out of range; it must lie between {-LARGEST_FACTOR:g} "
            f"and {LARGEST_FACTOR:g}."
        )
    return Neuron(module, unit, score, factor)


def model_shape(model: nn.Module) -> dict[str, Any]:
    """What two models must have in common for a neuron set of one to make sense in the other."""
    config: Any = getattr(model, "config", None)
    shape: dict[str, Any] = {"architecture": type(model).__name__}
    text_config = config.get_text_config() if hasattr(config, "get_text_config") else config
    for key in ("hidden_size", "num_hidden_layers"):
        value = getattr(text_config, key, None)
        if isinstance(value, int):
            shape[key] = value
    return shape
