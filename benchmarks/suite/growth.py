"""How scoring and attribution grow with what they are given."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.base import Bar, Line, Settings, benchmark
from benchmarks.fitting import Growth, fit_growth
from benchmarks.made_up import decoder_instances, small_decoder
from benchmarks.plots import Curve, plot_growth
from benchmarks.timing import alternate
from biasectomy import discover_neurons
from biasectomy.attribution.products.crispr import Paper
from biasectomy.attribution.products.engine import Instance, accumulate
from biasectomy.attribution.products.trials import attribution_tokens
from biasectomy.models.language_model import CPU_BATCH_TOKENS
from biasectomy.neurons.discovery import Neurons
from biasectomy.reading.layouts import PackedLayout
from biasectomy.reading.likelihood import score

ROUNDS = 3
USUAL = {"instructions": 2, "options": 3, "prompt tokens": 96, "layers": 4}
USUAL_ITEMS = {"scoring": 16, "attribution": 6}
SIZES = {
    "items": (8, 16, 32, 64),
    "instructions": (1, 2, 4, 8),
    "options": (2, 4, 8, 16),
    "prompt tokens": (32, 64, 128, 256, 512),
    "layers": (2, 4, 8, 16),
}
BARS = {"items": Bar("at most", 1.1), "instructions": Bar("at most", 1.1)}  # linear, with room for noise


@benchmark("growth", needs=("matplotlib",))
def growth(settings: Settings) -> list[Line]:
    """Fitted exponents of the time of scoring and attribution, on a small decoder."""
    lines: list[Line] = []
    curves: dict[str, list[Curve]] = {stage: [] for stage in USUAL_ITEMS}
    for quantity, all_sizes in SIZES.items():
        sizes = all_sizes[:3] if settings.quick else all_sizes
        for stage in curves:
            contestants = {str(size): _job(stage, _usual(stage) | {quantity: size}) for size in sizes}
            times, _ = alternate(contestants, settings.choose_rounds(ROUNDS))
            seconds = [times[str(size)].median for size in sizes]
            fitted = fit_growth(sizes, seconds)
            curves[stage].append(Curve(quantity, sizes, seconds, fitted))
            lines.append(_line(settings, stage, quantity, sizes, seconds, fitted))
    if settings.plots is not None:
        plot_growth(curves, settings.plots)
    return lines


def _usual(stage: str) -> dict[str, int]:
    return {"items": USUAL_ITEMS[stage]} | USUAL


def _job(stage: str, sizes: dict[str, int]) -> Callable[[], None]:
    model = small_decoder(sizes["layers"])
    instances = decoder_instances(sizes["items"], sizes["instructions"], sizes["options"], sizes["prompt tokens"])
    if stage == "scoring":
        return functools.partial(_score, model, instances)
    return functools.partial(_attribute, model, discover_neurons(model), instances)


def _score(model: Any, instances: Sequence[Instance]) -> None:
    layout = PackedLayout()
    for batch in layout.plan([instance.encoded for instance in instances], CPU_BATCH_TOKENS):
        score(model, batch, layout)


def _attribute(model: Any, neurons: Neurons, instances: Sequence[Instance]) -> None:
    rule = Paper()
    for _ in accumulate(
        model, neurons, instances, rule, budget=attribution_tokens(model, neurons, rule.keeps_products)
    ):
        pass


def _line(
    settings: Settings, stage: str, quantity: str, sizes: Sequence[int], seconds: Sequence[float], fitted: Growth
) -> Line:
    error = fitted.standard_error
    return Line(
        "growth",
        f"{stage} with {quantity}, {sizes[0]} to {sizes[-1]}",
        fitted.exponent,
        "exponent",
        "float32",
        low=fitted.exponent - error,
        high=fitted.exponent + error,
        bar=BARS.get(quantity),
        seconds=seconds[-1],
        threads=settings.threads,
        details={
            "sizes": list(sizes),
            "seconds": list(seconds),
            "interval": "one standard error",
            "others": {name: size for name, size in _usual(stage).items() if name != quantity},
        },
    )
