"""Rows that were fitted and asked earlier, perhaps on another machine, beside new ones."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from biasectomy.errors import DataError
from biasectomy.measuring.results import DifferenceRow, MetricRow, Results
from biasectomy.methods.original import NAME as ORIGINAL

SAME = ("study", "model", "learned_from", "development_items", "asked")
ALIKE = 1e-3  # how far figures of one model may be apart between machines


def with_earlier(found: Results, earlier: Results, order: Sequence[str]) -> Results:
    """New results with the earlier rows that they have not, in an order of rows.

    Raises:
        DataError: the earlier ones are of other items, or the original answered otherwise there.
    """
    _refuse_others(found, earlier)
    kept = [name for name in order if name in earlier.titles and name not in found.titles]
    tasks = list(dict.fromkeys(row.task for row in found.metrics))

    def place(row: MetricRow | DifferenceRow) -> tuple[int, int]:
        return tasks.index(row.task), order.index(row.method)

    old = [row for row in earlier.metrics if row.method in kept]
    old_differences = [row for row in earlier.differences if row.method in kept]
    named = {name: (earlier if name in kept else found) for name in order if name in found.titles or name in kept}
    return replace(
        found,
        metrics=tuple(sorted([*found.metrics, *old], key=place)),
        differences=tuple(sorted([*found.differences, *old_differences], key=place)),
        titles={name: source.titles[name] for name, source in named.items()},
        costs={name: source.costs[name] for name, source in named.items()},
    )


def _refuse_others(found: Results, earlier: Results) -> None:
    for name in SAME:
        if found.settings[name] != earlier.settings.get(name):
            raise DataError(
                f"The earlier rows differ in '{name}': {earlier.settings.get(name)!r}, now {found.settings[name]!r}; "
                "all rows anew, or what was set then, would be right."
            )
    then = _of_original(earlier)
    for key, value in _of_original(found).items():
        if key in then and not math.isclose(then[key], value, rel_tol=ALIKE, abs_tol=ALIKE):
            raise DataError(
                f"The original answered otherwise when the earlier rows were asked: {key[1]} of {key[0]} was "
                f"{then[key]:.4f} and is {value:.4f}; all rows anew would be right."
            )


def _of_original(results: Results) -> Mapping[tuple[str, str], float]:
    rows = (row for row in results.metrics if row.method == ORIGINAL and not math.isnan(row.value))
    return {(row.task, row.metric): row.value for row in rows}
