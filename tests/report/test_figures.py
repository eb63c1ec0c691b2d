"""Which rows and columns the tables of console and report hold."""

import ast
import inspect
from dataclasses import replace
from pathlib import Path

import pytest

import biasectomy
from biasectomy.measuring.results import DifferenceRow, MetricDescription, MetricRow, Results
from biasectomy.methods import METHODS as METHODS_THERE_ARE
from biasectomy.report import render_markdown
from biasectomy.report.figures import number, result_tables
from biasectomy.report.text import rendered
from biasectomy.report.verdict import verdict
from biasectomy.tasks import TASKS
from biasectomy.tasks.ambiguity import AMBIGUITY_METRICS
from biasectomy.tasks.perplexity import PERPLEXITY

FIGURES = {"value": 0.5, "low": 0.4, "high": 0.6, "items": 9, "clusters": 3, "coverage": 1.0}
OF_TEXT = ("perplexity:wikitext2", "all", "perplexity")
METHODS = ("original", "crispr")
TITLES = {"original": "Original", "crispr": "CRISPR", "cc": "Contextual calibration"}
DESCRIBED = {metric.name: MetricDescription.of(metric) for metric in (*AMBIGUITY_METRICS, PERPLEXITY)}


def make(split: str, tasks=("bbq:age,ses", "bbq:age", "bbq:ses"), methods=METHODS) -> Results:
    """Rows in the order in which they are measured."""
    metrics = ("accuracy", "accuracy_ambiguous")
    rows = [MetricRow(one, task, split, metric, **FIGURES) for task in tasks for metric in metrics for one in methods]
    rows += [MetricRow(method, *OF_TEXT, **FIGURES | {"value": 61.25, "items": 60}) for method in methods]
    changes = [DifferenceRow(one, "original", *OF_TEXT, **FIGURES | {"value": 3.5}) for one in methods[1:]]
    changes += [DifferenceRow(one, "original", tasks[0], split, "accuracy", **FIGURES) for one in methods[1:]]
    return Results(tuple(rows), tuple(changes), interval={"level": 0.95}, titles=TITLES, described=DESCRIBED)


@pytest.mark.parametrize("split", ["test", "all"])
def test_a_task_of_one_metric_closes_the_first_table_and_says_which_it_is(split):
    first, *others = result_tables(make(split))
    assert [first.task, *(table.task for table in others)] == ["bbq:age,ses", "bbq:age", "bbq:ses"]
    names = [name for name, _ in first.figures.rows]
    assert names == ["Accuracy, all items", "Accuracy, ambiguous", "Perplexity (wikitext2)"]
    assert [str(cell) for cell in first.figures.rows[2][1]] == ["61.25 [0.40, 0.60]"] * 2
    assert str(first.changes.rows[2][1][0]).startswith("+3.50")
    assert first.caption.startswith(f"bbq:age,ses ({split}): 9 items")  # not the 60 paragraphs
    assert all(len(table.figures.rows) == 2 for table in others)


def test_a_task_of_one_metric_alone_has_a_table():
    row = MetricRow("original", *OF_TEXT, **FIGURES)
    (table,) = result_tables(Results((row,), described=DESCRIBED))
    assert table.task == "perplexity:wikitext2" and table.figures.rows[0][0] == "Perplexity"


def test_rows_of_other_splits_stay_out_where_there_are_test_rows():
    results = make("test", ("bbq:age",))
    search = tuple(replace(row, split="development", value=0.9) for row in results.metrics[:2])
    (table,) = result_tables(replace(results, metrics=search + results.metrics))
    assert len(table.figures.rows) == 3 and "0.90" not in str(table.figures.rows)


def test_of_several_methods_each_is_a_row_with_goal_roles_and_cost():
    results = make("test", ("bbq:age",), ("original", "crispr", "cc"))
    costs = {"crispr": {"questions": 1200, "questions_per_answer": 1.0, "numbers": 8}}
    results = replace(results, goals={"bbq:age": "accuracy"}, costs=costs)
    (table,) = result_tables(results)
    assert [name for name, _ in table.figures.rows] == ["Original", "CRISPR", "Contextual calibration"]
    assert table.figures.columns[:3] == ("Accuracy, all items", "Accuracy, ambiguous", "Perplexity (wikitext2)")
    assert [cell.value for cell in table.costs.rows[1][1]] == ["1,200", "1", "", "8"]
    assert [name for name, _ in table.changes.rows] == ["CRISPR - Original", "Contextual calibration - Original"]
    assert str(table.changes.rows[0][1][0]) == "+0.50 [+0.40, +0.60]" and not table.same_rows
    text = render_markdown(results, {}, {})
    assert "| Method | Accuracy, all items |" in text and "| Difference | Accuracy, all items |" in text


def test_the_report_shows_perplexity():
    text = render_markdown(make("all"), {}, {})
    assert text.count("| Perplexity (wikitext2) | 61.25 [0.40, 0.60] |") == 1


@pytest.mark.parametrize(
    ("value", "plain", "signed"),
    [(0.256, "0.26", "+0.26"), (-0.004, "0.00", "+0.00"), (64664850.47, "6.47e+07", "+6.47e+07")],
)
def test_numbers_have_two_decimals_and_very_large_ones_three_digits(value, plain, signed):
    assert (number(value), number(value, signed=True)) == (plain, signed)


def test_nats_have_four_decimals_in_tables_and_sentences():
    """A budget of drift is 0.05: two decimals would say little."""
    rows = [MetricRow(name, "drift:mine", "all", "drift", value, *ends, 9, 9, 1.0) for name, value, ends in (
        ("original", 0.0, (0.0, 0.0)), ("edited", 0.00589, (0.0041, 0.0077)))]  # fmt: skip
    change = DifferenceRow("edited", "original", "drift:mine", "all", "drift", 0.00589, 0.0041, 0.0077, 9, 9, 1.0)
    described = {"drift": MetricDescription("Drift", "drift in nats", "nats", 0.0, "guard")}
    results = Results(tuple(rows), (change,), described=described)
    (table,) = result_tables(results)
    assert [str(cell) for cell in table.figures.rows[0][1]] == ["0.0000 [0.0000, 0.0000]", "0.0059 [0.0041, 0.0077]"]
    assert str(table.changes.rows[0][1][0]) == "+0.0059 [+0.0041, +0.0077]"
    (sentence,) = verdict(results, method="edited", original="original")
    assert "drift in nats rises from 0.0000 to 0.0059, by 0.0059 (95 % interval +0.0041 to +0.0077)" in sentence


def test_no_figures_make_no_table():
    assert result_tables(Results(())) == []


def test_names_are_literals_only_in_the_file_that_owns_them():
    """Neither metrics nor methods, conditions or polarities are known by name where figures are told or chosen."""
    package = Path(biasectomy.__file__).parent
    owners: dict[str, str] = dict.fromkeys(set(DESCRIBED) - set(TASKS), "tasks")  # a task is chosen by name
    owners |= dict.fromkeys(("ambiguous", "disambiguated", "negative", "non-negative"), "tasks")
    for name in METHODS_THERE_ARE:
        kind = METHODS_THERE_ARE[name]
        owners[name] = owners[kind.title] = Path(inspect.getfile(kind)).stem
    # The attributions of these names are things of their own.
    files = [path for path in package.rglob("*.py") if path.parent.name not in ("attribution", "organisms")]
    found = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            owner = owners.get(node.value) if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
            if owner not in (None, path.stem, path.parent.name):
                found.append(f"{path.relative_to(package)}, line {node.lineno}: {node.value}")
    assert not found


def test_of_many_tasks_the_terminal_has_one_table_each_and_the_report_those_of_parts():
    results = make("all")
    few, many = (replace(results, tasks=("bbq:age,ses", OF_TEXT[0], *("else",) * count)) for count in (1, 2))
    assert [table.task for table in result_tables(many)] == ["bbq:age,ses", "bbq:age", "bbq:ses"]
    assert "bbq:ses (all)" in rendered(few) and "parts" not in rendered(few)
    assert "bbq:age,ses (all)" in rendered(many) and "bbq:ses (all)" not in rendered(many)
    assert "Perplexity (wikitext2)" in rendered(many) and "also have the tables of 2 parts" in rendered(many)


def test_a_long_name_is_wrapped_before_an_interval_is_put_below_its_figure():
    title = "Stereotype preferred, WinoBias, sum, behind `<|endoftext|>` and whatever else a name has to say"
    results = make("all", ("bbq:age",), ("original",))
    results = replace(results, described={"accuracy": replace(DESCRIBED["accuracy"], title=title)})
    text = rendered(results, 84)
    assert "0.50 [0.40, 0.60]" in text and max(map(len, text.splitlines())) <= 84
