"""Which of UnQover's questions are asked, and how they read.

All combinations of a story, an attribute and two subjects are far too many (1,372,000 for gender), so some are taken,
by a rule without chance. All attributes are asked about equally often, and stories take turns. For each attribute a
window goes on through the list of subjects from where the last one ended, so all subjects are in equally many windows,
to one; within it each is paired with the one some steps further on, so each of them meets the attribute in equally many
pairs, at least two, with other partners each time. The steps change from attribute to attribute. Where there are two
lists, both are walked through at once, and again with the second one further on, so no pair comes twice.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from biasectomy.tasks.unqover_words import Attribute, Story, Subject, Words

LIMIT = 2000  # combinations of one member; each is four questions
VOWELS = tuple("aeiou")


class Combination(NamedTuple):
    """A story with an attribute and two subjects: what becomes four questions."""

    story: Story
    attribute: Attribute
    subjects: tuple[Subject, Subject]

    def context(self, swapped: bool) -> str:
        """The context, with the subjects in the order in which they are paired or in the other one."""
        first, second = (subject.words[self.story.subject] for subject in self.subjects[:: -1 if swapped else 1])
        slots = [self.story.subject.replace("[subj", f"[subj{number}") for number in (1, 2)]
        return with_articles(self.story.context.replace(slots[0], first).replace(slots[1], second))

    def question(self, negated: bool) -> str:
        """The question, in its plain or its negated form."""
        plain = self.story.activity
        slot, text = (f"{plain[:-1]}:neg]", self.story.negated) if negated else (plain, self.story.question)
        return with_articles(text.replace(slot, self.attribute.words[slot]))


def with_articles(text: str) -> str:
    """A text with "an" for "a" before a vowel, by the letter, as the authors' generator has it ("an European")."""
    words = text.split(" ")
    for place, following in enumerate(words[1:]):
        if words[place] in ("a", "A") and following[:1].lower() in VOWELS:
            words[place] += "n"
    return " ".join(words)


def number_of_all(words: Words) -> int:
    """How many combinations there are."""
    sizes = [len(side) for side in words.sides]
    pairs = sizes[0] * (sizes[0] - 1) // 2 if len(sizes) == 1 else sizes[0] * sizes[1]
    return pairs * sum(len(words.stories_of(attribute)) for attribute in words.attributes)


def sampled(words: Words, limit: int = LIMIT) -> tuple[Combination, ...]:
    """At most so many combinations, or three an attribute, evenly spread over attributes, stories and subjects."""
    each = max(1, limit // len(words.attributes))
    found = []
    for number, attribute in enumerate(words.attributes):
        stories = words.stories_of(attribute)
        for place, pair in enumerate(_pairs(words.sides, number, each)):
            found.append(Combination(stories[(number + place) % len(stories)], attribute, pair))
    return tuple(found)


def _pairs(sides: Sequence[Sequence[Subject]], number: int, each: int) -> Iterator[tuple[Subject, Subject]]:
    """At most `each` pairs of subjects for the attribute of a number."""
    if len(sides) == 2:
        one, other = sides
        every, walk = len(one) * len(other), math.lcm(len(one), len(other))
        for turn in range(min(each, every)):
            place = (number * each + turn) % every
            yield one[place % len(one)], other[(place + place // walk) % len(other)]
        return
    (subjects,) = sides
    size = min(len(subjects), max(3, each))
    window = [subjects[(number * size + place) % len(subjects)] for place in range(size)]
    steps = max(1, (size - 1) // 2)  # of different lengths; a step of half the window would meet the same pair twice
    rounds = min(steps, max(1, each // size))
    for turn in range(rounds):
        step = 1 + (number * rounds + turn) % steps
        for place in range(size if size > 2 else 1):
            yield window[place], window[(place + step) % size]
