"""Lines as a table for people and as JSON for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.base import Line, Settings, Unit
from biasectomy.report.text import duration

SCHEMA_VERSION = 1
WIDTH = 100


def print_table(
    lines: Sequence[Line], machine: dict[str, Any], took: Mapping[str, float], output: TextIO | None = None
) -> None:
    """One row a line; what was measured on stands above, how long each benchmark took in seconds below."""
    console = Console(file=output, width=None if output is None else WIDTH, highlight=False)
    if output is None and not console.is_terminal:
        console.width = WIDTH
    console.print(
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"torch {machine['versions']['torch']}, load {machine['load_average']}"
    )
    if (device := machine.get("device", {})).get("driver"):
        console.print(
            f"{device['name']}, {device['memory_gib']} GiB, driver {device['driver']}, CUDA {device['cuda']}, "
            f"products in float32: {device['float32_products']}"
        )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Benchmark", overflow="fold")
    for heading in ("Ours", "Peer", "Figure", "Bar", "Tokens", "GFLOP", "Of rate"):
        table.add_column(heading, justify="right")
    for number, line in enumerate(lines):
        new_section = number + 1 < len(lines) and lines[number + 1].benchmark != line.benchmark
        table.add_row(*row(line), end_section=new_section)
    console.print(table)
    each = ", ".join(f"{name} {duration(seconds)}" for name, seconds in took.items())
    console.print(f"Took {duration(sum(took.values()))}: {each}")


def row(line: Line) -> list[str]:
    """The cells of a line."""
    what = f"{line.benchmark}: {line.what}"
    figure = format_value(line.value, line.unit)
    if line.low is not None and line.high is not None:
        figure += f"\n{format_value(line.low, line.unit)} to {format_value(line.high, line.unit)}"
    bar = ""
    if line.bar is not None:
        sign = ">=" if line.bar.kind == "at least" else "<="
        bar = f"{sign} {format_value(line.bar.number, line.unit)}\n{'met' if line.met else 'MISSED'}"
    return [
        f"{what}, {line.dtype}" if line.dtype else what,
        _seconds(line.seconds),
        _seconds(line.peer_seconds),
        figure,
        bar,
        "\n".join(f"{count:,}" for count in (line.tokens, line.peer_tokens) if count is not None),
        "" if line.gigaflop is None else f"{line.gigaflop:,.0f}" if line.gigaflop >= 10 else f"{line.gigaflop:.2g}",
        "" if line.matrix_share is None else format_value(line.matrix_share, "share"),
    ]


def format_value(value: float, unit: Unit) -> str:
    """A figure with its unit."""
    match unit:
        case "times" | "weights":
            return f"{value:.2f}x"
        case "share":
            return f"{100 * value:.1f} %"
        case "seconds":
            return _seconds(value)
        case "difference":
            return f"{value:.2g}"
        case "exponent" | "correlation":
            return f"{value:.3f}"


def document(
    lines: Sequence[Line], machine: dict[str, Any], settings: Settings, took: Mapping[str, float]
) -> dict[str, Any]:
    """Everything that was measured, in a form that JSON can hold."""
    chosen = asdict(settings) | {"plots": None if settings.plots is None else str(settings.plots)}
    return {
        "schema_version": SCHEMA_VERSION,
        "machine": machine,
        "settings": chosen,
        "took": dict(took),
        "lines": [asdict(line) | {"met": line.met} for line in lines],
    }


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f} s" if value >= 10 else f"{value:.2f} s" if value >= 0.1 else f"{1000 * value:.2f} ms"
