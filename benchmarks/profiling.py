"""Where the time goes: what says why a bar is missed."""

from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile


def operator_shares(run: Callable[[], Any], most: int = 10) -> dict[str, float]:
    """Share of each operator in the time of all operators, without what it calls itself; the largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        run()
    times = {event.key: float(event.self_cpu_time_total) for event in recorded.key_averages()}
    total = sum(times.values()) or 1.0
    largest = sorted(times, key=times.__getitem__, reverse=True)[:most]
    return {name: round(times[name] / total, 4) for name in largest}
