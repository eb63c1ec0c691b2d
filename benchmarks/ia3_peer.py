"""(IA)^3 of `peft`, trained as most people would: a padded row for each option, a plain loop, AdamW.

It learns the same numbers as the library (one for each hidden unit of the feed-forward blocks) from the same items in
the same steps with the same loss, so that its time and its gradients can be compared. Decoder-only models.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.device import clock_of
from benchmarks.learner import DEFINITION, RATE, taken
from biasectomy.learning.batches import Batches
from biasectomy.learning.neutral import learned_from
from biasectomy.learning.settings import TrainingSettings
from biasectomy.learning.training import Progress
from biasectomy.models.language_model import LanguageModel
from biasectomy.tasks.base import Item, Task

IGNORED = -100  # a label that no loss is computed of
PADDING = 0  # behind a row and masked, so any token will do


class Ia3Peer:
    """`peft`'s (IA)^3 on the down projections of a model of its own, whose modules it wraps.

    `items_at_once` of a step's items go through the model together, all options of each; gradients add up over a step.
    """

    def __init__(self, model: LanguageModel, task: Task, items: int, seed: int = 0) -> None:
        from peft import IA3Config, get_peft_model

        settings = TrainingSettings(items_a_step=items)
        self.model, self.drift_weight = model, settings.drift_weight
        self.batches = Batches(task, items, seed, tuple(task.variants) if settings.variants else ())
        self.texts = learned_from(model).texts
        self.items_at_once = items
        modules = [group.module for group in model.neurons(DEFINITION)]
        config = IA3Config(task_type="CAUSAL_LM", target_modules=modules, feedforward_modules=modules)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what later versions of the libraries below will change
            self.adapted: Any = get_peft_model(model.model, config)
        # In the order of the model's neurons, as the library has its factors.
        self.parameters = [_vector(self.adapted, module) for module in modules]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=RATE)

    def run(self, steps: int) -> Sequence[Progress]:
        """The first steps."""
        return [self._step(number) for number in range(steps)]

    def _step(self, number: int) -> Progress:
        found = self.backward(number)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return found

    def backward(self, number: int) -> Progress:
        """Leaves the gradient of a step at the parameters; mean loss of its items and mean drift of its text."""
        instruction, items = self.batches.at(number)
        total, drifted = 0.0, 0.0
        for start in range(0, len(items), self.items_at_once):
            loss = self._losses(instruction, items[start : start + self.items_at_once]).sum() / len(items)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        if self.drift_weight:
            drift = self._drift(number)
            (self.drift_weight * drift).backward()  # type: ignore[no-untyped-call]
            drifted = float(drift.detach())
        return Progress(total, drifted)

    def gradient(self, number: int, drift_weight: float) -> Tensor:
        """The gradient of a step's loss, [neurons] in the order of the model's; nothing moves."""
        weight, self.drift_weight = self.drift_weight, drift_weight
        self.backward(number)
        self.drift_weight = weight
        return torch.cat([one.flatten() for one in taken(self.parameters)])

    def _losses(self, instruction: str, items: Sequence[Item]) -> Tensor:
        """Cross-entropy of the gold options over sums of log-likelihoods, [items]."""
        task = self.batches.task
        encoded = [self.model.encode(task.question(instruction, item)) for item in items]
        rows = [(one.prompt, option) for one in encoded for option in one.options]
        longest = max(len(prompt) + len(option) for prompt, option in rows)
        tokens = torch.full((len(rows), longest), PADDING)
        labels, mask = torch.full_like(tokens, IGNORED), torch.zeros_like(tokens)
        for row, (prompt, option) in enumerate(rows):
            end = len(prompt) + len(option)
            tokens[row, :end] = torch.tensor([*prompt, *option])
            labels[row, len(prompt) : end] = torch.tensor(option)
            mask[row, :end] = 1
        device = self.model.model.device
        tokens, labels, mask = (one.to(device) for one in (tokens, labels, mask))
        logits = self.adapted(input_ids=tokens, attention_mask=mask, use_cache=False).logits[:, :-1]
        by_token = F.cross_entropy(
            logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="none"
        )
        sums = torch.split(-by_token.view(len(rows), -1).sum(1), [len(item.options) for item in items])
        gold = [torch.tensor([item.gold]) for item in items]
        return torch.stack(
            [F.cross_entropy(one[None], right.to(device)) for one, right in zip(sums, gold, strict=True)]
        )

    def _drift(self, number: int) -> Tensor:
        """Mean over positions of KL(original || model) on the text of a step, nats; both are computed anew."""
        text = self.texts[number % len(self.texts)]
        tokens = torch.tensor([[*text.prompt, *text.options[0]]], device=self.model.model.device)
        first = len(text.prompt) - 1
        with self.adapted.disable_adapter(), torch.no_grad():
            before = self.adapted(input_ids=tokens, use_cache=False).logits[0, first:-1].log_softmax(-1)
        now = self.adapted(input_ids=tokens, use_cache=False).logits[0, first:-1].log_softmax(-1)
        return F.kl_div(now, before, log_target=True, reduction="batchmean")


SLOWER = 1.05  # times: what differs by less may be as fast


def best_peer(peer: Ia3Peer, steps: int) -> dict[int, float]:
    """Sets how many items go through the model at once to what is fastest; seconds of so many steps by that number.

    Larger numbers are not tried once one is slower than the fastest so far.
    """
    peer.backward(0)
    sizes = [size for size in (1, 4, 16) if size < peer.batches.size] + [peer.batches.size]
    seconds, clock = {}, clock_of(peer.model.model.device)
    for peer.items_at_once in sizes:
        start = clock()
        for step in range(steps):
            peer.backward(step)
        seconds[peer.items_at_once] = clock() - start
        if seconds[peer.items_at_once] > SLOWER * min(seconds.values()):
            break
    peer.optimizer.zero_grad()
    peer.items_at_once = min(seconds, key=seconds.__getitem__)
    return seconds


def _vector(adapted: Any, module: str) -> nn.Parameter:
    found: nn.Parameter = adapted.get_submodule(f"base_model.model.{module}").ia3_l["default"]
    return found
