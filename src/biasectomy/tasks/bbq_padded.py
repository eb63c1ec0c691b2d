"""BBQ with one or two irrelevant sentences behind ambiguous contexts: does a longer context alone make models answer?

Disambiguated items stay as they are, so both accuracies stand beside those of `bbq`. Half of each template's ambiguous
items, in either polarity, get one sentence and half two.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from biasectomy.tasks import bbq
from biasectomy.tasks.ambiguity import AMBIGUOUS, CONDITION, POLARITY
from biasectomy.tasks.base import TASKS, Item
from biasectomy.tasks.bbq_variants import Varied, bbq_variant
from biasectomy.tasks.multiple_choice import accuracy
from biasectomy.tasks.padding import TEST_SENTENCES
from biasectomy.tasks.twins import TEMPLATE
from biasectomy.tasks.variants import closed

NAME = "bbq-padded"
SENTENCES = "sentences"  # a label: how many were added
ONE, TWO = "1", "2"
METRICS = tuple(
    accuracy(
        f"accuracy_ambiguous_{word}",
        f"Accuracy, ambiguous, {number} more",
        f"accuracy on ambiguous items with {word.replace('_', ' ')} more",
        lambda item, number=number: item.labels.get(SENTENCES) == number,  # type: ignore[misc]
    )
    for number, word in ((ONE, "one_sentence"), (TWO, "two_sentences"))
)


def vary(items: Sequence[Item]) -> Varied:
    """All items, the ambiguous ones padded."""
    numbers = numbers_of_sentences([item for item in items if item.labels[CONDITION] == AMBIGUOUS])
    found = [padded_behind(item, numbers[item.identifier]) if item.identifier in numbers else item for item in items]
    return Varied(found, len(numbers), len(numbers))


def padded_behind(item: Item, number: str) -> Item:
    """The item with so many sentences behind its context; which, follows from its identifier."""
    more = random.Random(f"{NAME}/{item.identifier}").sample(TEST_SENTENCES, int(number))
    context = " ".join([closed(item.context.strip()), *more])
    return replace(item, context=context, labels={**item.labels, SENTENCES: number})


def numbers_of_sentences(items: Sequence[Item]) -> dict[str, str]:
    """One or two, by identifier: alternately, in an order without meaning, within each template and polarity."""
    cells: dict[tuple[str, str], list[str]] = defaultdict(list)
    for item in items:
        cells[item.extra[TEMPLATE], item.labels[POLARITY]].append(item.identifier)
    numbers: dict[str, str] = {}
    for start, (cell, names) in enumerate(cells.items()):
        random.Random("/".join((NAME, *cell))).shuffle(names)
        numbers |= {name: (ONE, TWO)[(start + place) % 2] for place, name in enumerate(names)}
    return numbers


TASKS.register(NAME)(
    bbq_variant(
        NAME,
        "BBQ, padded: one or two irrelevant sentences behind every ambiguous context (all of them)",
        {member: rows for member, (_, rows) in bbq.CATEGORIES.items()},
        vary,
        METRICS,
        (SENTENCES,),
    )
)
