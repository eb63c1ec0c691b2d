"""What the neurons of a set are, as text for a terminal of any width, from 80 columns on."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from biasectomy.files import without_nan, write_json
from biasectomy.report.text import WIDTH

SCHEMA_VERSION = 1
TOKENS = 6  # shown of those that a neuron writes towards
DIRECTIONS = ("weakened", "strengthened", "reversed")


@dataclass(frozen=True)
class Description:
    """What `describe` found, as JSON-like values; `shown` neurons are printed."""

    values: dict[str, Any]
    shown: int = 10

    def to_json(self) -> dict[str, Any]:
        """Everything, with null where something is undefined."""
        return {"schema_version": SCHEMA_VERSION, **without_nan(self.values)}

    def save(self, path: str | Path) -> None:
        """Writes it as JSON, atomically.

        Raises:
            RunError: the file cannot be written.
        """
        write_json(Path(path), self.to_json())

    def __str__(self) -> str:
        """The tables, as the command line shows them."""
        stream = io.StringIO()
        print_description(self, Console(file=stream, width=WIDTH, highlight=False))
        return stream.getvalue().strip("\n")


def print_description(description: Description, console: Console) -> None:
    """Prints where the neurons lie, what each is, what sets have in common, and what of it was planted."""
    values = description.values
    made = values["composition"]
    _print(console, "Layers", _rows_of(made["layers"], ("stack", "layer")))
    if len(made["kinds"]) > 1:
        _print(console, "Kinds", _rows_of(made["kinds"], ("kind",)))
    console.print(Text(_factors(made)))
    neurons = values["neurons"][: description.shown]
    if neurons:
        title = f"The first {len(neurons):,} of {made['neurons']:,} neurons"
        _print(console, title, _neuron_rows(neurons))
        for reason in dict.fromkeys(one["no_tokens_because"] for one in neurons if one["no_tokens_because"]):
            units = sum(one["no_tokens_because"] == reason for one in values["neurons"])
            console.print(Text(f"No tokens are written towards by {units:,}: {reason}.", style="dim"))
    if values["overlap"]:
        _print(console, "Overlap", _overlap_rows(values["overlap"], list(values["sets"])))
        for letter, (name, size) in zip(_letters(), values["sets"].items(), strict=False):
            console.print(Text(f"{letter}: {name} ({size:,} neurons)", style="dim"))
    if values["planted"] is not None:
        console.print()
        console.print(Text(_planted(values["planted"])))


def _print(console: Console, title: str, rows: tuple[Sequence[str], Iterable[Sequence[str]]]) -> None:
    """A table; columns of figures stand to the right."""
    columns, cells = rows
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        left = name in ("Neuron", "Writes towards", "Most active at", "Sets", "Layer", "Kind")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    console.print()
    console.print(Text(title, style="bold"))
    console.print(table)


def _rows_of(places: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[Sequence[str], list[list[str]]]:
    """Counts by layer or kind."""
    several = len({one.get("stack") for one in places}) > 1
    rows = []
    for one in places:
        name = " ".join(str(one[key]) for key in names if key != "stack" or several)
        rows.append([name, *(f"{one[key]:,}" for key in ("neurons", "of", *DIRECTIONS))])
    return (names[-1].capitalize(), "Neurons", "Of", *map(str.capitalize, DIRECTIONS)), rows


def _factors(made: Mapping[str, Any]) -> str:
    if not made["neurons"]:
        return "The set is empty."
    spread = made["factor_quantiles"]
    return (
        f"Factors: median {spread['0.5']:.3g}, half of them between {spread['0.25']:.3g} and {spread['0.75']:.3g}, all "
        f"between {spread['0']:.3g} and {spread['1']:.3g}; "
        + ", ".join(f"{made[name] / made['neurons']:.0%} {name}" for name in DIRECTIONS)
    )


def _neuron_rows(neurons: Sequence[Mapping[str, Any]]) -> tuple[Sequence[str], list[list[str]]]:
    several = len({(one["kind"], one["stack"]) for one in neurons}) > 1
    active = any(one["most_active"] for one in neurons)
    rows = []
    for one in neurons:
        name = f"{one['module']} {one['unit']}" if several else f"{one['layer']}: {one['unit']}"
        tokens = dict.fromkeys(shown(token["token"]) for token in one["writes_towards"])
        row = [name, f"{one['factor']:.3g}", ", ".join(list(tokens)[:TOKENS])]
        peak = one["most_active"][0] if one["most_active"] else None
        where = shown(f"{peak['before']}«{peak['token']}»{peak['after']}") if peak else ""
        rows.append([*row, where, f"{peak['activation']:.3g}" if peak else ""] if active else row)
    heads = ("Neuron", "Factor", "Writes towards")
    return (*heads, "Most active at", "Activation") if active else heads, rows


def _overlap_rows(found: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[Sequence[str], list[list[str]]]:
    letter = dict(zip(names, _letters(), strict=False))
    rows = [
        [
            " ".join(letter[name] for name in one["names"]),
            f"{one['shared']:,}",
            _figure(one["jaccard"]),
            f"{one['expected']:,.1f} ({_range(one['chance'])})",
            _figure(one["ratio"]),
            _probability(one["probability"]),
            _figure(one["same_direction"]),
            _figure(one["correlation"]),
        ]
        for one in found
    ]
    return ("Sets", "Shared", "Jaccard", "By chance", "Ratio", "p", "Same side", "Factors r"), rows


def _planted(one: Mapping[str, Any]) -> str:
    found, there = one["sizes"]
    return (
        f"Planted units: {one['shared']} of the set's {found:,} neurons, of {there} planted; {one['expected']:.1f} by "
        f"chance ({_range(one['chance'])}), p = {_probability(one['probability'])}"
    )


def _letters() -> Iterable[str]:
    return (f"{'' if number < 26 else number // 26}{chr(65 + number % 26)}" for number in range(26 * 100))


def _range(bounds: Sequence[int]) -> str:
    return f"{bounds[0]:,}-{bounds[1]:,}"


def _figure(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _probability(value: float) -> str:
    return "below 1e-300" if value < 1e-300 else f"{value:.2g}"


def shown(text: str) -> str:
    """A piece of a text as one line without blanks around it; what cannot be printed is escaped."""
    plain = text.strip() or text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in plain)
