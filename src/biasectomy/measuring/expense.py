"""What a run takes on other machines: time, memory and money, from counted work and stated rates.

Counted: operations of matrix products (`neurons.work`), passes through the model, bytes of weights. Measured: how much
memory each stage takes, as a multiple of the weights, which share of a card's rate it reaches (docs/benchmarks.md), and
how long making tokens takes. Stated: what a card can do, by its data sheet. Assumed: what an hour costs. Not counted:
loading, statistics, writing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import nn

from biasectomy.neurons.linear_maps import stacks
from biasectomy.neurons.work import Work

Kind = Literal["asking", "finding", "learning"]
# Shares of a card's dense rate that a stage reaches, by bytes of weights: measured on an H200 in bfloat16, in November
# 2026, with models of 1 and 8 billion parameters, finding with the smaller one only. Between them logarithms are
# interpolated; beyond them the nearest holds.
REACHED: dict[Kind, tuple[tuple[float, float], ...]] = {
    "asking": ((2.5e9, 0.127), (16.1e9, 0.365)),
    "finding": ((2.5e9, 0.012),),
    "learning": ((2.5e9, 0.021), (16.1e9, 0.085)),
}
# Seconds of a question's tokens, its place in a batch and its key, once in every process; measured on a core of a
# server's processor (Intel Xeon, November 2026, 14,720 questions of BBQ).
PREPARING = 1e-3
FILLED = 0.9  # of a card's memory that can be used
PRICES = "on demand at clouds that let cards only, middle of what they asked in May 2026"
SHEETS = "dense rates of the SXM cards in NVIDIA's data sheets, as comparisons of November 2025 repeat them"
COUNTS = (1, 8, 64)  # of cards


@dataclass(frozen=True)
class Card:
    """A card by its data sheet, and what an hour of it costs.

    Rates are operations a second: of products in half precision, and in float32 without TF32, as torch has it by
    itself. `memory` is in bytes; `bandwidth` that of memory and `link` that of one direction to other cards of a
    machine, bytes a second. `price` is in US dollars.
    """

    title: str
    half: float
    single: float
    memory: float
    bandwidth: float
    link: float
    price: float

    def rate(self, size: int) -> float:
        """Operations a second in a number format of so many bytes."""
        return self.half if size <= 2 else self.single


CARDS = {
    "a100": Card("A100 80 GB", 312e12, 19.5e12, 80e9, 2.039e12, 300e9, 1.5),
    "h100": Card("H100 80 GB", 989e12, 67e12, 80e9, 3.35e12, 450e9, 3.0),
    "h200": Card("H200 141 GB", 989e12, 67e12, 141e9, 4.8e12, 450e9, 4.0),
}


@dataclass(frozen=True)
class Weights:
    """Those of a model: bytes of all, of each, and of those that a card holds whole where it has a part of the rest."""

    bytes: float
    size: int
    gathered: float = 0.0

    @classmethod
    def of(cls, model: nn.Module) -> "Weights":
        """Those of a model, which may be without any; a card gathers a block while it computes with another."""
        size = next(one for one in model.parameters() if one.is_floating_point()).dtype.itemsize
        blocks = [_bytes(block, size) for _, some in stacks(model) for block in some]
        return cls(_bytes(model, size), size, _bytes(model, size) - sum(blocks) + 2 * max(blocks))


def _bytes(module: nn.Module, size: int) -> float:
    return float(size * sum(one.numel() for one in module.parameters()))


@dataclass(frozen=True)
class Reading:
    """What a question is on average: tokens, and operations of a forward pass with so many backward passes, by number.

    Those go to activations only.
    """

    tokens: float
    operations: tuple[float, float, float]

    @classmethod
    def of(cls, work: Work, questions: float) -> "Reading":
        """The average of so many questions that were read with so much work."""
        return cls(work.tokens / questions, tuple(work.with_backward(number) / questions for number in range(3)))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Stage:
    """A part of a run: its work, and how processes share it.

    `passes` go through the model once each, forward or backward; `memory` is a multiple of the weights; `prepared` are
    questions whose tokens are made, in every process. At most `parts` processes divide the operations; those that work
    `in_step` all make every pass. Where each process has a part of the weights, only questions are divided.
    """

    name: str
    kind: Kind
    operations: float
    passes: float
    memory: float
    prepared: float = 0.0
    parts: float = math.inf
    in_step: bool = False
    questions: bool = True


@dataclass(frozen=True)
class Expense:
    """What some stages take on so many cards; NaN where they do not fit.

    `memory` is bytes of each card that holds most, `spread` whether each has a part of the weights.
    """

    cards: int
    seconds: float
    memory: float
    money: float
    spread: bool = False


def reached(kind: Kind, weights: float) -> float:
    """The share of a card's rate that a stage reaches with so many bytes of weights."""
    sizes, shares = (np.log(values) for values in zip(*REACHED[kind], strict=True))
    return float(np.exp(np.interp(math.log(weights), sizes, shares)))


def expense(
    stages: Sequence[Stage],
    weights: Weights,
    card: Card,
    count: int,
    price: float | None = None,
    only: Sequence[Stage] | None = None,
) -> Expense:
    """What stages take one after the other.

    Args:
        stages: of a run; whether each card has all of the weights depends on the one that needs most memory.
        weights: of the model.
        card: of which there are so many.
        count: of cards, a process each.
        price: of an hour of a card, US dollars; None for the card's own.
        only: the stages of the run whose time is wanted; None: all.
    """
    most = max(stage.memory for stage in stages) * weights.bytes
    spread = most > FILLED * card.memory
    memory = most / count + weights.gathered if spread and count > 1 else most
    if memory > FILLED * card.memory:
        return Expense(count, math.nan, memory, math.nan, spread)
    seconds = sum(_seconds(stage, weights, card, count, spread=spread) for stage in (stages if only is None else only))
    return Expense(count, seconds, memory, seconds * count * (card.price if price is None else price) / 3600, spread)


def _seconds(stage: Stage, weights: Weights, card: Card, count: int, *, spread: bool) -> float:
    """Products at the rate that is reached, or weights at the memory's bandwidth, whichever is slower."""
    divided = min(count, stage.parts) if not spread or stage.questions else 1
    passes = stage.passes if stage.in_step else stage.passes / divided
    products = stage.operations / divided / (reached(stage.kind, weights.bytes) * card.rate(weights.size))
    reading = passes * weights.bytes / card.bandwidth
    # Weights are gathered for every pass, here as if nothing were computed meanwhile.
    gathering = passes * weights.bytes * (count - 1) / count / card.link if spread else 0.0
    return max(products, reading) + gathering + stage.prepared * PREPARING
