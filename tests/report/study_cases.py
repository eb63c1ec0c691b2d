"""Results of studies made by hand, from differences that are known."""

from biasectomy.measuring.results import DifferenceRow, MetricDescription, MetricRow, Results

RIGHT = MetricDescription("Right", "how often it is right", "share", 1.0, "goal")


def made(changes: dict[tuple[str, str], tuple[float, float]], line: str = "crispr", clusters: int = 30) -> Results:
    """Results from differences (method, against): their size and how far their interval reaches; original 0.5."""
    values = {"original": 0.5}
    for (method, against), (value, _) in changes.items():
        values.setdefault(method, values.get(against, 0.5) + value)
        values.setdefault(against, values[method] - value)
    rows = tuple(
        MetricRow(one, "t", "test", "right", value, value - 0.1, value + 0.1, 90, clusters, 1.0)
        for one, value in values.items()
    )
    differences = tuple(
        DifferenceRow(*pair, "t", "test", "right", value, value - reach, value + reach, 90, clusters, 1.0)
        for pair, (value, reach) in changes.items()
    )
    titles = {"original": "Original", line: "CRISPR"}
    return Results(
        rows, differences, interval={"level": 0.95}, titles=titles, described={"right": RIGHT}, goals={"t": "right"},
        tasks=("t",),
    )  # fmt: skip
