"""Rows of the tables: methods with their settings, fitted with one seed or several."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from biasectomy.tasks import Task
from biasectomy.tasks.base import Item

Change = Callable[[Task], Task]


@dataclass(frozen=True)
class Row:
    """A method on the development items.

    `candidate` takes, of what a method tries on its way, the neuron set of that many neurons; rows of one method with
    the same settings share their fitting. `taught` changes the development items first.
    """

    name: str
    title: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    neurons: int | None = None
    candidate: int | None = None
    seeds: int = 1
    taught: Change | None = None

    @property
    def fitting(self) -> str:
        """The name of what is fitted."""
        return self.name if self.candidate is None else f"{self.method}-path"


def shuffled(task: Task) -> Task:
    """The right answers of items given to other items at random."""
    generator = random.Random(0)
    return replace(task, items=tuple(replace(item, gold=generator.randrange(len(item.options))) for item in task.items))


def always_unknown(task: Task) -> Task:
    """ "Unknown" is the right answer of every item."""

    def taught(item: Item) -> Item:
        return replace(item, gold=item.unknown)

    return replace(task, items=tuple(taught(item) for item in task.items), variants={})


def some(task: Task) -> Task:
    """So many items that a number of neurons is chosen by them in minutes."""
    return task.limited(400, 2)


LEARNED, BUDGETS = "learned-factors", (10_000, 3_000, 1_000, 300, 100)
HALF = {"dtype": "bfloat16"}  # of the weights while learning; answers are in float32
SLOWER = {"rate": 1e-3}  # than was found best when rates were tried
STEPS = 120  # as many as there are straight to one number of neurons
FEW = "Learned factors, 1,000"
SMALL_BUDGETS = (100, 30, 10)  # of models with some hundred neurons


def learned(number: int, seeds: int = 1, **more: Any) -> Row:
    """A candidate of learned factors, by its number of neurons."""
    return Row(f"{LEARNED}-{number}", f"Learned factors, {number:,}", LEARNED, candidate=number, seeds=seeds, **more)


def main_rows(total: int, seeds: int) -> list[Row]:
    """All methods, with one seed each; learned factors at each budget of a model's neurons."""
    return [
        Row("original", "Original", "original"),
        Row("always-unknown", "Always unknown", "always-unknown"),
        Row("random-neurons", "100 random neurons removed", "random-neurons", {"draws": 3}),
        Row("crispr-paper", "CRISPR, paper", "crispr", taught=some),
        Row("crispr-authors", "CRISPR, authors' code", "crispr", {"variant": "authors"}, taught=some),
        Row("fair-prompt", "Fairness instruction", "fair-prompt"),
        learned(total),
        *(learned(number) for number in BUDGETS),
        Row("among-random", f"{FEW} drawn at random", LEARNED, HALF | {"among": "random"}, 1_000),
        Row("among-crispr", f"{FEW} of CRISPR's", LEARNED, HALF | {"among": "crispr"}, 1_000),
        Row("lora", "LoRA, rank 4", "lora", SLOWER),
        Row("shira", "SHiRA, rank 4", "shira", HALF),
    ]


def seed_rows(total: int, seeds: int) -> list[Row]:
    """Those that keep the answers, each with several seeds: other items in other orders, another beginning."""
    return [
        Row("original", "Original", "original"),
        Row(f"{LEARNED}-1000", FEW, LEARNED, HALF, 1_000, seeds=seeds),
        Row("lora", "LoRA, rank 4", "lora", HALF | {"steps": STEPS}, seeds=seeds),
        Row("shira", "SHiRA, rank 4", "shira", HALF | {"steps": STEPS}, seeds=seeds),
        Row("dpo", "DPO, rank 8", "dpo", HALF | {"steps": STEPS}, seeds=seeds),
    ]


def transfer_rows(total: int, seeds: int) -> list[Row]:
    """What is compared where several categories are learned from."""
    wanted = {"original", "always-unknown", "fair-prompt", "lora", f"{LEARNED}-{total}"}
    wanted |= {f"{LEARNED}-{number}" for number in BUDGETS}
    return [row for row in main_rows(total, seeds) if row.name in wanted]


def organism_rows(total: int, seeds: int) -> list[Row]:
    """What is compared where the neurons are known."""
    own: Any = {"settings": {"budgets": ("all", *SMALL_BUDGETS)}}
    return [
        Row("original", "Original", "original"),
        Row("always-unknown", "Always unknown", "always-unknown"),
        Row("crispr-paper", "CRISPR, paper", "crispr", {"definition": "ffn-hidden"}),
        learned(total, **own),
        *(learned(number, seeds if number == SMALL_BUDGETS[1] else 1, **own) for number in SMALL_BUDGETS),
        Row("lora", "LoRA, rank 4", "lora", SLOWER, seeds=seeds),
    ]


def setting_rows() -> list[Row]:
    """Rates tuned alike for everything that is trained: the same multiples, the same steps.

    Of factors also how near they stay, and other neurons.
    """
    found = [Row("original", "Original", "original")]
    for method, title, settings, rate in (
        (LEARNED, FEW, HALF, 0.02),
        ("lora", "LoRA, rank 4", HALF | {"steps": STEPS}, 0.001),
        ("shira", "SHiRA, rank 4", HALF | {"steps": STEPS}, 0.001),
    ):
        neurons = 1_000 if method == LEARNED else None
        for tried in (float(f"{factor * rate:.1g}") for factor in (1 / 3, 1.0, 3.0)):
            own = settings | {"rate": tried}
            found.append(Row(f"{method}-{tried:g}", f"{title}, rate {tried:g}", method, own, neurons))
    for tried, weight in ((0.02, 3.0), (0.02, 10.0), (0.06, 10.0)):
        own, title = HALF | {"rate": tried, "drift_weight": weight}, f"{FEW}, rate {tried:g}, drift x {weight:g}"
        found.append(Row(f"{LEARNED}-{tried:g}-{weight:g}", title, LEARNED, own, 1_000))
    for definition in ("ia3", "linear-output"):
        of_kind = HALF | {"definition": definition}
        found.append(Row(f"{LEARNED}-{definition}", f"{FEW} of {definition}", LEARNED, of_kind, 1_000))
    return found


def sanity_rows() -> list[Row]:
    """What is learned from wrong answers, and from one answer to everything."""
    return [
        Row("original", "Original", "original"),
        Row("shuffled", "Right answers shuffled", LEARNED, HALF, 1_000, taught=shuffled),
        Row("all-unknown", '"Unknown" always right', LEARNED, HALF, 1_000, taught=always_unknown),
    ]


def curve_rows() -> list[Row]:
    """More and more items to learn from."""
    numbers = (5, 20, 50, 100, 500)
    return [
        Row("original", "Original", "original"),
        *(Row(f"items-{one}", f"{one} items", LEARNED, HALF | {"items": one}, 1_000) for one in numbers),
        Row("items-all", "All items", LEARNED, HALF, 1_000),
    ]
