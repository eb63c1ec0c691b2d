"""Time and memory of a device that computes while the program goes on."""

import time
from collections.abc import Callable
from typing import Any

import torch


def synchronize(device: torch.device | str) -> None:
    """Waits until a device has done what it was given; a processor has at once."""
    if torch.device(device).type != "cpu":
        torch.get_device_module(device).synchronize(device)


def clock_of(device: torch.device | str) -> Callable[[], float]:
    """Seconds, told when the device has nothing left to do."""

    def clock() -> float:
        synchronize(device)
        return time.perf_counter()

    return clock


def allocated(device: torch.device | str) -> int | None:
    """Bytes that tensors take on a CUDA device now; None on any other."""
    return torch.cuda.memory_allocated(device) if torch.device(device).type == "cuda" else None


def peak_beyond(run: Callable[[], Any], device: torch.device | str) -> int | None:
    """Bytes that a run takes on a CUDA device at most, beyond what was taken before; None on any other."""
    before = allocated(device)
    if before is None:
        return None
    torch.cuda.reset_peak_memory_stats(device)
    run()
    synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
