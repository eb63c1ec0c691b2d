"""The path from all neurons to few."""

from hypothesis import given
from hypothesis import strategies as st

from biasectomy.learning.path import path_to


def made(budgets, total, first=6, each=10, held=0.5):
    return path_to(budgets, total, first=first, each=each, held=held, rate=0.1, last_rate=0.02)


@given(
    budgets=st.lists(st.integers(1, 2000), max_size=6), total=st.integers(1, 1500),
    first=st.integers(1, 5), each=st.integers(1, 9), held=st.floats(0, 0.99),
)  # fmt: skip
def test_it_never_rises_and_holds_every_budget_at_its_end(budgets, total, first, each, held):
    path = made(budgets, total, first, each, held)
    allowed = [path.stretch(step).allowed(step) for step in range(path.steps)]
    assert allowed[:first] == [total] * first and allowed == sorted(allowed, reverse=True)
    assert [allowed[one.end - 1] for one in path.stretches] == [one.budget for one in path.stretches]
    assert {one.budget for one in path.stretches} == {total, *(budget for budget in budgets if budget < total)}


def test_between_budgets_it_falls_by_the_same_share_each_step():
    path = made([100], 10_000)
    allowed = [path.stretch(step).allowed(step) for step in range(path.steps)]
    assert allowed[6:] == [3981, 1585, 631, 251, 100, 100, 100, 100, 100, 100]
    assert [round(path.rate_at(step), 4) for step in (0, 15)] == [0.1, 0.02]
    assert path.rate_at(7) == (path.rate_at(0) + path.rate_at(14)) / 2
