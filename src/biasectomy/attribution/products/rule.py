"""What turns products of activation and gradient into scores, and what it is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from biasectomy.reading.layouts import Positions


@dataclass(frozen=True, slots=True)
class Span:
    """Where one instance's tokens stand in a module's activations, and the log-probabilities of its two labels.

    Positions are flat (row x tokens + token). Those in `shared` are the same tokens for both labels, in the
    same order; `own` are each label's. Either may be empty: an encoder has no tokens of labels, and a decoder
    behind an encoder has no others.
    """

    gold: Positions
    biased: Positions
    log_gold: float
    log_biased: float
    weight: float = 1.0  # what the instance counts


class Rule(Protocol):
    """How products of activation and gradient become one score for each neuron.

    For every batch and every module, `gold` is called before `biased`, each with h * dlogP/dh of that
    option in float32, [positions, units], which the rule may change, and a span for each instance.
    `finish` returns sums over the instances, float64 [units] by module, so that the sums of several
    processes add up; a score is the sum or, where `mean_over_instances`, the mean.

    Instances come in any order, but so many neighbours as `group` says stay together. A rule that
    `keeps_products` holds those of `gold` until `biased` has come: memory that batches are sized for.
    """

    mean_over_instances: bool
    group: int
    keeps_products: bool

    def gold(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        """Takes the product of the gold option."""

    def biased(self, module: str, product: Tensor, spans: Sequence[Span]) -> None:
        """Takes the product of the biased option."""

    def finish(self) -> dict[str, Tensor]:
        """Sums of scores by module."""
