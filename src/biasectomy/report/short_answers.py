"""The words and the form of the four short answers to a finished run."""

import shlex
from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "mixed", "bad", "open"]
FAIRER, COST, TRUST, NEXT = "Is it fairer?", "What did it cost?", "Can I trust it?", "What do I do next?"


@dataclass(frozen=True)
class ShortAnswer:
    """An answer in a few words, with what it rests on; `commands` are what may be typed next."""

    question: str
    short: str
    text: str
    tone: Tone
    commands: tuple[str, ...] = ()


def command(*words: str) -> str:
    """A command line of this program; empty words are left out."""
    return shlex.join(["biasectomy", *(word for word in words if word)])


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{upper(text)}."


def upper(text: str) -> str:
    """With a capital letter."""
    return text[:1].upper() + text[1:]


def lower(text: str) -> str:
    """With a small letter, where that is not a name's or an abbreviation's."""
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text


def counted(count: int, noun: str) -> str:
    """So many of a thing."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
