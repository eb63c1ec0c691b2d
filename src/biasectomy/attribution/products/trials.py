"""Scores by products over trials and instructions: which items are read together, and what is kept of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from biasectomy.attribution.products.engine import Instance, accumulate
from biasectomy.attribution.products.rule import Rule
from biasectomy.kept_tensors import keep_tensors, kept_tensors
from biasectomy.measuring.session import Session, naming_items
from biasectomy.models.language_model import LanguageModel
from biasectomy.narration import Advance, progress
from biasectomy.neurons.discovery import Neurons
from biasectomy.reading.layouts.base import placement
from biasectomy.reading.memory import weights_bytes
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.tasks.base import Item, Task

# What attribution holds of a batch may take about as much memory as the weights do; fewer tokens make products slow.
SMALLEST_ATTRIBUTION = 256  # tokens
MEMORY_OF_WEIGHTS = 1.1
VALUES_HELD = 1.75  # for each neuron and token, in the model's number format, besides products in float32


def as_it_is(item: Item, encoded: EncodedPrompt) -> Instance:
    """An item whose biased option is the likeliest wrong one."""
    return Instance(item.identifier, encoded, item.gold or 0)


@dataclass
class Trials:
    """How scores are computed: everything but which items.

    Without `gradients` the rule is given activations in place of products. Scores are kept in the folder `kept` of the
    session's.
    """

    model: LanguageModel
    neurons: Neurons
    task: Task
    session: Session
    make_rule: Callable[[], Rule]
    instance: Callable[[Item, EncodedPrompt], Instance] = as_it_is
    gradients: bool = True
    kept: str = "attribution"

    def scores(self, drawn: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Mean over trials and instructions of the scores of the items drawn, by module [units].

        Raises:
            ScoreError: a log-likelihood is not finite; names the item.
            ModelError: the memory is too small even for one item.
        """
        wordings = self.task.instructions
        sums = {group.module: torch.zeros(group.units, dtype=torch.float64) for group in self.neurons}
        with progress("Attributing", len(wordings) * sum(map(len, drawn)), "instances") as advance:
            for trial, indices in enumerate(drawn):
                for number, instruction in enumerate(wordings):
                    kept = self.session.path(f"{self.kept}/trial-{trial}-instruction-{number}.safetensors")
                    scores = self._kept_or_computed(kept, indices, instruction, advance)
                    for module, values in scores.items():
                        sums[module] += values.cpu() / (len(drawn) * len(wordings))
        return sums

    def _kept_or_computed(
        self, path: Path | None, indices: Sequence[int], instruction: str, advance: Advance
    ) -> dict[str, Tensor]:
        """Scores from a kept file where it is whole, else computed (and kept)."""
        processes = self.session.processes
        kept = processes.once(lambda: _kept(path, self.neurons))
        if kept is not None:
            advance(len(indices))
            return kept
        scores = self._computed(indices, instruction, advance)
        if path is not None and processes.main:
            keep_tensors(path, scores)
        return scores

    def _computed(self, indices: Sequence[int], instruction: str, advance: Advance) -> dict[str, Tensor]:
        """Scores from some items under one instruction; processes divide the items."""
        rule, processes = self.make_rule(), self.session.processes
        fitting = attribution_tokens(self.model.model, self.neurons, rule.keeps_products)
        items = [self.task.items[index] for index in indices]
        share = items[processes.share(len(items), rule.group)]
        questions = [self.task.question(instruction, item) for item in self.task.items]
        with naming_items(self.task, questions):
            instances = [
                self.instance(item, self.model.encode(self.task.question(instruction, item))) for item in share
            ]
        for count in accumulate(
            self.model.model,
            self.neurons,
            instances,
            rule,
            budget=min(self.model.batch_tokens, fitting),
            layout=self.model.layout,
            gradients=self.gradients,
        ):
            advance(count)
        sums = processes.sum(_complete(rule.finish(), self.neurons))
        advance(len(items) - len(share))  # by the other processes
        return {name: total / len(items) for name, total in sums.items()} if rule.mean_over_instances else sums


def attribution_tokens(model: nn.Module, neurons: Neurons, products: bool = True) -> int:
    """Tokens of one batch of attribution, which holds the activations of every neuron and perhaps products too."""
    share = MEMORY_OF_WEIGHTS * weights_bytes(model)
    return max(SMALLEST_ATTRIBUTION, int(share / bytes_held(model, neurons, products)))


def bytes_held(model: nn.Module, neurons: Neurons, products: bool = True) -> float:
    """Memory that attribution needs for each token of a batch; one product of a neuron and a token always exists."""
    _, dtype = placement(model)
    return len(neurons) * (VALUES_HELD * dtype.itemsize + 4 * (1 + products))


def _complete(sums: dict[str, Tensor], neurons: Neurons) -> dict[str, Tensor]:
    """Sums of every module in one order, with zeros where a process had no instance."""
    return {group.module: sums.get(group.module, torch.zeros(group.units, dtype=torch.float64)) for group in neurons}


def _kept(path: Path | None, neurons: Neurons) -> dict[str, Tensor] | None:
    """Scores of all neurons from a file; None where it is not there or not as it was written."""
    kept = kept_tensors(path) or {}
    whole = {group.module: group.units for group in neurons} == {name: len(values) for name, values in kept.items()}
    return kept if whole else None
