"""Templates that share questions are one cluster: what is learned from one would be seen again in the other.

BBQ tells many stories twice, with labels ("the Black man") and with names ("DeShawn"), as templates of their own: 20
such pairs in gender, 16 in race, 13 and 19 in the intersections of race with SES and with gender. As clusters of their
own they would stand on both sides of a split, and count twice in an interval.
"""

from collections.abc import Iterable
from dataclasses import replace

from biasectomy.tasks.base import Item

TEMPLATE = "template"  # in an item's `extra`: the template it was written from, where that is not all of its cluster


def clustered(items: Iterable[Item]) -> list[Item]:
    """The items with one cluster for all templates that share a question, named after the first of them.

    Args:
        items: of everything that is asked together, each with its template as its cluster.
    """
    items = list(items)
    place = {template: number for number, template in enumerate(dict.fromkeys(item.cluster for item in items))}
    leader = {template: template for template in place}

    def first(template: str) -> str:
        while leader[template] != template:
            template = leader[template]
        return template

    asked: dict[str, str] = {}
    for item in items:
        question = " ".join(item.question.casefold().split())
        one, other = first(item.cluster), first(asked.setdefault(question, item.cluster))
        leader[one] = leader[other] = min(one, other, key=place.__getitem__)
    return [replace(item, cluster=first(item.cluster), extra={**item.extra, TEMPLATE: item.cluster}) for item in items]


def joined_templates(items: Iterable[Item]) -> list[list[str]]:
    """The templates of each cluster that has several."""
    members: dict[str, dict[str, None]] = {}
    for item in items:
        members.setdefault(item.cluster, {})[item.extra.get(TEMPLATE, item.cluster)] = None
    return [list(templates) for templates in members.values() if len(templates) > 1]
