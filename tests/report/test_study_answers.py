"""What the four short answers say of a study: of a curve where it is best and whether that holds, of a matrix where."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from biasectomy.measuring.results import Curve, CurvePoint, Matrix, MatrixCell, Results
from biasectomy.neurons.neuron_set import Neuron, NeuronSet
from biasectomy.report.finished import FinishedRun
from biasectomy.report.short_answers import ShortAnswer
from biasectomy.report.summary import summary
from tests.report.study_cases import made

Changes = Mapping[tuple[str, str], tuple[float, float]]
HARMLESS: Changes = {("crispr:10", "original"): (0.02, 0.1), ("crispr:100", "original"): (0.3, 0.1)}
NEURONS = "biasectomy study neurons tiny --task t --method crispr --crispr.trials 1 --max-items 60 --out out/here"


def curve(changes: Changes, *, logarithmic: bool = True, over: str = "neurons edited") -> Results:
    results = made(dict(changes))
    rows = [one for one in results.metrics if one.method.rpartition(":")[2].replace(".", "").isdigit()]
    points = [
        CurvePoint(line, float(x), "t", "right", row.value, row.low, row.high)
        for row in rows
        for line, _, x in [row.method.rpartition(":")]
    ]
    return replace(results, curve=Curve("Right by neurons", over, tuple(points), logarithmic))


def told(results: Results, command: str = NEURONS, sets: Mapping[str, int] | None = None, **settings: Any) -> Any:
    given = {"model": "tiny", "task": "t", "method": "crispr", "seed": 4, "max_items": 60} | settings
    run = FinishedRun(Path("/runs/here"), results, {"command": command, "settings": given})
    run.__dict__["neuron_sets"] = {
        name: NeuronSet(tuple(Neuron("model.layers.0.mlp.down_proj", n, 1.0) for n in range(count)))
        for name, count in (sets or {}).items()
    }
    answers: list[ShortAnswer] = summary(run)
    return answers


def test_a_curve_is_told_where_it_is_best_and_beside_its_control() -> None:
    results = curve({**HARMLESS, ("crispr:100", "random-neurons:100"): (0.28, 0.1)})
    fairer, _, trust, then = told(results, sets={"crispr:100": 100})
    assert (fairer.short, fairer.tone) == ("Yes, most with 100 neurons edited", "good")
    assert "rises from 50.0 % to 80.0 %" in fairer.text
    assert "Of 2 numbers (neurons edited) a gain holds with 100, when all 2 differences" in fairer.text
    assert (trust.short, trust.tone) == ("That it helps, yes; how much, not yet", "mixed")
    assert "ahead of as many random neurons (+28.0 points" in trust.text and "picked on the items" in trust.text
    assert then.commands == (
        "biasectomy mitigate tiny --task t --method crispr --neurons 100 --seed 5 --crispr.trials 1",
    )
    assert "the largest that was tried" in then.text


def test_a_best_point_within_what_random_neurons_do_is_not_trusted() -> None:
    fairer, _, trust, _ = told(curve({**HARMLESS, ("crispr:100", "random-neurons:100"): (0.02, 0.1)}))
    assert fairer.tone == "good" and trust.short == "In part: 2 of 3 checks passed"
    assert trust.text.startswith("It cannot be told from as many random neurons (+2.0 points")
    assert "no control was measured" in told(curve(HARMLESS))[2].text.lower()


def test_where_no_point_holds_more_items_are_asked_for() -> None:
    """Each interval without 0 by a hair: together none holds."""
    fairer, _, trust, then = told(curve({(f"crispr:{x}", "original"): (0.1 + x / 1000, 0.099) for x in (1, 2)}))
    assert (fairer.short, fairer.tone) == ("Not shown with any of 2", "open")
    assert "Each by itself, 1 and 2 would hold; more items may show it." in fairer.text
    assert trust.short == "There is no clear change to trust"
    assert then.short == "Conclude nothing yet" and then.commands == (
        "biasectomy study neurons tiny --task t --method crispr --crispr.trials 1 --max-items 100000 "
        "--store out/here/store --out out/here-all-items",
    )
    worse = told(curve({("crispr:1", "original"): (-0.3, 0.1)}))[0]
    assert (worse.short, worse.tone) == ("No, less fair", "bad") and "It gets worse with 1." in worse.text


def test_points_that_are_no_amounts_are_named_and_their_sets_can_be_measured_elsewhere() -> None:
    changes = {
        ("crispr", "original"): (0.3, 0.1),
        ("only:0", "original"): (0.3, 0.1),
        ("only:1", "original"): (0.0, 0.1),
    }
    results = curve(changes, logarithmic=False, over="layer")
    results = replace(results, titles=results.titles | {"only:0": "Only layer 0", "only:1": "Only layer 1"})
    fairer, *_, then = told(results, sets={"only:0": 7, "only:1": 9})
    assert fairer.short == "Yes, most with only layer 0" and "Of 2 points a gain holds with Only layer 0" in fairer.text
    (line,) = then.commands
    assert line == "biasectomy evaluate tiny --neurons /runs/here/methods/only_0/neurons.json --task all"
    assert "largest" not in then.text


def test_points_that_are_draws_of_one_thing_are_judged_together() -> None:
    changes = {("crispr", "original"): (0.3, 0.1)}
    changes |= {(f"crispr:{seed}", "original"): (gain, 0.1) for seed, gain in ((0, 0.4), (1, 0.2), (2, 0.01))}
    fairer, _, trust, then = told(curve(changes, logarithmic=False, over="seed"))
    assert fairer.short == "Yes, on these questions" and "rises from 50.0 % to 80.0 %" in fairer.text
    assert trust.short == "It depends on the draw: 2 of 3"
    assert then.commands == ("biasectomy mitigate tiny --task t --method crispr --crispr.trials 1",)


def test_a_curve_that_changes_nothing_is_said_to() -> None:
    nothing = {("crispr:1", "original"): (0.0, math.nan)}
    assert [one.short for one in told(curve(nothing))][::2] == ["No: nothing changed", "There is no change to doubt"]


# Matrices


def transfer(*gains: tuple[str, str, float, bool]) -> Results:
    """Rows of one fit each; a gain that holds is twice as large as its interval reaches."""
    cells = [
        MatrixCell(
            f"crispr:{row}", column, "right", 1.0, 0.5, 0.5 + gain, gain, gain - abs(gain) / 2, gain + abs(gain) / 2,
            90, 30, row == column, holds,
        )
        for row, column, gain, holds in gains
    ]  # fmt: skip
    rows = list(dict.fromkeys(cell.row for cell in cells))
    results = made({(row, "original"): (0.2, 0.1) for row in rows})
    columns = tuple(dict.fromkeys(cell.column for cell in cells))
    return replace(results, matrix=Matrix("original", tuple(rows), columns, tuple(cells)))


def test_a_matrix_is_told_where_it_was_learned_and_elsewhere() -> None:
    both = transfer(
        ("age", "age", 0.3, True), ("age", "ses", 0.1, True), ("ses", "age", 0.0, False), ("ses", "ses", 0.2, True)
    )
    fairer, cost, trust, then = told(both)
    assert (fairer.short, fairer.tone) == ("Yes where it was learned, in 1 of 2 other cells", "good")
    assert "3 gains and no loss hold" in fairer.text
    assert (
        "The surest on own kind: crispr:age on age" in fairer.text and "another kind: crispr:age on ses" in fairer.text
    )
    assert "no control was measured" in trust.text.lower() and cost.short == "Not measured"
    assert then.commands == ("biasectomy mitigate tiny --task age --method crispr --also ses --crispr.trials 1",)


def test_a_gain_elsewhere_is_claimed_only_where_it_holds() -> None:
    home = transfer(("age", "age", 0.3, True), ("age", "ses", 0.1, False))
    assert told(home)[0].short == "Yes where it was learned, not shown elsewhere"
    away = transfer(("age", "age", 0.1, False), ("age", "ses", 0.3, True))
    assert told(away)[0].short == "Not where it was learned, but in 1 of 1 other cells"
    nothing = told(transfer(("age", "age", 0.1, False), ("age", "ses", 0.3, False)))
    assert [one.short for one in nothing] == [
        "Not shown anywhere",
        "Not measured",
        "There is no clear change to trust",
        "Conclude nothing yet",
    ]
    assert "--max-items 100000" in nothing[3].commands[0]
    worse = told(transfer(("age", "age", -0.3, True)))[0]
    assert (worse.short, worse.tone) == ("No, less fair in places", "bad")


def test_what_a_study_says_of_other_tasks_is_what_it_cost() -> None:
    results = made({("crispr", "original"): (0.3, 0.1), ("crispr", "random-neurons"): (0.3, 0.1)})
    cells = tuple(
        MatrixCell(
            "crispr",
            column,
            "right",
            1.0,
            0.5,
            0.5 + gain,
            gain,
            gain - 0.1,
            gain + 0.1,
            9,
            9,
            False,
            holds,
            None,
            note,
        )
        for column, gain, holds, note in (
            ("t/right", 0.3, True, "the goal"),
            ("x", -0.3, True, "lost"),
            ("y", 0.0, False, "kept"),
            ("z", 0.0, False, "kept"),
        )
    )
    matrix = Matrix("original", ("crispr",), tuple(cell.column for cell in cells), cells)
    fairer, cost, trust, _ = told(replace(results, matrix=matrix))
    assert fairer.short == "Yes, on these questions" and (cost.short, cost.tone) == ("1 lost, 2 kept", "bad")
    assert "Clearly less: how often it is right (-30.0 points" in cost.text and "no control" not in trust.text.lower()
