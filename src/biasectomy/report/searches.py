"""How methods chose their numbers of neurons, as tables of text; out of the record of a run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biasectomy.measuring.results import Results


@dataclass(frozen=True)
class Search:
    """The numbers that a method tried, a row each, with a column for each figure beside the goal."""

    title: str
    chosen: Any
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def searches(results: Results, record: Mapping[str, Any]) -> list[Search]:
    """Those of all methods that tried several numbers."""
    return [_search(results, one) for one in (record.get("methods") or {}).values() if one.get("search")]


def _search(results: Results, method: Mapping[str, Any]) -> Search:
    tried = method["search"]
    beside = list(dict.fromkeys(name for row in tried for name in row.get("beside") or {}))
    titles = (results.description(name).title for name in beside)
    columns = ("n", "items x instructions", "goal", "interval", *titles, "dropped early")
    rows = []
    for row in tried:
        interval = f"[{figure(row['low'])}, {figure(row['high'])}]" if is_number(row.get("low")) else ""
        values = [figure((row.get("beside") or {}).get(name)) for name in beside]
        rows.append((row["n"], _asked(row), figure(row["value"], 3), interval, *values, row.get("dropped") or ""))
    return Search(str(method.get("title", "")), method.get("chosen"), columns, tuple(rows))


def _asked(row: Mapping[str, Any]) -> str:
    """How many items under how many instructions each; older records know the items only."""
    return " x ".join(str(row[name]) for name in ("items", "instructions") if row.get(name))


def is_number(value: Any) -> bool:
    """Whether it is a number and finite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def figure(value: Any, digits: int = 2) -> str:
    """A number as text; `n/a` where there is none."""
    if not is_number(value):
        return "n/a"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"
