"""The bootstrap and the t-interval: against formulas, against simulation, and at their edges."""

import dataclasses
import math
import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from biasectomy.errors import SettingsError
from biasectomy.measuring import statistics
from biasectomy.measuring.limits import spread_of_draws
from biasectomy.measuring.linearised import linearised
from biasectomy.measuring.statistics import ClusterBootstrap, Estimate
from biasectomy.tasks.base import Item
from biasectomy.tasks.metrics import SHARE, Answers, Metric


def mean_metric(eligible: Sequence[bool] | None = None, name: str = "mean") -> Metric:
    """Mean of the numbers given as choices; negative numbers do not count."""

    def columns(items: Sequence[Any], answers: Answers) -> Any:
        choices = answers.choices
        keep = np.ones(len(items), dtype=bool) if eligible is None else np.asarray(eligible)
        counted = (choices >= 0) & keep
        return np.stack([np.where(counted, choices, 0), counted], axis=-1).astype(float), keep

    def combine(sums: Any) -> Any:
        total, count = np.moveaxis(sums.sum(axis=(-3, -2)), -1, 0)
        return total / count

    return Metric(name, "Mean", "the mean", columns, combine, 1, undefined="nothing to average")


def given_as(values: npt.NDArray[Any]) -> Answers:
    """Numbers [draws, instructions, items] as answers."""
    return Answers(values)


def of_mean(values: Sequence[float], clusters: Sequence[str]) -> tuple[float, float, float]:
    """Mean and t-interval by linearisation."""
    items = [SimpleNamespace(cluster=cluster) for cluster in clusters]
    found = linearised(mean_metric(), items, given_as(np.array([[values]], dtype=np.float64)))
    return (found.value, *found.interval())


def estimate_of(
    values: Sequence[float], clusters: Sequence[str], metric: Metric | None = None, **options: Any
) -> Estimate:
    bootstrap = ClusterBootstrap(clusters, **options)
    return bootstrap.estimate(bootstrap.measure(metric or mean_metric(), clusters, given_as(np.array([[values]]))))


def simulated(
    generator: np.random.Generator, clusters: int, size: int, mean: float, correlation: float
) -> npt.NDArray[np.int64]:
    """Binary outcomes [clusters, size] whose intraclass correlation is exactly `correlation` (beta-binomial)."""
    strength = 1 / correlation - 1
    chances = generator.beta(mean * strength, (1 - mean) * strength, size=(clusters, 1))
    return (generator.random((clusters, size)) < chances).astype(np.int64)


@pytest.mark.parametrize(("clusters", "size", "mean"), [(20, 30, 0.5), (25, 20, 0.2), (15, 40, 0.7)])
def test_nominal_95_percent_intervals_cover_the_truth_95_percent_of_the_time(
    clusters: int, size: int, mean: float
) -> None:
    generator = np.random.default_rng(7)
    names = [f"{number:02d}" for number in range(clusters) for _ in range(size)]
    bootstrap, metric, trials = ClusterBootstrap(names, 1000), mean_metric(), 1000
    covered = analytic = naive = 0
    for _ in range(trials):
        outcomes = simulated(generator, clusters, size, mean, 0.2).reshape(-1)
        interval = bootstrap.estimate(bootstrap.measure(metric, names, given_as(outcomes[None, None])))
        covered += interval.low <= mean <= interval.high
        _, low, high = of_mean(outcomes.tolist(), names)
        analytic += low <= mean <= high
        half = 1.96 * outcomes.std() / math.sqrt(outcomes.size)
        naive += abs(outcomes.mean() - mean) <= half
    assert 0.92 <= covered / trials <= 0.98
    assert 0.92 <= analytic / trials <= 0.98
    assert naive / trials < 0.75  # what the figures would claim without clusters


def test_the_paired_difference_covers_too_and_is_narrower_than_an_unpaired_one() -> None:
    generator = np.random.default_rng(3)
    clusters, size, trials = 20, 20, 500
    names = [f"{number:02d}" for number in range(clusters) for _ in range(size)]
    bootstrap, metric, covered, narrower = ClusterBootstrap(names, 1000), mean_metric(), 0, 0
    for _ in range(trials):
        before = simulated(generator, clusters, size, 0.4, 0.3)
        repaired = generator.random(before.shape) < 0.2  # a fifth of the wrong answers become right: 0.4 -> 0.52
        sides = [
            bootstrap.measure(metric, names, given_as(side.reshape(1, 1, -1)))
            for side in (np.maximum(before, repaired), before)
        ]
        change = bootstrap.difference(*sides)
        covered += change.low <= 0.12 <= change.high
        apart = [bootstrap.estimate(side) for side in sides]
        narrower += change.high - change.low < math.hypot(*(side.high - side.low for side in apart))
    assert 0.92 <= covered / trials <= 0.98
    assert narrower == trials


def test_interval_is_the_expanded_percentile_of_hesterberg() -> None:
    values, names = list(np.arange(12) % 5), [f"c{number // 2}" for number in range(12)]
    bootstrap = ClusterBootstrap(names, 4000, seed=5, level=0.9)
    measured = bootstrap.measure(mean_metric(), names, given_as(np.array([[values]])))
    tail = stats.norm.cdf(-math.sqrt(6 / 5) * stats.t.ppf(0.95, df=5))
    expected = np.quantile(measured.replicates, [tail, 1 - tail])
    estimate = bootstrap.estimate(measured)
    assert (estimate.low, estimate.high) == pytest.approx(tuple(expected))
    plain = np.quantile(measured.replicates, [0.05, 0.95])
    assert estimate.low < plain[0] and plain[1] < estimate.high


def test_replicates_equal_a_plain_loop_over_resampled_items() -> None:
    names = ["a", "b", "a", "c", "b", "a"]
    values = np.array([[[0, 1, 3, 2, 2, 1]], [[1, 1, 1, 0, 2, 4]]])  # two draws
    bootstrap = ClusterBootstrap(names, 50, seed=2)
    measured = bootstrap.measure(mean_metric(), names, given_as(values))
    for counts, replicate in zip(bootstrap._counts, measured.replicates, strict=True):
        weights = np.array([counts["abc".index(name)] for name in names])
        assert weights.sum() > 0
        assert replicate == pytest.approx((values * weights).sum() / (2 * weights.sum()))
    assert measured.value == pytest.approx(values.mean())


def test_same_seed_same_interval_other_seed_other_interval() -> None:
    values, names = list(np.random.default_rng(0).integers(0, 9, 60)), [f"{number // 6}" for number in range(60)]
    first = estimate_of(values, names, seed=1)
    assert first == estimate_of(values, names, seed=1)
    assert first != estimate_of(values, names, seed=2)


def test_clusters_without_eligible_items_do_not_count() -> None:
    names = ["a", "a", "b", "b", "c", "c", "d", "d"]
    eligible = [True, True, True, False, True, True, False, False]
    estimate = estimate_of([1, 0, 1, 0, 1, 1, 0, 0], names, mean_metric(eligible))
    assert (estimate.items, estimate.clusters, estimate.coverage) == (5, 3, 1.0)
    assert estimate.value == pytest.approx(0.8)


def test_coverage_is_the_share_the_denominator_counts() -> None:
    estimate = estimate_of([1, -1, 1, 0], ["a", "a", "b", "c"])
    assert (estimate.items, estimate.coverage) == (4, 0.75)


def test_one_cluster_has_a_value_but_no_interval() -> None:
    estimate = estimate_of([1, 0, 1, 1], ["a"] * 4)
    assert estimate.value == 0.75
    assert math.isnan(estimate.low) and math.isnan(estimate.high)
    assert estimate.reason is not None and "one cluster" in estimate.reason


def test_undefined_value_is_nan_with_the_metrics_reason() -> None:
    estimate = estimate_of([-1, -1, -1], ["a", "b", "c"])
    assert math.isnan(estimate.value) and math.isnan(estimate.low) and math.isnan(estimate.high)
    assert estimate.reason == "nothing to average"
    nobody = estimate_of([1, 1], ["a", "b"], mean_metric([False, False]))
    assert (nobody.items, nobody.clusters, nobody.coverage, nobody.reason) == (0, 0, 0.0, "nothing to average")


def test_many_undefined_resamples_leave_no_interval_and_few_are_left_out() -> None:
    # two of ten clusters hold the denominator: (8 / 10) ** 10 = 11 % of resamples lack both
    names = [f"{number}" for number in range(10)]
    many = estimate_of([1, 0] + [-1] * 8, names)
    assert many.value == 0.5 and math.isnan(many.low)
    assert many.reason is not None and "resamples" in many.reason and re.search(r"\b(9|1[0-3]) %", many.reason)
    few = estimate_of([1, 0, 1] + [-1] * 7, names)  # (7 / 10) ** 10 = 3 %
    assert few.reason is None and 0 <= few.low <= few.high <= 1


def test_no_change_at_all_is_exactly_zero_with_different_numbers_of_draws() -> None:
    names = [f"{number // 3}" for number in range(30)]
    values = np.random.default_rng(1).integers(0, 7, (1, 3, 30))
    bootstrap = ClusterBootstrap(names, 500)
    once = bootstrap.measure(mean_metric(), names, given_as(values))
    thrice = bootstrap.measure(mean_metric(), names, given_as(np.repeat(values, 3, axis=0)))
    change = bootstrap.difference(once, thrice)
    assert change.value == 0 and math.isnan(change.low) and math.isnan(change.high)
    assert change.reason is not None and "do not differ" in change.reason


def test_a_constant_shift_is_not_certain() -> None:
    names = [f"{number // 3}" for number in range(30)]
    values = np.random.default_rng(1).integers(0, 7, (1, 2, 30))
    bootstrap = ClusterBootstrap(names, 500)
    change = bootstrap.difference(
        *(bootstrap.measure(mean_metric(), names, given_as(side)) for side in (values + 2, values))
    )
    assert change.value == pytest.approx(2) and math.isnan(change.low)
    assert change.reason == "no interval: every template gives the same figure"


def test_a_difference_with_an_undefined_side_is_undefined() -> None:
    names = ["a", "b", "c"]
    bootstrap = ClusterBootstrap(names, 100)
    sides = [bootstrap.measure(mean_metric(), names, given_as(np.array([[row]]))) for row in ([1, 0, 1], [-1, -1, -1])]
    change = bootstrap.difference(*sides)
    assert math.isnan(change.value) and change.reason == "nothing to average" and change.coverage == 0


def test_misuse_is_refused() -> None:
    with pytest.raises(SettingsError):
        ClusterBootstrap([])
    with pytest.raises(SettingsError):
        ClusterBootstrap(["a"], level=1.0)
    bootstrap = ClusterBootstrap(["a", "b"], 10)
    with pytest.raises(ValueError, match="3 answers for 2 clusters"):
        bootstrap.measure(mean_metric(), ["x", "y"], given_as(np.zeros((1, 1, 3))))
    one, other = (bootstrap.measure(mean_metric(name=name), ["x", "y"], given_as(np.ones((1, 1, 2)))) for name in "ab")
    with pytest.raises(ValueError, match="cannot be subtracted"):
        bootstrap.difference(one, other)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=1, max_size=30), st.integers(0, 9))
def test_shares_stay_within_their_range_and_the_order_of_items_is_nothing(
    rows: list[tuple[int, int]], seed: int
) -> None:
    names, values = [f"{cluster}" for cluster, _ in rows], [value for _, value in rows]
    estimate = estimate_of(values, names, replicates=200, seed=seed)
    assert estimate.value == pytest.approx(np.mean(values))
    assert estimate.clusters == len(set(names))
    if len(set(names)) > 1 and estimate.reason is None:
        assert 0 <= estimate.low <= estimate.high <= 1
    backwards = estimate_of(values[::-1], names[::-1], replicates=200, seed=seed)
    assert (backwards.low, backwards.high) == pytest.approx((estimate.low, estimate.high), nan_ok=True)


def test_the_linearised_mean_has_the_plain_t_interval_when_each_item_is_a_cluster() -> None:
    values = [0.5, 0.25, 1.0, 0.0, 0.75]
    expected = stats.t.interval(0.95, df=4, loc=np.mean(values), scale=stats.sem(values))
    assert of_mean(values, list("abcde")) == pytest.approx((np.mean(values), *expected), rel=1e-6)


def test_the_linearised_mean_by_hand() -> None:
    # clusters a (1, 1) and b (0, 0, 0): mean 0.4, residual sums 1.2 and -1.2, variance 2 * 2.88 / 25
    half = stats.t.ppf(0.975, df=1) * math.sqrt(2 * 2.88 / 25)
    found = of_mean([1, 1, 0, 0, 0], ["a", "a", "b", "b", "b"])
    assert found == pytest.approx((0.4, 0.4 - half, 0.4 + half), rel=1e-6)


def test_the_linearised_difference_is_paired_and_that_of_the_distance_knows_where_is_best() -> None:
    items = [SimpleNamespace(cluster=name) for name in "aabbb"]
    rows = [np.array([[row]], dtype=np.float64) for row in ([1, 1, 1, 0, 0], [1, 1, 0, 0, 0])]
    one, other = (linearised(mean_metric(), items, given_as(row)) for row in rows)
    change = one.minus(other)  # 0.2: clusters a (0, 0) and b (1, 0, 0), residual sums -0.4 and 0.4
    half = stats.t.ppf(0.975, df=1) * math.sqrt(2 * 2 * 0.4**2 / 25)
    assert (change.value, *change.interval()) == pytest.approx((0.2, 0.2 - half, 0.2 + half), rel=1e-6)
    away = linearised(mean_metric(), items, given_as(rows[0]), distance=True)  # best is 1
    assert away.value == pytest.approx(0.4) and away.influence == pytest.approx(-one.influence)


def test_of_one_cluster_nothing_can_be_said() -> None:
    assert of_mean([1.0, 0.0], ["a", "a"]) == (0.5, -math.inf, math.inf)


# Where all answers are alike, and where they nearly are


def share_metric() -> Metric:
    """Share of ones; both ends are edges."""
    return dataclasses.replace(mean_metric(), edges=SHARE)


def share_of(hits: npt.NDArray[np.int64], replicates: int = 300) -> Estimate:
    """Hits [clusters, size] as a share."""
    names = [f"{number:03d}" for number in range(hits.shape[0]) for _ in range(hits.shape[1])]
    bootstrap = ClusterBootstrap(names, replicates)
    return bootstrap.estimate(bootstrap.measure(share_metric(), names, given_as(hits.reshape(1, 1, -1))))


def test_a_share_of_nothing_has_the_exact_bound_of_its_clusters() -> None:
    """Ten clusters without a single hit still allow a share of 31 %: the binomial distribution says so too."""
    nothing, everything = share_of(np.zeros((10, 4), dtype=int)), share_of(np.ones((10, 4), dtype=int))
    assert stats.binom.cdf(0, 10, nothing.high) == pytest.approx(0.025) and nothing.low == 0
    assert (everything.low, everything.high) == pytest.approx((1 - nothing.high, 1))


def test_more_hits_never_lower_the_interval() -> None:
    """136 answers to 17 templates: none right is [0, 0.195], and one right does not end at 0.03."""
    order = np.random.default_rng(0).permutation(136)
    ends = []
    for hits in range(137):
        answers = np.zeros(136, dtype=int)
        answers[order[:hits]] = 1
        found = share_of(answers.reshape(17, 8))
        assert found.low <= found.value <= found.high
        ends.append((found.low, found.high))
    assert ends[0] == pytest.approx((0, 1 - 0.025 ** (1 / 17)))
    falls = np.diff(np.array(ends), axis=0)
    assert falls.min() > -0.02  # but for what a resample has by chance
    assert ends[1][1] > ends[0][1] - 1e-9 and ends[135][0] < ends[136][0] + 1e-9


@pytest.mark.parametrize(("mean", "correlation"), [(0.01, 0.2), (0.03, 0.5), (0.05, 0.1), (0.98, 0.3)])
def test_the_interval_of_a_share_near_its_edge_covers(mean: float, correlation: float) -> None:
    generator = np.random.default_rng(11)
    covered = percentile = 0
    for _ in range(300):
        hits = simulated(generator, 17, 8, mean, correlation)
        found = share_of(hits)
        covered += found.low <= mean <= found.high
        low, high = np.quantile(hits[generator.integers(0, 17, (300, 17))].mean(axis=(1, 2)), [0.025, 0.975])
        percentile += low <= mean <= high
    assert covered / 300 >= 0.95
    assert percentile / 300 < 0.9


def test_from_none_to_all_is_not_certain_either() -> None:
    names = [f"{number // 4}" for number in range(40)]
    bootstrap = ClusterBootstrap(names, 50)
    none, every = (
        bootstrap.measure(share_metric(), names, given_as(np.full((1, 1, 40), hit, dtype=int))) for hit in (0, 1)
    )
    change = bootstrap.difference(every, none)
    bound = 1 - 0.025 ** (1 / 10)  # an unseen sort of template, which would do the opposite
    assert (change.value, change.low, change.high) == pytest.approx((1, 1 - 2 * bound, 1))


# Draws: an edit may be no more than one more draw


def of_draws(generator: np.random.Generator, draws: int, differ: float) -> tuple[Estimate, Estimate]:
    """A figure of one draw minus that of others of the same kind, and the figure of the others; 40 clusters of 10."""
    clusters, size = 40, 10
    names = [f"{number:02d}" for number in range(clusters) for _ in range(size)]
    shares = np.clip(0.5 + generator.normal(0, differ, draws + 1), 0, 1)
    common = generator.random((clusters, 1, size))  # items are as hard for one draw as for another
    hits = (common[None] < shares[:, None, None, None]).reshape(draws + 1, 1, -1)
    bootstrap = ClusterBootstrap(names, 200)
    edit, others = (bootstrap.measure(share_metric(), names, given_as(part)) for part in (hits[:1], hits[1:]))
    return bootstrap.difference(edit, others), bootstrap.estimate(others)


@pytest.mark.parametrize("draws", [5, 10])
def test_one_more_random_draw_is_seldom_called_better(draws: int) -> None:
    """Nominal 2.5 % on each side; without the draws' variance it would be a fifth of cases."""
    generator = np.random.default_rng(5)
    found = [of_draws(generator, draws, 0.05) for _ in range(400)]
    better = np.mean([change.low > 0 for change, _ in found])
    assert 0.005 <= better <= 0.045
    covered = np.mean([others.low <= 0.5 <= others.high for _, others in found])
    assert covered >= 0.92


def test_the_spread_of_draws_keeps_a_share_within_its_range() -> None:
    names = [f"{number // 2}" for number in range(20)]
    hits = np.zeros((2, 1, 20), dtype=int)
    hits[0, 0, :8] = 1
    bootstrap = ClusterBootstrap(names, 100)
    found = bootstrap.estimate(bootstrap.measure(share_metric(), names, given_as(hits)))
    assert (found.low, found.value) == (0, 0.2) and found.high == 1


def test_the_spread_of_draws_by_hand() -> None:
    draws, one = np.array([0.2, 0.4, 0.6]), np.array([0.9])
    spread, quantile = 0.2, stats.t.ppf(0.975, df=2)
    assert spread_of_draws(one, draws, 0.95) == pytest.approx(quantile * spread * math.sqrt(1 + 1 / 3))
    assert spread_of_draws(draws, one, 0.95) == pytest.approx(quantile * spread * math.sqrt(1 / 3))
    assert spread_of_draws(draws, None, 0.95) == pytest.approx(quantile * spread * math.sqrt(1 / 3))
    assert spread_of_draws(one, None, 0.95) == spread_of_draws(one, one, 0.95) == 0


def test_resamples_are_made_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    names, values = [f"{number // 3}" for number in range(30)], np.random.default_rng(1).integers(0, 2, (1, 2, 30))
    whole = ClusterBootstrap(names, 100).measure(mean_metric(), names, given_as(values)).replicates
    monkeypatch.setattr(statistics, "NUMBERS_AT_ONCE", 12)
    assert (ClusterBootstrap(names, 100).measure(mean_metric(), names, given_as(values)).replicates == whole).all()


def test_intervals_end_where_figures_do():
    """Two draws far apart reach beyond what a figure can be, and beyond what a difference can."""
    items = [Item(f"{number}", f"{number}", "toy") for number in range(6)]
    low, high = np.full((1, 1, 6), 0.01), np.full((1, 1, 6), 0.4)
    low[0, 0, 0] = high[0, 0, 0] = 0.02

    def columns(items, answers):
        values = answers.judged["size"]
        return np.stack([values, np.ones_like(values)], axis=-1), np.ones(len(items), dtype=bool)

    def mean(sums):
        total, count = np.moveaxis(sums.sum(axis=(-3, -2)), -1, 0)
        return total / count

    def given_answers(values):
        return Answers(np.full(values.shape, -1), judged={"size": values})

    bootstrap = ClusterBootstrap([item.cluster for item in items], 200)
    several = given_answers(np.concatenate([low, high]))
    found = {}
    for ends in ((-np.inf, np.inf), (0.0, 0.5)):
        metric = Metric("size", "Size", "the size", columns, mean, 0.0, ends=ends)
        of_several, of_one = (
            bootstrap.measure(metric, items, several),
            bootstrap.measure(metric, items, given_answers(low)),
        )
        found[ends] = bootstrap.estimate(of_several), bootstrap.difference(of_several, of_one)
    without, within = found[-np.inf, np.inf], found[0.0, 0.5]
    assert without[0].low < 0 and without[0].high > 0.5 and without[1].high > 0.5
    assert (within[0].low, within[0].high) == (0.0, 0.5) and within[1].high == 0.5 and within[1].low >= -0.5
    assert within[0].value == without[0].value
