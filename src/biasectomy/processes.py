"""Several processes that work on one run, as `accelerate launch` or `torchrun` starts them.

Every process loads the model and takes the same steps; what is computed item by item is divided among
them and exchanged, so that each knows everything. The main process alone prints and writes. What is
exchanged is small, so it goes through main memory (gloo) on every kind of device; and gloo notices at
once when a process is gone. A command that nobody launched so is its own main process and loads none of this.
"""

import contextlib
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from biasectomy.errors import BiasectomyError, ProcessError, RunError
from biasectomy.handing_out import Paces, dealt, in_a_row

if TYPE_CHECKING:
    from torch import Tensor

# How long a process waits for one that fetches or saves a model. One that died is noticed long before.
PATIENCE = timedelta(hours=6)
LOST = (
    "Another process of this run has ended, or the run was told to stop. "
    "What its run folder holds is kept; go on with --resume."
)

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Processes:
    """The processes of a run as one of them sees them; by default it is the only one.

    Every method but `share` must be called by all processes, in the same order. Where one of them failed, the
    others raise its error there.
    """

    index: int = 0
    count: int = 1
    device: str | None = None  # that the launcher means for this process
    neighbours: int = 1  # processes on this machine, this one among them
    paces: Paces = field(default_factory=Paces, compare=False, repr=False)

    @property
    def main(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.index == 0

    def share(self, costs: Sequence[float], group: int = 1) -> slice:
        """This process's part of things in a row that cost so much, never cut within a group; may be empty."""
        return in_a_row(costs, self.count, group)[self.index]

    def map(
        self,
        function: Callable[[Work], Result],
        pieces: Sequence[Work],
        cost: Callable[[Work], float] = lambda piece: 1.0,
    ) -> Iterator[tuple[Work, Result]]:
        """Each piece of work with its result, in order and as they come; computed in rounds, each handed out by cost.

        A process that was slower than the others gets less in later rounds.
        """
        if self.count == 1:
            yield from ((piece, function(piece)) for piece in pieces)
            return
        costs = [cost(piece) for piece in pieces]
        for turn, parts in dealt(costs, self.count, self.paces):
            start = time.perf_counter()
            results = {piece: function(pieces[piece]) for piece in parts[self.index]}
            told = self.gather((results, time.perf_counter() - start))
            self.paces.note([sum(costs[piece] for piece in part) for part in parts], [seconds for _, seconds in told])
            found = {piece: result for some, _ in told for piece, result in some.items()}
            yield from ((pieces[piece], found[piece]) for piece in turn)

    def gather(self, value: Any) -> list[Any]:
        """What every process gives, in the order of their indices.

        Raises:
            ProcessError: a process failed or is gone.
        """
        return [value] if self.count == 1 else self._exchange(None, value)

    def once(self, function: Callable[[], Result]) -> Result:
        """What a function returns in the main process, where alone it is called."""
        if self.count == 1:
            return function()
        import torch.distributed as distributed

        found: list[Any] = [function() if self.main else None]
        self.gather(None)
        with _losses():
            distributed.broadcast_object_list(found, src=0)
        result: Result = found[0]
        return result

    def sum(self, tensors: "dict[str, Tensor]") -> "dict[str, Tensor]":
        """Sums over processes; all have the same names and shapes."""
        if self.count == 1:
            return tensors
        import torch
        import torch.distributed as distributed

        self.gather(None)
        joined = torch.cat([tensor.cpu() for tensor in tensors.values()])
        with _losses():
            distributed.all_reduce(joined)
        lengths = [len(tensor) for tensor in tensors.values()]
        return dict(zip(tensors, torch.split(joined, lengths), strict=True))

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        """A block that one process of each machine leaves before the others enter: what it fetches, they find."""
        first = self.count == 1 or os.environ.get("LOCAL_RANK", "0") == "0"
        if not first:
            self.gather(None)
        yield
        if first:
            self.gather(None)

    def fail(self, error: BiasectomyError) -> None:
        """Tells the other processes, wherever they meet next, what went wrong here."""
        with contextlib.suppress(ProcessError):
            self._exchange(str(error), None)

    def _exchange(self, failure: str | None, value: Any) -> list[Any]:
        import torch.distributed as distributed

        answers: list[Any] = [None] * self.count
        with _losses():
            distributed.all_gather_object(answers, (failure, value))
        for told, _ in answers:
            if told is not None:
                raise ProcessError(told)
        return [given for _, given in answers]


ALONE = Processes()
_speaks: bool | None = None  # whether this process tells the user of the error that ended them all; None: not settled


def is_main() -> bool:
    """Whether this process is the one that prints and writes."""
    return not _launched() or os.environ["RANK"] == "0"


def speaks() -> bool:
    """Whether it is for this process to tell the user of its error: one does, since all end with the same."""
    return is_main() if _speaks is None else _speaks


@contextlib.contextmanager
def join(device: str = "auto") -> Iterator[Processes]:
    """The processes that were launched together, for as long as a command pieces; `ALONE` where there is one.

    Raises:
        RunError: the processes do not find each other.
        ProcessError: another process failed or is gone, or the launcher ends this one.
    """
    global _speaks
    if not _launched():
        yield ALONE
        return
    processes = _joined(device)
    try:
        with _signals():
            yield processes
            processes.gather(None)  # nobody leaves before all are done: the others hear of a disk that is full
    except BiasectomyError as error:
        if not isinstance(error, ProcessError):
            processes.fail(error)
        _speaks = _first_to_speak()
        raise
    finally:
        import torch.distributed as distributed

        with contextlib.suppress(RuntimeError):
            distributed.destroy_process_group()


def _launched() -> bool:
    world = os.environ.get("WORLD_SIZE", "")
    return world.isdigit() and int(world) > 1 and "RANK" in os.environ


def _joined(device: str) -> Processes:
    try:
        import torch
        from accelerate import PartialState

        on_cpu = device in ("cpu", "mps") or (device == "auto" and not torch.cuda.is_available())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads, which --threads and OMP_NUM_THREADS decide
            state = PartialState(cpu=on_cpu, backend="gloo", timeout=PATIENCE)
    except Exception as error:  # whatever a network or a driver makes the libraries below raise
        reason = " ".join(str(error).split())
        raise RunError(f"The processes of this run do not find each other: {reason[:400]}") from error
    if state.num_processes != int(os.environ["WORLD_SIZE"]):
        raise RunError(f"{os.environ['WORLD_SIZE']} processes were launched, but they cannot work on '{device}'.")
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return Processes(state.process_index, state.num_processes, str(state.device), neighbours)


@contextlib.contextmanager
def _losses() -> Iterator[None]:
    """Turns a broken connection into the error that says so."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessError(LOST) from error


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Within the block a request to end is an error like others; once there is one, it is not disturbed any more."""

    def ignore() -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)

    def heard(number: int, frame: object) -> NoReturn:
        ignore()
        raise KeyboardInterrupt if number == signal.SIGINT else ProcessError(LOST)

    before: dict[int, Any] = {signal.SIGTERM: signal.getsignal(signal.SIGTERM)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        before[signal.SIGINT] = signal.default_int_handler
    for one in before:
        signal.signal(one, heard)
    try:
        yield
    except BaseException:
        ignore()  # the launcher ends all processes as soon as one is gone, before this one has said why
        raise
    for one, handler in before.items():
        signal.signal(one, handler)


def _first_to_speak() -> bool:
    """Whether no other process has asked this before, as the launcher's store knows; yes where it is gone."""
    from torch.distributed import distributed_c10d

    try:
        return bool(distributed_c10d._get_default_store().add("biasectomy/spoken", 1) == 1)
    except (RuntimeError, ValueError):
        return True
