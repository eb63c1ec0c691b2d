"""CRISPR's whole pipeline as most people would write it: the peer of `biasectomy mitigate --method crispr`.

Neurons are found with one sequence an option and gradients of everything; every evaluation generates answers and looks
for an option in what was written, four prompts at a time (as in the code that its first author published); how many
neurons are removed is a golden-section search between 0 and 500 on all development items.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.gradient_peers import plain_scores
from biasectomy.attribution.products.engine import Instance

LARGEST = 500  # neurons removed
GOLDEN = (5**0.5 - 1) / 2
AT_ONCE = 4  # prompts
Neuron = tuple[str, int]  # module, unit


@dataclass(frozen=True)
class Asked:
    """One prompt with its options, of which one is right."""

    prompt: str
    options: tuple[str, ...]
    gold: int


@dataclass(frozen=True)
class Outcome:
    """Neurons, the best first; how many were removed after so many evaluations; accuracy on test items."""

    ranking: list[Neuron]
    chosen: int
    evaluations: int
    before: float
    after: float


def run(
    model: Any,
    tokenizer: Any,
    instances: Sequence[Sequence[Instance]],
    development: Sequence[Asked],
    test: Sequence[Asked],
) -> Outcome:
    """Finds neurons from the instances of each instruction, chooses how many to remove, and tests that."""
    ranking = ranked(model, instances)

    def accuracy(count: int, items: Sequence[Asked]) -> float:
        with without(model, ranking[:count]):
            return generated_accuracy(model, tokenizer, items)

    chosen, evaluations = golden_section(lambda count: accuracy(count, development), LARGEST)
    return Outcome(ranking, chosen, evaluations, accuracy(0, test), accuracy(chosen, test))


def ranked(model: Any, instances: Sequence[Sequence[Instance]]) -> list[Neuron]:
    """All neurons by their mean score over instructions, the highest first."""
    found = [plain_scores(model, some) for some in instances]
    scored = [
        (float(score), name, unit)
        for name in found[0]
        for unit, score in enumerate(torch.stack([one[name] for one in found]).mean(0))
    ]
    return [(name, unit) for _, name, unit in sorted(scored, key=lambda one: -one[0])]


@contextlib.contextmanager
def without(model: Any, neurons: Sequence[Neuron]) -> Iterator[None]:
    """Some rows of weights are zero for a while."""
    modules = dict(model.named_modules())
    kept = {name: modules[name].weight.detach().clone() for name, _ in neurons}
    with torch.no_grad():
        for name, unit in neurons:
            modules[name].weight[unit] = 0
    try:
        yield
    finally:
        with torch.no_grad():
            for name, weight in kept.items():
                modules[name].weight.copy_(weight)


@torch.no_grad()
def generated_accuracy(model: Any, tokenizer: Any, asked: Sequence[Asked]) -> float:
    """The share of prompts whose generated answer begins with the right option."""
    tokenizer.padding_side, right = "left", 0
    longest = max(len(tokenizer(option)["input_ids"]) for one in asked for option in one.options)
    for start in range(0, len(asked), AT_ONCE):
        batch = asked[start : start + AT_ONCE]
        inputs = tokenizer([one.prompt for one in batch], return_tensors="pt", padding=True, add_special_tokens=False)
        written = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=longest + 1,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
        )
        texts = tokenizer.batch_decode(written[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for one, text in zip(batch, texts, strict=True):
            right += text.strip().startswith(one.options[one.gold])
    return right / len(asked)


def golden_section(evaluate: Callable[[int], float], highest: int) -> tuple[int, int]:
    """The number between 0 and `highest` with the highest value, if there is one peak; how many were evaluated."""
    known: dict[int, float] = {}

    def value(place: float) -> float:
        count = round(place)
        if count not in known:
            known[count] = evaluate(count)
        return known[count]

    low, high = 0.0, float(highest)
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    while high - low > 1:
        if value(left) >= value(right):
            high, right = right, left
            left = high - GOLDEN * (high - low)
        else:
            low, left = left, right
            right = low + GOLDEN * (high - low)
    value((low + high) / 2)
    return max(known, key=lambda count: (known[count], -count)), len(known)
