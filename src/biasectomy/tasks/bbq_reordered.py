"""BBQ with what decides in front: does a model find the evidence where it is not at the end?

Items are the disambiguated ones to which the rule applies, reordered, and all ambiguous ones as they are.
"""

from collections.abc import Sequence
from dataclasses import replace

from biasectomy.tasks.ambiguity import AMBIGUOUS, CONDITION, DISAMBIGUATED
from biasectomy.tasks.base import TASKS, Item
from biasectomy.tasks.bbq_variants import Varied, bbq_variant
from biasectomy.tasks.variants import reordered

NAME = "bbq-reordered"
ROWS = {
    "age": 2452,
    "appearance": 1120,
    "disability": 1220,
    "gender": 5184,
    "nationality": 2124,
    "orientation": 600,
    "race": 5456,
    "race_x_gender": 13952,
    "race_x_ses": 8996,
    "religion": 960,
    "ses": 5244,
}


def vary(items: Sequence[Item]) -> Varied:
    """The ambiguous items, and the others to which the rule applies, reordered."""
    decided = [item for item in items if item.labels[CONDITION] == DISAMBIGUATED]
    turned = {
        item.identifier: replace(one, identifier=item.identifier)
        for item in decided
        if (one := reordered(item)) is not None
    }
    kept = [item for item in items if item.identifier in turned or item.labels[CONDITION] == AMBIGUOUS]
    return Varied([turned.get(item.identifier, item) for item in kept], len(turned), len(decided))


TASKS.register(NAME)(
    bbq_variant(
        NAME,
        "BBQ, reordered: what decides stands in front (to 62 % of disambiguated items this applies)",
        ROWS,
        vary,
    )
)
