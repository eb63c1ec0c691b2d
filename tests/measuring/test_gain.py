"""How much nearer the best value: against the plain difference, and where the best value lies inside."""

import math

import numpy as np
import pytest

from biasectomy.measuring.statistics import ClusterBootstrap
from biasectomy.tasks.metrics import SHARE, Answers, Metric


def share(best: float) -> Metric:
    def columns(items, answers):
        return np.stack([answers.choices, np.ones_like(answers.choices)], axis=-1).astype(float), np.ones(
            len(items), bool
        )

    def combine(sums):
        return sums[..., 0].sum(axis=(-1, -2)) / sums[..., 1].sum(axis=(-1, -2))

    return Metric("share", "Share", "the share", columns, combine, best, "share", edges=SHARE)


def gain(after, before, best):
    resamples = ClusterBootstrap([str(place) for place in range(len(after))], 500)
    sides = [resamples.measure(share(best), after, Answers(np.array(one)[None, None])) for one in (after, before)]
    return resamples.gain(*sides, best), resamples.difference(*sides)


FEW, HALF, MANY = [1] * 6 + [0] * 34, [1] * 20 + [0] * 20, [1] * 34 + [0] * 6


def test_at_an_end_a_gain_is_the_difference_with_its_sign():
    up, change = gain(MANY, HALF, 1.0)
    assert (up.value, up.low, up.high) == (change.value, change.low, change.high) and up.low > 0
    down, change = gain(MANY, HALF, 0.0)
    assert (down.value, down.low, down.high) == pytest.approx((-change.value, -change.high, -change.low))


def test_inside_a_gain_is_nearer_from_either_side():
    for away in (FEW, MANY):
        nearer, _ = gain(HALF, away, 0.5)
        assert nearer.value == pytest.approx(0.35) and nearer.low > 0.1
        further, _ = gain(away, HALF, 0.5)
        assert further.value == pytest.approx(-0.35) and further.high < -0.1


def test_from_one_side_to_as_far_on_the_other_is_no_gain():
    found, change = gain(FEW, MANY, 0.5)
    assert found.value == pytest.approx(0) and found.low < 0 < found.high
    assert change.high < -0.5  # though the figure itself has clearly changed


def test_what_has_no_interval_has_none_here():
    found, _ = gain(HALF, HALF, 0.5)
    assert found.value == 0 and math.isnan(found.low) and "do not differ" in found.reason


def test_of_models_that_are_alike_few_gains_are_clear():
    """Where both have even odds, at most about one interval in twenty excludes 0."""
    generator = np.random.default_rng(0)
    clear = 0
    for _ in range(300):
        after, before = generator.integers(0, 2, (2, 60))
        found, _ = gain(after.tolist(), before.tolist(), 0.5)
        clear += found.low > 0 or found.high < 0
    assert clear <= 24
