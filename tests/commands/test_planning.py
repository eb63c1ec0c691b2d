"""`evaluate --plan`: a few items are asked, a table says what all can show, and nothing is kept."""

import json
import math

import pytest

from biasectomy.commands.planning import Planned, run
from biasectomy.commands.settings_measuring import EvaluateSettings
from biasectomy.errors import SettingsError
from biasectomy.neurons.work import counted


def test_a_plan_has_a_row_for_what_a_verdict_reads(tiny, toy_task):
    task = toy_task(clusters=40, per_cluster=12, instructions=3)
    plan = run(EvaluateSettings.of(plan=True, also="none", change=0.04), tiny, task)
    by_name = {row.metric: row for row in plan.rows}
    assert {"balanced_accuracy", "accuracy_disambiguated", "unknown_disambiguated"} <= set(by_name)
    row = by_name["accuracy_disambiguated"]
    assert (row.items, row.clusters, row.asked) == (240, 40, 80)  # of 160 items that are asked half are so
    assert 0 < row.smallest_change < 1 and row.items_for_change > 0
    assert plan.questions == 40 * 12 * 3 and plan.seconds > 0
    document = json.loads(json.dumps(plan.to_json(), allow_nan=False))
    assert len(document["rows"]) == len(plan.rows) and document["power"] == 0.8


def test_a_plan_says_what_the_same_takes_on_other_machines(tiny, toy_task):
    task = toy_task(clusters=40, per_cluster=12, instructions=3)
    plan = run(EvaluateSettings.of(plan=True, also="none", change=0.2, card="h200", price=7.2), tiny, task)
    runs = {part.run: part for part in plan.elsewhere.parts if not part.stage}
    whole = runs["evaluate, 480 items"]
    with counted(tiny.model) as work:
        for batch in tiny.plan(task.questions()):
            tiny.answer(batch, task.questions())
    assert whole.operations == pytest.approx(work.forward, rel=0.1)  # foretold from some of the questions
    assert [one.cards for one in whole.on] == [1, 8, 64]
    assert all(one.money == pytest.approx(one.seconds * one.cards * 7.2 / 3600) for one in whole.on)
    fewer = [part for name, part in runs.items() if name.startswith("evaluate") and part is not whole]
    needed = max(row.items_for_change / row.items for row in plan.rows if row.items_for_change <= row.items)
    assert [part.operations for part in fewer] == [pytest.approx(needed * whole.operations, rel=0.02)]
    stages = [part for part in plan.elsewhere.parts if part.run == "mitigate, CRISPR, 480 items"]
    assert stages[0].operations == pytest.approx(sum(part.operations for part in stages[1:]))
    assert len(plan.elsewhere.table()) == len(runs) and "$7.2 an hour" in plan.elsewhere.notes()[0]
    assert json.dumps(plan.to_json(), allow_nan=False)


def test_of_many_clusters_a_first_pass_asks_some_with_several_items_each(tiny, toy_task):
    plan = run(EvaluateSettings.of(plan=True, also="none"), tiny, toy_task(clusters=120, per_cluster=8, instructions=1))
    row = next(row for row in plan.rows if row.metric == "accuracy_disambiguated")
    assert (row.items, row.clusters, row.asked) == (480, 120, 150)  # of 75 clusters, half of four items each


def test_a_small_change_needs_more(tiny, toy_task):
    task = toy_task(clusters=20, per_cluster=8)
    small, large = (
        {row.metric: row for row in run(EvaluateSettings.of(plan=True, also="none", change=one), tiny, task).rows}
        for one in (0.01, 0.3)
    )
    few, many = large["balanced_accuracy"], small["balanced_accuracy"]
    assert few.smallest_change == many.smallest_change and few.clusters_for_change <= many.clusters_for_change
    assert "templates" in many.row()[-1] or "items" in many.row()[-1]
    assert math.isfinite(many.clusters_for_change)


def test_more_items_than_there_are_are_said_to_be_more():
    def needed(items: float) -> str:
        return Planned("t", "m", "M", 1508, 9, 100, 0.1, 0.05, items, math.inf).row()[-1]

    assert needed(1507.2) == "1,508 items of these" and needed(1561.5) == "1,562 items of these, more than there are"


def test_a_plan_keeps_nothing(tmp_path):
    with pytest.raises(SettingsError, match="--plan asks a few items and keeps nothing"):
        EvaluateSettings.of(plan=True, out=tmp_path / "run")
