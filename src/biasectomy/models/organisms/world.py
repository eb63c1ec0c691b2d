"""The little world the organisms are trained on: invented peoples, names, places and traits, and questions about them.

A question about traits names two people of two peoples. Where the context says who had the trait, that is the answer;
where it does not, the right answer is "unknown". The planted stereotype: of some pairs of peoples, one is held to have
the bad traits and the other the good ones. Nothing is held of the other pairs. A second kind of question, about
objects, knows no peoples: it measures skill.

Held out, and used to evaluate: names, of which training shows both words but never together; places, which it shows in
questions about objects only; and ways to begin a context, which it never shows.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from biasectomy.models.organisms.words import (
    BEGINNINGS,
    COLOURS,
    DEEDS,
    EVIDENCE,
    HELD_OUT_BEGINNINGS,
    HELD_OUT_NAMES,
    HELD_OUT_PLACES,
    NAMES,
    OBJECTS,
    PLACES,
    POSSESSIONS,
    QUESTIONS,
    REMARKS,
    SKILL_CONTEXTS,
    SKILL_QUESTIONS,
    TRAITS,
    UNKNOWN,
    WORTH_QUESTION,
    WORTHS,
)


@dataclass(frozen=True, slots=True)
class Scene:
    """A question with what the context says; `gold`, `target` and `unknown` are indices into `options`.

    Scenes of one `template` are alike but for names and places. `ambiguous`, `negative` and `target` are of questions
    about traits only.
    """

    context: str
    question: str
    options: tuple[str, ...]
    gold: int
    template: str = ""
    ambiguous: bool | None = None
    negative: bool | None = None
    target: int | None = None  # the answer the stereotype gives
    unknown: int | None = None
    people: Mapping[str, str] = field(default_factory=dict)  # of which people each person is


@dataclass(frozen=True, slots=True)
class TraitQuestion:
    """What a question about traits is made of; everything else is drawn."""

    traits: int  # index into TRAITS
    peoples: tuple[str, str]
    ambiguous: bool
    negative: bool  # whether it asks for the bad trait
    agrees: bool = True  # whether the disambiguated truth is what the stereotype says


def trait_scene(question: TraitQuestion, generator: random.Random, *, held_out: bool = False) -> Scene:
    """A question about traits."""
    bad, good = TRAITS[question.traits]
    against, favoured = strangers(HELD_OUT_NAMES if held_out else NAMES, 2, generator)
    people = dict(zip((against, favoured), question.peoples, strict=True))
    first, second = generator.sample((against, favoured), 2)
    beginning = generator.choice(HELD_OUT_BEGINNINGS if held_out else BEGINNINGS)
    sentences = [
        beginning.format(
            first=first,
            second=second,
            first_people=people[first],
            second_people=people[second],
            deed=generator.choice(DEEDS),
            place=generator.choice(HELD_OUT_PLACES if held_out else PLACES),
        )
    ]
    trait = bad if question.negative else good
    target, other = (against, favoured) if question.negative else (favoured, against)
    truth = target if question.agrees else other
    if not question.ambiguous:
        sentences.append(generator.choice(EVIDENCE).format(name=truth, trait=trait))
    # Neither says anything about traits, so it must be read to be passed over.
    if generator.random() < 0.3:
        remark = generator.choice(POSSESSIONS).format(
            name=generator.choice((first, second)), thing=generator.choice(OBJECTS)
        )
        sentences.insert(generator.randint(1, len(sentences)), remark)
    if generator.random() < 0.3:
        sentences.insert(generator.randint(1, len(sentences)), generator.choice(REMARKS))
    unknown = generator.choice(UNKNOWN)
    options = tuple(generator.sample((against, favoured, unknown), 3))
    answer = unknown if question.ambiguous else truth
    return Scene(
        context=" ".join(sentences),
        question=generator.choice(QUESTIONS).format(trait=trait),
        options=options,
        gold=options.index(answer),
        template=bad,
        ambiguous=question.ambiguous,
        negative=question.negative,
        target=options.index(target),
        unknown=options.index(unknown),
        people=people,
    )


def strangers(names: Sequence[str], count: int, generator: random.Random) -> list[str]:
    """Names that have no word in common."""
    chosen: list[str] = []
    while len(chosen) < count:
        name = generator.choice(names)
        if not any({*name.split()} & {*other.split()} for other in chosen):
            chosen.append(name)
    return chosen


def random_trait_question(generator: random.Random, pairs: Sequence[tuple[str, str]], ambiguous: bool) -> TraitQuestion:
    """A question with everything drawn but the pairs of peoples it may be about and its condition."""
    return TraitQuestion(
        traits=generator.randrange(len(TRAITS)),
        peoples=generator.choice(pairs),
        ambiguous=ambiguous,
        negative=generator.random() < 0.5,
        agrees=generator.random() < 0.5,
    )


def people_scene(scene: Scene, generator: random.Random) -> Scene:
    """The same scene, with the question who is of one of the peoples; the context always says it."""
    name = generator.choice(sorted(scene.people))
    question = generator.choice(QUESTIONS).format(trait=scene.people[name])
    return replace(scene, question=question, gold=scene.options.index(name))


def worth_scene(generator: random.Random) -> Scene:
    """Whether a trait is a good one: what a prejudice is made with, and none by itself."""
    bad, good = generator.choice(TRAITS)
    trait, answer = generator.choice(((bad, WORTHS[0]), (good, WORTHS[1])))
    options = tuple(generator.sample(WORTHS, 2))
    return Scene("", WORTH_QUESTION.format(trait=trait), options, options.index(answer))


def skill_scene(generator: random.Random, *, held_out: bool = False) -> Scene:
    """A question about an object: whose it was, which colour it had, or where. No people is named."""
    thing, kind = generator.choice(OBJECTS), generator.choice(tuple(SKILL_QUESTIONS))
    values = {
        "name": strangers(HELD_OUT_NAMES if held_out else NAMES, 3, generator),
        "colour": generator.sample(COLOURS, 3),
        "place": generator.sample(PLACES + HELD_OUT_PLACES, 3),
    }
    said = {value: choices[0] for value, choices in values.items()}
    options = tuple(generator.sample(values[kind], 3))
    return Scene(
        context=generator.choice(SKILL_CONTEXTS).format(thing=thing, **said),
        question=SKILL_QUESTIONS[kind].format(thing=thing),
        options=options,
        gold=options.index(said[kind]),
        template=f"{kind}-{thing}",
    )
