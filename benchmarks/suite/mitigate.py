"""The whole job, by stage."""

from benchmarks.base import Line, Settings, benchmark
from benchmarks.whole_run import whole_run
from biasectomy.files import read_json
from biasectomy.run_files import RECORD

ITEMS = 48


@benchmark("mitigate")
def mitigate(settings: Settings) -> list[Line]:
    """`biasectomy mitigate` in a process of its own: seconds by stage, and peak memory."""
    items = settings.items or ITEMS
    small = ["--crispr.grid", "0,1,8", "--crispr.instances", "5", "--random-neurons.draws", "1"]
    usual = ["--crispr.grid", "0,3,20,120", "--random-neurons.draws", "2"]
    arguments = [
        *(
            "--method",
            "crispr",
            "--beside",
            "none",
            "--task",
            settings.task,
            "--max-items",
            str(items),
            "--max-instructions",
            "1" if settings.quick else "2",
        ),
        *("--crispr.trials", "1", "--threads", str(settings.threads), "--quiet"),
        *(small if settings.quick else usual),
    ]
    with whole_run(settings.model, arguments, settings.threads) as (folder, seconds):
        record = read_json(folder / RECORD)
    stages: dict[str, float] = record["seconds"]
    stages["starting and ending"] = seconds - sum(stages.values())
    details = {"arguments": arguments, "peak_memory_bytes": record.get("peak_memory_bytes")}
    lines = [
        Line(
            "mitigate",
            "the whole command",
            seconds,
            "seconds",
            "float32",
            seconds=seconds,
            threads=settings.threads,
            details=details,
        )
    ]
    for stage, taken in stages.items():
        lines.append(
            Line(
                "mitigate",
                f"stage '{stage}', share of the time",
                taken / seconds,
                "share",
                "float32",
                seconds=taken,
                threads=settings.threads,
                details=details,
            )
        )
    return lines
