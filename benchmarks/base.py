"""What a benchmark is: a function from settings to lines, registered by name."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from biasectomy.errors import SettingsError
from biasectomy.registry import Registry

Unit = Literal["times", "share", "exponent", "seconds", "difference", "correlation", "weights"]


@dataclass(frozen=True)
class Settings:
    """How the benchmarks are run."""

    threads: int
    rounds: int | None = None  # None: what each benchmark needs
    items: int | None = None  # None: what each benchmark needs
    quick: bool = False
    plots: Path | None = None
    model: str = "smollm2"
    task: str = "bbq:age"
    device: str = "cpu"
    shape: str | None = None  # of a model with random weights, which takes the place of `model`, and of `task`
    dtype: str | None = None  # None: what each benchmark needs

    @property
    def usual(self) -> bool:
        """Whether what is measured is what the bars were set for."""
        return self.device == "cpu" and self.shape is None

    @property
    def elsewhere(self) -> bool:
        """Whether a device, a shape or a number format is named, which not every benchmark reads."""
        return not self.usual or self.dtype is not None

    def dtypes(self, usual: Sequence[str]) -> tuple[str, ...]:
        """The number formats that are measured."""
        return tuple(usual) if self.dtype is None else (self.dtype,)

    def choose_rounds(self, usual: int) -> int:
        """Timed runs of every contestant."""
        return self.rounds or (1 if self.quick else usual)

    def choose_items(self, usual: int, quick: int) -> int:
        """How many items are used."""
        return self.items or (quick if self.quick else usual)


@dataclass(frozen=True)
class Bar:
    """What a figure should reach: at least or at most a number."""

    kind: Literal["at least", "at most"]
    number: float

    def met(self, value: float) -> bool:
        """Whether a figure reaches it; NaN never does."""
        return value >= self.number if self.kind == "at least" else value <= self.number


@dataclass(frozen=True)
class Line:
    """One figure with everything that is needed to judge it.

    `low` and `high` bound the figure: the smallest and largest of the rounds, or an interval (then
    `details` says which). `matrix_share` is work over time in units of the rate of a square matrix
    product on this machine, `own_matrix_share` in units of the rate over the model's own matrices.
    """

    benchmark: str
    what: str
    value: float
    unit: Unit
    dtype: str = ""
    low: float | None = None
    high: float | None = None
    bar: Bar | None = None
    seconds: float | None = None
    peer_seconds: float | None = None
    tokens: int | None = None
    peer_tokens: int | None = None
    gigaflop: float | None = None
    matrix_share: float | None = None
    own_matrix_share: float | None = None
    threads: int | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none."""
        return None if self.bar is None else self.bar.met(self.value)


@dataclass(frozen=True)
class Benchmark:
    """A registered function, and the packages it needs besides the library's own.

    `anywhere` says that it reads the device, the shape and the number format of its settings, `by_name` that it
    takes so long that it runs only where it is named.
    """

    name: str
    run: Callable[[Settings], list[Line]]
    needs: tuple[str, ...]
    anywhere: bool = False
    by_name: bool = False

    @property
    def description(self) -> str:
        """First line of the function's documentation."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]

    def refuse_elsewhere(self, settings: Settings) -> None:
        """Refuses a device, a shape or a number format that it would not read.

        Raises:
            SettingsError: names the benchmark, and those that do.
        """
        if settings.elsewhere and not self.anywhere:
            able = ", ".join(name for name in BENCHMARKS if BENCHMARKS[name].anywhere)
            raise SettingsError(f"The benchmark '{self.name}' takes no --device, --shape or --dtype; these do: {able}.")

    def refuse_missing(self) -> None:
        """Refuses to start without a package that would be needed later.

        Raises:
            SettingsError: names the package and how to get it.
        """
        for package in self.needs:
            if importlib.util.find_spec(package) is None:
                raise SettingsError(f"The benchmark '{self.name}' needs {package}; pip install '.[bench]' brings it.")


class InOrder(Registry[Benchmark]):
    """The benchmarks, those first that matter most: what is interrupted has them."""

    first = ("scoring", "learning")

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(super().__iter__(), key=lambda name: (name not in self.first, name != self.first[0], name)))


BENCHMARKS: Registry[Benchmark] = InOrder("benchmark")
Function = Callable[[Settings], list[Line]]


def benchmark(
    name: str, needs: Sequence[str] = (), *, anywhere: bool = False, by_name: bool = False
) -> Callable[[Function], Function]:
    """Decorator that registers a benchmark; see `Benchmark`."""

    def register(function: Function) -> Function:
        BENCHMARKS.register(name)(Benchmark(name, function, tuple(needs), anywhere, by_name))
        return function

    return register
