"""The verdict: what is said follows from the intervals."""

import dataclasses
import math

import pytest

from biasectomy.measuring.results import DifferenceRow, MetricDescription, MetricRow, Results, interval_settings
from biasectomy.report.verdict import Edited, ranking, verdict
from biasectomy.tasks.ambiguity import AMBIGUITY_METRICS
from biasectomy.tasks.perplexity import PERPLEXITY

Change = tuple[float, float, float]
CHANCE: Change = (0.01, -0.03, 0.05)
GAIN: Change = (0.24, 0.151, 0.329)
LOSS: Change = (-0.16, -0.22, -0.1)
SLIGHT: Change = (0.006, 0.002, 0.01)
DRAWS = (0.12, 0.14, 0.16)
UNDEFINED: Change = (math.nan, math.nan, math.nan)


def results(
    *,
    ambiguous: Change | None = CHANCE,
    disambiguated: Change | None = CHANCE,
    unknown: Change | None = CHANCE,
    control: Change | None = GAIN,
    perplexity: Change | None = None,
    objective: str = "balanced_accuracy",
    level: float = 0.95,
) -> Results:
    """Results whose differences are these."""
    changes = {
        ("original", "accuracy_ambiguous"): ambiguous,
        ("original", "accuracy_disambiguated"): disambiguated,
        ("original", "unknown_disambiguated"): unknown,
        ("random-neurons", objective): control,
        ("original", "perplexity"): perplexity,
    }
    rows, differences = [], []
    for (against, metric), change in changes.items():
        if change is None:
            continue
        reason = "all the same" if math.isnan(change[1]) else None
        place = ("perplexity:packaged", "all") if metric == "perplexity" else ("bbq:age", "test")
        differences.append(DifferenceRow("crispr", against, *place, metric, *change, 100, 20, 1.0, reason))
        start = 60.0 if metric == "perplexity" else 0.14
        for method, value in ((against, start), ("crispr", start + change[0])):
            drawn = DRAWS if method == "random-neurons" else ()
            rows.append(MetricRow(method, *place, metric, value, 0, 1, 100, 20, 1.0, draws=drawn))
    described = {metric.name: MetricDescription.of(metric) for metric in (*AMBIGUITY_METRICS, PERPLEXITY)}
    return Results(
        tuple(rows),
        tuple(differences),
        interval=interval_settings(level=level),
        titles={"crispr": "CRISPR", "original": "Original"},
        described=described,
        goals={"bbq:age": objective},
        tasks=("bbq:age", "perplexity:packaged"),
    )


def said(given: Results, edited: Edited | None = Edited(30, 227_328)) -> str:  # noqa: B008
    sentences = verdict(given, method="crispr", original="original", control="random-neurons", edited=edited)
    assert 1 <= len(sentences) <= 3
    for sentence in sentences:
        assert sentence[0].isupper() and sentence.endswith(".") and "  " not in sentence and "nan" not in sentence
    return " ".join(sentences)


def test_nothing_helped() -> None:
    text = said(results(ambiguous=GAIN), Edited(0, 227_328))
    assert "No number of neurons helped on the development items" in text
    assert "the model is left as it was" in text
    assert "%" not in text


def test_changes_are_told_in_points_with_their_interval() -> None:
    text = said(results(ambiguous=GAIN, disambiguated=LOSS))
    assert "With 30 of 227,328 neurons edited (0.013 %)" in text
    assert (
        "accuracy on ambiguous items rises from 14.0 % to 38.0 %, by 24.0 points (95 % interval +15.1 to +32.9)" in text
    )
    assert (
        "accuracy on disambiguated items falls from 14.0 % to -2.0 %, by 16.0 points (95 % interval -22.0 to -10.0)"
        in text
    )
    assert "cannot be told" not in text


def test_changes_within_the_interval_are_called_so() -> None:
    text = said(results())
    assert text.count("which cannot be told from no change") == 2
    assert "changes from 14.0 % to 15.0 %, by +1.0 points (95 % interval -3.0 to +5.0), which" in text
    assert "rises" not in text and "falls" not in text
    edge = said(results(ambiguous=(0.2, 0.0, 0.4), disambiguated=(-0.2, -0.4, 0.0)))
    assert edge.count("which cannot be told from no change") == 2


@pytest.mark.parametrize(
    ("ambiguous", "disambiguated", "unknown", "abstention"),
    [
        (GAIN, CHANCE, CHANCE, False),
        (GAIN, GAIN, CHANCE, False),
        (GAIN, LOSS, CHANCE, True),
        (GAIN, CHANCE, GAIN, True),
        (GAIN, LOSS, GAIN, True),
        (GAIN, LOSS, None, True),
        (GAIN, CHANCE, LOSS, False),
        (CHANCE, LOSS, GAIN, False),
        (LOSS, LOSS, GAIN, False),
        (UNDEFINED, LOSS, GAIN, False),
        (GAIN, UNDEFINED, UNDEFINED, False),
        ((0.2, 0.0, 0.4), LOSS, GAIN, False),
        (GAIN, (-0.02, -0.07, 0.03), CHANCE, False),
        (GAIN, (-0.02, -0.04, 0.0), (0.02, 0.0, 0.04), False),
        (GAIN, CHANCE, SLIGHT, False),  # clear, but next to nothing of what was gained
        (GAIN, (-0.006, -0.01, -0.002), SLIGHT, False),
    ],
)
def test_mostly_abstention(ambiguous: Change, disambiguated: Change, unknown: Change | None, abstention: bool) -> None:
    text = said(results(ambiguous=ambiguous, disambiguated=disambiguated, unknown=unknown))
    assert ("mostly abstention" in text) == (abstention and unknown is not None and unknown[1] > 0)
    assert ("mostly abstention" in text or "is paid for with accuracy on disambiguated items" in text) == abstention


@pytest.mark.parametrize(
    ("unknown", "words"),
    [
        (0.03, None),
        (0.06, 'is in part abstention: the share of "unknown" answers on disambiguated items rises'),
        (0.18, 'is mostly abstention: the share of "unknown" answers on disambiguated items rises'),
    ],
)
def test_abstention_is_told_by_its_size(unknown: float, words: str | None) -> None:
    """A rise of 6 points beside a gain of 24 is a quarter of it."""
    text = said(results(ambiguous=GAIN, unknown=(unknown, unknown - 0.01, unknown + 0.01)))
    assert (words in text) if words else ("abstention" not in text)
    assert (f"{100 * unknown / 0.24:.0f} % of the gain" in text) == (words is not None)
    better = results(
        ambiguous=GAIN, unknown=(unknown, unknown - 0.01, unknown + 0.01), objective="accuracy_ambiguous", control=None
    )
    ranked = ranking(better, original="original")
    assert ("without abstention: none" in " ".join(ranked)) == (words is not None)
    assert ("At least in part by abstaining: CRISPR." in ranked) == (words is not None)


def test_one_draw_of_random_neurons_is_no_measure_of_luck() -> None:
    given = results(control=GAIN)
    rows = tuple(dataclasses.replace(row, draws=()) for row in given.metrics)
    text = said(dataclasses.replace(given, metrics=rows))
    assert "cannot be compared with random neurons (one draw does not show how much draws differ)" in text


@pytest.mark.parametrize(
    ("control", "phrase"),
    [
        (CHANCE, "cannot be told from as many random neurons"),
        (LOSS, "is worse than as many random neurons"),
        ((0.1, 0.0, 0.2), "cannot be told from as many random neurons"),
        (
            GAIN,
            "is better than as many random neurons (+24.0 points, 95 % interval +15.1 to +32.9; "
            "3 draws of them: 12.0 % to 16.0 %)",
        ),
        (UNDEFINED, "cannot be compared with random neurons (all the same)"),
    ],
)
@pytest.mark.parametrize(
    ("objective", "words"),
    [("balanced_accuracy", "the mean of the accuracies on both kinds of items"), ("accuracy", "accuracy on all items")],
)
def test_against_random_neurons(control: Change, phrase: str, objective: str, words: str) -> None:
    text = said(results(control=control, objective=objective))
    assert phrase in text
    assert f"judged by {words} the edit" in text.lower()
    assert ("is better than" in text) == (control == GAIN)


def test_without_a_control_nothing_is_said_of_random_neurons() -> None:
    assert "random" not in said(results(control=None))


def test_undefined_changes_are_told_with_their_reason() -> None:
    text = said(results(ambiguous=UNDEFINED, disambiguated=(0.1, math.nan, math.nan)))
    assert "accuracy on ambiguous items cannot be compared (all the same)" in text
    assert "accuracy on disambiguated items changes from 14.0 % to 24.0 %, by +10.0 points (all the same)" in text


def test_perplexity_with_and_without_its_interval() -> None:
    assert "Perplexity" not in said(results())
    text = said(results(perplexity=(0.8, 0.2, 1.4)))
    assert "Perplexity per word of neutral text goes from 60.00 to 60.80 (+0.80, 95 % interval +0.20 to +1.40)." in text
    assert "no change" in said(results(perplexity=(0.1, -0.2, 0.4))).rpartition("Perplexity")[2]
    assert said(results(perplexity=(0.8, math.nan, math.nan))).endswith("goes from 60.00 to 60.80.")
    part = dataclasses.replace(results(perplexity=(0.8, 0.2, 1.4)), tasks=("bbq:age",))  # of something else
    assert "Perplexity" not in said(part)


def single(metric: MetricDescription, before: float, after: float, change: Change, goal: bool = True) -> Results:
    """Results of one metric of a task."""
    rows = [
        MetricRow(name, "t:a", "test", "m", value, 0, 1, 9, 3, 1.0)
        for name, value in (("original", before), ("crispr", after))
    ]
    differences = (DifferenceRow("crispr", "original", "t:a", "test", "m", *change, 9, 3, 1.0),)
    return Results(tuple(rows), differences, described={"m": metric}, goals={"t:a": "m"} if goal else {})


def test_a_task_without_roles_is_judged_by_its_goal() -> None:
    text = said(single(MetricDescription("M", "accuracy on all items", "share", 1), 0.14, 0.38, GAIN))
    assert "accuracy on all items rises from 14.0 % to 38.0 %, by 24.0 points" in text
    nothing = single(MetricDescription("M", "accuracy on all items", "share", 1), 0.14, 0.38, GAIN, goal=False)
    assert "nothing was measured" in said(nothing)


@pytest.mark.parametrize(("after", "better"), [(0.55, True), (0.42, True), (0.20, False), (0.85, False)])
def test_even_odds_are_better_than_either_side(after: float, better: bool) -> None:
    """A gain is a way towards the best value: past even odds it is a loss again."""
    size = after - 0.7
    even = MetricDescription("M", "the share of stereotypes", "share", 0.5, "goal")
    given = single(even, 0.7, after, (size, size - 0.02, size + 0.02))
    assert (
        "Clearly better than original by the share of stereotypes: crispr." in ranking(given, original="original")
    ) == better


def test_a_score_is_told_in_its_own_unit_and_a_method_by_its_title() -> None:
    given = single(MetricDescription("M", "the bias score", "score", 0, "goal"), 0.5, 0.2, (-0.3, -0.4, -0.2))
    text = said(given, None)
    assert text == "With crispr, the bias score falls from 0.50 to 0.20, by 0.30 (95 % interval -0.40 to -0.20)."


def test_of_several_methods_those_that_serve_the_goal_are_named() -> None:
    given = results(ambiguous=GAIN, disambiguated=LOSS, objective="accuracy_ambiguous", control=None)
    better, unharmed = ranking(given, original="original")
    assert better == "Clearly better than Original by accuracy on ambiguous items: CRISPR."
    assert unharmed.endswith("without abstention: none.")
    kept = results(ambiguous=GAIN, objective="accuracy_ambiguous", control=None)
    assert ranking(kept, original="original")[1].endswith("without abstention: CRISPR.")
    (nothing,) = ranking(results(objective="accuracy_ambiguous", control=None), original="original")
    assert nothing.endswith("ambiguous items: none.")


def test_the_level_is_the_one_of_the_results() -> None:
    assert "90 % interval" in said(results(level=0.9))
    assert "95 %" not in said(results(level=0.9))
