"""The report of a run: one Markdown page that puts the verdict first."""

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from biasectomy.measuring.results import Results
from biasectomy.report.edits import Neurons, groups
from biasectomy.report.figures import ResultTable
from biasectomy.report.limits import limits
from biasectomy.report.matrix import shown_tables
from biasectomy.report.number_format import told_format
from biasectomy.report.searches import figure, searches

__all__ = ["render_markdown"]

SHOWN_NEURONS = 20


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
    environment.filters |= {"figure": figure, "table": _table, "count": _count, "markdown": _markdown}
    source = resources.files("biasectomy.report").joinpath("report.md.jinja").read_text(encoding="utf-8")
    text = environment.from_string(source).render(
        results=results,
        record=record,
        settings=record.get("settings") or {},
        number_format=told_format(record),
        tables=shown_tables(results),
        searches=searches(results, record),
        edits=[
            {"title": title, "count": len(found), "shown": found[:SHOWN_NEURONS], "groups": groups(found)}
            for title, found in neurons.items()
        ],
        limits=limits(results),
    )
    return text.rstrip() + "\n"


def _markdown(table: ResultTable) -> str:
    """A task's figures and differences: side by side where they have the same rows, else below each other."""
    grids = table.grids
    if table.same_rows and len(grids) > 1:
        grids = [table.figures.beside(table.changes)]
    parts = [_table([[name, *cells] for name, cells in grid.rows], [grid.corner, *grid.columns]) for grid in grids]
    return "\n\n".join(parts)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _table(rows: Sequence[Sequence[Any]], header: Sequence[str], left: int = 1) -> str:
    """A Markdown table; columns after the first `left` are aligned to the right."""
    rule = [":--" if index < left else "--:" for index in range(len(header))]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in (header, rule, *rows))
