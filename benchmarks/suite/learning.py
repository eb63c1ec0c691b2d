"""Learned factors, against (IA)^3 of `peft` trained as most people would: seconds a step, and memory."""

import functools
from collections.abc import Mapping

from torch import Tensor

from benchmarks import subject
from benchmarks.base import Bar, Line, Settings, Unit, benchmark
from benchmarks.device import allocated, clock_of, peak_beyond
from benchmarks.ia3_peer import Ia3Peer, best_peer
from benchmarks.learner import Learner
from benchmarks.suite.memory import probe_memory, refuse_without_figures
from benchmarks.timing import Times, alternate, ratio
from biasectomy import split
from biasectomy.learning.training import Progress
from biasectomy.neurons.work import Counter, Work
from biasectomy.reading.memory import weights_bytes
from biasectomy.tasks import Task

ITEMS = 8  # in a step
ROUNDS = 3
STEPS = 2  # in a round
FEW, LOWEST = 300, 0.5  # neurons, and the share of layers below all of them
BUDGET, LEARNED_IN = 1000, 5  # neurons, and steps before and while they become so few
DTYPES = ("float32", "bfloat16")
TOLERANCE = 1e-4  # of a gradient, relative to the largest
OURS, ABOVE, HALF, PEER = "ours", "ours, few neurons", "ours, bfloat16", "peft"
BARS = {OURS: Bar("at least", 5.0)}
MEMORY = Bar("at most", 2.5)  # of the weights


@benchmark("learning", needs=("peft",), anywhere=True)
def learning(settings: Settings) -> list[Line]:
    """A step of learned factors against peft's (IA)^3 in a plain loop: seconds, memory, and what bfloat16 changes."""
    development = split(subject.task(settings)).development
    if not settings.usual:  # neurons left by learning with random weights, and the processor's memory, say nothing
        return speed(settings, development)[0]
    refuse_without_figures("learning")
    lines, items_at_once = speed(settings, development)
    return [*lines, *same_neurons(settings, development), *memory(settings, items_at_once)]


def speed(settings: Settings, development: Task) -> tuple[list[Line], int]:
    """Seconds a step, and that the gradients are the same; how many items the peer reads at once when it is fastest."""
    items, steps = _items(settings), _steps(settings)
    first, *further = settings.dtypes(DTYPES)
    held = {OURS: -(allocated(settings.device) or 0)}
    model = subject.language_model(settings, first)
    ours = {OURS: Learner(model, development, items)}
    if allocated(settings.device) is not None:  # what is remembered counts as memory that is held
        ours[OURS].remember()
    held[OURS] += allocated(settings.device) or 0
    ours[ABOVE] = Learner(model, development, items)
    if further:
        ours[HALF] = Learner(subject.language_model(settings, further[0]), development, items)
    held[PEER] = -(allocated(settings.device) or 0)
    peer = Ia3Peer(subject.language_model(settings, first), development, items)
    held[PEER] += allocated(settings.device) or 0
    few = ours[ABOVE].keep_above(LOWEST, FEW)
    apart = largest_difference(ours[OURS], peer)
    tried = best_peer(peer, steps)
    models = {name: learner.model.model for name, learner in ours.items()} | {PEER: peer.adapted}
    counter = Counter()
    times, _ = alternate(
        {name: functools.partial(one.run, steps) for name, one in (ours | {PEER: peer}).items()},
        settings.choose_rounds(ROUNDS),
        around_first=lambda name: counter(name, models[name]),
        clock=clock_of(settings.device),
    )
    told = {
        OURS: ("a step against peft's", first),
        ABOVE: (f"a step with {few:,} neurons in the upper half of the layers", first),
        HALF: (f"a step against peft's in {first}", "bfloat16"),
    }
    lines = [_against(settings, name, *told[name], times, counter.work) for name in ours]
    lines[0].details["peer_seconds_by_items_at_once"] = tried
    what = "largest difference of gradients from peft's, of the largest"
    bar = Bar("at most", TOLERANCE) if first == "float32" else None
    lines.append(Line("learning", what, apart, "difference", first, bar=bar))
    weights = weights_bytes(model.model)
    for name, one in ((OURS, ours[OURS]), (PEER, peer)):
        if (peak := peak_beyond(functools.partial(one.run, steps), settings.device)) is not None:
            over, details = (held[name] + peak) / weights, {"held": held[name], "beyond": peak, "weights": weights}
            lines.append(Line("learning", f"peak device memory, {name}", over, "weights", first, details=details))
    return lines, peer.items_at_once


def largest_difference(ours: Learner, peer: Ia3Peer) -> float:
    """Largest difference of a factor's gradient by the loss of a step's items, relative to the largest gradient."""
    found, expected = ours.gradient(0, drift_weight=0), peer.gradient(0, drift_weight=0)
    return float((found - expected).abs().max() / expected.abs().max())


def _against(
    settings: Settings, name: str, what: str, dtype: str, times: Mapping[str, Times], work: Mapping[str, Work]
) -> Line:
    own, theirs = times[name], times[PEER]
    steps = _steps(settings)
    faster = ratio(own, theirs)
    return Line(
        "learning",
        what,
        faster.value,
        "times",
        dtype,
        low=faster.low,
        high=faster.high,
        bar=BARS.get(name) if settings.usual else None,
        seconds=own.median / steps,
        peer_seconds=theirs.median / steps,
        tokens=work[name].tokens // steps,
        peer_tokens=work[PEER].tokens // steps,
        threads=settings.threads,
        details={
            "items": _items(settings),
            "steps": steps,
            "rounds": [own.rounds, theirs.rounds],
            "tokens_per_second": [work[name].tokens / own.median, work[PEER].tokens / theirs.median],
        },
    )


def same_neurons(settings: Settings, development: Task) -> list[Line]:
    """How many of the neurons that are left after the same steps are the same in bfloat16, and with another seed."""
    steps = _steps(settings) if settings.quick else LEARNED_IN
    reference, total, shown = _left(settings, development, steps, "float32", 0)
    count = int(reference.sum())
    lines = []
    for against, dtype, seed in (("in float32", "bfloat16", 0), ("with another seed", "float32", 1)):
        left, _, then = _left(settings, development, steps, dtype, seed)
        lines.append(
            Line(
                "learning",
                f"of {count:,} neurons left after {2 * steps} steps, the same as {against}",
                float((reference & left).sum()) / count,
                "share",
                dtype,
                threads=settings.threads,
                details={
                    "by_chance": count / total,
                    "loss": [then.loss, shown.loss],
                    "drift": [then.drift, shown.drift],
                },
            )
        )
    return lines


def _left(settings: Settings, development: Task, steps: int, dtype: str, seed: int) -> tuple[Tensor, int, Progress]:
    """Which neurons may still differ from 1, of how many, and loss and drift of the last steps."""
    learner = Learner(subject.language_model(settings, dtype), development, _items(settings), seed)
    total = len(learner.factors)
    left, shown = learner.pruned(min(BUDGET, total // 8), steps)
    return left, total, shown


def memory(settings: Settings, items_at_once: int) -> list[Line]:
    """Peak memory of both over the weights, each in a fresh process."""
    steps = {"steps": 1 if settings.quick else 2}
    ours = probe_memory(settings, "learning", _items(settings), 1, **steps)
    peer = probe_memory(settings, "ia3", _items(settings), 1, items_at_once=items_at_once, **steps)
    taken = [bytes_["peak"] - bytes_["before"] for bytes_ in (ours, peer)]
    details = {"bytes": {"ours": ours, "peft": peer}, "peer_items_at_once": items_at_once}
    weights = ours["weights"]
    figures: list[tuple[str, float, Unit, Bar | None]] = [
        ("peak memory: peft's over ours", taken[1] / taken[0], "times", None),
        ("peak memory of training, ours", taken[0] / weights, "weights", MEMORY),
        ("peak memory of training, peft's", taken[1] / weights, "weights", None),
    ]
    return [
        Line("learning", what, value, unit, "float32", bar=bar, threads=settings.threads, details=details)
        for what, value, unit, bar in figures
    ]


def _items(settings: Settings) -> int:
    return settings.choose_items(ITEMS, 2)


def _steps(settings: Settings) -> int:
    return 1 if settings.quick else STEPS
