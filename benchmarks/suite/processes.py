"""Eight processes that divide BBQ, rehearsed one after the other: how long each would wait for the others."""

import random
from collections.abc import Callable, Sequence

from benchmarks.base import Bar, Line, Settings, benchmark
from benchmarks.idle import loads_by_cost, loads_by_count
from biasectomy import load, load_task
from biasectomy.handing_out import Paces, fine_enough, idle_share
from biasectomy.reading.layouts import Batch

COUNT, SLOW = 8, 0.6
RANKS = {"eight alike": [1.0] * COUNT, "one of eight at 60 % of the pace": [1.0] * (COUNT - 1) + [SLOW]}
ITEMS, INSTRUCTIONS = 368, 10  # as many as `mitigate` develops on
CALLS = 6  # for answers to the same questions, as the numbers of neurons that are tried make them
NOISE = 0.05  # standard deviation of the time of a batch, as a share of it
RATE = 3e11  # operations a second: what two cores reach in float32
BAR = 0.05


@benchmark("processes")
def processes(settings: Settings) -> list[Line]:
    """Idle time of eight processes that divide BBQ prompts by their number, and by what they cost."""
    task = load_task(settings.task).limited(settings.choose_items(ITEMS, 24), INSTRUCTIONS)
    model = load(settings.model, device="cpu")
    return idle_lines(list(model.plan(task.questions())), model.cost)


def idle_lines(batches: Sequence[Batch], cost: Callable[[Batch], float]) -> list[Line]:
    """A line for each kind of ranks and each way to divide batches among them."""
    finer = fine_enough(batches, COUNT, cost, Batch.halves)
    costs, own = [cost(one) for one in batches], [cost(one) for one in finer]
    lines = []
    for name, paces in RANKS.items():
        generator, known = random.Random(0), Paces()
        by_count, by_cost = list[list[float]](), list[list[float]]()
        for _ in range(CALLS):
            by_count += loads_by_count(_seconds(costs, generator), paces)
            by_cost += loads_by_cost(own, _seconds(own, generator), paces, known)
        details = {"batches": len(finer), "work_more": sum(own) / sum(costs) - 1}
        for how, loads, bar in (("count", by_count, None), ("cost", by_cost, Bar("at most", BAR))):
            what = f"idle share of {name}, by {how}"
            lines.append(Line("processes", what, idle_share(loads), "share", bar=bar, details=details))
    return lines


def _seconds(costs: Sequence[float], generator: random.Random) -> list[float]:
    """How long batches take, which costs do not foretell exactly."""
    return [cost / RATE * max(0.5, generator.gauss(1, NOISE)) for cost in costs]
