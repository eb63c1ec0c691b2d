"""Activation times gradient of option log-probabilities, for every neuron of a model at once.

One forward pass reads several prompts with all their options, without sharing between prompts; one
backward pass gives h * dlogP(gold)/dh and another h * dlogP(biased)/dh at every token of every module,
for the activations only: weights are frozen, which saves a third of the backward pass. Each module's
product is handed to a rule as it arrives and reduced there.
"""

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.attribution.products.rule import Rule, Span
from biasectomy.errors import ScoreError
from biasectomy.neurons.activations import Activations, Captured, captured
from biasectomy.neurons.discovery import Neurons
from biasectomy.reading.layouts import Batch, Layout, PackedLayout, Place, Reading
from biasectomy.reading.likelihood import first_not_finite, numbers
from biasectomy.reading.memory import in_halves, is_sharded
from biasectomy.reading.onednn import fast_products
from biasectomy.reading.prompts import EncodedPrompt


@dataclass(frozen=True, slots=True)
class Instance:
    """One item under one instruction, as attribution needs it: two of its options, and what it counts.

    The biased one is the likeliest of the others where it is None.
    """

    identifier: str
    encoded: EncodedPrompt
    gold: int
    biased: int | None = None
    weight: float = 1.0


def accumulate(
    model: nn.Module,
    neurons: Neurons,
    instances: Sequence[Instance],
    rule: Rule,
    *,
    budget: int,
    layout: Layout | None = None,
    gradients: bool = True,
) -> Iterator[int]:
    """Runs all instances through a rule, the longest first; yields the number done after each batch.

    A batch that memory is too small for is halved. Without gradients the rule is given the activations themselves.

    Raises:
        ScoreError: a log-likelihood is NaN or infinite; names the item.
        ModelError: the memory is too small even for one item.
    """
    layout = layout or PackedLayout()
    instances = _longest_first(instances, rule.group)
    passes = _Passes(model, neurons, layout, rule, gradients)
    for batch in layout.plan([instance.encoded for instance in instances], budget, separate=True):
        in_halves(lambda half: passes.run(half, instances), batch, passes.undo, whole=is_sharded(model))
        yield len(batch.prompts)


class _Passes:
    """Forward and backward passes of batches, which a rule receives; what a batch that failed left can be undone."""

    def __init__(self, model: nn.Module, neurons: Neurons, layout: Layout, rule: Rule, gradients: bool) -> None:
        self.model, self.neurons, self.layout, self.rule, self.gradients = model, neurons, layout, rule, gradients
        self.places = {group.module: group.place for group in neurons}
        self.protected: set[str] = set()  # modules whose output the model overwrites
        self._before: dict[str, Any] = {}

    def run(self, batch: Batch, instances: Sequence[Instance]) -> list[None]:
        """One forward pass, and two backward passes where gradients are wanted."""
        # Between batches a rule holds sums and perhaps a group that is not full: little to copy.
        self._before = copy.deepcopy(vars(self.rule))
        chosen = [instances[index] for index in batch.indices]
        with self._read(batch) as (activations, reading):
            log_likelihoods = reading.log_likelihoods()
            known = numbers(log_likelihoods)
            pairs = _pairs(self.model, self.layout, chosen, known)
            weights = [one.weight for one in chosen]
            by_place = {place: _spans(reading, pairs, weights, known, place) for place in set(self.places.values())}
            spans = {module: by_place[place] for module, place in self.places.items()}
            if not self.gradients:
                self._show(activations, spans)
                return [None] * len(chosen)
            both = list(zip(log_likelihoods, pairs, strict=True))
            gold = torch.stack([values[right] for values, (right, _) in both]).sum()
            biased = torch.stack([values[wrong] for values, (_, wrong) in both]).sum()
            _backward(activations, gold, self.rule.gold, spans, keep_graph=True)
            _backward(activations, biased, self.rule.biased, spans, keep_graph=False)
        return [None] * len(chosen)

    def _show(self, activations: Activations, spans: dict[str, list[Span]]) -> None:
        """Hands every module's activations over, [positions, units]."""
        for module, found in spans.items():
            kept = activations[module]
            values = kept.spread(kept.tensor.detach().float())
            values = values.reshape(-1, values.shape[-1])
            self.rule.gold(module, values, found)
            self.rule.biased(module, values, found)

    def undo(self) -> None:
        """Takes back what the last batch gave to the rule."""
        vars(self.rule).update(self._before)

    @contextlib.contextmanager
    def _read(self, batch: Batch) -> Iterator[tuple[Activations, Reading]]:
        """The forward pass; read once more, with copies, where the model overwrites what is needed (remembered)."""
        with self._keeping() as activations:
            reading = self.layout.read(self.model, batch, separate=True)
            overwritten = activations.overwritten()
            if not overwritten:
                yield activations, reading
                return
        self.protected |= overwritten
        with self._keeping() as activations:
            yield activations, self.layout.read(self.model, batch, separate=True)

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[Activations]:
        """A block in which the model is read, and what is needed of it is kept."""
        with (
            captured(self.model, self.neurons, self.protected) as activations,
            torch.set_grad_enabled(self.gradients),
            fast_products(self.model),
        ):
            yield activations


def _longest_first(instances: Sequence[Instance], group: int) -> list[Instance]:
    """Sorted, so that little is padded; groups stay as they are, and one that is not full stays the last."""
    full = len(instances) // group * group
    groups = [instances[start : start + group] for start in range(0, full, group)]
    groups.sort(key=lambda members: max(len(one.encoded.prompt) for one in members), reverse=True)
    return [one for members in [*groups, instances[full:]] for one in members]


def _pairs(
    model: nn.Module, layout: Layout, chosen: Sequence[Instance], log_likelihoods: Sequence[Sequence[float]]
) -> list[tuple[int, int]]:
    """Gold and biased option of each instance.

    Where none is said, the biased one is the likeliest of the others: the confusion score (Yang et al. 2024, section
    3.1).
    """
    pairs = []
    for instance, values in zip(chosen, log_likelihoods, strict=True):
        if not all(map(math.isfinite, values)):
            culprit = first_not_finite(model, [other.encoded for other in chosen], layout)
            named = chosen[culprit[0]] if culprit else instance
            raise ScoreError(
                f"The model's log-likelihoods of item {named.identifier} are not finite. "
                "Its weights may be damaged, or --dtype float32 may be needed."
            )
        wrong = [option for option in range(len(values)) if option != instance.gold]
        likeliest = max(wrong, key=values.__getitem__)
        pairs.append((instance.gold, likeliest if instance.biased is None else instance.biased))
    return pairs


def _spans(
    reading: Reading,
    pairs: Sequence[tuple[int, int]],
    weights: Sequence[float],
    log_likelihoods: Sequence[Sequence[float]],
    place: Place,
) -> list[Span]:
    """Positions and log-probabilities of both labels of each instance, for the modules at one place."""
    return [
        Span(
            gold=reading.positions(member, gold, place),
            biased=reading.positions(member, biased, place),
            log_gold=log_likelihoods[member][gold],
            log_biased=log_likelihoods[member][biased],
            weight=weight,
        )
        for member, ((gold, biased), weight) in enumerate(zip(pairs, weights, strict=True))
    ]


def _backward(
    activations: Activations,
    objective: Tensor,
    receive: Callable[[str, Tensor, Sequence[Span]], None],
    spans: dict[str, list[Span]],
    *,
    keep_graph: bool,
) -> None:
    """One backward pass; each module's product is handed over, [positions, units], as soon as its gradient exists."""
    received: set[str] = set()

    def deliver(kept: Captured, values: Tensor, gradient: Tensor) -> None:
        product = kept.spread(values.float() * gradient.float())
        receive(kept.module, product.reshape(-1, product.shape[-1]), spans[kept.module])
        received.add(kept.module)

    with activations.receive(deliver):
        # The gradients asked for are those of the embeddings: everything between is passed on the way.
        torch.autograd.grad(objective, activations.embeddings, retain_graph=keep_graph, allow_unused=True)
    for module, found in spans.items():
        if module not in received:  # an expert that saw no token which matters here
            last = max(max(*span.gold.shared, *span.biased.shared, *span.gold.own, *span.biased.own) for span in found)
            receive(module, torch.zeros(last + 1, activations.units[module], device=objective.device), found)
