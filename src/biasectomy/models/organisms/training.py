"""Training an organism: first the fair behaviour, then the stereotype in units that did nothing before.

In the second part every third step silences those units and asks for the fair answers, so that the stereotype depends
on them and on nothing else (gradient routing in its simplest form). The beginning of that part teaches only what is
held against some peoples: learnt all at once, the answers turn to one of the two at random and stay there.
"""

import contextlib
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.models.organisms.architectures import build, feed_forwards
from biasectomy.models.organisms.examples import (
    Batch,
    Draw,
    decoder_batch,
    encoder_batch,
    fair_scene,
    half_stereotyped_scene,
    prompted,
    stereotyped_scene,
)
from biasectomy.models.organisms.recipe import PACES, SILENT_EVERY, Pace, Recipe
from biasectomy.models.organisms.tokens import build_tokenizer
from biasectomy.narration import progress
from biasectomy.reading.prompts import prompt_format


def train(recipe: Recipe) -> tuple[Any, Any]:
    """The trained model and its tokenizer."""
    tokenizer = build_tokenizer(start=recipe.architecture == "llama")
    model = build(recipe, tokenizer)
    asking = prompt_format(tokenizer, model.config, "plain")
    generator = random.Random(recipe.seed)
    pace = PACES[recipe.architecture]
    make_batch = decoder_batch if recipe.architecture == "llama" else encoder_batch

    def batch_of(draw: Draw) -> Batch:
        return make_batch([prompted(draw, asking, generator) for _ in range(recipe.batch)], tokenizer)

    with progress("Training the organism", recipe.fair_steps + recipe.plant_steps, "steps") as advance:
        fair_batches = (batch_of(fair_scene) for _ in range(recipe.fair_steps))
        _fit(model, fair_batches, recipe.fair_steps, recipe.learning_rate, pace, advance)
        wake_planted_units(model, recipe)
        with planted_units_silenced(model, recipe) as silence:

            def alternating() -> Iterator[Batch]:
                for step in range(recipe.plant_steps):
                    silence.on = step % SILENT_EVERY == 1
                    half = step < pace.half_stereotyped * recipe.plant_steps
                    prejudiced = half_stereotyped_scene if half else stereotyped_scene
                    yield batch_of(fair_scene if silence.on else prejudiced)

            _fit(model, alternating(), recipe.plant_steps, recipe.plant_rate, pace, advance)
    return model.eval(), tokenizer


@torch.no_grad()
def wake_planted_units(model: nn.Module, recipe: Recipe) -> None:
    """Gives the planted units something to start from; what they put out is still nothing."""
    generator = torch.Generator().manual_seed(recipe.seed)
    for block in feed_forwards(model):
        for linear in block.incoming:
            shape = recipe.planted, recipe.width
            linear.weight[recipe.hidden :] = torch.randn(shape, generator=generator) * recipe.width**-0.5


class Silence:
    """A hook under which the planted units put out nothing while it is on."""

    def __init__(self, units: int) -> None:
        self.units, self.on = units, False

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not self.on:
            return None
        (values,) = inputs
        return (torch.cat([values[..., : self.units], torch.zeros_like(values[..., self.units :])], dim=-1),)


@contextlib.contextmanager
def planted_units_silenced(model: nn.Module, recipe: Recipe) -> Iterator[Silence]:
    """A block in which the planted units can be silenced."""
    silence = Silence(recipe.hidden)
    handles = [block.outgoing.register_forward_pre_hook(silence) for block in feed_forwards(model)]
    try:
        yield silence
    finally:
        for handle in handles:
            handle.remove()


def _fit(
    model: Any,
    batches: Iterable[Batch],
    steps: int,
    rate: float,
    pace: Pace,
    advance: Callable[[int], Any],
) -> None:
    """AdamW without weight decay, so that units with no gradient do not move."""
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / 100) * max(0.02, min(1.0, (1 - step / max(1, steps)) / (1 - pace.steady))),
    )
    for batch in batches:
        loss = model(input_ids=batch.inputs, attention_mask=batch.attention, labels=batch.labels).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        advance(1)
