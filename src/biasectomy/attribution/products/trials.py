"""Scores by products over trials and instructions: which items are read together, and what is kept of it."""

from collections.abc import Callable, Iterator, Sequence
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
from biasectomy.reading.layouts import Batch
from biasectomy.reading.layouts.base import placement
from biasectomy.reading.memory import weights_bytes
from biasectomy.reading.prompts import EncodedPrompt
from biasectomy.tasks.base import Item, Task

# What attribution holds of a batch may take about as much memory as the weights do; fewer tokens make products slow.
SMALLEST_ATTRIBUTION = 256  # tokens
MEMORY_OF_WEIGHTS = 1.1
GROUPS_OF_A_PROCESS = 20  # that are divided at once: enough for the last of them to weigh little
VALUES_HELD = 1.75  # for each neuron and token, in the model's number format, besides products in float32


def as_it_is(item: Item, encoded: EncodedPrompt) -> Instance:
    """An item whose biased option is the likeliest wrong one."""
    return Instance(item.identifier, encoded, item.gold or 0)


@dataclass(frozen=True)
class _Job:
    """The items of one trial, by their indices, under one instruction."""

    trial: int
    wording: int
    indices: Sequence[int]


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
        wordings = range(len(self.task.instructions))
        jobs = [_Job(trial, wording, indices) for trial, indices in enumerate(drawn) for wording in wordings]
        sums = {group.module: torch.zeros(group.units, dtype=torch.float64) for group in self.neurons}
        with progress("Attributing", sum(len(job.indices) for job in jobs), "instances") as advance:
            for wave in self._waves(jobs):
                for scores in self._of_wave(wave, advance):
                    for module, values in scores.items():
                        sums[module] += values.cpu() / len(jobs)
        return sums

    def _waves(self, jobs: Sequence[_Job]) -> Iterator[Sequence[_Job]]:
        """Jobs that are divided together: one by one, or as many as several processes can divide evenly."""
        processes, group = self.session.processes, self.make_rule().group
        wanted = GROUPS_OF_A_PROCESS * processes.count if processes.count > 1 else 1
        wave: list[_Job] = []
        for job in jobs:
            wave.append(job)
            if sum(-(-len(one.indices) // group) for one in wave) >= wanted:
                yield wave
                wave = []
        if wave:
            yield wave

    def _of_wave(self, wave: Sequence[_Job], advance: Advance) -> Iterator[dict[str, Tensor]]:
        """Scores of each job, from its kept file where that is whole, else computed (and kept)."""
        processes = self.session.processes
        paths = [
            self.session.path(f"{self.kept}/trial-{job.trial}-instruction-{job.wording}.safetensors") for job in wave
        ]
        known = processes.once(lambda: [_kept(path, self.neurons) for path in paths])
        lacking = [job for job, scores in zip(wave, known, strict=True) if scores is None]
        computed = iter(self._computed(lacking, advance)) if lacking else iter(())
        for job, path, kept in zip(wave, paths, known, strict=True):
            if kept is not None:
                advance(len(job.indices))
                yield kept
                continue
            scores = next(computed)
            if path is not None and processes.main:
                keep_tensors(path, scores)
            yield scores

    def _computed(self, jobs: Sequence[_Job], advance: Advance) -> list[dict[str, Tensor]]:
        """Scores of each of some jobs; processes divide the instances of all, in whole groups and by what they cost."""
        processes, rules = self.session.processes, [self.make_rule() for _ in jobs]
        size = rules[0].group
        groups = [
            (number, some[start : start + size])
            for number, some in enumerate(map(self._instances, jobs))
            for start in range(0, len(some), size)
        ]
        own = groups[processes.share([self._cost(some) for _, some in groups])] if processes.count > 1 else groups
        fitting = attribution_tokens(self.model.model, self.neurons, rules[0].keeps_products)
        for number, rule in enumerate(rules):
            for count in accumulate(
                self.model.model,
                self.neurons,
                [one for place, some in own if place == number for one in some],
                rule,
                budget=min(self.model.batch_tokens, fitting),
                layout=self.model.layout,
                gradients=self.gradients,
            ):
                advance(count)
        found = [_complete(rule.finish(), self.neurons) for rule in rules]
        sums = processes.sum(
            {f"{number}/{name}": one for number, some in enumerate(found) for name, one in some.items()}
        )
        done, everything = (sum(len(some) for _, some in chosen) for chosen in (own, groups))
        advance(everything - done)  # by the other processes
        counts = [len(job.indices) if rules[0].mean_over_instances else 1 for job in jobs]
        return [
            {name: sums[f"{number}/{name}"] / count for name in found[number]} for number, count in enumerate(counts)
        ]

    def _instances(self, job: _Job) -> list[Instance]:
        instruction = self.task.instructions[job.wording]
        questions = [self.task.question(instruction, item) for item in self.task.items]
        items = [self.task.items[index] for index in job.indices]
        with naming_items(self.task, questions):
            return [self.instance(item, self.model.encode(self.task.question(instruction, item))) for item in items]

    def _cost(self, instances: Sequence[Instance]) -> float:
        return sum(self.model.cost(Batch((0,), (one.encoded,)), separate=True) for one in instances)


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
