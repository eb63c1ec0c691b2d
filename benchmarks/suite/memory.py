"""Peak memory beside the weights alone, each job in a fresh process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.base import Bar, Line, Settings, benchmark
from biasectomy.errors import RunError
from biasectomy.reading.memory import memory_status

BARS = {"attribution": Bar("at most", 2.5), "scoring": None}
CONSTANT = Bar("at most", 1.1)  # of what the job needs beside the weights, four times the number against once


@benchmark("memory")
def memory(settings: Settings) -> list[Line]:
    """Peak memory of attribution and scoring over the weights, with items and instructions growing."""
    refuse_without_figures("memory")
    lines = []
    for job in ("attribution", "scoring"):
        base = settings.choose_items(6, 3)
        sizes = [(base, 1), (4 * base, 1), (base, 4)]
        found = {size: probe_memory(settings, job, *size) for size in sizes[:: 2 if settings.quick else 1]}
        for (items, instructions), bytes_ in found.items():
            over = (bytes_["peak"] - bytes_["before"]) / bytes_["weights"]
            what = f"{job}, {items} items, {instructions} instructions"
            lines.append(_line(settings, what, over, bytes_, BARS[job]))
        for size, noun in ((sizes[1], "items"), (sizes[2], "instructions")):
            if size in found:
                first, last = (value["peak"] - value["before"] for value in (found[sizes[0]], found[size]))
                what = f"{job}, four times the {noun}: peak over peak"
                details = {"peaks": [first, last]}
                lines.append(Line("memory", what, last / first, "times", "float32", bar=CONSTANT, details=details))
    return lines


def _line(settings: Settings, what: str, value: float, details: dict[str, Any], bar: Bar | None) -> Line:
    return Line(
        "memory", what, value, "weights", "float32", bar=bar, threads=settings.threads, details={"bytes": details}
    )


def refuse_without_figures(name: str) -> None:
    """Refuses to start a benchmark where the system does not tell how much memory was taken.

    Raises:
        RunError: names the benchmark.
    """
    if memory_status("VmHWM") is None:
        raise RunError(f"The benchmark '{name}' reads /proc/self/status, which this system does not have.")


def probe_memory(settings: Settings, job: str, items: int, instructions: int, **further: int) -> dict[str, int]:
    """What a job takes in a fresh process, in bytes; see `memory_probe`.

    Raises:
        RunError: the process failed.
    """
    wanted = {
        "job": job,
        "items": items,
        "instructions": instructions,
        "model": settings.model,
        "task": settings.task,
        "dtype": "float32",
        "threads": settings.threads,
        **further,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory_probe", json.dumps(wanted)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": str(settings.threads)},
    )
    if done.returncode:
        raise RunError(f"The process that measures memory failed: {done.stderr.strip()[-400:]}")
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found
