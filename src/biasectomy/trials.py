"""Scores of one trial under one instruction: the work that finding neurons consists of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from biasectomy.attribution import Rule, RuleSettings
from biasectomy.attribution.engine import Instance, accumulate
from biasectomy.errors import ModelError
from biasectomy.language_model import LanguageModel
from biasectomy.layouts.base import placement
from biasectomy.memory import is_out_of_memory, weights_bytes
from biasectomy.neurons import Neurons
from biasectomy.processes import Processes
from biasectomy.tasks.base import Item

# What attribution holds of a batch may take about as much memory as the weights do; fewer tokens make products slow.
SMALLEST_ATTRIBUTION = 256  # tokens
MEMORY_OF_WEIGHTS = 1.1
VALUES_HELD = 1.75  # for each neuron and token, in the model's number format, besides products in float32


@dataclass
class Attributor:
    """How scores are computed: everything but the items, the instruction and the seed."""

    language_model: LanguageModel
    neurons: Neurons
    make_rule: Callable[[RuleSettings], Rule]
    variant: str
    clamp_group: int
    checkpointing: bool
    processes: Processes
    advance: Callable[[int], Any]

    def __post_init__(self) -> None:
        fitting = attribution_tokens(self.language_model.model, self.neurons, self._rule(0).keeps_products)
        self.budget = min(self.language_model.batch_tokens, fitting)

    def scores(self, items: Sequence[Item], instruction: str, seed: int) -> dict[str, Tensor]:
        """Scores from some items under one instruction, by module [units]; processes divide the items.

        Raises:
            ScoreError: a log-likelihood is not finite; names the item.
            ModelError: the memory is too small even for one item.
        """
        rule = self._rule(seed)
        if not rule.needs_gradients:
            self.advance(len(items))
            return rule.finish()
        share = items[self.processes.share(len(items), rule.group)]
        encode = self.language_model.prompt_format.encode
        instances = [Instance(item.identifier, encode(instruction, item), item.gold) for item in share]
        sums = self.processes.sum(_complete(self._sums(instances, seed), self.neurons))
        self.advance(len(items) - len(share))  # by the other processes
        return {name: total / len(items) for name, total in sums.items()} if rule.mean_over_instances else sums

    def _rule(self, seed: int) -> Rule:
        return self.make_rule(RuleSettings(self.neurons, self.variant, self.clamp_group, seed))

    def _sums(self, instances: Sequence[Instance], seed: int) -> dict[str, Tensor]:
        """Sums over instances; begun again with smaller batches where memory is too small for one."""
        told = 0
        while True:
            rule, done = self._rule(seed), 0
            try:
                for count in self._accumulate(instances, rule):
                    done += count
                    self.advance(max(0, done - told))
                    told = max(told, done)
                return rule.finish()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                prompts = [instance.encoded for instance in instances]
                batches = self.language_model.layout.plan(prompts, self.budget, separate=True)
                if all(len(batch.prompts) == 1 for batch in batches):
                    more = "" if self.checkpointing else " --checkpointing needs less."
                    raise ModelError(
                        "The memory is too small to find neurons, even with one item at a time; a smaller --dtype or a "
                        f"smaller model would be right.{more}"
                    ) from error
            self.budget //= 2

    def _accumulate(self, instances: Sequence[Instance], rule: Rule) -> Iterator[int]:
        return accumulate(
            self.language_model.model,
            self.neurons,
            instances,
            rule,
            budget=self.budget,
            layout=self.language_model.layout,
            checkpointing=self.checkpointing,
        )


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
