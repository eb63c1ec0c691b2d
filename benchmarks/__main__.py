"""`python -m benchmarks [NAME ...]`: runs benchmarks, prints a table and writes JSON."""

import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

# Nothing is fetched while time is taken; set before any library that would look.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # of torch's profiler, which says when it starts and stops

import typer

from biasectomy.cli.exits import run_and_exit
from biasectomy.errors import SettingsError

if TYPE_CHECKING:
    from benchmarks.comparison import Comparison

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.command()
def run(  # noqa: PLR0913  (each is an option of the command line)
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME ...]", help="Which ones. Default: all but those of an hour.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write everything as JSON.")] = None,
    plots: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write plots (growth).")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads. Default: torch's.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Timed rounds. Default: as each needs.")] = None,
    items: Annotated[int | None, typer.Option(min=1, help="Items. Default: as each needs.")] = None,
    device: Annotated[str, typer.Option(help="Where models compute: cpu, cuda, cuda:1, mps.")] = "cpu",
    shape: Annotated[
        str | None, typer.Option(help="Random weights and prompts of a shape: llama-1b, llama-8b or tiny.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Number format: float32, bfloat16. Default: as each needs.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few items, one round: to see that it works.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the benchmarks.")] = False,
    compare: Annotated[
        Path | None, typer.Option(metavar="OLD.json", help="Say what got slower since; exit code 1 if anything did.")
    ] = None,
    measured: Annotated[
        Path | None, typer.Option(metavar="NEW.json", help="With --compare: what to compare, instead of a new run.")
    ] = None,
) -> None:
    """Measures speed, memory and precision against other ways of doing the same."""
    from benchmarks.comparison import compared, earlier, refuse_other_machine
    from benchmarks.suite import BENCHMARKS

    before = earlier(compare) if compare is not None else None
    if measured is not None:
        if before is None:
            raise SettingsError("--measured is compared with what --compare OLD.json names; give that too.")
        _tell(compared(before, earlier(measured)))
        return

    if listing:
        for name in BENCHMARKS:
            alone = " Takes an hour: only where it is named." if BENCHMARKS[name].by_name else ""
            typer.echo(f"{name:12} {BENCHMARKS[name].description}{alone}")
        return
    known = [BENCHMARKS[name] for name in names or BENCHMARKS]

    import torch

    from benchmarks import timing
    from benchmarks.base import Line, Settings
    from benchmarks.machine import describe_machine
    from benchmarks.subject import shape_of
    from benchmarks.table import document, print_table
    from biasectomy.files import without_nan, write_json
    from biasectomy.models.loading import named_device, number_format

    if threads is not None:
        torch.set_num_threads(threads)
    settings = Settings(
        threads=torch.get_num_threads(),
        rounds=rounds,
        items=items,
        quick=quick,
        plots=plots,
        device=device,
        shape=shape,
        dtype=dtype,
    )
    chosen = [one for one in known if names or (not one.by_name and (one.anywhere or not settings.elsewhere))]
    for one in chosen:
        one.refuse_missing()
        one.refuse_elsewhere(settings)
    _ = named_device(device), shape and shape_of(shape), dtype and number_format(dtype)  # each refuses what is not
    machine = describe_machine(settings.threads, device)
    lines, took = list[Line](), dict[str, float]()
    if rounds is not None:
        timing.enough_seconds = math.inf
    if before is not None:  # not after 20 minutes
        refuse_other_machine(before, machine, document(lines, machine, settings, took)["settings"])
    try:
        for one in chosen:
            sys.stderr.write(f"{one.name}: {one.description}\n")
            start = time.perf_counter()
            lines += one.run(settings)
            took[one.name] = time.perf_counter() - start
            if json_file is not None:
                write_json(json_file, document(lines, machine, settings, took))
    finally:  # what was measured is shown even where a later benchmark fails or is interrupted
        if lines:
            print_table(lines, machine, took)
    if before is not None:
        _tell(compared(before, without_nan(document(lines, machine, settings, took))))


def _tell(comparison: "Comparison") -> None:
    """Prints it, and ends with code 1 where something is slower."""
    comparison.print()
    if comparison.slower:
        raise typer.Exit(1)


if __name__ == "__main__":
    run_and_exit(lambda: app, "python -m benchmarks")
