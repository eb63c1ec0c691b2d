"""Finished runs made by hand, of figures that are known."""

import math
from pathlib import Path
from typing import Any

from biasectomy.measuring.results import (
    DifferenceRow,
    Matrix,
    MatrixCell,
    MetricDescription,
    MetricRow,
    Results,
)
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.report.finished import FinishedRun

TASK, TEXT = "quiz:age", "text:packaged"
DESCRIBED = {
    "both": MetricDescription("Both", "both", "share", 1),
    "gain": MetricDescription("To be gained", "what is to be gained", "share", 1, "goal"),
    "kept": MetricDescription("To be kept", "what is to be kept", "share", 1, "guard"),
    "silent": MetricDescription("Silent", "silence", "share", 0, "abstention"),
    "drift": MetricDescription("Drift", "drift", "nats", 0.0, "guard"),
}
FIGURES = {  # by method: gain, kept, drift
    "first": (0.1, 0.6, 0.0),
    "second": (0.9, 0.5, 0.02),
    "control": (0.2, 0.4, 0.3),
}
TITLES = {"first": "Original", "second": "Second", "control": "Random neurons"}


def finished(
    results: Results, record: dict[str, Any] | None = None, sets: dict[str, NeuronSet] | None = None
) -> FinishedRun:
    """A run without a folder."""
    run = FinishedRun(Path("/nowhere"), results, record or {})
    run.__dict__["neuron_sets"] = sets or {}
    return run


def results(
    methods: dict[str, tuple[float, float, float]] | None = None,
    titles: dict[str, str] | None = None,
    **more: Any,
) -> Results:
    """Figures with intervals of 0.05 to both sides; all are compared with the first, a second with a third too."""
    methods = methods or FIGURES
    rows, differences = [], []
    for method, (gain, kept, drift) in methods.items():
        for metric, value in (("both", (gain + kept) / 2), ("gain", gain), ("kept", kept), ("silent", gain / 3)):
            alone = (value - 0.02, value + 0.01, value + 0.03)
            draws = (value - 0.03, value + 0.03) if method == "control" else ()
            ends = (value - 0.05, value + 0.05)
            rows.append(MetricRow(method, TASK, "test", metric, value, *ends, 80, 20, 1.0, None, draws, None, alone))
        low, high = (drift / 2, 2 * drift) if drift else (math.nan, math.nan)
        rows.append(MetricRow(method, TEXT, "all", "drift", drift, low, high, 60, 60, 1.0))
    names = list(methods)
    pairs = [(name, names[0]) for name in names[1:]] + [(names[1], name) for name in names[2:3] if len(names) == 3]
    for method, against in pairs:
        for metric in ("both", "gain", "kept", "silent"):
            one, two = (
                next(row for row in rows if (row.method, row.metric) == (name, metric)) for name in (method, against)
            )
            value = one.value - two.value
            ends = (value - 0.08, value + 0.08)
            differences.append(DifferenceRow(method, against, TASK, "test", metric, value, *ends, 80, 20, 1.0))
    return Results(
        tuple(rows),
        tuple(differences),
        interval={"level": 0.95},
        titles=titles or TITLES,
        described=DESCRIBED,
        goals={TASK: "both"},
        tasks=(TASK, TEXT),
        **more,
    )


SEARCH = {
    "second": {
        "search": [
            {"n": 0, "value": 0.3, "beside": {"gain": 0.08, "kept": 0.62}},
            {"n": 10, "value": 0.5, "beside": {"gain": 0.5, "kept": 0.6}},
            {"n": 1000, "value": 0.7, "beside": {"gain": 0.88, "kept": 0.52}},
            {"n": 3000, "value": None, "beside": {"gain": None, "kept": None}},
        ],
        "chosen": 1000,
    }
}
SETS = {
    "second": NeuronSet(
        tuple(
            Neuron(f"model.layers.{layer}.mlp.{kind}", unit, 1.0, factor)
            for layer, kind, unit, factor in (
                (0, "up_proj", 0, 0.0),
                (0, "up_proj", 1, 0.5),
                (2, "up_proj", 0, 1.5),
                (2, "down_proj", 0, -1.0),
                (2, "down_proj", 1, 0.5),
                (2, "down_proj", 2, 0.55),
            )
        ),
        model={"name": "made", "shape": {"num_hidden_layers": 4}},
    )
}


def mitigated() -> FinishedRun:
    """Three methods, a search, and neurons."""
    return finished(results(), {"methods": SEARCH}, SETS)


def transferred() -> FinishedRun:
    """A study with a matrix, one of whose cells is undefined."""
    cells = tuple(
        MatrixCell(row, column, "gain", 1.0, 0.3, 0.3 + value, value, value - 0.05, value + 0.05, 9, 9, own, holds)
        for row, column, value, own, holds in (
            ("second", "quiz:age", 0.2, True, True),
            ("second", "quiz:sex", -0.1, False, False),
            ("control", "quiz:age", math.nan, False, False),
            ("control", "quiz:sex", 0.05, True, False),
        )
    )
    made = results(matrix=Matrix("first", ("second", "control"), ("quiz:age", "quiz:sex"), cells))
    return finished(made)


def points(metric: str = "gain") -> list[dict[str, Any]]:
    """Of a curve: two methods at 0, 10 and 1,000, of which one is undefined, and one that does not depend on it."""
    found: list[dict[str, Any]] = [
        {"method": method, "x": x, "task": TASK, "metric": metric, "value": value, "low": low, "high": high}
        for method, x, value, low, high in (
            ("second", 0, 0.1, 0.05, 0.15),
            ("second", 10, 0.4, 0.35, 0.45),
            ("second", 1000, 0.9, 0.8, 0.95),
            ("control", 0, 0.1, 0.05, 0.15),
            ("control", 10, None, None, None),
            ("control", 1000, 0.2, 0.0, 0.4),
        )
    ]
    return [
        *found,
        {"method": "first", "x": None, "task": TASK, "metric": metric, "value": 0.1, "low": None, "high": None},
    ]


def studied(given: Any) -> FinishedRun:
    """A study with a curve."""
    made = results()
    object.__setattr__(made, "curve", given)
    return finished(made)
