"""What is done where memory is too small for a batch."""

from collections.abc import Callable
from typing import TypeVar

from biasectomy.layouts import Batch

Result = TypeVar("Result")


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory was short, of whatever device."""
    from accelerate.utils.memory import should_reduce_batch_size

    return isinstance(error, MemoryError) or bool(should_reduce_batch_size(error))


def in_parts(compute: Callable[[Batch], list[Result]], batch: Batch) -> list[Result]:
    """Results of a batch's prompts, in their order; the batch is halved as often as memory needs it."""
    try:
        return compute(batch)
    except (RuntimeError, MemoryError) as error:
        if len(batch.prompts) == 1 or not is_out_of_memory(error):
            raise
    middle = len(batch.prompts) // 2
    halves = (slice(middle), slice(middle, None))
    return [one for half in halves for one in in_parts(compute, Batch(batch.indices[half], batch.prompts[half]))]
