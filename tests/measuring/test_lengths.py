"""Standard deviations over instructions: free of what sampling adds, with intervals that cover; by simulation."""

from types import SimpleNamespace

import numpy as np
import pytest

from biasectomy.measuring.lengths import Length, difference, length
from biasectomy.measuring.statistics import ClusterBootstrap, Estimate
from biasectomy.tasks.metrics import Answers
from biasectomy.tasks.multiple_choice import instruction_deviation


def wordings(generator: np.random.Generator, deviation: float, count: int = 10) -> tuple[Estimate, float]:
    """The deviation over wordings whose true accuracies deviate so, and as it is seen; 25 clusters of 8 items."""
    clusters, size = 25, 8
    items = [SimpleNamespace(cluster=f"{number // size}", gold=1) for number in range(clusters * size)]
    steps = np.linspace(-1, 1, count)
    shares = 0.5 + deviation * steps / steps.std()
    easy = generator.beta(2, 2, (1, clusters, 1)) - 0.5  # templates differ
    hits = (generator.random((count, clusters, size)) < np.clip(shares[:, None, None] + 0.3 * easy, 0, 1)).astype(int)
    answers = Answers(hits.reshape(1, count, -1))
    bootstrap, metric = ClusterBootstrap([item.cluster for item in items], 400), instruction_deviation()
    plain = float(metric.combine(metric.columns(items, answers)[0].sum(axis=2)))
    return bootstrap.estimate(bootstrap.measure(metric, items, answers)), plain


@pytest.mark.parametrize("deviation", [0.0, 0.02, 0.05, 0.1])
def test_the_deviation_over_instructions_is_not_what_sampling_makes_of_it(deviation: float) -> None:
    generator = np.random.default_rng(2)
    found, plain = zip(*(wordings(generator, deviation) for _ in range(300)), strict=True)
    covered = np.mean([one.low <= deviation <= one.high for one in found])
    assert 0.92 <= covered <= 1
    assert abs(np.mean([one.value for one in found]) - deviation) < 0.01
    if not deviation:
        assert np.mean(plain) > 0.03 and np.mean([one.low == 0 for one in found]) >= 0.95


def test_a_difference_of_deviations_covers() -> None:
    generator = np.random.default_rng(4)
    covered = 0
    for _ in range(300):
        one, other = (Length(e.value, e.low, e.high) for e, _ in (wordings(generator, d) for d in (0.08, 0.02)))
        change = difference(one, other)
        covered += change.low <= 0.06 <= change.high
    assert covered / 300 >= 0.93


def test_without_noise_the_length_is_what_is_seen() -> None:
    seen = np.array([0.3, -0.4])
    found = length(seen, np.repeat(seen[None], 50, axis=0), clusters=9, level=0.95)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    nothing = length(np.zeros(2), np.zeros((50, 2)), clusters=9, level=0.95)
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
