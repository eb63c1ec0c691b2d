"""What a neuron set is made of: the layers and kinds of modules of its neurons, and how factors are spread."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biasectomy.neurons.discovery import Neurons
from biasectomy.neurons.neuron_set import NeuronSet
from biasectomy.neurons.overlap import refuse_other

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def composition(neurons: NeuronSet, known: Neurons) -> dict[str, Any]:
    """Where the neurons of a set lie and how their factors are spread, as JSON-like values.

    Of each layer and kind the neurons of the set, those the model has, and how many are weakened (0 to below 1),
    strengthened and reversed (below 0).

    Raises:
        NeuronSetError: the set is of another definition or names a module that the model does not have.
    """
    refuse_other("the set", neurons, known)
    of_model: dict[str, Counter[tuple[str, ...]]] = {"layers": Counter(), "kinds": Counter()}
    of_set: dict[str, dict[tuple[str, ...], list[float]]] = {"layers": {}, "kinds": {}}
    chosen = neurons.by_module()
    for group in known:
        for what, key in (("layers", (group.stack, str(group.layer))), ("kinds", (group.kind,))):
            of_model[what][key] += len(group)
            of_set[what].setdefault(key, []).extend(one.factor for one in chosen.get(group.module, ()))
    tables = {
        what: [
            dict(zip(("stack", "layer") if what == "layers" else ("kind",), key, strict=True))
            | {"neurons": len(of_set[what][key]), "of": of_model[what][key], **_directions(of_set[what][key])}
            for key in of_model[what]
        ]
        for what in of_model
    }
    factors = np.array([one.factor for one in neurons])
    quantiles = np.quantile(factors, QUANTILES) if len(factors) else np.full(len(QUANTILES), np.nan)
    spread = {f"{level:g}": float(value) for level, value in zip(QUANTILES, quantiles, strict=True)}
    return {"neurons": len(neurons), **_directions(factors), "factor_quantiles": spread, **tables}


def by_place(neurons: NeuronSet, known: Neurons) -> list[dict[str, Any]]:
    """Of each kind of module, how many neurons of a set lie in each layer, as JSON-like values, in the model's order.

    `layers` are their numbers, `neurons` those of the set, `of` those the model has, layer by layer.
    """
    chosen = neurons.by_module()
    found: dict[tuple[str, str], dict[int, list[int]]] = {}
    for group in known:
        counts = found.setdefault((group.stack, group.kind), {}).setdefault(group.layer, [0, 0])
        counts[0] += len(chosen.get(group.module, ()))
        counts[1] += len(group)
    return [
        {
            "stack": stack,
            "kind": kind,
            "layers": list(layers),
            "neurons": [count for count, _ in layers.values()],
            "of": [total for _, total in layers.values()],
        }
        for (stack, kind), layers in found.items()
    ]


def _directions(factors: Sequence[float] | NDArray[np.float64]) -> dict[str, int]:
    values = np.asarray(factors, dtype=np.float64)
    counts = {"weakened": (values >= 0) & (values < 1), "strengthened": values > 1, "reversed": values < 0}
    return {name: int(found.sum()) for name, found in counts.items()}
