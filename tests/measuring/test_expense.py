"""What runs take elsewhere: worked out by hand, and the page that shows it."""

import math
from dataclasses import replace

import pytest

from benchmarks.bbq_size import FILE
from benchmarks.scale import BEGIN, PAGE, SHAPES, enough, measured, page, shaped, tables
from biasectomy.commands.stages import ASKING, FINDING, LEARNING, Asked, evaluating, mitigating, read_of
from biasectomy.measuring.expense import CARDS, FILLED, PREPARING, REACHED, Stage, Weights, expense, reached
from biasectomy.measuring.planning import Variance
from biasectomy.neurons.work import Operations
from biasectomy.reading.layouts import Size

CARD = CARDS["h100"]
SMALL, LARGE = Weights(2e9, 2), Weights(141e9, 2)
READ = read_of(Operations(100, 10, 1), Size(600, 60, 900), 10, Size(80, 6, 900), 1, 5.4, 200)


def test_time_is_products_at_the_rate_that_is_reached_or_weights_at_the_bandwidth():
    seconds = reached("asking", 2e9) * CARD.half
    asked = Stage("asking", "asking", 10 * seconds, 1, 1.0)
    alone = expense([asked], SMALL, CARD, 1)
    assert (alone.seconds, alone.memory, alone.spread) == (pytest.approx(10), 2e9, False)
    assert alone.money == pytest.approx(10 / 3600 * CARD.price)
    eight = expense([asked, asked], SMALL, CARD, 8, price=7.2)
    assert eight.seconds == pytest.approx(2 * 10 / 8) and eight.money == pytest.approx(2.5 * 8 * 7.2 / 3600)
    slow = replace(asked, operations=1.0, passes=5000)  # 2 GB read 5,000 times
    assert expense([slow], SMALL, CARD, 1).seconds == pytest.approx(5000 * 2e9 / CARD.bandwidth)
    prepared = replace(asked, prepared=7000)
    assert expense([prepared], SMALL, CARD, 8).seconds == pytest.approx(10 / 8 + 7000 * PREPARING)  # in every process
    assert expense([asked], Weights(2e9, 4), CARD, 1).seconds == pytest.approx(10 * CARD.half / CARD.single)


def test_shares_of_the_rate_are_those_measured_and_between_them_lie_others():
    (small, low), (large, high) = REACHED["asking"]
    assert [reached("asking", size) for size in (small, large)] == pytest.approx([low, high])
    assert reached("asking", 1e9) == pytest.approx(low) and reached("asking", 1e12) == pytest.approx(high)
    assert reached("asking", (small * large) ** 0.5) == pytest.approx((low * high) ** 0.5)
    assert reached("finding", 16e9) == pytest.approx(REACHED["finding"][0][1])


def test_few_parts_keep_few_cards_at_work_and_steps_are_made_by_all():
    seconds = reached("learning", 2e9) * CARD.half
    learned = Stage("learning", "learning", 80 * seconds, 1, 3.0, parts=8, in_step=True, questions=False)
    assert [expense([learned], SMALL, CARD, count).seconds for count in (8, 64)] == pytest.approx([10, 10])
    many = replace(learned, operations=1.0, passes=1000)
    assert expense([many], SMALL, CARD, 64).seconds == expense([many], SMALL, CARD, 1).seconds


def test_weights_that_fit_no_card_are_spread_and_only_questions_divided():
    asked = Stage("asking", "asking", reached("asking", 141e9) * CARD.half * 80, 8, 1.26)
    assert math.isnan(expense([asked], LARGE, CARD, 1).seconds) and math.isnan(expense([asked], LARGE, CARD, 1).money)
    assert expense([asked], LARGE, CARD, 1).memory > FILLED * CARD.memory
    eight = expense([asked], LARGE, CARD, 8)
    gathered = 141e9 * 7 / 8 / CARD.link  # a pass of each
    assert eight.spread and eight.memory == pytest.approx(1.26 * 141e9 / 8)
    assert eight.seconds == pytest.approx(10 + gathered)
    found = replace(asked, questions=False)
    assert expense([found], LARGE, CARD, 8).seconds == pytest.approx(80 + 8 * gathered)
    whole = expense([asked], replace(LARGE, gathered=6e9), CARD, 8)
    assert whole.memory == eight.memory + 6e9
    # What one stage of a run takes is told of the run as it is spread.
    assert expense([asked, replace(asked, memory=2.3)], LARGE, CARD, 8, only=[asked]).seconds == eight.seconds


def test_stages_are_the_questions_of_a_run_by_hand():
    (asking,) = evaluating(READ, Asked(100, 10))
    each = (100 * 600 + 10 * 60 + 900) / 10
    assert asking.operations == pytest.approx(1000 * each) and asking.passes == pytest.approx(1000 * 60 / 200)
    finding, choosing, test = mitigating(READ, Asked(100, 10), "crispr")
    alone = 3 * (100 * 80 + 10 * 6) + 5 * 900
    assert finding.operations == pytest.approx(20 * 3 * 10 * alone) and finding.memory == FINDING
    assert (asking.prepared, choosing.prepared, test.prepared) == (1000, 500, 500)
    assert choosing.operations == pytest.approx(15 * 50 * 10 * each)  # fifteen numbers of neurons, half of the items
    assert test.operations == pytest.approx((1 + 1 + 5) * 50 * 10 * each) and test.memory == ASKING
    learning, choosing, _ = mitigating(READ, Asked(1000, 10), "learned-factors")
    of_item = 2 * (100 * 60 + 10 * 6) + 3 * 90
    of_text = 2 * (100 * 5 + 10 * 5) + 3 * 15
    assert learning.operations == pytest.approx((60 + 5 * 40) * (8 * of_item + of_text))
    assert learning.memory == LEARNING and (learning.parts, learning.in_step) == (8, True)
    assert choosing.operations == pytest.approx(7 * 120 * 2 * each)


def test_shapes_have_the_parameters_they_are_named_after():
    counts = {name: sum(one.numel() for one in shaped(name).parameters()) / 1e9 for name in SHAPES}
    weights = Weights.of(shaped("8B"))
    block = 2 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336 + 2 * 4096)
    assert weights.bytes == 2 * 8_030_261_248 and weights.gathered == weights.bytes - 30 * block
    assert counts == pytest.approx({"1B": 1.236, "8B": 8.030, "70B": 70.554}, rel=1e-3)


def test_the_page_is_what_the_command_writes():
    text = PAGE.read_text(encoding="utf-8")
    assert BEGIN in text and page(text, tables()) == text, "run: python -m benchmarks.scale"


def test_what_was_measured_of_bbq_is_all_of_it():
    size = measured()
    assert (size["items"], size["instructions"], size["questions"]) == (58_492, 10, 584_920)
    assert size["shared"]["tokens"] / size["questions"] < size["alone"]["tokens"] / size["alone"]["questions"]
    change = Variance(0.25, 0.1).smallest_change(size["templates"], enough(size) / 2)
    assert change <= 0.05 < Variance(0.25, 0.1).smallest_change(size["templates"], enough(size) / 2 - 2)
    assert FILE.is_file()
