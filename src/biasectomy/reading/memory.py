"""How much memory there is and is taken, and what is done where it is too small for a batch."""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from biasectomy.errors import ModelError

if TYPE_CHECKING:  # torch is slow to import, and what only asks the system does not need it
    from torch import nn

    from biasectomy.reading.layouts import Batch

Result = TypeVar("Result")


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory was short, of whatever device."""
    from accelerate.utils.memory import should_reduce_batch_size

    return isinstance(error, MemoryError) or bool(should_reduce_batch_size(error))


def in_halves(
    compute: "Callable[[Batch], list[Result]]", batch: "Batch", undo: Callable[[], object] = lambda: None
) -> list[Result]:
    """Results of a batch's prompts, in their order; the batch is halved as often as memory needs it.

    Args:
        undo: takes back what a computation that failed has changed.

    Raises:
        ModelError: the memory is too small even for one prompt.
    """
    try:
        return compute(batch)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        undo()
        if len(batch.prompts) == 1:
            raise ModelError(
                f"The memory is too small even for one prompt of {len(batch.prompts[0].prompt):,} tokens; "
                "a smaller --dtype, a smaller model or a larger machine would be right."
            ) from error
    return [one for half in batch.halves() for one in in_halves(compute, half, undo)]


def weights_bytes(model: "nn.Module") -> int:
    """Bytes of a model's weights."""
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def available_memory() -> int | None:
    """Bytes of memory that can be taken without swapping; None where the system does not tell."""
    return _figure("/proc/meminfo", "MemAvailable")


def peak_memory() -> int | None:
    """Largest resident memory of this process so far, in bytes; None where the system does not tell."""
    # Linux first: what `resource` tells there begins with the memory of the process that started this one.
    return memory_status("VmHWM") or _peak_by_usage()


def memory_status(name: str) -> int | None:
    """A figure of /proc/self/status in bytes, such as VmRSS (resident now); None where there is none."""
    return _figure("/proc/self/status", name)


def _figure(file: str, name: str) -> int | None:
    """A figure of a file in which Linux tells about memory, in bytes."""
    with contextlib.suppress(OSError):
        for line in Path(file).read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None


def _peak_by_usage() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
