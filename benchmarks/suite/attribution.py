"""Attribution of an encoder-decoder, or of a decoder of some shape, against a plain way and against captum."""

import contextlib
import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from benchmarks import subject
from benchmarks.base import Bar, Line, Settings, benchmark
from benchmarks.device import clock_of, peak_beyond
from benchmarks.gradient_peers import captum_scores, plain_scores
from benchmarks.made_up import encoder_decoder_instances, flan_t5_base
from benchmarks.matrix_rate import MatrixRate, share_of
from benchmarks.profiling import operator_shares
from benchmarks.timing import alternate, ratio
from biasectomy import discover_neurons, load_task
from biasectomy.attribution.products.crispr import Authors
from biasectomy.attribution.products.engine import Instance, accumulate
from biasectomy.attribution.products.trials import as_it_is, attribution_tokens
from biasectomy.models.loading import named_device, number_format
from biasectomy.models.sources import resolve_model
from biasectomy.neurons.discovery import Neurons
from biasectomy.neurons.work import Counter
from biasectomy.reading.layouts import Layout
from biasectomy.reading.likelihood import layout_for
from biasectomy.reading.memory import weights_bytes
from biasectomy.reading.prompts import PromptFormat

ITEMS = 6
ROUNDS = 3
PEERS = {"a plain loop": 3.0, "captum": 1.0}  # and how many times faster the library should be
TOLERANCE = 1e-4  # of a score, relative to the largest


@benchmark("attribution", needs=("captum",), anywhere=True)
def attribution(settings: Settings) -> list[Line]:
    """Scores of all neurons of a Flan-T5-base-shaped model, or a given shape's, against a plain way and captum."""
    (dtype,) = settings.dtypes(("float32",))
    model, instances = measured(settings, dtype, settings.choose_items(ITEMS, 2))
    neurons, layout = discover_neurons(model), layout_for(model, int(model.config.vocab_size))
    contestants: dict[str, Callable[[], dict[str, Tensor]]] = {
        "ours": functools.partial(library_scores, model, neurons, instances, layout),
        "a plain loop": functools.partial(plain_scores, model, instances),
        "captum": functools.partial(captum_scores, model, instances),
    }
    rate, counter = MatrixRate(model), Counter()

    def around(name: str) -> AbstractContextManager[None]:
        return rate.around(counter.work[name].tokens_per_pass) if name == "ours" else contextlib.nullcontext()

    times, scores = alternate(
        contestants,
        settings.choose_rounds(ROUNDS),
        around=around,
        around_first=lambda name: counter(name, model),
        clock=clock_of(settings.device),
    )
    work = counter.work["ours"]
    operations = work.with_backward(2)
    operators = operator_shares(contestants["ours"], device=settings.device)
    share, own_share = (share_of(rates, operations, times["ours"]) for rates in (rate.square, rate.own))
    lines = []
    for name, bar in PEERS.items():
        faster = ratio(times["ours"], times[name])
        lines.append(
            Line(
                "attribution",
                f"against {name}",
                faster.value,
                "times",
                dtype,
                low=faster.low,
                high=faster.high,
                bar=Bar("at least", bar) if settings.usual else None,
                seconds=times["ours"].median,
                peer_seconds=times[name].median,
                tokens=work.tokens,
                peer_tokens=counter.work[name].tokens,
                gigaflop=operations / 1e9,
                matrix_share=share.value,
                own_matrix_share=own_share.value,
                threads=settings.threads,
                details={
                    "items": len(instances),
                    "tokens_per_second": work.tokens / times["ours"].median,
                    "rounds": [times["ours"].rounds, times[name].rounds],
                    "matrix_rate": rate.details(),
                    "operators": operators,
                },
            )
        )
    for name in PEERS:
        difference = largest_difference(scores["ours"], scores[name])
        what = f"largest difference from {name}, of the largest score"
        bar_on_difference = Bar("at most", TOLERANCE) if dtype == "float32" else None
        lines.append(Line("attribution", what, difference, "difference", dtype, bar=bar_on_difference))
    for name, run in contestants.items():
        if (peak := peak_beyond(run, settings.device)) is not None:
            over = 1 + peak / weights_bytes(model)
            lines.append(Line("attribution", f"peak device memory, {name}", over, "weights", dtype))
    return lines


def measured(settings: Settings, dtype: str, items: int) -> tuple[Any, list[Instance]]:
    """The model, and what it is attributed on."""
    if settings.shape is None:
        model = flan_t5_base().to(device=named_device(settings.device), dtype=number_format(dtype))
        return model, encoder_decoder_instances(prompt_lengths(settings, items))
    language_model, task = subject.language_model(settings, dtype), subject.task(settings).limited(items, 1)
    return language_model.model, [
        as_it_is(item, language_model.encode(question))
        for item, question in zip(task.items, task.questions(), strict=True)
    ]


def library_scores(
    model: torch.nn.Module, neurons: Neurons, instances: list[Instance], layout: Layout
) -> dict[str, Tensor]:
    """Scores of the `authors` variant as the library computes them."""
    rule = Authors(1)
    budget = attribution_tokens(model, neurons, rule.keeps_products)
    for _ in accumulate(model, neurons, instances, rule, budget=budget, layout=layout):
        pass
    return {module: total / len(instances) for module, total in rule.finish().items()}


def largest_difference(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """Largest difference of a neuron's score, relative to the largest score of all.

    Raises:
        ValueError: they are not about the same modules.
    """
    if set(ours) != set(theirs):
        raise ValueError(f"scores of other modules: {sorted(set(ours) ^ set(theirs))[:3]}")
    scale = max(float(values.abs().max()) for values in ours.values())
    return max(float((ours[name].cpu() - theirs[name].cpu()).abs().max()) for name in ours) / scale


def prompt_lengths(settings: Settings, items: int) -> list[int]:
    """Token counts of real prompts: those of the task under its first instruction."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve_model(settings.model).location)
    task = load_task(settings.task).limited(items, 1)
    format_ = PromptFormat(tokenizer, "plain")
    return [
        len(format_.token_ids(format_.text(task.question(task.instructions[0], item).text or "")))
        for item in task.items
    ]
