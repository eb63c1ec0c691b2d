"""A task of made-up items in the shape of BBQ: its lengths, its conditions, and what its prompts have in common.

Every word is one token, drawn at random. Two of the four items of a story have a context that goes on where that of
the others ends, as in BBQ, and all items under one instruction begin with it; stories share nothing else.
"""

import random
from collections.abc import Sequence
from typing import Any

from biasectomy.tasks import Task
from biasectomy.tasks.ambiguity import (
    AMBIGUOUS,
    DISAMBIGUATED,
    GOALS,
    LABEL_TYPE,
    NEGATIVE,
    NON_NEGATIVE,
    SPREAD,
    ambiguity_metrics,
    labels,
)
from biasectomy.tasks.base import Item
from biasectomy.tasks.multiple_choice import LIKELIHOOD_OR_TEXT, listed

NAME = "made-up:bbq"
STORIES = 12  # of each template
INSTRUCTIONS = (13, 13, 18, 18, 18, 16, 13, 20, 18, 18)
# Tokens (SmolLM2's) of a story of each of the 24 templates of BBQ's age: the context, what the disambiguated one adds,
# both questions, the three options.
TEMPLATES = (
    (22, 17, 8, 15, 2, 2, 4), (36, 24, 7, 13, 2, 2, 1), (19, 35, 6, 6, 3, 3, 4), (23, 48, 5, 7, 2, 3, 2),
    (47, 43, 7, 8, 3, 3, 3), (34, 47, 6, 4, 8, 8, 2), (33, 43, 6, 5, 8, 8, 3), (27, 41, 6, 8, 8, 8, 3),
    (20, 19, 7, 5, 2, 2, 2), (42, 30, 8, 7, 8, 8, 3), (30, 32, 5, 5, 8, 8, 2), (30, 35, 5, 8, 2, 8, 3),
    (20, 20, 4, 5, 2, 3, 2), (39, 34, 5, 6, 8, 8, 2), (30, 38, 7, 5, 5, 2, 4), (28, 56, 6, 5, 3, 3, 3),
    (29, 81, 7, 6, 2, 5, 3), (41, 48, 9, 9, 2, 5, 3), (26, 59, 7, 6, 3, 3, 3), (35, 77, 6, 6, 2, 5, 3),
    (36, 51, 6, 5, 6, 8, 3), (30, 62, 4, 4, 3, 3, 3), (35, 65, 5, 5, 3, 3, 3), (24, 35, 8, 8, 3, 3, 1),
)  # fmt: skip
SPECIAL = ("<unknown>", "<start>", "<end>")
STANDING = ("Context", "Question", "Options", "Answer", ":", ",")  # words and marks around the pieces of a prompt
MOST_WORDS = 8192


def made_up_tokenizer(vocabulary: int) -> Any:
    """A tokenizer of whole words: those of `made_up_task`, as many as a vocabulary has room for.

    Words of other texts are all the same token, which costs what any other does.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = (*SPECIAL, *STANDING, *_words(vocabulary))
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(known)}, unk_token=SPECIAL[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # marks stand alone
    _, start, end = SPECIAL
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer, unk_token=SPECIAL[0], bos_token=start, eos_token=end, pad_token=end)


def made_up_task(vocabulary: int, seed: int = 0) -> Task:
    """Items of random words that the tokenizer for such a vocabulary knows."""
    generator = random.Random(seed)
    words = _words(vocabulary)

    def drawn(count: int) -> str:
        return " ".join(generator.choices(words, k=count))

    instructions = tuple(drawn(length) for length in INSTRUCTIONS)
    items = [
        item
        for story in range(STORIES)
        for template, lengths in enumerate(TEMPLATES)
        for item in _story(f"{NAME}/{template}", story, [drawn(length) for length in lengths])
    ]
    return Task(
        NAME, tuple(items), instructions, ambiguity_metrics(items), "1", listed, GOALS, LIKELIHOOD_OR_TEXT,
        spread=SPREAD, alike=LABEL_TYPE,
    )  # fmt: skip


def _story(template: str, story: int, pieces: Sequence[str]) -> list[Item]:
    """The four items of a story: both conditions, both questions."""
    context, addition, negative, other, first, second, unknown = pieces
    turn = story % 3
    options = ((first, second, unknown) * 2)[turn : turn + 3]
    places = [options.index(option) for option in (first, second, unknown)]
    items = []
    for condition, text in ((AMBIGUOUS, context), (DISAMBIGUATED, f"{context} {addition}")):
        for polarity, question in ((NEGATIVE, negative), (NON_NEGATIVE, other)):
            right = places[2] if condition == AMBIGUOUS else places[polarity == NEGATIVE]
            items.append(
                Item(
                    identifier=f"{template}/{story}/{condition}/{polarity}",
                    context=text,
                    question=question,
                    options=options,
                    gold=right,
                    cluster=template,
                    task=NAME,
                    target=places[polarity != NEGATIVE],
                    unknown=places[2],
                    labels=labels(condition, polarity),
                )
            )
    return items


def _words(vocabulary: int) -> tuple[str, ...]:
    return tuple(f"w{number}" for number in range(min(vocabulary, MOST_WORDS) - len(SPECIAL) - len(STANDING)))
