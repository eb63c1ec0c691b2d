"""The four short answers: what they say follows from intervals and roles."""

from dataclasses import replace

import pytest

from biasectomy.measuring.results import Curve, CurvePoint, DifferenceRow, MetricRow
from biasectomy.report.finished import FinishedRun
from biasectomy.report.summary import summary
from tests.report.page_cases import ABSTENTION, CLEAR, GOAL, GUARD, UNCLEAR, WORSE, make_run, results_of

SMALL: tuple[float, float, float] = (0.005, -0.005, 0.01)  # cannot be told from no change, and cannot be a large one
KEPT = {GUARD: SMALL}


def told(tmp_path, results, **options):
    options = {"settings": {"method": "crispr"}} | options
    run = FinishedRun.read(make_run(tmp_path / "run", results, **options))
    return summary(run)


def test_a_clear_gain_that_costs_nothing_and_beats_its_control_is_told_so(tmp_path):
    fairer, cost, trust, then = told(tmp_path, results_of({"crispr": {GOAL: CLEAR} | KEPT}, {GOAL: CLEAR}))
    assert (fairer.tone, cost.tone, trust.tone, then.tone) == ("good",) * 4
    assert "from 50.0 % to 80.0 %" in fairer.text and "+20.0 to +40.0" in fairer.text
    assert trust.short == "Yes, within its limits" and "200 items from 30 templates" in trust.text
    assert then.commands == ()  # there is no checkpoint


def test_a_change_within_its_interval_is_not_shown(tmp_path):
    fairer, _, trust, then = told(tmp_path, results_of({"crispr": {GOAL: UNCLEAR} | KEPT}, {GOAL: UNCLEAR}))
    assert fairer.short == "Not shown" and "cannot be told from no change" in fairer.text
    assert trust.tone == "open" and then.short == "Keep the original for now"
    assert (
        then.commands[0]
        == "biasectomy mitigate tiny --task bbq:age --store runs/first/store --out runs/first-all-items"
    )


def test_a_clear_loss_of_the_goal_is_less_fair(tmp_path):
    fairer, *_, then = told(tmp_path, results_of({"crispr": {GOAL: WORSE} | KEPT}, {GOAL: WORSE}))
    assert fairer.short == "No, less fair" and fairer.tone == "bad" and then.short == "Do not use it unseen"


def test_a_gain_by_abstaining_is_no_plain_yes(tmp_path):
    silent = {GOAL: CLEAR, GUARD: WORSE, ABSTENTION: CLEAR}
    fairer, cost, _, then = told(tmp_path, results_of({"crispr": silent}, {GOAL: CLEAR}))
    assert fairer.short == "Hardly: it mostly abstains" and fairer.tone == "mixed"
    assert cost.short == "2 figures of 2 got worse" and cost.tone == "bad"
    assert then.short == "Do not use it unseen"


def test_a_loss_that_is_not_excluded_is_named_and_more_items_are_asked_for(tmp_path):
    wide = (-0.05, -0.224, 0.1)
    _, cost, _, then = told(tmp_path, results_of({"crispr": {GOAL: CLEAR, GUARD: wide}}, {GOAL: CLEAR}))
    assert cost.tone == "mixed" and "a loss of up to 22.4 points of accuracy on disambiguated items" in cost.text
    assert then.short == "Measure more, then decide" and "22.4 points" in then.text


@pytest.mark.parametrize(
    ("against", "clusters", "split", "words"),
    [
        (None, 30, "test", "no control was measured"),
        ({GOAL: UNCLEAR}, 30, "test", "cannot be told from as many random neurons"),
        ({GOAL: CLEAR}, 4, "test", "4 templates, few enough"),
        ({GOAL: CLEAR}, 30, "all", "may have been found on some of these items"),
    ],
)
def test_each_check_that_fails_is_named(tmp_path, against, clusters, split, words):
    results = results_of({"crispr": {GOAL: CLEAR} | KEPT}, against, clusters=clusters, split=split)
    _, _, trust, then = told(tmp_path, results)
    assert trust.short.startswith("In part: 3 of 4") or split == "all"
    assert trust.tone == "mixed" and words in trust.text.lower() and words in then.text.lower()


def test_where_no_neuron_is_edited_nothing_changed(tmp_path):
    fairer, _, trust, then = told(tmp_path, results_of({"crispr": {GOAL: (0.0, 0.0, 0.0)} | KEPT}), neurons=0)
    assert fairer.short == "No: the model is as it was" and trust.short == "There is no change to doubt"
    assert then.short == "Keep the original for now"


def test_of_several_methods_the_one_without_a_price_is_named(tmp_path):
    results = results_of({"crispr": {GOAL: CLEAR, GUARD: WORSE}, "dpo": {GOAL: CLEAR} | KEPT})
    fairer, cost, trust, then = told(tmp_path, results, settings={})
    assert fairer.short == "With 2 of 2 methods" and cost.short == "1 of 2 lost nothing clearly"
    assert then.short == "Go on with DPO" and then.commands == ("biasectomy mitigate tiny --task bbq:age --method dpo",)
    assert trust.text.startswith("DPO: ")


def test_where_nothing_was_compared_nothing_is_claimed(tmp_path):
    fairer, cost, _, then = told(tmp_path, results_of({}), settings={})
    assert fairer.short == "No verdict: nothing was changed" and cost.short == "Nothing: nothing was changed"
    assert "on ambiguous items (bbq:age) is 50.0 % (95 % interval 30.0 to 90.0), clearly away from" in fairer.text
    assert then.commands == ("biasectomy compare tiny --task bbq:age",)


def test_a_figure_that_the_original_has_in_full_can_be_lost(tmp_path):
    results = results_of({"crispr": {GOAL: CLEAR, GUARD: WORSE}}, {GOAL: CLEAR})
    full = [
        replace(row, value=1.0 if row.method == "original" else 0.7, high=1.0) if row.metric == GUARD else row
        for row in results.metrics
    ]
    _, cost, _, _ = told(tmp_path, replace(results, metrics=tuple(full)))
    assert cost.short == "1 figure of 1 got worse" and "from 100.0 % to 70.0 %" in cost.text


def test_drift_from_the_original_is_a_distance_and_no_loss(tmp_path):
    results = results_of({"crispr": {GOAL: CLEAR} | KEPT}, {GOAL: CLEAR})
    drift = replace(
        results.described["perplexity"], title="Drift", description="drift", unit="nats", best=0.0, role="guard"
    )
    rest = (60, 60, 1.0)
    rows = [
        MetricRow(who, "drift", "all", "drift", value, value, value, *rest)
        for who, value in (("original", 0.0), ("crispr", 0.02))
    ]
    change = DifferenceRow("crispr", "original", "drift", "all", "drift", 0.02, 0.01, 0.03, *rest)
    results = replace(
        results,
        metrics=(*results.metrics, *rows),
        differences=(*results.differences, change),
        described=results.described | {"drift": drift},
        tasks=(*results.tasks, "drift"),
    )
    _, cost, _, _ = told(tmp_path, results)
    assert cost.tone == "good" and "Drift: 0.0200." in cost.text and "Of 1 figure" in cost.text


class TestOfACurve:
    """Points of a line, which are methods as others are."""

    def told(self, tmp_path, changes):
        points = {f"crispr:{count}": {GOAL: goal, GUARD: guard} for count, (goal, guard) in changes.items() if count}
        pooled = {"crispr": {GOAL: changes[0][0], GUARD: changes[0][1]}} if 0 in changes else {}
        titles = {"original": "Original", "crispr": "All"} | {one: f"CRISPR at {one[7:]}" for one in points}
        line = tuple(CurvePoint("crispr", float(count), "bbq:age", GOAL, 0.5, 0.4, 0.6) for count in changes if count)
        results = replace(
            results_of(points | pooled, titles=titles), curve=Curve("CRISPR by its neurons", "neurons", line, True)
        )
        return told(tmp_path, results, settings={})

    def test_the_best_point_is_named_and_what_holds_beside_it(self, tmp_path):
        fairer, cost, trust, then = self.told(tmp_path, {10: (CLEAR, SMALL), 30: (UNCLEAR, SMALL)})
        assert (
            fairer.short == "Yes, most with 10 neurons" and "Of 2 numbers (neurons) a gain holds with 10" in fairer.text
        )
        assert cost.tone != "bad" and "no control was measured" in trust.text.lower()
        assert "the best of 2 was picked on the items that it is judged by" in trust.text
        assert then.short == "Confirm it on other items"

    def test_a_gain_that_is_paid_for_says_where(self, tmp_path):
        _, cost, _, _ = self.told(tmp_path, {10: (CLEAR, WORSE)})
        assert cost.tone == "bad" and "Something got clearly worse with 10." in cost.text

    def test_no_point_shows_anything(self, tmp_path):
        fairer, _, trust, then = self.told(tmp_path, {10: (UNCLEAR, SMALL), 30: (UNCLEAR, SMALL)})
        assert fairer.short == "Not shown with any of 2" and trust.short == "There is no clear change to trust"
        assert then.short == "Conclude nothing yet"

    def test_draws_of_one_thing_are_judged_together(self, tmp_path):
        fairer, _, trust, _ = self.told(tmp_path, {0: (UNCLEAR, SMALL), 1: (CLEAR, SMALL), 2: (UNCLEAR, SMALL)})
        assert fairer.short == "Not shown" and "1 of 2 by themselves gain clearly" in fairer.text
        assert trust.short == "It depends on the draw: 1 of 2"
