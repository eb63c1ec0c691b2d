"""How many neurons several sets share, and how many they would by chance.

By chance means: each set drawn at random with its own number of neurons in each module. The number that is shared in a
module of u units by sets of a and b is then hypergeometric, expected a*b/u; more sets are taken in one by one, and
modules are independent, so the whole distribution is exact: a convolution over modules. Nothing is simulated.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from biasectomy.errors import NeuronSetError
from biasectomy.neurons.discovery import Neurons
from biasectomy.neurons.neuron_set import NeuronSet

INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Overlap:
    """What some sets have in common.

    `probability` is that of at least so many shared neurons by chance, and `chance` the middle 95 % of their number.
    Factors are compared on the shared neurons: `same_direction` is the share of them that every set moves to the same
    side of 1, `correlation` Pearson's of factor - 1 between two sets; NaN where undefined, for `reason`.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    shared: int
    jaccard: float
    expected: float
    chance: tuple[int, int]
    ratio: float
    probability: float
    same_direction: float
    correlation: float
    reason: str = ""


def overlaps(sets: Mapping[str, NeuronSet], known: Neurons) -> list[Overlap]:
    """The overlap of each pair of sets, by name, and then of all together where there are more than two.

    Args:
        known: all neurons of the model they are of, under their definition.

    Raises:
        NeuronSetError: a set is of another definition or names a module that the model does not have.
    """
    names = list(sets)
    groups = [*itertools.combinations(names, 2)] + ([tuple(names)] if len(names) > 2 else [])
    return [overlap({name: sets[name] for name in group}, known) for group in groups]


def overlap(sets: Mapping[str, NeuronSet], known: Neurons) -> Overlap:
    """What two or more sets have in common; raises as `overlaps` does."""
    for name, one in sets.items():
        refuse_other(name, one, known)
    factors = [{(neuron.module, neuron.unit): neuron.factor for neuron in one} for one in sets.values()]
    shared = sorted(set.intersection(*map(set, factors)))
    counts = [{module: len(found) for module, found in one.by_module().items()} for one in sets.values()]
    distribution = shared_by_chance(counts, {group.module: len(group) for group in known})
    expected = float(distribution @ np.arange(len(distribution)))
    union = len(set.union(*map(set, factors)))
    moves = np.array([[one[key] - 1 for key in shared] for one in factors])  # [sets, shared]
    correlation, reason = _correlation(moves)
    reached = np.cumsum(distribution)
    low, high = (int(np.searchsorted(reached, level * reached[-1])) for level in INTERVAL)
    return Overlap(
        tuple(sets),
        tuple(map(len, sets.values())),
        len(shared),
        len(shared) / union if union else math.nan,
        expected,
        (low, high),
        len(shared) / expected if expected else math.nan,
        min(1.0, float(distribution[len(shared) :].sum())),
        float(np.mean(np.abs(np.sign(moves).sum(axis=0)) == len(moves))) if shared else math.nan,
        correlation,
        reason,
    )


def shared_by_chance(counts: Sequence[Mapping[str, int]], units: Mapping[str, int]) -> NDArray[np.float64]:
    """Probabilities that sets with so many neurons in each module share 0, 1, 2, ... if they are drawn at random.

    Args:
        counts: of each set, by module.
        units: neurons that each module has.
    """
    total = np.ones(1)
    for module in set.intersection(*map(set, counts)):
        here = [one[module] for one in counts]
        found = np.zeros(here[0] + 1)
        found[-1] = 1.0  # the first set shares all of its neurons with itself
        for drawn in here[1:]:
            taken = np.arange(min(len(found) - 1, drawn) + 1)
            each = np.flatnonzero(found)
            found = found[each] @ stats.hypergeom.pmf(taken[None], units[module], each[:, None], drawn)
        total = np.convolve(total, found)  # term by term, so that small probabilities keep their digits
    return total


def refuse_other(name: str, one: NeuronSet, known: Neurons) -> None:
    """Refuses a set, by its name, of another definition or of modules that a model does not have.

    Raises:
        NeuronSetError: says which.
    """
    if one.definition != known.definition:
        raise NeuronSetError(
            f"'{name}' is a set of {one.definition} neurons, the others are of {known.definition}; only sets of one "
            "definition have neurons in common."
        )
    for module, found in one.by_module().items():
        group = known.group(module)
        if group is None or len(group) < len(found):
            raise NeuronSetError(f"'{name}' has {len(found)} neurons in '{module}', where this model has fewer.")


def _correlation(moves: NDArray[np.float64]) -> tuple[float, str]:
    """Pearson's correlation of the factors of two sets on what they share, and why it is NaN."""
    if len(moves) != 2:
        return math.nan, "a correlation is of two sets"
    if moves.shape[1] < 3:
        return math.nan, "fewer than three neurons are shared"
    if not moves.std(axis=1).min() > 0:
        return math.nan, "the factors of a set are all equal on the shared neurons"
    return float(np.corrcoef(moves).flat[1]), ""
