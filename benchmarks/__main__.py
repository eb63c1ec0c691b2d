"""`python -m benchmarks [NAME ...]`: runs benchmarks, prints a table and writes JSON."""

import os
import sys
from pathlib import Path
from typing import Annotated

# Nothing is fetched while time is taken; set before any library that would look.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # of torch's profiler, which says when it starts and stops

import typer

from biasectomy.cli.exits import run_and_exit

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.command()
def run(  # noqa: PLR0913  (each is an option of the command line)
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME ...]", help="Which ones. Default: all.")] = None,
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
) -> None:
    """Measures speed, memory and precision against other ways of doing the same."""
    from benchmarks.suite import BENCHMARKS

    if listing:
        for name in BENCHMARKS:
            typer.echo(f"{name:12} {BENCHMARKS[name].description}")
        return
    elsewhere = device != "cpu" or shape is not None or dtype is not None
    chosen = [BENCHMARKS[name] for name in names or BENCHMARKS if names or BENCHMARKS[name].anywhere or not elsewhere]

    import torch

    from benchmarks.base import Line, Settings
    from benchmarks.machine import describe_machine
    from benchmarks.subject import shape_of
    from benchmarks.table import document, print_table
    from biasectomy.files import write_json
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
    for one in chosen:
        one.refuse_missing()
        one.refuse_elsewhere(settings)
    _ = named_device(device), shape and shape_of(shape), dtype and number_format(dtype)  # each refuses what is not
    machine = describe_machine(settings.threads, device)
    lines: list[Line] = []
    try:
        for one in chosen:
            sys.stderr.write(f"{one.name}: {one.description}\n")
            lines += one.run(settings)
            if json_file is not None:
                write_json(json_file, document(lines, machine, settings))
    finally:  # what was measured is shown even where a later benchmark fails or is interrupted
        if lines:
            print_table(lines, machine)


if __name__ == "__main__":
    run_and_exit(lambda: app, "python -m benchmarks")
