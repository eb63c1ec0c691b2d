"""The candidates that methods chose from, as points of a plane, from what the record of a run says of the search."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biasectomy.measuring.results import Results
from biasectomy.report.finished import FinishedRun
from biasectomy.report.pictures.wording import figure


@dataclass(frozen=True)
class Path:
    """Candidates of a method in their order: of each a name, and where it stands on development items."""

    method: str
    names: tuple[str, ...]
    points: tuple[tuple[float, float], ...]
    chosen: str | None

    def told(self, name: str) -> str:
        """What stands beside a candidate; numbers have commas, and the first says what it is a number of."""
        shown = f"{int(name):,}" if name.isdecimal() else name
        shown = f"n = {shown}" if name in (self.names[0], self.chosen) else shown
        return f"{shown}, chosen" if name == self.chosen else shown

    def in_words(self, results: Results, across: str, up: str) -> str:
        """A sentence with all candidates."""
        told = [
            f"{name}: {figure(x, across)} and {figure(y, up)}"
            for name, (x, y) in zip(self.names, self.points, strict=True)
        ]
        return f"Candidates of {results.title(self.method)} on development items: {'; '.join(told)}."


def paths(run: FinishedRun, across: str, up: str) -> list[Path]:
    """Those of the methods that tried several candidates and noted both metrics of each."""
    record = run.record.get("methods")
    found = []
    for method, noted in record.items() if isinstance(record, dict) else ():
        search = noted.get("search") if isinstance(noted, dict) else None
        rows = [one for one in search if isinstance(one, dict)] if isinstance(search, list) else []
        goal = run.results.goals.get(next(iter(run.results.goals), ""), "")
        places = [(str(row.get("n")), _of(row, across, goal), _of(row, up, goal)) for row in rows]
        kept = [(name, x, y) for name, x, y in places if math.isfinite(x) and math.isfinite(y)]
        if len(kept) > 1:
            names, points = tuple(name for name, _, _ in kept), tuple((x, y) for _, x, y in kept)
            chosen = str(noted.get("chosen"))
            found.append(Path(str(method), names, points, chosen if chosen in names else None))
    return found


def _of(row: Mapping[str, Any], metric: str, goal: str) -> float:
    """A candidate's figure in a metric: that of the goal stands by itself, others beside it."""
    value = row.get("value") if metric == goal else (row.get("beside") or {}).get(metric)
    return float(value) if isinstance(value, int | float) else math.nan
