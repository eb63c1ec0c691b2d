"""What a layout is: how prompts and their options become rows of tokens that a model reads at once."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from biasectomy.reading.prompts import EncodedPrompt

# Where a module's tokens stand: the prompt with its options ("whole", decoder-only models), the encoder's
# input ("input"), the encoder's input as the decoder looks at it ("cross-input"), or the decoder's labels.
Place = Literal["whole", "input", "cross-input", "label"]


@dataclass(frozen=True, slots=True)
class Size:
    """How much reading a batch is, padding included: what `Operations` turns into work.

    `tokens` go through the decoder (or the whole model), `logits` of them through the vocabulary product, `pairs` of
    them see each other. Of an encoder-decoder, `inputs` go through the encoder, `input_pairs` see each other there,
    `seen` are those that the decoder makes keys and values of, and `crossed` the pairs of a label with one of them.
    """

    tokens: int
    logits: int
    pairs: int
    inputs: int = 0
    input_pairs: int = 0
    seen: int = 0
    crossed: int = 0
    passes: int = 1

    def __add__(self, other: "Size") -> "Size":
        return Size(*(own + its for own, its in zip(astuple(self), astuple(other), strict=True)))


def causal_pairs(length: int) -> int:
    """How many pairs see each other where each of so many tokens sees itself and those before."""
    return length * (length + 1) // 2


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts that are computed together, with their indices in the request."""

    indices: tuple[int, ...]
    prompts: tuple[EncodedPrompt, ...]
    size: Size | None = field(default=None, compare=False, repr=False)  # where the plan has found it

    def halves(self) -> "list[Batch]":
        """The first and the second half of the prompts; a batch of a single prompt as it is."""
        middle = len(self.prompts) // 2
        cuts = (slice(middle), slice(middle, None)) if middle else (slice(None),)
        return [Batch(self.indices[cut], self.prompts[cut]) for cut in cuts]


@dataclass(frozen=True, slots=True)
class Positions:
    """Flat positions (row x tokens + token) of one option of one prompt, ascending.

    `shared` are positions that every option of the prompt has, in the same order; `own` are the option's.
    """

    shared: Sequence[int]
    own: Sequence[int]

    def of_shared(self, values: Tensor) -> Tensor:
        """Rows of `values` [positions, units] at the shared positions."""
        return _rows(values, self.shared)

    def of_own(self, values: Tensor) -> Tensor:
        """Rows of `values` [positions, units] at the option's own positions."""
        return _rows(values, self.own)

    def of_all(self, values: Tensor) -> Tensor:
        """Rows of `values` [positions, units] at all positions, shared ones first."""
        return torch.cat([self.of_shared(values), self.of_own(values)])


def _rows(values: Tensor, positions: Sequence[int]) -> Tensor:
    """Rows of a tensor; a view of it where they are neighbours."""
    if not positions or positions[-1] - positions[0] == len(positions) - 1:
        return values[positions[0] : positions[-1] + 1] if positions else values[:0]
    return values[torch.tensor(positions, device=values.device)]


class Reading(Protocol):
    """The result of one forward pass over a batch."""

    def log_likelihoods(self) -> list[list[Tensor]]:
        """Summed log-probability of every option of every prompt, float32 scalars."""

    def distributions(self) -> list[list[Tensor]]:
        """Log-probabilities [option tokens, vocabulary] where each token of every option is predicted, float32."""

    def positions(self, member: int, option: int, place: Place) -> Positions:
        """Where an option's tokens stand in the activations of a module at `place`."""


class Layout(Protocol):
    """One way to lay out prompts."""

    @property
    def name(self) -> str:
        """What records call it."""

    def plan(self, prompts: Sequence[EncodedPrompt], budget: int, *, separate: bool = False) -> Iterator[Batch]:
        """Batches of about `budget` tokens, always the same for the same request.

        With `separate` the order is kept and no two prompts share a position, as attribution needs it.
        """

    def read(self, model: nn.Module, batch: Batch, *, separate: bool = False) -> Reading:
        """One forward pass."""

    def size(self, batch: Batch, *, separate: bool = False) -> Size:
        """How much `read` reads."""


def placement(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and number format of a model's first floating-point weight."""
    parameter = next(parameter for parameter in model.parameters() if parameter.is_floating_point())
    return parameter.device, parameter.dtype


def padded(sequences: Sequence[Sequence[int]], device: torch.device, padding: int = 0) -> tuple[Tensor, Tensor]:
    """Tokens padded on the right, and the mask of real ones; both [rows, tokens]."""
    longest = max(map(len, sequences))
    tokens = torch.full((len(sequences), longest), padding, dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, sequence in enumerate(sequences):
        tokens[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long)
        mask[row, : len(sequence)] = 1
    return tokens.to(device), mask.to(device)


def plan_rows(
    prompts: Sequence[EncodedPrompt], budget: int, cost: Sequence[int], *, keep_order: bool
) -> Iterator[Batch]:
    """Batches of prompts whose padded size stays within the budget; sorted by size unless the order is kept."""
    order = range(len(prompts)) if keep_order else sorted(range(len(prompts)), key=lambda index: cost[index])
    chosen: list[int] = []
    largest = 0
    for index in order:
        if chosen and (len(chosen) + 1) * max(largest, cost[index]) > budget:
            yield Batch(tuple(chosen), tuple(prompts[i] for i in chosen))
            chosen, largest = [], 0
        chosen.append(index)
        largest = max(largest, cost[index])
    if chosen:
        yield Batch(tuple(chosen), tuple(prompts[i] for i in chosen))


def option_log_likelihoods(
    logits: Tensor, places: Sequence[tuple[int, int]], options: Sequence[Sequence[int]]
) -> list[Tensor]:
    """Summed log-probability of each option, whose first token is predicted at its place (row, token).

    Args:
        logits: [rows, tokens, vocabulary].
    """
    values = []
    for log_probabilities, option in zip(option_distributions(logits, places, options), options, strict=True):
        targets = torch.tensor(option, device=logits.device)
        values.append(log_probabilities.gather(-1, targets[:, None]).sum())
    return values


def option_distributions(
    logits: Tensor, places: Sequence[tuple[int, int]], options: Sequence[Sequence[int]]
) -> Iterator[Tensor]:
    """Log-probabilities [option tokens, vocabulary] of each option, one after the other; see above."""
    for (row, start), option in zip(places, options, strict=True):
        yield torch.log_softmax(logits[row, start : start + len(option)].float(), dim=-1)
