"""How an item of BBQ becomes another one whose right answer follows by rule: padded, truncated, reordered.

A model that has learned that long contexts have an answer, or that the last sentence gives it, is right about the
items of a benchmark and wrong about these. BBQ writes a context that decides the question as an ambiguous context and
an addition behind it; what is done here rests on that (`extra[ADDITION]`). English only.
"""

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from biasectomy.tasks.ambiguity import AMBIGUOUS, CONDITION, DISAMBIGUATED, LABEL_TYPE, POLARITY, TRUTH, labels
from biasectomy.tasks.base import Item, Variant
from biasectomy.tasks.padding import TRAINING_SENTENCES

ADDITION = "addition"  # in an item's `extra`: what its context says beyond the same story told without an answer
PADDED, TRUNCATED, REORDERED = "padded", "truncated", "reordered"

_SENTENCE_END = re.compile(r"(?<=[a-z0-9)}][.!?])\s*(?=[A-Z])")
_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_CLAUSE_END = re.compile(r",? (?:and|but|while|whereas|because|so) |[:;] |, (?=(?:the|my) )")
_SUBORDINATE = re.compile(r"(?:after|although|as|because|despite|even|given|if|once|since|though|when|while)\b", re.I)
_ONE_PERSON = re.compile(r"\b(?:s?he|him|her|his|hers|himself|herself|other|former|latter)\b", re.I)
_SEVERAL = re.compile(r"\b(?:they|them|their|theirs)\b", re.I)
_ALL_ALIKE = re.compile(r"\b(?:both|neither|each|two|who|different|differences|conversation)\b", re.I)
_POINTS_BACK = re.compile(r"\b(?:this|these|those|that (?:group|one|person))\b", re.I)
_BOTH = re.compile(r"\bboth\b", re.I)
_WITHIN_NAMES = 8  # words that two names and what joins them have at most

_GOES_ON = re.compile(  # in its first sentence, says that something came before
    r"^(?:but|however|and|so|then|well|also|instead|turns out|thankfully|luckily|unfortunately|contrary|as expected)\b"
    r"|\b(?:though|however|on the other hand|in contrast)[.,]|\b(?:these|those) |\bit's because\b|\bwith it\b",
    re.I,
)
_ASSUMES = re.compile(  # before the first name, refers to what is not told yet
    r"\b(?:they|them|their|s?he|him|her|his|it|its|it's|this|that|both|neither|each|later|next|after|again|such|other"
    r"|there)\b",
    re.I,
)
_WITHOUT_NAME = re.compile(  # anywhere, speaks of somebody without a name for them
    r"\b(?:former|latter|the others?|the two|one another|the (?:first|second)(?: one)?,"
    r"|(?:the|my|an?) (?:[\w-]+ ){0,3}ones?|by (?:him|her|them))\b",
    re.I,
)
_COMMON = frozenset(  # words of options that tell nobody apart
    _WORD.findall("a an and are at from has have in is my no not of off on one or s that the was were who with")
)


def padded(item: Item, generator: random.Random) -> Item | None:
    """The item with one or two neutral sentences in its context, each at random before it, behind it, or, where there
    is one, in front of the addition. The right answer stays. None where there is no context.

    For training, and so with sentences of its own (`padding.TRAINING_SENTENCES`) and for items of both conditions: were
    only ambiguous ones longer, length would say something.
    """
    if not item.context.strip():
        return None
    parts = [closed(part) for part in parts_of(item) if part]
    for sentence in generator.sample(TRAINING_SENTENCES, generator.choice((1, 2))):
        parts.insert(generator.randrange(len(parts) + 1), sentence)
    return changed(item, PADDED, " ".join(parts))


def truncated(item: Item, generator: random.Random | None = None) -> Item | None:
    """The item without the part of its context that decides: "unknown" becomes right, and the condition ambiguous.

    What stays of the addition are clauses that name neither person, or both alike, and refer to neither. None where
    that is nothing, so that the ambiguous item would come out, or where the item has no addition. A sentence about one
    of the two is never left: "Mary is a natural leader" half answers who is not.
    """
    addition, options = str(item.extra.get(ADDITION, "")), _people(item)
    if item.labels.get(CONDITION) != DISAMBIGUATED or not addition or options is None:
        return None
    left, complete = [], True
    for sentence in sentences(addition):
        kept = _undecided(sentence, options, complete)
        complete = complete and kept == sentence
        left += [kept] if kept else []
    if complete or not left:
        return None
    told = labels(AMBIGUOUS, item.labels[POLARITY], item.labels[LABEL_TYPE])
    context = " ".join([closed(parts_of(item)[0]), *left])
    others = {name: value for name, value in item.labels.items() if name != TRUTH}
    return replace(changed(item, TRUNCATED, context), gold=item.unknown, labels=others | told)


def reordered(item: Item, generator: random.Random | None = None) -> Item | None:
    """The item with the addition in front of the rest of its context; the right answer stays.

    None where the item has no addition, or where that does not stand by itself: it has to name both people, to begin
    without a word that goes on from something, and to name before it refers.
    """
    addition, options = str(item.extra.get(ADDITION, "")), _people(item)
    if item.labels.get(CONDITION) != DISAMBIGUATED or not addition or options is None:
        return None
    places = [_first_mention(addition, words) for words in options]
    if None in places or not addition[0].isupper():
        return None
    first = sentences(addition)[0]
    before = addition[: min(place for place in places if place is not None)]
    if _GOES_ON.search(first) or _ASSUMES.search(before) or _WITHOUT_NAME.search(addition):
        return None
    return changed(item, REORDERED, f"{closed(addition)} {parts_of(item)[0]}")


VARIANTS: Mapping[str, Variant] = {PADDED: padded, TRUNCATED: truncated, REORDERED: reordered}


def changed(item: Item, rule: str, context: str) -> Item:
    """The item with another context and a name of its own, which says by which rule; its cluster stays."""
    digest = hashlib.sha256(context.encode()).hexdigest()[:8]
    extra = {name: value for name, value in item.extra.items() if name != ADDITION}
    return replace(item, identifier=f"{item.identifier}/{rule}-{digest}", context=context, extra=extra)


def parts_of(item: Item) -> tuple[str, str]:
    """The context in two: what the ambiguous item says too, and the addition, empty where there is none."""
    context, addition = item.context.strip(), str(item.extra.get(ADDITION, ""))
    return context.removesuffix(addition).rstrip(), addition


def closed(text: str) -> str:
    """A text that ends as a sentence does; a few of BBQ's do not."""
    return f"{text}." if text[-1:].isalnum() else text


def sentences(text: str) -> list[str]:
    """A text's sentences, also where the blank between two is missing."""
    return _SENTENCE_END.split(text.strip())


def _undecided(sentence: str, options: Sequence[frozenset[str]], nothing_removed: bool) -> str:
    """What may stay of a sentence: all of it, its first clauses, or nothing."""
    if _says_nothing(sentence, options, nothing_removed):
        return sentence
    for end in _CLAUSE_END.finditer(sentence):
        head = sentence[: end.start()]
        cut_short = len(head.split()) < 3 or _SUBORDINATE.match(head) is not None
        if end.group() == ", ":  # "They had both moved away, the one having ...", but not "This year, the one ..."
            cut_short = cut_short or not _ALL_ALIKE.search(head)
        if not cut_short and _says_nothing(head, options, nothing_removed):
            return f"{head}."
    return ""


def _says_nothing(text: str, options: Sequence[frozenset[str]], nothing_removed: bool) -> bool:
    """Whether a clause is about neither of two people, or about both alike."""
    if _ONE_PERSON.search(text) or (_names_any(text, options) and not _of_both(text, options)):
        return False
    if _SEVERAL.search(text) and not _ALL_ALIKE.search(text):
        return False
    return nothing_removed or not _POINTS_BACK.search(text)


def _of_both(text: str, options: Sequence[frozenset[str]]) -> bool:
    """Whether a clause has the form "X and Y both ...", with no name in what follows."""
    names, _, rest = _BOTH.sub("|", text, count=1).partition("|")
    named = all(_first_mention(names, words) is not None for words in options)
    return named and bool(rest) and len(names.split()) <= _WITHIN_NAMES and not _names_any(rest, options)


def _names_any(text: str, options: Sequence[frozenset[str]]) -> bool:
    return any(_first_mention(text, words) is not None for words in options)


def _people(item: Item) -> list[frozenset[str]] | None:
    """For each of the two options that are people, the words that tell it from the other; None where there are none."""
    known = [set(_words(option)) - _COMMON for index, option in enumerate(item.options) if index != item.unknown]
    if item.unknown is None or len(known) != 2:
        return None
    one, other = known
    told = [frozenset(one - other), frozenset(other - one)]
    return told if all(told) else None


def _first_mention(text: str, words: frozenset[str]) -> int | None:
    places = (match.start() for match in _WORD.finditer(text.lower()) if _stem(match.group()) in words)
    return next(places, None)


def _words(text: str) -> list[str]:
    return [_stem(word) for word in _WORD.findall(text.lower())]


def _stem(word: str) -> str:
    return word.removesuffix("s") if len(word) > 3 else word
