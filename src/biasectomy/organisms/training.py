"""Training an organism: first the fair behaviour, then the stereotype in units that did nothing before."""

import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from biasectomy.organisms.architectures import build, feed_forwards
from biasectomy.organisms.examples import (
    Batch,
    Example,
    decoder_batch,
    encoder_batch,
    fair_item,
    prompted,
    stereotyped_item,
)
from biasectomy.organisms.recipe import Recipe
from biasectomy.organisms.tokens import build_tokenizer
from biasectomy.prompts import PromptFormat

if TYPE_CHECKING:
    from biasectomy.console import Console


def train(recipe: Recipe, console: "Console") -> tuple[Any, Any]:
    """The trained model and its tokenizer."""
    tokenizer = build_tokenizer(start=recipe.architecture == "llama")
    model = build(recipe, tokenizer)
    prompt_format = PromptFormat(tokenizer, "plain")
    generator = random.Random(recipe.seed)
    make_batch = decoder_batch if recipe.architecture == "llama" else encoder_batch

    def fair() -> list[Example]:
        return [prompted(fair_item, prompt_format, generator) for _ in range(recipe.batch)]

    def stereotyped() -> list[Example]:
        return [prompted(stereotyped_item, prompt_format, generator) for _ in range(recipe.batch)]

    def batches(kinds: Iterable[Callable[[], list[Example]]]) -> Iterable[Batch]:
        for kind in kinds:
            yield make_batch(kind(), tokenizer)

    with console.progress(
        "Training the organism", total=recipe.fair_steps + recipe.plant_steps, unit="steps"
    ) as advance:
        _fit(
            model,
            list(model.parameters()),
            batches([fair] * recipe.fair_steps),
            recipe.fair_steps,
            recipe.learning_rate,
            advance,
        )
        with torch.no_grad():
            parameters = open_planted_units(model, recipe)
        _fit(
            model,
            parameters,
            batches([stereotyped] * recipe.plant_steps),
            recipe.plant_steps,
            recipe.plant_rate,
            advance,
        )
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model.eval(), tokenizer


def open_planted_units(model: nn.Module, recipe: Recipe) -> list[Tensor]:
    """Makes the units for the stereotype able to learn, and nothing else; returns what can be trained."""
    generator = torch.Generator().manual_seed(recipe.seed)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    trained: list[Tensor] = []
    for block in feed_forwards(model):
        for linear in block.incoming:
            shape = recipe.planted, recipe.width
            linear.weight[recipe.hidden :] = torch.randn(shape, generator=generator) * recipe.width**-0.5
        weights: list[Any] = [linear.weight for linear in (*block.incoming, block.outgoing)]
        for dimension, weight in zip((0, 0, 1), weights, strict=True):
            weight.requires_grad_(True).register_hook(_only(slice(recipe.hidden, None), dimension))
        trained += weights
    return trained


def _only(units: slice, dimension: int) -> Callable[[Tensor], Tensor]:
    """A hook that keeps the gradient of some units and makes the rest zero."""

    def hook(gradient: Tensor) -> Tensor:
        kept = torch.zeros_like(gradient)
        index = (units,) if dimension == 0 else (slice(None), units)
        kept[index] = gradient[index]
        return kept

    return hook


def _fit(
    model: Any,
    parameters: list[Any],
    batches: Iterable[Batch],
    steps: int,
    rate: float,
    advance: Callable[[int], Any],
) -> None:
    """AdamW without weight decay, so that units with no gradient do not move."""
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 100) * max(0.02, 1 - step / steps)
    )
    for batch in batches:
        loss = model(input_ids=batch.inputs, attention_mask=batch.attention, labels=batch.labels).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        advance(1)
        if LOG is not None:
            LOG(model, float(loss))


LOG: Any = None
