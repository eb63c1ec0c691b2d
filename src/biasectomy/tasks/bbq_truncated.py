"""BBQ with the deciding part of disambiguated contexts removed: does a model notice that the answer is no longer there?

What stays is longer than the ambiguous context and does not decide, so "unknown" is right. Items are the truncated
ones, as ambiguous, and the disambiguated ones of the same templates as they are. BBQ's own ambiguous items are left
out: accuracy on ambiguous items would be theirs. Where removing what decides leaves just the ambiguous context, nothing
new would be asked, so the rule does not apply: most additions of BBQ are one sentence about both people, or a sentence
on each, of which one alone half answers for the other.
"""

from collections.abc import Sequence
from dataclasses import replace

from biasectomy.tasks.ambiguity import CONDITION, DISAMBIGUATED
from biasectomy.tasks.base import TASKS, Item
from biasectomy.tasks.bbq_variants import Varied, bbq_variant
from biasectomy.tasks.twins import TEMPLATE
from biasectomy.tasks.variants import TRUNCATED, truncated

NAME = "bbq-truncated"
ROWS = {
    "age": 1112,
    "appearance": 70,
    "disability": 240,
    "gender": 208,
    "nationality": 560,
    "orientation": 64,
    "race": 0,
    "race_x_gender": 960,
    "race_x_ses": 720,
    "religion": 160,
    "ses": 528,
}


def vary(items: Sequence[Item]) -> Varied:
    """The disambiguated items of templates to which the rule applies, each behind what is left of it."""
    decided = [item for item in items if item.labels[CONDITION] == DISAMBIGUATED]
    cut = {item.identifier: one for item in decided if (one := truncated(item)) is not None}
    templates = {one.extra[TEMPLATE] for one in cut.values()}
    found: list[Item] = []
    for item in decided:
        if (one := cut.get(item.identifier)) is not None:
            found.append(replace(one, identifier=f"{item.identifier}/{TRUNCATED}"))
        if item.extra[TEMPLATE] in templates:
            found.append(item)
    return Varied(found, len(cut), len(decided))


TASKS.register(NAME)(
    bbq_variant(
        NAME,
        "BBQ, truncated: contexts of which the deciding part was removed (to 8 % of disambiguated items this applies)",
        ROWS,
        vary,
    )
)
