"""Random neurons to compare with: what does an edit of this size and place do by itself?"""

import dataclasses

import numpy as np

from biasectomy.neuron_set import NeuronSet
from biasectomy.neurons import Neurons


def random_neurons(neurons: Neurons, like: NeuronSet, *, draw: int = 0, seed: int = 0) -> NeuronSet:
    """As many random neurons as in `like`, of the same modules (hence kinds and layers), with the same factors.

    Units of `like` itself are not drawn, unless a module has too few others.
    """
    generator = np.random.default_rng([seed, draw])
    drawn = {}
    for module, chosen in like.by_module().items():
        group = neurons.group(module)
        units = group.units if group is not None else 0
        others = np.setdiff1d(np.arange(units), [neuron.unit for neuron in chosen])
        pool = others if len(others) >= len(chosen) else np.arange(units)
        drawn[module] = iter(generator.choice(pool, len(chosen), replace=False).tolist())
    replaced = (
        dataclasses.replace(neuron, unit=int(next(drawn[neuron.module])), score=float("nan")) for neuron in like
    )
    return dataclasses.replace(like, neurons=tuple(replaced), found_with={"control": draw, "seed": seed})
