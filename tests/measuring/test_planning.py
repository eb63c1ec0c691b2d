"""What a number of items can show: against simulation, and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.measuring.linearised import linearised
from biasectomy.measuring.planning import Variance, variance_of
from biasectomy.tasks.base import Item
from biasectomy.tasks.metrics import Answers
from biasectomy.tasks.multiple_choice import accuracy

ACCURACY = accuracy()


def made(clusters: int, each: int) -> list[Item]:
    return [
        Item(f"{cluster}/{number}", f"{cluster}", "toy", options=("a", "b"), gold=0)
        for cluster in range(clusters)
        for number in range(each)
    ]


def drawn(generator, clusters: int, each: int, mean: float, correlation: float) -> Answers:
    """Right answers whose probability differs by cluster: a beta distribution with this intra-cluster correlation."""
    total = 1 / correlation - 1
    rights = generator.beta(mean * total, (1 - mean) * total, clusters)
    right = generator.random((clusters, each)) < rights[:, None]
    return Answers(np.where(right, 0, 1).reshape(1, 1, -1))


def test_item_variance_and_correlation_are_found_in_a_first_pass():
    generator = np.random.default_rng(0)
    found = [variance_of(ACCURACY, made(60, 6), drawn(generator, 60, 6, 0.5, 0.2)) for _ in range(60)]
    assert np.mean([one.of_item for one in found]) == pytest.approx(0.25, rel=0.03)
    assert np.mean([one.correlation for one in found]) == pytest.approx(0.2, abs=0.03)


def test_the_error_of_more_items_is_what_it_turns_out_to_be():
    """Of a first pass of 4 items in each of 40 clusters, the error that 20 items in each have."""
    generator = np.random.default_rng(1)
    passes = [variance_of(ACCURACY, made(40, 4), drawn(generator, 40, 4, 0.3, 0.1)) for _ in range(40)]
    planned = np.mean([one.error(40, 800) for one in passes])
    means = [float((drawn(generator, 40, 20, 0.3, 0.1).choices == 0).mean()) for _ in range(2000)]
    assert planned == pytest.approx(np.std(means), rel=0.08)


def test_the_smallest_change_is_found_four_times_in_five():
    """Two unrelated models whose accuracies lie just so far apart; a cluster-robust t-test of the paired difference."""
    generator, correlation, clusters, each = np.random.default_rng(2), 0.1, 40, 10
    variance = Variance(0.25, correlation)
    change = variance.smallest_change(clusters, clusters * each)
    items, found, runs = made(clusters, each), 0, 400
    for _ in range(runs):
        one, other = (
            linearised(ACCURACY, items, drawn(generator, clusters, each, mean, correlation))
            for mean in (0.5 + change / 2, 0.5 - change / 2)
        )
        low, high = one.minus(other).interval()
        found += low > 0 or high < 0
    assert found / runs == pytest.approx(0.8, abs=0.06)


@given(st.floats(0.01, 1), st.floats(0, 0.9), st.integers(2, 200), st.integers(1, 100), st.floats(0.005, 0.5))
@settings(max_examples=200, deadline=None)
def test_what_is_needed_is_just_enough(of_item, correlation, clusters, each, change):
    variance = Variance(of_item, correlation)
    items = variance.items_for(change, clusters)
    if math.isfinite(items) and items >= clusters:
        assert variance.smallest_change(clusters, items) == pytest.approx(change, rel=1e-6)
    elif math.isinf(items):
        assert variance.smallest_change(clusters, 1e12) > change * (1 - 1e-6)
    needed = variance.clusters_for(change, each)
    assert variance.smallest_change(int(needed), needed * each) <= change
    if needed > 2:
        assert variance.smallest_change(int(needed) - 1, (needed - 1) * each) > change


def test_more_items_and_clusters_never_show_less():
    variance = Variance(0.25, 0.2)
    assert variance.smallest_change(10, 100) > variance.smallest_change(10, 200) > variance.smallest_change(20, 400)
    assert variance.smallest_change(1, 100) == math.inf and variance.items_for(0.1, 1) == math.inf
    # items without end leave what clusters differ by
    assert variance.error(10, 1e9) == pytest.approx((0.25 * 0.2 / 10) ** 0.5)


def test_where_nothing_varies_nothing_is_said():
    right = Answers(np.zeros((1, 1, 12), dtype=int))
    found = variance_of(ACCURACY, made(4, 3), right)
    assert math.isnan(found.of_item) and math.isnan(found.smallest_change(4, 12))
    assert found.clusters_for(0.1, 3) == math.inf
    one = variance_of(ACCURACY, made(1, 3), Answers(np.array([[[0, 1, 0]]])))
    assert math.isnan(one.of_item)
