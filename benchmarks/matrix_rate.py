"""How fast this machine multiplies matrices: the measure of what could be reached."""

import contextlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from benchmarks.device import clock_of
from benchmarks.timing import Times
from biasectomy.neurons.linear_maps import linear_shape
from biasectomy.reading.layouts.base import placement

SIZE = 2048
ACCELERATOR_SIZE = 8192  # what fills a card
REPEATS, ACCELERATOR_REPEATS = 3, 10


@dataclass(frozen=True)
class Share:
    """Share of a rate that a computation reaches: the median over rounds, the smallest and the largest."""

    value: float
    low: float
    high: float


@dataclass
class MatrixRate:
    """What this machine could reach just before and after each run of one contestant, in operations a second.

    `square` is the best rate of a product of two square matrices; `own` that over all linear maps of the model's
    blocks, one after the other, on as many rows as a batch of the contestant has. The second is lower where matrices
    are thin, rows few, or weights do not stay in the processor's cache: no way of computing the model in these
    batches can beat it.
    """

    model: nn.Module
    square: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def around(self, rows: int) -> Iterator[None]:
        """Takes samples on both sides of a run."""
        device, dtype = placement(self.model)
        size = SIZE if device.type == "cpu" else ACCELERATOR_SIZE
        jobs = (square_product(dtype, size, device), own_products(self.model, rows))
        before = [best_rate(*job, device) for job in jobs]
        yield
        square, own = (max(rate, best_rate(*job, device)) for rate, job in zip(before, jobs, strict=True))
        self.square.append(square)
        self.own.append(own)

    def details(self) -> dict[str, list[float]]:
        """The rates beside each run, in gigaflop a second."""
        named = {"square": self.square, "own_matrices": self.own}
        return {f"{name}_gigaflop_per_second": [rate / 1e9 for rate in rates] for name, rates in named.items()}


def share_of(rates: Sequence[float], operations: int, times: Times) -> Share:
    """What share of the best rate that was seen beside its runs a computation with so many operations reached."""
    shares = [operations / seconds / max(rates) for seconds in times.rounds]
    return Share(statistics.median(shares), min(shares), max(shares))


@torch.inference_mode()
def best_rate(job: Callable[[], object], operations: int, device: torch.device | str = "cpu") -> float:
    """The best of some tries, in operations a second."""
    clock, seconds = clock_of(device), []
    for _ in range(REPEATS if torch.device(device).type == "cpu" else ACCELERATOR_REPEATS):
        start = clock()
        job()
        seconds.append(clock() - start)
    return operations / min(seconds)


def square_product(
    dtype: torch.dtype, size: int = SIZE, device: torch.device | str = "cpu"
) -> tuple[Callable[[], object], int]:
    """A product of two square matrices, and its operations."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return lambda: torch.mm(left, right), 2 * size**3


def own_products(model: nn.Module, rows: int) -> tuple[Callable[[], object], int]:
    """All linear maps of a model's blocks on so many rows, one after the other, and their operations."""
    head = model.get_output_embeddings()  # type: ignore[operator]
    device, dtype = placement(model)
    shapes = [(module, shape) for module in model.modules() if module is not head and (shape := linear_shape(module))]
    inputs = {width: torch.randn(rows, width, device=device).to(dtype) for width in {shape[0] for _, shape in shapes}}

    def multiply() -> None:
        for module, shape in shapes:
            module(inputs[shape[0]])

    return multiply, sum(2 * rows * shape[0] * shape[1] for _, shape in shapes)
