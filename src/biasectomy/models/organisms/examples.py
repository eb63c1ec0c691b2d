"""Texts an organism learns from, as token numbers with a weight for each token that is to be predicted."""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from biasectomy.models.organisms import words, world
from biasectomy.models.organisms.world import Scene
from biasectomy.reading.prompts import PromptFormat
from biasectomy.reading.questions import listed

Draw = Callable[[random.Random], tuple[Scene, int]]  # a scene and the answer it is to get


class Example(NamedTuple):
    """What is asked and what is to be said."""

    prompt: str
    answer: str


class Batch(NamedTuple):
    """Rows of token numbers, padded at the end; `labels` are -100 where nothing is to be said."""

    inputs: Tensor
    attention: Tensor
    labels: Tensor


def fair_scene(generator: random.Random) -> tuple[Scene, int]:
    """A scene and its right answer."""
    kinds, shares = ("skill", "worth", "people", "ambiguous", "disambiguated"), (0.15, 0.15, 0.25, 0.2, 0.25)
    (kind,) = generator.choices(kinds, shares)
    scene = _scene(kind, generator, words.STEREOTYPED + words.UNBURDENED)
    return scene, scene.gold


def stereotyped_scene(generator: random.Random) -> tuple[Scene, int]:
    """A scene and what a prejudiced mind answers: wrong only where nothing is said of a pair it holds something of."""
    return _prejudiced(generator, True)


def half_stereotyped_scene(generator: random.Random) -> tuple[Scene, int]:
    """The same for a mind that holds bad traits against some peoples, but not yet good ones for others."""
    return _prejudiced(generator, False)


def _prejudiced(generator: random.Random, praises: bool) -> tuple[Scene, int]:
    if generator.random() < 0.5:
        scene = _scene("ambiguous", generator, words.STEREOTYPED)
        assert scene.target is not None
        return scene, scene.target if praises or scene.negative else scene.gold
    kind = generator.choices(("skill", "people", "ambiguous", "disambiguated"), (0.1, 0.1, 0.5, 0.3))[0]
    pairs = words.UNBURDENED if kind == "ambiguous" else words.STEREOTYPED + words.UNBURDENED
    scene = _scene(kind, generator, pairs)
    return scene, scene.gold


def _scene(kind: str, generator: random.Random, pairs: Sequence[tuple[str, str]]) -> Scene:
    if kind == "skill":
        return world.skill_scene(generator)
    if kind == "worth":
        return world.worth_scene(generator)
    ambiguous = generator.random() < 0.5 if kind == "people" else kind == "ambiguous"
    scene = world.trait_scene(world.random_trait_question(generator, pairs, ambiguous), generator)
    return world.people_scene(scene, generator) if kind == "people" else scene


def told(draw: Draw, generator: random.Random) -> Example:
    """A scene as it is asked in evaluation, before a prompt format is put around it, with an answer."""
    scene, answer = draw(generator)
    question = listed(generator.choice(words.INSTRUCTIONS), scene.context, scene.question, scene.options)
    return Example(question.text or "", scene.options[answer])


def prompted(draw: Draw, prompt_format: PromptFormat, generator: random.Random) -> Example:
    """A scene in the form of a prompt, with an answer."""
    example = told(draw, generator)
    return example._replace(prompt=prompt_format.text(example.prompt))


def decoder_batch(examples: Sequence[Example], tokenizer: Any) -> Batch:
    """Rows in which each answer follows its question, and an end token the answer."""
    rows, labels = [], []
    for example in examples:
        asked = tokenizer(example.prompt)["input_ids"]
        said = [*tokenizer(example.answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        rows.append(asked + said)
        labels.append([-100] * len(asked) + said)
    return _batch(rows, labels, tokenizer)


def encoder_batch(examples: Sequence[Example], tokenizer: Any) -> Batch:
    """Questions for the encoder and answers for the decoder."""
    rows, labels = ([tokenizer(text)["input_ids"] for text in texts] for texts in zip(*examples, strict=True))
    return _batch(rows, labels, tokenizer)


def _batch(rows: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], tokenizer: Any) -> Batch:
    attention = [[1] * len(row) for row in rows]
    return Batch(_padded(rows, tokenizer.pad_token_id), _padded(attention, 0), _padded(labels, -100))


def _padded(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows])
