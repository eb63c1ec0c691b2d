"""Which rows the tables of console and report hold: above all perplexity, which belongs to no task."""

from dataclasses import replace

import pytest

from biasectomy.report import render_markdown
from biasectomy.report.figures import result_tables
from biasectomy.measuring.results import DifferenceRow, MetricRow, Results

FIGURES = {"value": 0.5, "low": 0.4, "high": 0.6, "items": 9, "clusters": 3, "coverage": 1.0}
PERPLEXITY = ("wikitext2/wiki.test.raw", "neutral", "perplexity")


def make(split: str, tasks=("bbq:age,ses", "bbq:age", "bbq:ses")) -> Results:
    """Rows in the order in which they are measured: the tasks', then perplexity."""
    rows = [
        MetricRow(method, task, split, "accuracy", **FIGURES) for task in tasks for method in ("Original", "Edited")
    ]
    rows += [
        MetricRow(method, *PERPLEXITY, **FIGURES | {"value": 61.25, "items": 60}) for method in ("Original", "Edited")
    ]
    changes = [DifferenceRow("Edited", "Original", *PERPLEXITY, **FIGURES | {"value": 3.5})]
    return Results(tuple(rows), tuple(changes), interval={"level": 0.95})


@pytest.mark.parametrize("split", ["test", "all"])
def test_perplexity_closes_the_first_table_and_names_its_text(split):
    first, *others = result_tables(make(split))
    assert [first.task, *(table.task for table in others)] == ["bbq:age,ses", "bbq:age", "bbq:ses"]
    assert [name for name, _, _ in first.rows] == ["Accuracy, all items", "Perplexity, wikitext2/wiki.test.raw"]
    assert [str(cell) for cell in first.rows[1][1]] == ["61.25 [0.40, 0.60]"] * 2
    assert str(first.rows[1][2][0]).startswith("+3.50")
    assert first.caption.startswith(f"bbq:age,ses ({split}): 9 items")  # not the 60 paragraphs
    assert all(len(table.rows) == 1 for table in others)


def test_rows_of_other_splits_stay_out_where_there_are_test_rows():
    results = make("test", ("bbq:age",))
    search = tuple(replace(row, split="development", value=0.9) for row in results.metrics[:2])
    (table,) = result_tables(replace(results, metrics=search + results.metrics))
    assert len(table.rows) == 2 and "0.90" not in str(table.rows)


def test_the_report_shows_perplexity():
    text = render_markdown(make("all"), {}, [])
    assert text.count("| Perplexity, wikitext2/wiki.test.raw | 61.25 [0.40, 0.60] |") == 1


def test_no_figures_make_no_table():
    assert result_tables(Results(())) == []
