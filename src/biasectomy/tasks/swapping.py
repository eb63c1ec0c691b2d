"""An item and its twin, in which the two people have changed places: what is answered because of who it is about?

In the twin of an item of BBQ the words that tell the two people apart have changed places, everywhere in the context
and among the options: "the grandfather" is "the grandson", and the grandson is the grandfather. Who does what stays,
and so the right option stays at its place; the biased answer is now at the other one's. English only.
"""

import functools
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from biasectomy.tasks.ambiguity import AGREES, DISAGREES, TRUTH
from biasectomy.tasks.base import Item
from biasectomy.tasks.option_order import GROUPS
from biasectomy.tasks.variants import ADDITION

SWAPPED = "/swapped"  # at the end of a twin's identifier
_SMALL = frozenset(  # name nobody
    {"a", "an", "and", "are", "has", "have", "in", "is", "no", "not", "of", "on", "one", "that", "the", "was", "were"}
    | {"who", "with"}
)
_VOWEL_SOUND = re.compile(r"(?!eu|one\b|uni|us|uk)[aeiou]|8\d?\b|1[18]\b|hono|honest|heir|hour", re.IGNORECASE)


def swapped(item: Item) -> Item | None:
    """The item with its two people in each other's place; swapped once more, it is the item again.

    None where it is not about two people one of whom is the biased answer, where the context does not name both by the
    words that tell their options apart, where one of these words stands by itself, or where the question has one.
    An article that BBQ has wrong ("a older person") is right after two swaps.
    """
    people = two_people(item)
    if people is None or item.target not in people:
        return None
    phrases = _told_apart(*(item.options[place] for place in people))
    if phrases is None or _words(item.question) & _words(" ".join(phrases)):
        return None
    context = exchanged(item.context, *phrases)
    if context is None:
        return None
    extra = dict(item.extra)
    if GROUPS in extra:
        extra[GROUPS] = _moved(extra[GROUPS], people)
    if ADDITION in extra:  # it may name one of them only
        extra[ADDITION] = context[len(context) - len(_exchange(*phrases)(extra[ADDITION])) :]
    found = replace(item, context=context, options=tuple(_moved(item.options, people)), extra=extra)
    return twin_of(found, people)


def twin_of(item: Item, people: tuple[int, int]) -> Item:
    """An item whose text was swapped with what follows: a name of its own, the other target, the label of its truth."""
    first, second = people
    name = item.identifier
    return replace(
        item,
        identifier=name.removesuffix(SWAPPED) if name.endswith(SWAPPED) else name + SWAPPED,
        target=second if item.target == first else first,
        labels=_turned(item.labels),
    )


def two_people(item: Item) -> tuple[int, int] | None:
    """The places of the two options beside "unknown"; None where there are not two."""
    found = [place for place in range(len(item.options)) if place != item.unknown]
    return (found[0], found[1]) if len(found) == 2 else None


def exchanged(text: str, first: str, second: str) -> str | None:
    """The text with two phrases in each other's place; None where not both stand in it, or a word of one by itself.

    Where a phrase begins a sentence its first letter is a capital, and "a" or "an" in front is as it wants it.
    """
    exchange = _exchange(first, second)
    rest, found = exchange.without(text)
    if found != {0, 1} or _words(rest) & exchange.words:
        return None
    return exchange(text)


class _Exchange:
    """Puts two phrases in each other's place."""

    def __init__(self, first: str, second: str) -> None:
        self.phrases = (first, second)
        spellings = [{phrase, phrase[:1].upper() + phrase[1:]} for phrase in self.phrases]
        self.words = set().union(*(_words(one) - _SMALL for some in spellings for one in some))
        self._place = {one: place for place, some in enumerate(spellings) for one in some}
        longest = sorted(self._place, key=lambda one: (-len(one), one))
        either = "|".join(map(re.escape, longest))
        self._pattern = re.compile(rf"(?:\b(?P<article>[Aa])n? )?(?<!\w)(?P<phrase>{either})(?!\w)")

    def __call__(self, text: str) -> str:
        return self._pattern.sub(self._other, text)

    def without(self, text: str) -> tuple[str, set[int]]:
        """The text without both phrases, and which of them were there."""
        return self._pattern.sub(" ", text), {self._place[one["phrase"]] for one in self._pattern.finditer(text)}

    def _other(self, match: re.Match[str]) -> str:
        here = self._place[match["phrase"]]
        there = self.phrases[1 - here]
        if match["phrase"] != self.phrases[here]:
            there = there[:1].upper() + there[1:]
        if match["article"] is None:
            return there
        return f"{match['article']}{'n' if _VOWEL_SOUND.match(there) else ''} {there}"


@functools.lru_cache(maxsize=4096)
def _exchange(first: str, second: str) -> _Exchange:
    return _Exchange(first, second)


def _told_apart(first: str, second: str) -> tuple[str, str] | None:
    """What is left of two options without the words that both begin or end with; None where that names nobody."""
    one, other = first.split(), second.split()
    while one and other and one[0].casefold() == other[0].casefold():
        one, other = one[1:], other[1:]
    while one and other and one[-1].casefold() == other[-1].casefold():
        one, other = one[:-1], other[:-1]
    phrases = [" ".join(words).strip(",;:") for words in (one, other)]
    return (phrases[0], phrases[1]) if all(_words(phrase) - _SMALL for phrase in phrases) else None


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def _moved(values: Any, people: tuple[int, int]) -> list[Any]:
    moved = list(values)
    first, second = people
    moved[first], moved[second] = moved[second], moved[first]
    return moved


def _turned(labels: Mapping[str, str]) -> dict[str, str]:
    turned = {AGREES: DISAGREES, DISAGREES: AGREES}
    return {name: turned.get(value, value) if name == TRUTH else value for name, value in labels.items()}
