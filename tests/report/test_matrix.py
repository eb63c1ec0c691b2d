"""A matrix in words: transfer, none, and a gain that is destruction."""

from biasectomy.measuring.results import DifferenceRow, Matrix, MatrixCell, MetricDescription, MetricRow, Results
from biasectomy.report.matrix import matrix_table, transfer_verdict

EVEN = MetricDescription("Stereotype preferred", "how often the stereotype is preferred", "share", 0.5)
WORDS = MetricDescription("Perplexity", "perplexity", "per word", 1.0)


def results(*cells: tuple[str, str, float, bool, bool], perplexity: float = 90.0) -> Results:
    """Of (row, column, gain, own, holds)."""
    made = tuple(
        MatrixCell(row, column, "even", 0.5, 0.7, 0.7 - gain, gain, gain - 0.02, gain + 0.02, 9, 9, own, holds)
        for row, column, gain, own, holds in cells
    )
    rows, columns = (tuple(dict.fromkeys(cell[place] for cell in cells)) for place in (0, 1))
    metrics = [MetricRow("first", "text", "all", "perplexity", 88.0, 80.0, 96.0, 9, 9, 1.0)]
    metrics += [MetricRow(row, "text", "all", "perplexity", perplexity, 80.0, 200.0, 9, 9, 1.0) for row in rows]
    more = perplexity - 88
    changes = [
        DifferenceRow(row, "first", "text", "all", "perplexity", more, more - 3, more + 3, 9, 9, 1.0) for row in rows
    ]
    return Results(
        tuple(metrics),
        tuple(changes),
        interval={"level": 0.95},
        titles={"first": "Original", "u:Women": "Unlearning on Women"},
        described={"even": EVEN, "perplexity": WORDS},
        matrix=Matrix("first", rows, columns, made, (("text", "perplexity"),)),
    )


def test_transfer_is_counted_apart_from_the_own_category():
    found = results(
        ("u:Women", "pairs:gender", 0.1, True, True),
        ("u:Women", "pairs:race", 0.05, False, True),
        ("u:Women", "pairs:age", -0.06, False, True),
        ("u:Women", "pairs:religion", 0.01, False, False),
    )
    first, elsewhere, cost = transfer_verdict(found)
    assert first == (
        "Unlearning on Women: on its own category, pairs:gender, it got nearer to even odds (+10.0 points, 95 % "
        "interval +8.0 to +12.0); of 3 other bias types 1 got nearer to even odds, 1 further, and 1 cannot be told "
        "from no change."
    )
    assert "1 of 3 cells show a gain and 1 a loss that holds when all 4 cells" in elsewhere
    assert cost == ("Unlearning on Women: perplexity goes from 88.00 to 90.00, which cannot be told from no change.")


def test_where_all_is_noise_that_is_said_and_the_cost_is_shown_all_the_same():
    noise = results(("u:Women", "pairs:gender", 0.01, True, False), ("u:Women", "pairs:age", 0.0, False, False))
    assert transfer_verdict(noise)[0].startswith(
        "Nothing can be told from no change: none of the gains and losses holds"
    )
    destroyed = results(("u:Women", "pairs:age", 0.2, False, True), perplexity=5000.0)
    told = transfer_verdict(destroyed)
    assert "none of the columns is of its own category" in told[0] and told[-1].endswith("from 88.00 to 5000.00.")


def test_the_table_has_the_original_first_then_gains_then_costs():
    table = matrix_table(
        results(("u:Women", "pairs:gender", 0.1, True, True), ("u:Women", "pairs:age", -0.01, False, False))
    )
    assert table.figures.columns == ("gender", "age", "Perplexity")
    (title, before), (name, gains) = table.figures.rows
    assert (title, name) == ("Original (its figures)", "Unlearning on Women")
    assert [str(cell) for cell in before] == ["0.70", "0.70", "88.00"]
    assert [str(cell) for cell in gains] == [
        "+0.10* [+0.08, +0.12], own",
        "-0.01 [-0.03, +0.01]",
        "+2.00 [-1.00, +5.00]",
    ]
