"""Choosing n, with fabricated answers in place of a model."""

import json
import math
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from biasectomy.errors import UnknownNameError
from biasectomy.measuring.linearised import Linearised, at_once, chance_of_clear
from biasectomy.methods.search import MINIMUM_CLUSTERS, MINIMUM_ITEMS, Choice, choose_count
from biasectomy.tasks.ambiguity import GOALS
from biasectomy.tasks.base import Item, Task
from biasectomy.tasks.metrics import Answers, Goal, Metric
from biasectomy.tasks.multiple_choice import is_right, share

Right = Callable[[Item, int], bool]


class Examine:
    """Answers right where `right` says so; remembers which n was asked which items."""

    def __init__(self, right: Right) -> None:
        self.right = right
        self.asked: dict[int, list[tuple[str, str]]] = {}

    def __call__(self, parts, count: int):
        return [self.answers(part, count) for part in parts]

    def answers(self, part: Task, count: int) -> Answers:
        asked = ((instruction, item.identifier) for instruction in part.instructions for item in part.items)
        self.asked.setdefault(count, []).extend(asked)
        row = [item.gold if self.right(item, count) else (item.gold + 1) % 3 for item in part.items]
        return Answers(np.array([[row] * len(part.instructions)]))


def in_share(item: Item, share: float) -> bool:
    """Whether an item belongs to a share of the items; larger shares hold smaller ones."""
    return zlib.crc32(item.identifier.encode()) % 1000 < 1000 * share


def by_condition(**shares: tuple[float, float]) -> Right:
    """Right on these shares of (ambiguous, disambiguated) items, by n as in `n5=(0.5, 0.5)`."""
    return lambda item, count: in_share(item, shares[f"n{count}"][item.labels["condition"] == "disambiguated"])


def choose(task: Task, right: Right, grid=(0, 2, 5), objective="balanced", margin=0.02, **settings):
    examine = Examine(right)
    goal = replace(GOALS[objective], guards=dict.fromkeys(GOALS[objective].guards, margin))
    choice = choose_count(examine, task, grid, goal, **settings)
    return choice.neurons, {candidate.neurons: candidate for candidate in choice.candidates}, examine


@pytest.fixture
def development(toy_task) -> Task:
    return toy_task(clusters=12, per_cluster=16)


@pytest.mark.parametrize("racing", [True, False])
@pytest.mark.parametrize("objective", ["balanced", "accuracy"])
def test_no_neurons_win_ties(development, objective, racing):
    count, _, _ = choose(development, lambda item, count: in_share(item, 0.4), objective=objective, racing=racing)
    assert count == 0


def test_zero_is_a_candidate_even_where_the_grid_leaves_it_out(development):
    count, candidates, _ = choose(development, lambda item, count: in_share(item, 0.9 - count / 10), grid=(2, 5))
    assert count == 0 and list(candidates) == [0, 2, 5]


@pytest.mark.parametrize("racing", [True, False])
def test_the_best_wins_and_the_smaller_among_equals(development, racing):
    shares = {0: 0.3, 2: 0.5, 5: 0.8, 9: 0.8, 20: 0.6}
    count, candidates, _ = choose(
        development, lambda item, count: in_share(item, shares[count]), grid=shares, racing=racing
    )
    assert count == 5
    assert candidates[5].value == candidates[9].value > candidates[0].value
    best = candidates[5]
    assert best.difference == pytest.approx(best.value - candidates[0].value)
    assert best.difference_low < best.difference < best.difference_high and best.low < best.value < best.high


def test_balanced_accuracy_is_the_mean_over_the_conditions(development):
    # Three quarters of the items are ambiguous: the pooled accuracy would be another number.
    uneven = replace(
        development,
        items=tuple(
            item
            for number, item in enumerate(development.items)
            if item.labels["condition"] == "ambiguous" or number % 6 == 1
        ),
    )
    _, candidates, _ = choose(uneven, lambda item, count: item.labels["condition"] == "ambiguous")
    assert candidates[0].value == pytest.approx(0.5)
    assert candidates[0].beside["accuracy_disambiguated"] == 0


def test_the_margin_excludes_what_loses_disambiguated_accuracy(development):
    right = by_condition(n0=(0.1, 0.8), n2=(0.3, 0.8), n5=(0.9, 0.6))
    count, candidates, _ = choose(development, right, racing=False)
    assert count == 2
    assert not candidates[5].within_margin and candidates[5].value > candidates[2].value
    assert choose(development, right, racing=False, margin=0.3)[0] == 5
    assert choose(development, right, racing=False, objective="accuracy")[0] == 5


def test_a_fall_of_just_the_margin_is_allowed(development):
    disambiguated = [item for item in development.items if item.labels["condition"] == "disambiguated"]
    lost = {item.identifier for item in disambiguated[: len(disambiguated) // 8]}

    def right(item, count):
        return count > 0 if item.labels["condition"] == "ambiguous" else not (count and item.identifier in lost)

    assert choose(development, right, grid=(0, 2), margin=1 / 8)[0] == 2
    assert choose(development, right, grid=(0, 2), margin=1 / 8 - 0.001)[0] == 0


def test_racing_drops_the_clearly_worse_and_asks_it_no_more(development):
    right = by_condition(n0=(0.4, 0.8), n2=(0.9, 0.8), n5=(0.1, 0.1))
    count, candidates, examine = choose(development, right)
    assert count == 2 == choose(development, right, racing=False)[0]
    assert candidates[5].dropped and len(examine.asked[5]) == candidates[5].items < len(development.items)
    everything = sorted((one, item.identifier) for one in development.instructions for item in development.items)
    assert sorted(examine.asked[0]) == sorted(examine.asked[2]) == everything  # each once


def test_nothing_is_asked_where_nothing_is_left_to_choose_from(development):
    right = by_condition(n0=(0.4, 0.8), n2=(0.1, 0.1), n5=(0.2, 0.1))
    count, candidates, examine = choose(development, right)
    last = max(candidates[2].items, candidates[5].items)
    assert count == 0 and len(examine.asked[0]) == candidates[0].items == last < len(development.items)
    assert candidates[0].value == pytest.approx(0.6, abs=0.15)


def test_no_neurons_are_never_dropped(development):
    count, candidates, examine = choose(development, lambda item, count: count > 0)
    assert count == 2 and candidates[0].dropped is None and len(examine.asked[0]) == 2 * len(development.items)


@pytest.mark.parametrize(
    ("clusters", "per_cluster", "expected"),
    [
        (MINIMUM_CLUSTERS - 1, 16, None),  # items enough, templates too few
        (6, 3, None),  # templates enough, items too few
        (6, 4, 24),  # enough when all are seen
        (8, 8, 32),  # 16 of 64 items are too few, 32 are enough
        (12, 16, 48),
    ],
)
def test_nothing_is_dropped_on_the_word_of_a_few_items(toy_task, clusters, per_cluster, expected):
    # Every difference is -1: an interval of no width, however few they are.
    task = toy_task(clusters, per_cluster)
    _, candidates, _ = choose(task, lambda item, count: count == 0, objective="accuracy", grid=(0, 5))
    if expected is None:
        assert candidates[5].dropped is None and candidates[5].items == len(task.items)
    else:
        assert candidates[5].dropped == "clearly worse than n = 0" and candidates[5].items == expected


def test_the_margin_too_needs_items_of_that_condition(toy_task):
    task = toy_task(clusters=10, per_cluster=8)  # judged after 20, 40 and 80 items, half of them disambiguated
    assert MINIMUM_ITEMS == 20
    right = by_condition(n0=(0, 1), n5=(1, 0))
    _, candidates, _ = choose(task, right, grid=(0, 5))
    assert candidates[5].dropped == "accuracy on disambiguated items gets worse by more than the margin"
    assert candidates[5].items == 40


def test_items_without_conditions_are_judged_by_accuracy(development):
    plain = replace(development, items=tuple(replace(item, labels={}) for item in development.items))
    shares = {0: 0.3, 2: 0.7, 5: 0.5}

    def right(item: Item, count: int) -> bool:
        return in_share(item, shares[count])

    count, candidates, _ = choose(plain, right, objective="accuracy", racing=False)
    assert count == 2
    assert candidates[2].value == np.mean([in_share(item, 0.7) for item in plain.items])
    assert choose(plain, right, racing=False)[0] == 0  # neither of the two accuracies exists: nothing helps


def even_odds() -> Metric:
    """Share of right answers, of which half is the best."""
    return replace(share("even", "Even", "the share", is_right), best=0.5)


@pytest.mark.parametrize("racing", [True, False])
def test_a_goal_of_even_odds_is_not_pushed_past(development, racing):
    task = replace(development, metrics=(even_odds(),))
    shares = {0: 0.85, 2: 0.55, 5: 0.35, 9: 0.05}

    def right(item: Item, count: int) -> bool:
        return in_share(item, shares[count])

    examine = Examine(right)
    choice = choose_count(examine, task, list(shares), Goal("even"), racing=racing)
    candidates = choice.candidates
    assert choice.neurons == 2 and choice.best is candidates[1]
    nearer = {candidate.neurons: candidate.difference for candidate in candidates}
    assert nearer[2] == pytest.approx(abs(candidates[0].value - 0.5) - abs(candidates[1].value - 0.5))
    assert nearer[5] > 0 > nearer[9]


def test_a_goal_may_have_a_best_value_of_its_own(development):
    task, shares = replace(development, metrics=(even_odds(),)), {0: 0.55, 2: 0.3, 5: 0.02}
    choice = choose_count(
        Examine(lambda item, count: in_share(item, shares[count])), task, list(shares), Goal("even", best=0.0)
    )
    assert choice.neurons == 5


def test_a_goal_whose_metric_is_not_there_is_answered_with_the_nearest(development):
    with pytest.raises(UnknownNameError, match="did you mean 'balanced_accuracy'"):
        choose_count(Examine(lambda item, count: True), development, (0, 2), Goal("balanced_acuracy"))


def test_the_record_of_a_candidate_is_json_and_tells_the_whole_story(development):
    _, candidates, _ = choose(development, by_condition(n0=(0.4, 0.8), n2=(0.9, 0.8), n5=(0.1, 0.1)))
    dropped = json.loads(json.dumps(candidates[5].record(), allow_nan=False))
    assert dropped["n"] == 5 and dropped["dropped"] and dropped["items"] < len(development.items)
    assert dropped["within_margin"] is False and dropped["difference_high"] < 0
    assert set(dropped) == {
        "n", "items", "instructions", "value", "low", "high", "beside",
        "bound", "difference", "difference_low", "difference_high", "dropped", "within_margin",
    }  # fmt: skip


# What the choice is worth: by simulation


def simulated_race(generator: np.random.Generator, gain: float, *, racing: bool = True) -> tuple[int, float]:
    """Chooses among eight numbers of neurons that each change answers at random; the last four gain `gain` in truth."""
    items = tuple(
        Item(f"t/{number}", cluster=f"{number // 8}", task="t", options=("a", "b"), gold=0) for number in range(160)
    )
    accuracy = share("accuracy", "Accuracy", "accuracy", is_right)
    task = Task("t", items, ("",), (accuracy,), "1", lambda instruction, item: None)
    grid = (1, 2, 3, 5, 8, 12, 20, 30)
    before = generator.random(160) < np.repeat(generator.beta(2, 2, 20), 8)
    after = {0: before}
    for count in grid:
        up, down = 0.15 + (gain if count >= 8 else 0), 0.15
        templates = np.repeat(generator.normal(0, 0.05, 20), 8)  # a template's items change together
        chance = generator.random(160)
        after[count] = np.where(before, chance > down - templates, chance < up + templates)

    def examine(parts, count: int) -> list[Answers]:
        places = [[int(item.identifier[2:]) for item in part.items] for part in parts]
        return [Answers(np.where(after[count][some], 0, 1)[None, None]) for some in places]

    choice = choose_count(examine, task, grid, Goal("accuracy"), racing=racing, seed=int(generator.integers(1 << 30)))
    return choice.neurons, choice.by_chance


@pytest.mark.parametrize("racing", [True, False])
def test_without_any_effect_no_neurons_are_chosen_in_about_95_percent_of_runs(racing: bool) -> None:
    generator = np.random.default_rng(8)
    runs = 100 if racing else 300  # looks take time
    chosen, by_chance = zip(*(simulated_race(generator, 0.0, racing=racing) for _ in range(runs)), strict=True)
    assert 0.92 <= np.mean([count == 0 for count in chosen]) <= (1 if racing else 0.99)
    assert 0.01 < np.mean(by_chance) < 0.1  # what a winner by plain maximum would have shown


def test_a_clear_effect_is_found_with_the_fewest_neurons_that_have_it() -> None:
    generator = np.random.default_rng(8)
    chosen = [simulated_race(generator, 0.5)[0] for _ in range(60)]
    assert np.mean([count >= 8 for count in chosen]) > 0.9
    assert np.mean([count == 8 for count in chosen]) > 0.5  # the other three are no better


@pytest.mark.parametrize(("clusters", "believed"), [(2, False), (4, False), (5, True), (9, True)])
def test_few_clusters_that_are_all_alike_show_nothing(clusters: int, believed: bool) -> None:
    """All of G clusters gain alike with a chance of 0.5^G where there is nothing to gain."""
    alike, others = Linearised(0.3, np.zeros(clusters)), Linearised(0.1, np.linspace(-0.1, 0.1, clusters))
    for figures in ([alike], [alike, others]):
        assert at_once(figures)[0][0] == (0.3 if believed else -math.inf)


def test_bounds_hold_at_once_and_are_wider_than_one_alone() -> None:
    generator = np.random.default_rng(3)
    held = 0
    for _ in range(300):
        figures = [Linearised(float(row.mean()), (row - row.mean()) / 15) for row in generator.normal(0, 1, (10, 15))]
        bounds, by_chance = at_once(figures)
        held += all(bound <= 0 for bound in bounds)
        alone = [one.value - stats.t.ppf(0.95, 14) * one.error for one in figures]
        assert all(bound < single for bound, single in zip(bounds, alone, strict=True)) and by_chance > 0
    assert 0.92 <= held / 300 <= 0.98
    same = figures[:1] * 5  # one figure told five times is one figure
    assert at_once(same)[0][0] == pytest.approx(alone[0], abs=0.02)


def test_others_that_were_tried_count_in_the_bounds() -> None:
    generator = np.random.default_rng(3)
    figures = [Linearised(0.1, row / 15) for row in generator.normal(0, 1, (10, 15))]
    bounds, by_chance = at_once(figures[:4], beside=figures[4:])
    assert (bounds, by_chance) == (at_once(figures)[0][:4], at_once(figures)[1])
    assert bounds[0] < at_once(figures[:4])[0][0]


@pytest.mark.parametrize("value", [-0.02, 0.0, 0.03, 0.08])
def test_the_chance_of_a_clear_gain_is_that_of_what_is_still_to_be_seen(value: float) -> None:
    """Of 400 observations 100 are seen; the truth is drawn from what they say, and the others from the truth."""
    generator, runs = np.random.default_rng(5), 200_000
    truth = generator.normal(value, 1 / 10, runs)
    after = (100 * value + 300 * generator.normal(truth, 1 / math.sqrt(300))) / 400
    clear = np.mean(after - 2.5 / math.sqrt(400) > 0)
    influence = np.array([1.0, -1.0]) / 20  # of two clusters, with the error 1/10
    figure = Linearised(value, influence)
    assert figure.error == pytest.approx(0.1)
    assert chance_of_clear(figure, value - 2.5 * figure.error, 0.25) == pytest.approx(clear, abs=0.003)


def test_what_can_hardly_become_clear_is_given_up(development) -> None:
    """Two neurons change many answers and improve none; eight improve a tenth of all."""

    def right(item: Item, count: int) -> bool:
        drawn = zlib.crc32(f"{item.identifier} {count == 2}".encode()) % 1000
        return drawn < (600 if count == 8 else 500)

    examine = Examine(right)
    chosen = choose_count(examine, development, (2, 8), Goal("accuracy"))
    none, two, eight = chosen.candidates
    assert two.dropped == "a clear gain has become unlikely" and none.dropped is eight.dropped is None
    assert len(examine.asked[2]) < len(examine.asked[0]) == len(examine.asked[8])


def test_too_few_templates_choose_nothing(development) -> None:
    one = replace(development, items=tuple(item for item in development.items if item.cluster == "toy:age/0"))
    count, candidates, _ = choose(one, lambda item, count: count > 0)
    assert count == 0 and candidates[2].difference > 0 and candidates[2].record()["bound"] is None


def test_so_few_templates_are_said_to_be_too_few(development) -> None:
    def chosen(clusters: int) -> Choice:
        some = {f"toy:age/{number}" for number in range(clusters)}
        task = replace(development, items=tuple(item for item in development.items if item.cluster in some))
        return choose_count(Examine(lambda item, count: count > 0), task, (0, 2), GOALS["balanced"])

    assert "4 templates are too few" in chosen(4).too_few and chosen(4).neurons == 0
    assert chosen(5).too_few == "" and chosen(5).neurons == 2
