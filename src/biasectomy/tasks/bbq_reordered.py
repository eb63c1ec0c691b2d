"""BBQ with what decides in front: does a model find the evidence where it is not at the end?

Items are the disambiguated ones to which the rule applies, reordered, and the ambiguous ones of the same templates as
they are.
"""

from collections.abc import Sequence
from dataclasses import replace

from biasectomy.tasks.ambiguity import AMBIGUOUS, CONDITION, DISAMBIGUATED
from biasectomy.tasks.base import TASKS, Item
from biasectomy.tasks.bbq_variants import Varied, bbq_variant
from biasectomy.tasks.twins import TEMPLATE
from biasectomy.tasks.variants import reordered

NAME = "bbq-reordered"
ROWS = {
    "age": 1224,
    "appearance": 720,
    "disability": 896,
    "gender": 4696,
    "nationality": 1204,
    "orientation": 336,
    "race": 4036,
    "race_x_gender": 11972,
    "race_x_ses": 6836,
    "religion": 720,
    "ses": 3624,
}


def vary(items: Sequence[Item]) -> Varied:
    """The items to which the rule applies, reordered, and the ambiguous ones of their templates."""
    decided = [item for item in items if item.labels[CONDITION] == DISAMBIGUATED]
    turned = {
        item.identifier: replace(one, identifier=item.identifier)
        for item in decided
        if (one := reordered(item)) is not None
    }
    templates = {one.extra[TEMPLATE] for one in turned.values()}
    kept = [
        item
        for item in items
        if item.identifier in turned or (item.labels[CONDITION] == AMBIGUOUS and item.extra[TEMPLATE] in templates)
    ]
    return Varied([turned.get(item.identifier, item) for item in kept], len(turned), len(decided))


TASKS.register(NAME)(
    bbq_variant(
        NAME,
        "BBQ, reordered: what decides stands in front (to 62 % of disambiguated items this applies)",
        ROWS,
        vary,
    )
)
