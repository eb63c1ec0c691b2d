"""Other ways to attribute a model: a plain one, and one with captum.

Both choose the biased option by scoring each option with a forward pass of its own, then take activation x
gradient of the gold and of the biased option's log-likelihood, one sequence at a time, and compute the
scores of the `authors` variant: P(biased) x max over tokens, minus the same of gold where it is positive.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.attribution.products.engine import Instance

Scores = dict[str, Tensor]  # by module, [units]
Maxima = Callable[[Sequence[int], Sequence[int]], Scores]  # of prompt and label: maximum over tokens of the product


def block_maps(model: nn.Module) -> dict[str, nn.Module]:
    """Every linear map in the blocks of an encoder-decoder of T5's kind or of a decoder of Llama's."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and (".block." in name or ".layers." in name)
    }


def tokens_of(model: Any, prompt: Sequence[int], label: Sequence[int]) -> Tensor:
    """What a model is given to say how likely a label is, [1, tokens]; a decoder only predicts its last token."""
    given = prompt if model.config.is_encoder_decoder else [*prompt, *label[:-1]]
    return torch.tensor([given], device=model.device)


def log_likelihood(model: Any, tokens: Tensor, label: Sequence[int]) -> Tensor:
    """Log-likelihood of one label; of an encoder-decoder, from the loss that the model computes itself."""
    labels = torch.tensor([label], device=model.device)
    if model.config.is_encoder_decoder:
        loss: Tensor = model(input_ids=tokens, labels=labels).loss
        return -loss * len(label)
    logits: Tensor = model(input_ids=tokens).logits[0, -len(label) :]
    return logits.log_softmax(-1).gather(-1, labels[0, :, None]).sum()


def plain_scores(model: Any, instances: Sequence[Instance]) -> Scores:
    """As most people would write it: hooks on every linear map, and `.backward()` with gradients of the weights."""
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            if output.requires_grad:
                output.retain_grad()
                kept[name] = output

        return hook

    def maxima(prompt: Sequence[int], label: Sequence[int]) -> Scores:
        model.zero_grad()
        kept.clear()
        log_likelihood(model, tokens_of(model, prompt, label), label).backward()  # type: ignore[no-untyped-call]
        return {
            name: (output.detach() * _gradient(output)).flatten(0, -2).amax(0).double() for name, output in kept.items()
        }

    handles = [module.register_forward_hook(keep(name)) for name, module in block_maps(model).items()]
    model.requires_grad_(True)
    try:
        return _scores(model, instances, maxima)
    finally:
        for handle in handles:
            handle.remove()
        model.zero_grad()
        model.requires_grad_(False)


def captum_scores(model: Any, instances: Sequence[Instance]) -> Scores:
    """With captum's `LayerGradientXActivation` over the same modules, two calls an item."""
    from captum.attr import LayerGradientXActivation

    modules = block_maps(model)

    def maxima(prompt: Sequence[int], label: Sequence[int]) -> Scores:
        def forward(tokens: Tensor) -> Tensor:
            return log_likelihood(model, tokens, label).reshape(1)

        tokens = tokens_of(model, prompt, label)
        products = LayerGradientXActivation(forward, list(modules.values())).attribute(tokens)
        return {
            name: product.detach().flatten(0, -2).amax(0).double()
            for name, product in zip(modules, products, strict=True)
        }

    model.requires_grad_(True)  # captum needs a graph; it asks for gradients of activations only
    try:
        return _scores(model, instances, maxima)
    finally:
        model.requires_grad_(False)


def _scores(model: Any, instances: Sequence[Instance], maxima: Maxima) -> Scores:
    totals: Scores = {}
    for instance in instances:
        prompt, options = instance.encoded.prompt, instance.encoded.options
        with torch.no_grad():
            values = [float(log_likelihood(model, tokens_of(model, prompt, option), option)) for option in options]
        wrong = [number for number in range(len(options)) if number != instance.gold]
        biased = max(wrong, key=values.__getitem__)
        of_gold = maxima(prompt, options[instance.gold])
        of_biased = maxima(prompt, options[biased])
        confusion = math.exp(values[biased])
        for name, best in of_biased.items():
            score = confusion * best - (confusion * of_gold[name]).clamp(min=0)
            totals[name] = totals.get(name, torch.zeros_like(score)) + score / len(instances)
    return totals


def _gradient(output: Tensor) -> Tensor:
    assert output.grad is not None
    return output.grad
