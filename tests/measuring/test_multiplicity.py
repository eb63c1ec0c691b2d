"""Differences looked at together: probabilities that agree with their intervals, and Holm's correction by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from biasectomy.measuring.multiplicity import holding, probability
from biasectomy.measuring.results import DifferenceRow


def row(value: float, low: float, high: float, clusters: int = 12, metric: str = "m") -> DifferenceRow:
    return DifferenceRow("a", "b", "t", "test", metric, value, low, high, 100, clusters, 1.0)


def with_probability(wanted: float, metric: str = "m", clusters: int = 12) -> DifferenceRow:
    """A difference of 1 whose interval gives this probability."""
    reach = stats.t.ppf(0.975, clusters - 1) / -stats.t.ppf(wanted / 2, clusters - 1)
    return row(1.0, 1 - reach, 1 + reach, clusters, metric)


@given(st.floats(-1, 1), st.floats(1e-3, 2), st.floats(1e-3, 2), st.integers(2, 50), st.sampled_from([0.9, 0.95]))
def test_a_probability_is_small_where_the_interval_excludes_nothing(value, below, above, clusters, level):
    found = row(value, value - below, value + above, clusters)
    excluded = found.low > 0 or found.high < 0
    if abs(found.low) > 1e-9 and abs(found.high) > 1e-9:
        assert (probability(found, level) < 1 - level) == excluded


def test_a_symmetric_interval_gives_the_probability_of_a_t_test():
    values = np.array([0.3, 0.1, 0.4, -0.1, 0.2, 0.5])
    test = stats.ttest_1samp(values, 0)
    low, high = test.confidence_interval(0.95)
    found = row(float(values.mean()), float(low), float(high), values.size)
    assert probability(found, 0.95) == pytest.approx(test.pvalue)


def test_holms_correction_by_hand():
    """Of 0.01, 0.04, 0.03 and 0.005: 0.005 <= 0.05/4 and 0.01 <= 0.05/3 hold, 0.03 > 0.05/2 and all behind do not."""
    rows = [with_probability(one, f"m{place}") for place, one in enumerate((0.01, 0.04, 0.03, 0.005))]
    assert [probability(one, 0.95) for one in rows] == pytest.approx([0.01, 0.04, 0.03, 0.005])
    assert [one.metric for one in holding(rows, 0.95)] == ["m0", "m3"]
    assert holding(rows[1:3], 0.95) == []  # 0.03 alone of two is above 0.05/2
    assert [one.metric for one in holding(rows[2:3], 0.95)] == ["m2"]


def test_without_an_interval_a_difference_is_not_looked_at():
    none = row(0.0, math.nan, math.nan)
    assert math.isnan(probability(none, 0.95)) and math.isnan(probability(row(1, 0.5, 1.5, clusters=1), 0.95))
    assert holding([none, with_probability(0.04)], 0.95)[0].value == 1.0
    assert probability(row(0.0, -1, 1), 0.95) == 1.0


def test_mistakes_among_many_stay_rare():
    """Twenty differences that are all nothing: in at most about one of twenty tables any of them holds."""
    generator, mistakes, runs = np.random.default_rng(0), 0, 600
    for _ in range(runs):
        values = generator.standard_normal((20, 12))
        means, errors = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(12)
        half = stats.t.ppf(0.975, 11) * errors
        rows = [row(float(mean), float(mean - one), float(mean + one)) for mean, one in zip(means, half, strict=True)]
        mistakes += bool(holding(rows, 0.95))
    assert mistakes / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5
