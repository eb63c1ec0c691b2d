"""Activation times gradient of option log-probabilities, for every neuron of a model at once.

One forward pass reads several prompts with all their options, without sharing between prompts; one
backward pass gives h * dlogP(gold)/dh and another h * dlogP(biased)/dh at every token of every module,
for the activations only: weights are frozen, which saves a third of the backward pass. Each module's
product is handed to a rule as it arrives and reduced there.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.activations import Activations, Captured, captured
from biasectomy.attribution.rule import Rule, Span
from biasectomy.errors import ScoreError
from biasectomy.forest import Forest, plan_forests
from biasectomy.likelihood import first_not_finite, forest_logits
from biasectomy.neurons import Neurons
from biasectomy.prompts import EncodedPrompt


@dataclass(frozen=True, slots=True)
class Instance:
    """One item under one instruction, as attribution needs it."""

    identifier: str
    encoded: EncodedPrompt
    gold: int


def accumulate(
    model: nn.Module, neurons: Neurons, instances: Sequence[Instance], rule: Rule, *, budget: int
) -> Iterator[int]:
    """Runs all instances through a rule, in order; yields the number done after each batch.

    Raises:
        ScoreError: a log-likelihood is NaN or infinite; names the item.
    """
    prompts = [instance.encoded for instance in instances]
    for forest in plan_forests(prompts, budget, share_prompts=False, keep_order=True):
        batch = [instances[member.index] for member in forest.members]
        with captured(model, neurons) as activations:
            spans, log_gold, log_biased = _read(model, forest, batch)
            _hand_over(activations, rule.gold, spans, log_gold, keep_graph=True)
            _hand_over(activations, rule.biased, spans, log_biased, keep_graph=False)
        yield len(batch)


def _read(model: nn.Module, forest: Forest, batch: Sequence[Instance]) -> tuple[list[Span], Tensor, Tensor]:
    """The forward pass: spans, and the summed log-probabilities of all gold and of all biased labels."""
    members = forest.members
    nodes = sorted(
        {node for member in members for c in range(len(member.paths)) for node in member.predicting_nodes(c)}
    )
    row = {node: index for index, node in enumerate(nodes)}
    logits = forest_logits(model, forest, nodes)
    log_probabilities = torch.log_softmax(logits, dim=-1)  # [nodes, vocabulary]
    spans: list[Span] = []
    gold_sum, biased_sum = logits.new_zeros(()), logits.new_zeros(())
    for member, instance in zip(members, batch, strict=True):
        scores = []
        for c, option in enumerate(member.encoded.options):
            rows = [row[node] for node in member.predicting_nodes(c)]
            scores.append(log_probabilities[rows, list(option)].sum())
        values = [float(score.detach()) for score in scores]
        if not all(map(math.isfinite, values)):
            culprit = first_not_finite(model, [other.encoded for other in batch])
            named = batch[culprit[0]] if culprit else instance
            raise ScoreError(
                f"The model's log-likelihoods of item {named.identifier} are not finite. "
                "Its weights may be damaged, or --dtype float32 may be needed."
            )
        # The confusion score: the likeliest of the wrong options (Yang et al. 2024, section 3.1).
        biased = max((c for c in range(len(values)) if c != instance.gold), key=lambda c: values[c])
        gold_sum, biased_sum = gold_sum + scores[instance.gold], biased_sum + scores[biased]
        first, last = member.prompt_nodes[0], member.prompt_nodes[-1]
        spans.append(
            Span(
                prompt=slice(first, last + 1),
                gold=torch.tensor(member.paths[instance.gold], dtype=torch.long, device=logits.device),
                biased=torch.tensor(member.paths[biased], dtype=torch.long, device=logits.device),
                log_gold=values[instance.gold],
                log_biased=values[biased],
            )
        )
    return spans, gold_sum, biased_sum


def _hand_over(
    activations: Activations, receive: Any, spans: Sequence[Span], objective: Tensor, *, keep_graph: bool
) -> None:
    """One backward pass; each module's product reaches the rule as soon as its gradient exists."""

    def hook_for(kept: Captured) -> Any:
        def on_gradient(gradient: Tensor) -> None:
            product = kept.spread(kept.tensor.detach().float() * gradient.float())
            receive(kept.module, product[0], spans)

        return on_gradient

    tensors: list[tuple[Any, Captured]] = [(kept.tensor, kept) for kept in activations.values()]
    handles = [tensor.register_hook(hook_for(kept)) for tensor, kept in tensors]
    try:
        # The gradient asked for is that of the embeddings: everything between is passed on the way.
        torch.autograd.grad(objective, activations.embeddings, retain_graph=keep_graph, allow_unused=True)
    finally:
        for handle in handles:
            handle.remove()
