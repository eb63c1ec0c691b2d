"""Scoring options on real prompts, against lm-evaluation-harness."""

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from benchmarks import subject
from benchmarks.base import Bar, Line, Settings, benchmark
from benchmarks.device import clock_of, peak_beyond
from benchmarks.harness import Harness, Pair, best_harness
from benchmarks.matrix_rate import MatrixRate, Share, share_of
from benchmarks.profiling import operator_shares
from benchmarks.timing import Times, alternate, ratio
from biasectomy.errors import ScoreError
from biasectomy.models.language_model import LanguageModel
from biasectomy.neurons.work import Counter, Work
from biasectomy.reading import likelihood
from biasectomy.reading.memory import weights_bytes
from biasectomy.reading.onednn import fast_products
from biasectomy.tasks import Task

ITEMS, ACCELERATOR_ITEMS = 32, 256
ROUNDS = 5
TOLERANCE = 1e-3  # of a log-likelihood in float32
BARS = {"float32": 5.0, "bfloat16": 3.5}  # times the harness in the same number format
DTYPES = tuple(BARS)


@dataclass
class Contest:
    """Both contestants in one number format."""

    dtype: str
    language_model: LanguageModel
    harness: Harness
    batch_size: int
    tried: dict[int, float]
    rate: MatrixRate
    work: Work = field(default_factory=Work)
    peer_work: Work = field(default_factory=Work)
    operators: dict[str, float] = field(default_factory=dict)
    peaks: tuple[int | None, int | None] = (None, None)  # bytes beyond the weights: ours, the harness's

    def shares(self, times: dict[str, Times]) -> tuple[Share, Share]:
        """Of the square rate, and of the rate over the model's own matrices."""
        own = times[f"ours {self.dtype}"]
        return share_of(self.rate.square, self.work.forward, own), share_of(self.rate.own, self.work.forward, own)


@benchmark("scoring", needs=("lm_eval",), anywhere=True)
def scoring(settings: Settings) -> list[Line]:
    """Log-likelihoods of options on BBQ prompts, against lm-evaluation-harness on the same strings."""
    items = ITEMS if settings.device == "cpu" else ACCELERATOR_ITEMS
    task = subject.task(settings).limited(settings.choose_items(items, 8), 1)
    contests = [_prepare(dtype, task, settings) for dtype in settings.dtypes(DTYPES)]
    pairs = _pairs(contests[0].language_model, task)
    contestants: dict[str, Callable[[], list[float]]] = {}
    models: dict[str, Any] = {}
    for contest in contests:

        def ours(contest: Contest = contest) -> list[float]:
            return score(contest.language_model, task)

        def peer(contest: Contest = contest) -> list[float]:
            return contest.harness.log_likelihoods(pairs)

        contestants[f"ours {contest.dtype}"] = ours
        contestants[f"harness {contest.dtype}"] = peer
        models[f"ours {contest.dtype}"] = models[f"harness {contest.dtype}"] = contest.language_model.model

    counter = Counter()
    rated = {f"ours {contest.dtype}": contest for contest in contests}

    def around(name: str) -> AbstractContextManager[None]:
        if name not in rated:
            return contextlib.nullcontext()
        return rated[name].rate.around(counter.work[name].tokens_per_pass)

    times, values = alternate(
        contestants,
        settings.choose_rounds(ROUNDS),
        around=around,
        around_first=lambda name: counter(name, models[name]),
        clock=clock_of(settings.device),
    )
    for contest in contests:
        contest.work, contest.peer_work = (counter.work[f"{who} {contest.dtype}"] for who in ("ours", "harness"))
        contest.operators = operator_shares(contestants[f"ours {contest.dtype}"], device=settings.device)
        ours_peak, peer_peak = (
            peak_beyond(contestants[f"{who} {contest.dtype}"], settings.device) for who in ("ours", "harness")
        )
        contest.peaks = ours_peak, peer_peak
    lines = [_against(settings, one, one, times, len(task.items), BARS.get(one.dtype)) for one in contests]
    if len(contests) == len(DTYPES):
        full, half = contests
        lines.append(_against(settings, half, full, times, len(task.items), 9.0))
    lines += [_share_of_rate(settings, contest, times) for contest in contests]
    lines += [line for contest in contests for line in _peaks(contest)]
    for contest in contests:
        lines.append(_agreement(contest.dtype, values[f"ours {contest.dtype}"], values[f"harness {contest.dtype}"]))
    if len(contests) == len(DTYPES) and settings.shape is None:  # random weights have no answers to change
        lines.append(_flips(task, values["ours bfloat16"], values["ours float32"]))
    return lines


def score(language_model: LanguageModel, task: Task) -> list[float]:
    """Log-likelihoods of all options of all items under the first instruction, from their texts."""
    model, layout = language_model.model, language_model.layout
    # Not from the language model, which keeps the tokens it has made: making them is part of the work.
    prompts = [language_model.prompt_format.encode(question) for question in task.questions()]
    found: dict[int, tuple[float, ...]] = {}
    for batch in layout.plan(prompts, language_model.batch_tokens):
        with fast_products(model, kept=True):
            answers = likelihood.score(model, batch, layout)
        for index, scores in zip(batch.indices, answers, strict=True):
            found[index] = scores.log_likelihoods
    return [value for index in range(len(prompts)) for value in found[index]]


def _pairs(language_model: LanguageModel, task: Task) -> list[Pair]:
    """What the harness is asked: the same strings."""
    texts = [language_model.prompt_format.text(question.text or "") for question in task.questions()]
    return [(text, f" {option}") for text, item in zip(texts, task.items, strict=True) for option in item.options]


def _prepare(dtype: str, task: Task, settings: Settings) -> Contest:
    language_model = subject.language_model(settings, dtype, prompt="plain")
    pairs = _pairs(language_model, task)
    # The peer gets its best batch size, found on every fourth prompt.
    options = len(pairs) // len(task.items)
    sample = [pair for number, pair in enumerate(pairs) if number // options % 4 == 0]
    harness, size, tried = best_harness(language_model, sample)
    prompts = [language_model.encode(question) for question in task.questions()]
    expected = [[*prompt.prompt, *option] for prompt in prompts for option in prompt.options]
    if [harness.tokens(pair) for pair in pairs] != expected:
        raise ScoreError("The harness makes other tokens of the same strings, so times cannot be compared.")
    return Contest(dtype, language_model, harness, size, tried, MatrixRate(language_model.model))


def _against(
    settings: Settings, ours: Contest, peer: Contest, times: dict[str, Times], items: int, bar: float | None
) -> Line:
    own, theirs = times[f"ours {ours.dtype}"], times[f"harness {peer.dtype}"]
    faster = ratio(own, theirs)
    share, own_share = ours.shares(times)
    return Line(
        "scoring",
        f"{ours.dtype} against the harness in {peer.dtype}",
        faster.value,
        "times",
        low=faster.low,
        high=faster.high,
        bar=Bar("at least", bar) if bar and settings.usual else None,
        seconds=own.median,
        peer_seconds=theirs.median,
        tokens=ours.work.tokens,
        peer_tokens=peer.peer_work.tokens,
        gigaflop=ours.work.forward / 1e9,
        matrix_share=share.value,
        own_matrix_share=own_share.value,
        threads=settings.threads,
        details={
            "layout": ours.language_model.layout.name,
            "harness_batch_size": peer.batch_size,
            "harness_seconds_by_batch_size": peer.tried,
            "rounds": [own.rounds, theirs.rounds],
            "tokens_per_second": [ours.work.tokens / own.median, peer.peer_work.tokens / theirs.median],
            "prompts": items,
            "prompts_per_second": [items / own.median, items / theirs.median],
        },
    )


def _share_of_rate(settings: Settings, contest: Contest, times: dict[str, Times]) -> Line:
    share, own_share = contest.shares(times)
    return Line(
        "scoring",
        "share of the square matrix rate",
        share.value,
        "share",
        dtype=contest.dtype,
        low=share.low,
        high=share.high,
        bar=Bar("at least", 0.8) if settings.usual and contest.dtype == "float32" else None,
        seconds=times[f"ours {contest.dtype}"].median,
        tokens=contest.work.tokens,
        gigaflop=contest.work.forward / 1e9,
        matrix_share=share.value,
        own_matrix_share=own_share.value,
        threads=settings.threads,
        details={
            "matrix_rate": contest.rate.details(),
            "linear_gigaflop": contest.work.linear / 1e9,
            "vocabulary_gigaflop": contest.work.vocabulary / 1e9,
            "attention_gigaflop": contest.work.attention / 1e9,
            "tokens_per_pass": contest.work.tokens_per_pass,
            "operators": contest.operators,
        },
    )


def _peaks(contest: Contest) -> list[Line]:
    """Peak memory of a device with the weights in it; none where it is not told."""
    weights = weights_bytes(contest.language_model.model)
    details = {"weights": weights, "beyond": contest.peaks}
    return [
        Line("scoring", f"peak device memory, {who}", 1 + peak / weights, "weights", contest.dtype, details=details)
        for who, peak in zip(("ours", "the harness's"), contest.peaks, strict=True)
        if peak is not None
    ]


def _agreement(dtype: str, ours: Sequence[float], peer: Sequence[float]) -> Line:
    largest = max(abs(own - other) for own, other in zip(ours, peer, strict=True))
    bar = Bar("at most", TOLERANCE) if dtype == "float32" else None
    details = {"log_likelihoods": len(ours)}
    return Line(
        "scoring", "largest difference from the harness", largest, "difference", dtype, bar=bar, details=details
    )


def _flips(task: Task, half: Sequence[float], full: Sequence[float]) -> Line:
    changed, start = 0, 0
    for item in task.items:
        places = range(start, start + len(item.options))
        changed += max(places, key=half.__getitem__) != max(places, key=full.__getitem__)
        start += len(item.options)
    share = changed / len(task.items)
    details = {"prompts": len(task.items), "note": "the benchmark 'precision' measures this on many prompts"}
    return Line("scoring", "answers that differ from float32", share, "share", "bfloat16", details=details)
