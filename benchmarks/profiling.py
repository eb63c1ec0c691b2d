"""Where the time goes: what says why a bar is missed."""

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def operator_shares(run: Callable[[], Any], most: int = 10, device: torch.device | str = "cpu") -> dict[str, float]:
    """Share of each operator in the time of all operators, without what it calls itself; the largest first.

    On a CUDA device the time is that of the kernels that an operator starts, not that of the processor.
    """
    on_cuda = torch.device(device).type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]) as recorded:
        run()
    events = [event for event in recorded.key_averages() if not on_cuda or event.key.startswith("aten::")]
    times = {
        event.key: float(event.self_device_time_total if on_cuda else event.self_cpu_time_total) for event in events
    }
    total = sum(times.values()) or 1.0
    largest = sorted(times, key=times.__getitem__, reverse=True)[:most]
    return {name: round(times[name] / total, 4) for name in largest}
