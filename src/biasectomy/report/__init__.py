"""The report of a run: one Markdown page that puts the verdict first."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from biasectomy.measuring.results import Results
from biasectomy.report.figures import ResultTable
from biasectomy.report.matrix import shown_tables
from biasectomy.report.places import kind_of, layer_of, stack_of

__all__ = ["render_markdown"]

SHOWN_NEURONS = 20
Neurons = Sequence[Mapping[str, Any]]


def render_markdown(results: Results, record: Mapping[str, Any], neurons: Mapping[str, Neurons]) -> str:
    """The report as Markdown; parts that the record does not have are left out.

    Args:
        results: figures, differences and verdict.
        record: what the run noted: `command`, `settings`, `items`, `model`, `methods`, `versions`, ...
        neurons: those of each method that edits some, by its title, best first: `module`, `unit`, `score`, `factor`,
            and perhaps `kind`, `layer` and `stack`.
    """
    import jinja2

    environment = jinja2.Environment(
        undefined=jinja2.ChainableUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    environment.filters |= {"figure": _figure, "table": _table, "count": _count, "markdown": _markdown}
    source = resources.files("biasectomy.report").joinpath("report.md.jinja").read_text(encoding="utf-8")
    text = environment.from_string(source).render(
        results=results,
        record=record,
        settings=record.get("settings") or {},
        tables=shown_tables(results),
        searches=[
            _search(results, method) for method in (record.get("methods") or {}).values() if method.get("search")
        ],
        edits=[
            {"title": title, "count": len(found), "shown": found[:SHOWN_NEURONS], "groups": _groups(found)}
            for title, found in neurons.items()
        ],
        abstention=[one.title for one in results.described.values() if one.role == "abstention"],
    )
    return text.rstrip() + "\n"


def _search(results: Results, method: Mapping[str, Any]) -> dict[str, Any]:
    """How a method's number of neurons was chosen, as a table with a column for each figure beside the goal."""
    rows = method["search"]
    beside = list(dict.fromkeys(name for row in rows for name in row.get("beside") or {}))
    header = [
        "n",
        "items seen",
        "goal",
        "interval",
        *(results.description(name).title for name in beside),
        "dropped early",
    ]
    cells = []
    for row in rows:
        interval = f"[{_figure(row['low'])}, {_figure(row['high'])}]" if _is_number(row.get("low")) else ""
        values = [_figure((row.get("beside") or {}).get(name)) for name in beside]
        cells.append(
            [row["n"], row.get("items", ""), _figure(row["value"], 3), interval, *values, row.get("dropped") or ""]
        )
    return {"title": method.get("title", ""), "chosen": method.get("chosen"), "table": _table(cells, header, 0)}


def _groups(neurons: Neurons) -> list[tuple[str, int, str]]:
    """Neurons counted by kind and stack of blocks, with the layers they are in."""
    several = len({stack_of(neuron) for neuron in neurons}) > 1
    named = [
        (f"{kind_of(neuron)} ({stack_of(neuron)})" if several else kind_of(neuron), layer_of(neuron))
        for neuron in neurons
    ]
    found = []
    for kind, number in Counter(kind for kind, _ in named).most_common():
        layers = Counter(layer for one, layer in named if one == kind and layer is not None)
        found.append((kind, number, ", ".join(f"{layer} ({times})" for layer, times in sorted(layers.items()))))
    return found


def _markdown(table: ResultTable) -> str:
    """A task's figures and differences: side by side where they have the same rows, else below each other."""
    grids = table.grids
    if table.same_rows and len(grids) > 1:
        grids = [table.figures.beside(table.changes)]
    parts = [_table([[name, *cells] for name, cells in grid.rows], [grid.corner, *grid.columns]) for grid in grids]
    return "\n\n".join(parts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _figure(value: Any, digits: int = 2) -> str:
    if not _is_number(value):
        return "n/a"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _table(rows: Sequence[Sequence[Any]], header: Sequence[str], left: int = 1) -> str:
    """A Markdown table; columns after the first `left` are aligned to the right."""
    rule = [":--" if index < left else "--:" for index in range(len(header))]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in (header, rule, *rows))
