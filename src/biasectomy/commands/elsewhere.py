"""What `evaluate` and `mitigate` would take of a model on other machines: a table of `evaluate --plan`."""

import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from biasectomy.commands.stages import Asked, Read, evaluating, mitigating, read_of
from biasectomy.files import without_nan
from biasectomy.learning.neutral import learned_from
from biasectomy.measuring.expense import (
    CARDS,
    COUNTS,
    PREPARING,
    PRICES,
    REACHED,
    SHEETS,
    Expense,
    Stage,
    Weights,
    expense,
)
from biasectomy.methods import crispr, learned_factors
from biasectomy.models.language_model import ACCELERATOR_BATCH_TOKENS, LanguageModel
from biasectomy.reading.layouts import Batch, Size
from biasectomy.report.text import duration
from biasectomy.tasks import Task

SAMPLED = 400  # items whose prompts are laid out, whole templates, since their prompts begin alike
ALONE = 40  # of them, as attribution reads them
METHODS = {crispr.NAME: "mitigate, CRISPR", learned_factors.NAME: "mitigate, learned factors"}


@dataclass(frozen=True)
class Part:
    """A run, or a stage of one, with what it takes on so many cards."""

    run: str
    stage: str
    operations: float
    on: tuple[Expense, ...]

    def row(self) -> list[str]:
        """What a table shows."""
        return [self.run, f"{self.operations / 1e15:,.3g}", *map(cell, self.on)]


@dataclass(frozen=True)
class Elsewhere:
    """What runs take, whole and by stage."""

    card: str
    price: float
    parts: tuple[Part, ...]

    def heads(self) -> list[str]:
        """The heads of the table's columns."""
        title = CARDS[self.card].title
        return ["", "PFLOP", *(f"{count} x {title}" for count in COUNTS)]

    def table(self) -> list[list[str]]:
        """Rows of whole runs."""
        return [part.row() for part in self.parts if not part.stage]

    def notes(self) -> list[str]:
        """What of it is counted, measured, stated and assumed."""
        return [
            "Time, memory of a card, money. Counted: operations and passes. Measured: shares of an H200's rate with 1 "
            "and 8 billion parameters; on a processor, memory as multiples of the weights and "
            f"{1000 * PREPARING:g} ms for a question's tokens in every process. Stated: {SHEETS}. Assumed: "
            f"${self.price:g} an hour of a card (by itself {PRICES}; --price). 'part': each card has a part of the "
            "weights (--shard).",
        ]

    def to_json(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        document: dict[str, Any] = without_nan(asdict(self) | {"reached": REACHED, "sheets": SHEETS, "prices": PRICES})
        return document


def cell(found: Expense) -> str:
    """Time, memory of a card and money; of what does not fit how much it would need."""
    memory = f"{found.memory / 1e9:,.3g} GB"
    if math.isnan(found.seconds):
        return f"does not fit ({memory})"
    money = f"${found.money:,.0f}" if found.money >= 10 else f"${found.money:.2f}"
    time = duration(found.seconds) if found.seconds >= 10 else f"{found.seconds:.2g} s"
    return f"{time}, {memory}{' (part)' if found.spread else ''}, {money}"


def found_elsewhere(
    model: LanguageModel, tasks: Sequence[Task], shares: Sequence[float], card: str, price: float | None, seed: int
) -> Elsewhere:
    """What asking all of some tasks takes, and mitigating on the first, with all items and with a share of them.

    Args:
        model: that would be asked.
        tasks: all that is asked.
        shares: of each task's items, which find the wanted change.
        card: its name.
        price: of an hour of it; None for its own.
        seed: of the sample that is laid out.
    """
    weights = Weights.of(model.model)
    paid = CARDS[card].price if price is None else price
    parts: list[Part] = []

    def add(run: str, stages: Sequence[Stage]) -> None:
        for name, only in (("", stages), *((stage.name, [stage]) for stage in stages)):
            on = tuple(expense(stages, weights, CARDS[card], count, paid, only) for count in COUNTS)
            parts.append(Part(run, name, sum(one.operations for one in only), on))

    reads = [_read(model, task, seed) for task in tasks]
    all_items = [len(task.items) for task in tasks]
    enough = [math.ceil(share * count) for share, count in zip(shares, all_items, strict=True)]
    for counts in (all_items, enough) if enough != all_items else (all_items,):
        pairs = zip(reads, tasks, counts, strict=True)
        stages = [stage for read, task, items in pairs for stage in evaluating(read, _asked(task, items))]
        add(f"evaluate, {sum(counts):,} items", stages)
    first = tasks[0]
    if first.goals and first.question(first.instructions[0], first.items[0]).generation is None:
        # Half of the items are tested, and as many must find the change.
        both = dict.fromkeys((all_items[0], min(all_items[0], 2 * enough[0])))
        for method, title in METHODS.items():
            for items in both:
                add(f"{title}, {items:,} items", mitigating(reads[0], _asked(first, items), method))
    return Elsewhere(card, paid, tuple(parts))


def _asked(task: Task, items: int) -> Asked:
    return Asked(items, len(task.instructions))


def _read(model: LanguageModel, task: Task, seed: int) -> Read:
    """What reading a task's questions is, from those of some whole templates under one instruction."""
    generator = random.Random(seed)
    templates: dict[str, list[Any]] = {}
    for item in task.items:
        templates.setdefault(item.cluster, []).append(item)
    chosen: list[Any] = []
    for name in generator.sample(sorted(templates), len(templates)):
        chosen += templates[name]
        if len(chosen) >= SAMPLED:
            break
    questions = [task.question(task.instructions[0], item) for item in chosen]
    shared = sum((model.size(batch) for batch in model.plan(questions)), Size(0, 0, 0, passes=0))
    prompts = [model.encode(question) for question in questions[:: max(1, len(questions) // ALONE)]]
    alone = sum((model.size(Batch((0,), (one,)), separate=True) for one in prompts), Size(0, 0, 0, passes=0))
    texts = [len(text.options[0]) for text in learned_from(model).texts]
    text = sum(texts) / len(texts)
    return read_of(model.operations, shared, len(questions), alone, len(prompts), text, ACCELERATOR_BATCH_TOKENS)
