"""What a method costs in drift, told beside perplexity."""

import numpy as np
import pytest


def test_drift_is_measured_of_every_method_and_told_beside_perplexity(case, tmp_path):
    """`mitigate --also perplexity,drift`."""
    results = case.mitigate(tmp_path / "run", also="perplexity,drift")
    rows = [row for row in results.metrics if row.task == "drift:packaged"]
    assert {(row.method, row.metric) for row in rows} == {
        (method, metric) for method in ("original", "crispr", "random-neurons") for metric in ("drift", "drift_99")
    }
    control = results.find("random-neurons", "drift")
    assert len(control.draws) == 2 and control.value == pytest.approx(np.mean(control.draws)) and control.value > 0
    assert results.find("original", "drift").value == 0 < results.find("crispr", "drift").value
    assert results.find("original", "perplexity", task="perplexity:packaged").value > 1
    told = [one for one in results.verdict if one.startswith("Drift from the original in nats a token of neutral text")]
    assert len(told) == 1 and " goes from 0.0000 to " in told[0], results.verdict
    difference = results.find_difference("crispr", "original", "drift")
    assert difference.low <= difference.value <= difference.high
