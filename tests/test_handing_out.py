"""How work is handed out to processes: everything once, evenly by cost, and little waiting on real prompts."""

import itertools
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.suite.processes import idle_lines
from biasectomy.handing_out import Paces, dealt, fine_enough, handed_out, idle_share, in_a_row
from biasectomy.neurons.work import Operations
from biasectomy.reading.layouts import PackedLayout
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.tasks.multiple_choice import listed
from biasectomy.tasks.wordings import load_instructions
from tests.tasks.test_bbq_published import parsed

COSTS = st.lists(st.floats(0.1, 100), max_size=30)
COUNTS = st.integers(1, 9)


@given(COSTS, st.lists(st.floats(0.1, 3), min_size=1, max_size=6))
def test_every_piece_is_handed_out_once_and_nobody_waits_longer_than_for_one_piece(costs, paces):
    parts = handed_out(costs, paces)
    assert sorted(itertools.chain(*parts)) == list(range(len(costs)))
    ends = [sum(costs[piece] for piece in part) / pace for part, pace in zip(parts, paces, strict=True)]
    assert max(ends) <= sum(costs) / sum(paces) + max(costs, default=0) / min(paces) + 1e-9


@given(COSTS, COUNTS, st.integers(1, 4))
def test_parts_in_a_row_are_everything_once_and_cut_between_groups(costs, count, group):
    parts = [list(range(len(costs)))[part] for part in in_a_row(costs, count, group)]
    assert len(parts) == count and list(itertools.chain(*parts)) == list(range(len(costs)))
    assert all(part[0] % group == 0 for part in parts if part)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.integers(1, 4))
def test_no_other_cuts_make_the_costliest_part_cheaper(costs, count):
    best = min(
        max(sum(costs[start:end]) for start, end in itertools.pairwise([0, *cuts, len(costs)]))
        for cuts in itertools.combinations_with_replacement(range(len(costs) + 1), count - 1)
    )
    assert max(sum(costs[part]) for part in in_a_row(costs, count)) == best


@given(COSTS, COUNTS)
def test_rounds_hold_every_piece_once_whatever_was_slow(costs, count):
    paces, seen = Paces(), []
    for turn, parts in dealt(costs, count, paces):
        assert sorted(itertools.chain(*parts)) == list(turn)
        seen += turn
        paces.note([sum(costs[piece] for piece in part) for part in parts], [1.0 + index for index in range(count)])
    assert seen == list(range(len(costs)))


def test_a_slow_process_gets_less_and_chance_changes_nothing():
    paces = Paces()
    assert paces.of(3) == [1.0, 1.0, 1.0]
    paces.note([10, 10, 10, 0], [1.0, 1.05, 2.0, 0.0])
    first, second, slow, unknown = paces.of(4)
    assert first == second == unknown and slow == pytest.approx(0.5 * 10)


def test_pieces_are_halved_only_where_all_are_done_earlier():
    halves = lambda piece: [piece[: len(piece) // 2], piece[len(piece) // 2 :]] if len(piece) > 1 else [piece]  # noqa: E731
    three = ["a" * 8] * 3
    assert fine_enough(three, 1, len, halves) == fine_enough(three, 3, len, halves) == three
    assert fine_enough(three, 4, len, halves) == ["aa"] * 12
    assert fine_enough(three, 4, lambda piece: 20 + len(piece), halves) == three  # halves cost nearly as much
    assert fine_enough(["a"], 4, len, halves) == ["a"]


def test_idle_time_is_what_is_left_of_the_slowest():
    assert idle_share([[4, 2], [1, 1]]) == pytest.approx(1 - 8 / 10)
    assert idle_share([]) == 0


def test_eight_processes_wait_little_on_prompts_of_bbq():
    """Real prompts, a word a token; by number of batches, a slow process makes all wait."""
    items = [item for category in ("age", "religion") for item in parsed(category)]
    wordings = load_instructions(resources.files("biasectomy.tasks") / "instructions/bbq.toml")
    questions = [listed(wording, item) for wording in wordings for item in items]
    words: dict[str, int] = {}

    def tokens(text: str) -> tuple[int, ...]:
        return tuple(words.setdefault(word, len(words)) for word in text.split())

    prompts = [EncodedPrompt(tokens(one.text), tuple(map(tokens, one.options))) for one in questions]
    layout, operations = PackedLayout(), Operations(token=2 * 10**8, logit=6 * 10**7, pair=7 * 10**4)
    batches = list(layout.plan(prompts, 256))
    lines = idle_lines(batches, lambda batch: operations.work(layout.size(batch)).forward)
    assert {line.what: line.met for line in lines if line.bar} == {
        "idle share of eight alike, by cost": True,
        "idle share of one of eight at 60 % of the pace, by cost": True,
    }
    by_count = next(one for one in lines if one.what == "idle share of one of eight at 60 % of the pace, by count")
    assert by_count.value > 0.25 and by_count.details["work_more"] < 0.1
